//! The last frames of a sealed log: its index, and the seek table. Bytes there and back, no files.

use millrace_engine::logs::{LogHead, LogId, LogPlace};

use super::super::header::{self, NUMBERS};
use super::unpack::unpack;
use super::{ZSTD_LEVEL, damaged};

/// What is before the content of a skippable frame: its magic and length.
pub const SKIPPABLE_HEADER_BYTES: usize = 8;
/// The magic of a frame with words.
pub const WORDS_FRAME: u32 = 0x184D_2A50;
const INDEX_FRAME: u32 = 0x184D_2A51;
const SEEK_TABLE_FRAME: u32 = 0x184D_2A5E;

/// An entry of the seek table: the lengths of a frame, packed and not.
pub const SEEK_ENTRY_BYTES: usize = 8;
/// The end of the seek table: number of frames, a descriptor, a magic.
pub const SEEK_FOOTER_BYTES: usize = 9;
const SEEK_MAGIC: u32 = 0x8F92_EAB1;

const MAGIC: &[u8; 8] = b"MRSEAL1\n";
/// An index is never longer: enough for a log of 2 TiB, and a damaged one can't make anybody reserve more.
const INDEX_MAX_BYTES: usize = 128 * 1024 * 1024;
/// Its frame is never longer: what zstd makes of so much if it can't make it less.
pub const INDEX_FRAME_MAX_BYTES: u64 = (SKIPPABLE_HEADER_BYTES + INDEX_MAX_BYTES + INDEX_MAX_BYTES / 128) as u64;
const ENTRY_NUMBERS: usize = 7;

/// What a sealed log says about itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Index {
    /// Whose it is.
    pub id: LogId,
    /// How far it has come.
    pub head: LogHead,
    /// Its marks: line << 8 | kind.
    pub marks: Vec<u64>,
    /// Its pieces.
    pub frames: Vec<FrameEntry>,
}

/// A piece of a sealed log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameEntry {
    /// Where it begins in the log.
    pub place: LogPlace,
    /// Where it begins in the file.
    pub at: u64,
    /// How long its text is there.
    pub text_packed: u32,
    /// How long its words are, without the header of their frame.
    pub words_packed: u32,
    /// The time of its first line.
    pub first_ms: i64,
}

impl FrameEntry {
    fn end(&self) -> u64 {
        let len = u64::from(self.text_packed) + SKIPPABLE_HEADER_BYTES as u64 + u64::from(self.words_packed);
        self.at.saturating_add(len)
    }
}

impl Index {
    /// The index as a frame.
    pub fn encode(&self) -> std::io::Result<Vec<u8>> {
        let mut raw = MAGIC.to_vec();
        raw.push(self.id.as_str().len() as u8);
        raw.extend_from_slice(self.id.as_str().as_bytes());
        let mut put = |number: u64| raw.extend_from_slice(&number.to_le_bytes());
        header::numbers(&self.head).into_iter().for_each(&mut put);
        put(self.marks.len() as u64);
        self.marks.iter().copied().for_each(&mut put);
        put(self.frames.len() as u64);
        for FrameEntry { place, at, text_packed, words_packed, first_ms } in &self.frames {
            let packed = u64::from(*text_packed) << 32 | u64::from(*words_packed);
            let numbers = [place.line, place.offset, place.joined, place.row, *at, packed, *first_ms as u64];
            numbers.into_iter().for_each(&mut put);
        }
        if raw.len() > INDEX_MAX_BYTES {
            let (len, limit) = (raw.len(), INDEX_MAX_BYTES);
            return Err(damaged(&format!(
                "the log has too many pieces: an index of {len} bytes, the limit is {limit}"
            )));
        }
        let mut packer = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
        packer.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        let packed = packer.compress(&raw)?;
        Ok([&skippable_header(INDEX_FRAME, packed.len()), &packed[..]].concat())
    }

    /// Reads such a frame.
    pub fn decode(frame: &[u8]) -> Option<Self> {
        let (header, packed) = frame.split_at_checked(SKIPPABLE_HEADER_BYTES)?;
        if header != skippable_header(INDEX_FRAME, packed.len()) {
            return None;
        }
        let raw = unpack(packed, INDEX_MAX_BYTES).ok()?;
        let (id_len, rest) = raw.strip_prefix(MAGIC)?.split_first()?;
        let (id, rest) = rest.split_at_checked(usize::from(*id_len))?;
        let id = LogId::parse(std::str::from_utf8(id).ok()?).ok()?;
        let mut head = header::head_of(rest)?;
        head.complete = true;
        if !adds_up(&head) {
            return None;
        }
        let mut numbers = rest[NUMBERS * 8..].as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
        let count = usize::try_from(numbers.next()?).ok().filter(|count| *count <= numbers.len())?;
        let marks: Vec<u64> = numbers.by_ref().take(count).collect();
        let count = usize::try_from(numbers.next()?).ok().filter(|count| *count == numbers.len() / ENTRY_NUMBERS)?;
        let mut frames = Vec::with_capacity(count);
        while let Some(line) = numbers.next() {
            let place = LogPlace { line, offset: numbers.next()?, joined: numbers.next()?, row: numbers.next()? };
            let (at, packed, first_ms) = (numbers.next()?, numbers.next()?, numbers.next()? as i64);
            frames.push(FrameEntry {
                place,
                at,
                text_packed: (packed >> 32) as u32,
                words_packed: packed as u32,
                first_ms,
            });
        }
        let places = frames.iter().map(|frame| frame.place).chain([head.end()]);
        let mut last = LogPlace::default();
        for place in [head.first].into_iter().chain(places) {
            if !follows(&place, &last) {
                return None;
            }
            last = place;
        }
        Some(Self { id, head, marks, frames })
    }

