//! One record of the journal: what happens to one log, and how far that log had come before.
//!
//! ```text
//! 0 u32 length  4 u32 crc  8 u8 kind  9 u8 complete  10 u8 id length  12 u32 text length  16 u32 words length
//! 24 the fourteen numbers of the head before  136 four numbers of the change  168 id, text, words
//! ```
//! The numbers of an append are its dropped rows, dropped bytes and the room's own bytes; those of a trim are the place
//! that is the first after it.
//! The crc begins with the crc of the record before, so what an earlier life of the file left behind never fits.
//! Records from before there was retention had fewer numbers ([`Record::old`]); they are read, not written.

use bytes::Bytes;
use millrace_engine::logs::{LogAppend, LogHead, LogId, LogPlace};

use super::header::{self, NUMBERS, OLD_NUMBERS};

const NUMBERS_AT: usize = 24;
const CHANGE_NUMBERS: usize = 4;
const CHANGE_AT: usize = NUMBERS_AT + NUMBERS * 8;
const FIXED_BYTES: usize = CHANGE_AT + CHANGE_NUMBERS * 8;
const KIND_APPEND: u8 = 4;
const KIND_DELETE: u8 = 5;
const KIND_TRIM: u8 = 6;

/// The old kinds: their fixed part has six numbers and the dropped rows; one with joined lines says so after it.
const OLD_KIND_APPEND: u8 = 1;
const OLD_KIND_DELETE: u8 = 2;
const OLD_KIND_APPEND_JOINED: u8 = 3;
const OLD_CHANGE_AT: usize = NUMBERS_AT + OLD_NUMBERS * 8;
const OLD_FIXED_BYTES: usize = OLD_CHANGE_AT + 8;

/// What happens to one log.
#[derive(Clone, Debug)]
pub struct Record {
    /// The log.
    pub id: LogId,
    /// How far it had come before.
    pub before: LogHead,
    /// What happens.
    pub change: Change,
    /// It was written before there was retention: what it says of the head is not all, and the log's files are as they
    /// were then.
    pub old: bool,
}

/// What happens to a log.
#[derive(Clone, Debug)]
pub enum Change {
    /// It gets more lines, or its end.
    Append(LogAppend),
    /// What is before this place is removed.
    Trim(LogPlace),
    /// It is removed.
    Delete,
}

impl Change {
    /// How many bytes it brings.
    pub fn len(&self) -> usize {
        let (text, words) = self.payload();
        text.len() + words.len()
    }

    fn payload(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Append(append) => (&append.text, &append.words),
            Self::Trim(_) | Self::Delete => (&[], &[]),
        }
    }
}

impl Record {
    /// Its length in the journal.
    pub fn encoded_len(&self) -> usize {
        FIXED_BYTES + self.id.as_str().len() + self.change.len()
    }