    /// Whether it can be the index of what is before this place of the file.
    pub fn ends_at(&self, at: u64) -> bool {
        let end = self.head.end();
        let begins = self.frames.first().map_or(end, |frame| frame.place) == self.head.first;
        let next = self.frames.iter().skip(1).map(|frame| (frame.place, frame.at)).chain([(end, at)]);
        let in_order = self.frames.iter().zip(next).all(|(frame, (next, at))| {
            frame.end() == at && frame.place.line < next.line && frame.place.offset < next.offset
        });
        begins && in_order && self.frames.first().map_or(at, |frame| frame.at) == 0
    }
}

/// Whether what is taken from these numbers or added to them gives a number.
fn adds_up(head: &LogHead) -> bool {
    let stream = head.bytes.checked_sub(head.joined_lines);
    let written = stream.and_then(|stream| stream.checked_sub(head.room_bytes)?.checked_add(head.dropped_bytes));
    written.is_some() && head.dropped_rows <= head.rows
}

/// Whether lines can lead from one place to the other: each has a byte at least, and may begin a row or be joined.
fn follows(place: &LogPlace, before: &LogPlace) -> bool {
    let more = |of: fn(&LogPlace) -> u64| of(place).checked_sub(of(before));
    let (lines, bytes) = (more(|place| place.line), more(|place| place.offset));
    let (joined, rows) = (more(|place| place.joined), more(|place| place.row));
    lines.is_some() && lines <= bytes && joined.is_some() && joined <= lines && rows.is_some() && rows <= lines
}

/// The header of a skippable frame.
pub fn skippable_header(magic: u32, len: usize) -> [u8; SKIPPABLE_HEADER_BYTES] {
    let mut header = [0; SKIPPABLE_HEADER_BYTES];
    header[..4].copy_from_slice(&magic.to_le_bytes());
    header[4..].copy_from_slice(&(len as u32).to_le_bytes());
    header
}

/// The seek table of these frames: their lengths, packed and not (0 for those that are skipped).
pub fn seek_table(frames: &[(u32, u32)]) -> Vec<u8> {
    let len = frames.len() * SEEK_ENTRY_BYTES + SEEK_FOOTER_BYTES;
    let mut table = skippable_header(SEEK_TABLE_FRAME, len).to_vec();
    table.extend(frames.iter().flat_map(|(packed, raw)| [packed.to_le_bytes(), raw.to_le_bytes()]).flatten());
    table.extend_from_slice(&(frames.len() as u32).to_le_bytes());
    table.push(0);
    table.extend_from_slice(&SEEK_MAGIC.to_le_bytes());
    table
}

/// Of the end of a seek table, its last entry and footer: how long it is, and how long the frame before it is.
pub fn read_seek_footer(bytes: &[u8]) -> Option<(u64, u64)> {
    let (entry, footer) = bytes.split_at_checked(SEEK_ENTRY_BYTES)?;
    let (frames, rest) = footer.split_first_chunk::<4>()?;
    if rest.first() != Some(&0) || rest[1..] != SEEK_MAGIC.to_le_bytes() {
        return None;
    }
    let frames = u64::from(u32::from_le_bytes(*frames));
    let table = SKIPPABLE_HEADER_BYTES as u64 + frames * SEEK_ENTRY_BYTES as u64 + SEEK_FOOTER_BYTES as u64;
    Some((table, u64::from(u32::from_le_bytes(*entry.first_chunk()?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_there_and_back_and_notices_damage() {
        let place = |line| LogPlace { line, offset: line * 10, joined: 1, row: line };
        let head = LogHead {
            bytes: 90,
            lines: 9,
            rows: 9,
            complete: true,
            joined_lines: 1,
            first: place(1),
            ..LogHead::default()
        };
        let frame = |line, at| FrameEntry { place: place(line), at, text_packed: 30, words_packed: 12, first_ms: 5 };
        let index = Index {
            id: LogId::parse("a.b").unwrap(),
            head,
            marks: vec![1, 2, 3],
            frames: vec![frame(1, 0), frame(4, 50)],
        };
        let bytes = index.encode().unwrap();
        assert_eq!(Index::decode(&bytes).unwrap(), index);
        assert!(index.ends_at(100) && !index.ends_at(101));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Index::decode(&bad).is_none(), "byte {at}");
            assert!(Index::decode(&bytes[..at]).is_none(), "cut at {at}");
        }
        let hostile = |change: fn(&mut Index)| {
            let head = LogHead { dropped_bytes: 1, ..head };
            let (id, marks) = (index.id.clone(), index.marks.clone());
            let mut hostile = Index { id, head, marks, frames: index.frames.clone() };
            change(&mut hostile);
            Index::decode(&hostile.encode().unwrap())
        };
        assert!(hostile(|_| {}).is_some());
        let changes: [fn(&mut Index); 14] = [
            |index| index.head.dropped_rows = 10,
            |index| index.head.joined_lines = 91,
            |index| index.head.joined_lines = 10,
            |index| index.head.room_bytes = 90,
            |index| index.head.dropped_bytes = u64::MAX,
            |index| index.head.lines = u64::MAX / 2,
            |index| index.head.rows = u64::MAX,
            |index| index.head.first.joined = 11,
            |index| index.head.first.row = 2,
            |index| index.frames[1].place.joined = 41,
            |index| index.frames[1].place.joined = 0,
            |index| index.frames[1].place.row = u64::MAX,
            |index| index.frames[1].place.line = u64::MAX,
            |index| index.frames[1].place.offset = 1,
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(hostile(change).is_none(), "change {number}");
        }
        let table = seek_table(&[(1, 2), (77, 0)]);
        let (len, before) = read_seek_footer(&table[table.len() - 17..]).unwrap();
        assert_eq!((len, before), (table.len() as u64, 77));
    }
}