    /// Writes it; returns its crc, for the next one.
    pub fn encode(&self, chain: u32, out: &mut Vec<u8>) -> u32 {
        let (text, words) = self.change.payload();
        let (kind, complete, numbers) = match &self.change {
            Change::Append(append) => {
                (KIND_APPEND, append.complete, [append.dropped_rows, append.dropped_bytes, append.room_bytes, 0])
            }
            Change::Trim(first) => (KIND_TRIM, false, [first.line, first.offset, first.joined, first.row]),
            Change::Delete => (KIND_DELETE, false, [0; CHANGE_NUMBERS]),
        };
        let start = out.len();
        out.extend_from_slice(&(self.encoded_len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[kind, u8::from(complete), self.id.as_str().len() as u8, 0]);
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(&(words.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend(header::numbers(&self.before).into_iter().chain(numbers).flat_map(u64::to_le_bytes));
        out.extend_from_slice(self.id.as_str().as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(words);
        let crc = crc_of(chain, &out[start..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads the record at the beginning of `bytes`; returns it with its length and crc, none if there is no whole one.
    pub fn decode(chain: u32, bytes: &Bytes) -> Option<(Self, usize, u32)> {
        let fixed = bytes.get(..OLD_FIXED_BYTES)?;
        let number = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let len = number(0) as usize;
        let (text_len, words_len) = (number(12) as usize, number(16) as usize);
        let id_start = match fixed[8] {
            OLD_KIND_APPEND | OLD_KIND_DELETE => OLD_FIXED_BYTES,
            OLD_KIND_APPEND_JOINED => OLD_FIXED_BYTES + 8,
            _ => FIXED_BYTES,
        };
        let id_end = id_start + usize::from(fixed[10]);
        if len > bytes.len() || len != id_end + text_len + words_len || crc_of(chain, &bytes[..len]) != number(4) {
            return None;
        }
        let id = LogId::parse(std::str::from_utf8(&bytes[id_start..id_end]).ok()?).ok()?;
        let (text, words) = (bytes.slice(id_end..id_end + text_len), bytes.slice(id_end + text_len..len));
        let (before, append) = match id_start {
            FIXED_BYTES => (header::head_of(&bytes[NUMBERS_AT..CHANGE_AT])?, numbers_of(&bytes[CHANGE_AT..id_start])?),
            _ => old_numbers(&bytes[..id_start])?,
        };
        let append = LogAppend { at_lines: before.lines, text, words, complete: fixed[9] != 0, ..append };
        let change = match fixed[8] {
            KIND_APPEND | OLD_KIND_APPEND | OLD_KIND_APPEND_JOINED => Change::Append(append),
            KIND_TRIM => Change::Trim(place_of(&bytes[CHANGE_AT..id_start])?),
            KIND_DELETE | OLD_KIND_DELETE => Change::Delete,
            _ => return None,
        };
        Some((Self { id, before, change, old: id_start != FIXED_BYTES }, len, number(4)))
    }
}

/// An append with nothing but its numbers.
fn numbers_of(bytes: &[u8]) -> Option<LogAppend> {
    let [dropped_rows, dropped_bytes, room_bytes] = *bytes.as_chunks::<8>().0.first_chunk()?;
    let number = u64::from_le_bytes;
    Some(LogAppend {
        dropped_rows: number(dropped_rows),
        dropped_bytes: number(dropped_bytes),
        room_bytes: number(room_bytes),
        ..LogAppend::default()
    })
}

/// The place in a trim.
fn place_of(bytes: &[u8]) -> Option<LogPlace> {
    let [line, offset, joined, row] = *bytes.as_chunks::<8>().0.first_chunk()?;
    let number = u64::from_le_bytes;
    Some(LogPlace { line: number(line), offset: number(offset), joined: number(joined), row: number(row) })
}

/// Head and numbers of an append in an old record, of its bytes before the id.
fn old_numbers(bytes: &[u8]) -> Option<(LogHead, LogAppend)> {
    let mut before = header::head_of_old(&bytes[NUMBERS_AT..OLD_CHANGE_AT])?;
    let numbers = bytes[OLD_CHANGE_AT..].as_chunks::<8>().0;
    if let Some(joined) = numbers.get(1) {
        header::set_joined(&mut before, u64::from_le_bytes(*joined));
    }
    Some((before, LogAppend { dropped_rows: u64::from_le_bytes(*numbers.first()?), ..LogAppend::default() }))
}

fn crc_of(chain: u32, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chain.to_le_bytes());
    hasher.update(&record[..4]);
    hasher.update(&record[8..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append() -> LogAppend {
        LogAppend {
            at_lines: 2,
            text: Bytes::from_static(b"x\ny\n"),
            words: Bytes::from_static(&[9; 16]),
            dropped_rows: 7,
            dropped_bytes: 8,
            room_bytes: 9,
            complete: true,
        }
    }

    fn head() -> LogHead {
        LogHead { bytes: 1, lines: 2, rows: 3, dropped_rows: 1, marks: 5, ..LogHead::default() }
    }

    #[test]
    fn goes_there_and_back_and_notices_damage() {
        let mut before = LogHead { joined_lines: 2, unended: true, room_bytes: 4, last_ms: 5, ..head() };
        before.first = LogPlace { line: 1, offset: 2, joined: 3, row: 4 };
        let first = LogPlace { line: 8, offset: 9, joined: 1, row: 2 };
        for change in [Change::Append(append()), Change::Trim(first), Change::Delete] {
            check(&Record { id: LogId::parse("a.b").unwrap(), before, change, old: false });
        }
    }

    fn check(record: &Record) {
        let mut out = vec![1, 2, 3];
        let crc = record.encode(77, &mut out);
        let bytes = Bytes::from(out.split_off(3));
        assert_eq!(bytes.len(), record.encoded_len());
        let (back, len, back_crc) = Record::decode(77, &bytes).unwrap();
        assert_eq!((len, back_crc, format!("{back:?}")), (bytes.len(), crc, format!("{record:?}")));
        assert!(Record::decode(78, &bytes).is_none(), "another chain");
        for at in 0..bytes.len() {
            let mut bad = bytes.to_vec();
            bad[at] ^= 0x10;
            assert!(Record::decode(77, &bad.into()).is_none(), "byte {at}");
            assert!(Record::decode(77, &bytes.slice(..at)).is_none(), "cut at {at}");
        }
    }

    /// As they were written before there was retention.
    #[test]
    fn old_records_are_read() {
        for joined in [None, Some(5_u64)] {
            let mut bytes = vec![0; 24];
            bytes[8..11].copy_from_slice(&[if joined.is_some() { 3 } else { 1 }, 1, 3]);
            (bytes[12], bytes[16]) = (4, 16);
            bytes.extend(header::numbers(&head())[..6].iter().chain([&7]).chain(&joined).flat_map(|n| n.to_le_bytes()));
            bytes.extend_from_slice(b"a.bx\ny\n");
            bytes.extend_from_slice(&[9; 16]);
            bytes[0] = bytes.len() as u8;
            let crc = crc_of(77, &bytes);
            bytes[4..8].copy_from_slice(&crc.to_le_bytes());
            let (record, len, _) = Record::decode(77, &bytes.clone().into()).unwrap();
            let before =
                LogHead { joined_lines: if joined.is_some() { 2 } else { 0 }, unended: joined.is_some(), ..head() };
            assert_eq!((len, record.before, record.old), (bytes.len(), before, true));
            let expected = LogAppend { dropped_bytes: 0, room_bytes: 0, ..append() };
            assert_eq!(format!("{:?}", record.change), format!("{:?}", Change::Append(expected)));
        }
    }
}
