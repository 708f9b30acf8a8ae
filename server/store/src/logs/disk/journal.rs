//! The journal: every change of every log, in one file at a time, so that one fdatasync makes all of them durable.
//!
//! It is made of segments that are used again: writing over bytes that are there already needs no new blocks and syncs
//! in less than half the time. A segment begins with a magic, its number (never used twice) and whether it is live.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::record::Record;
use crate::positioned::{read_up_to, sync_folder, write_all_at};

/// How many segments there are at most. One is written, one is being checkpointed, the others take a burst.
pub const SEGMENTS: usize = 4;

const MAGIC: &[u8; 8] = b"MRJRNL1\n";
const HEADER_BYTES: usize = 20;
/// So much is prepared at a time.
const PREPARE_BYTES: usize = 4 * 1024 * 1024;
const LIVE: u32 = 1;
const FREE: u32 = 0;

/// The segment that is written.
pub struct Journal {
    folder: PathBuf,
    slot: usize,
    number: u64,
    file: Option<File>,
    /// Up to here everything is durable.
    len: u64,
    chain: u32,
    buffer: Vec<u8>,
}

impl Journal {
    /// A journal that goes on with the segment `number` in this slot.
    pub fn new(folder: &Path, slot: usize, number: u64) -> Self {
        Self { folder: folder.into(), slot, number, file: None, len: 0, chain: seed(number), buffer: Vec::new() }
    }

    /// Writes all records and syncs. When it fails none counts, and the next try goes to the same place.
    pub fn commit<'a>(&mut self, records: impl Iterator<Item = &'a Record>) -> io::Result<()> {
        self.buffer.clear();
        if self.len == 0 {
            self.buffer.extend_from_slice(&segment_header(self.number, LIVE));
        }
        let mut chain = self.chain;
        for record in records {
            chain = record.encode(chain, &mut self.buffer);
        }
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(open_segment(&self.folder, self.slot)?),
        };
        write_all_at(file, &self.buffer, self.len)?;
        file.sync_data()?;
        self.len += self.buffer.len() as u64;
        self.chain = chain;
        Ok(())
    }

    /// Takes away what failed commits may have left after the last good one, so that no start takes it for one.
    pub fn cut(&mut self) -> io::Result<()> {
        self.file = None;
        if self.len == 0 {
            return free_segment(&self.folder, self.slot).map(|_| ());
        }
        let file = self.file.insert(open_segment(&self.folder, self.slot)?);
        // No record begins with a length of nothing.
        write_all_at(file, &[0; 8], self.len)?;
        file.sync_data()
    }

    /// The number of the segment.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How long the segment is.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Goes on with the next segment in another slot; returns the slot of the one that is done.
    pub fn rotate(&mut self, slot: usize) -> usize {
        let done = self.slot;
        *self = Self { buffer: std::mem::take(&mut self.buffer), ..Self::new(&self.folder, slot, self.number + 1) };
        done
    }
}

/// What is in the slots of a journal.
pub struct Segments {
    /// The live ones, the oldest first.
    pub live: Vec<Segment>,
    /// A number larger than all that were used.
    pub next_number: u64,
}

/// A live segment.
pub struct Segment {
    slot: usize,
    number: u64,
}

impl Segments {
    /// Looks into all slots.
    pub fn find(folder: &Path) -> io::Result<Self> {
        let mut found = Self { live: Vec::new(), next_number: 1 };
        for slot in 0..SEGMENTS {
            let file = match File::open(segment_path(folder, slot)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let Some((number, state)) = read_header(&read_up_to(&file, 0, HEADER_BYTES)?) else { continue };
            found.next_number = found.next_number.max(number + 1);
            if state == LIVE {
                found.live.push(Segment { slot, number });
            }
        }
        found.live.sort_by_key(|segment| segment.number);
        Ok(found)
    }
}

impl Segment {
    /// Calls `apply` for each record, to the first one that is not whole.
    pub fn replay(&self, folder: &Path, mut apply: impl FnMut(Record) -> io::Result<()>) -> io::Result<()> {
        let mut rest = Bytes::from(std::fs::read(segment_path(folder, self.slot))?).split_off(HEADER_BYTES);
        let mut chain = seed(self.number);
        while let Some((record, len, crc)) = Record::decode(chain, &rest) {
            apply(record)?;
            rest = rest.slice(len..);
            chain = crc;
        }
        Ok(())
    }

    /// Says, durably, that nothing in it is needed any more.
    pub fn free(&self, folder: &Path) -> io::Result<()> {
        free_segment(folder, self.slot).map(|_| ())
    }
}

/// Says, durably, that nothing in this slot is needed any more; returns how long its file is.
pub fn free_segment(folder: &Path, slot: usize) -> io::Result<u64> {
    let file = open_segment(folder, slot)?;
    if let Some((number, LIVE)) = read_header(&read_up_to(&file, 0, HEADER_BYTES)?) {
        write_all_at(&file, &segment_header(number, FREE), 0)?;
        file.sync_data()?;
    }
    Ok(file.metadata()?.len())
}

/// Makes the file of a free slot as long as a segment, with bytes and not with a hole: over them a sync takes less than
/// half the time, and does not wait until what was written to other files is on the disk. False if `go_on` said no.
pub fn prepare_segment(folder: &Path, slot: usize, len: u64, go_on: impl Fn() -> bool) -> io::Result<bool> {
    let file = open_segment(folder, slot)?;
    let zeros = vec![0; PREPARE_BYTES];
    loop {
        let at = file.metadata()?.len();
        if at >= len {
            return Ok(true);
        }
        if !go_on() {
            return Ok(false);
        }
        let count = (len - at).min(PREPARE_BYTES as u64) as usize;
        write_all_at(&file, &zeros[..count], at)?;
        // Bit by bit, not to keep others from the disk.
        file.sync_data()?;
    }
}

/// The slots whose file is as long as a segment.
pub fn ready_slots(folder: &Path, len: u64) -> io::Result<Vec<usize>> {
    let mut ready = Vec::new();
    for slot in 0..SEGMENTS {
        match std::fs::metadata(segment_path(folder, slot)) {
            Ok(file) if file.len() >= len => ready.push(slot),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(ready)
}

fn segment_path(folder: &Path, slot: usize) -> PathBuf {
    folder.join(slot.to_string())
}

fn open_segment(folder: &Path, slot: usize) -> io::Result<File> {
    let path = segment_path(folder, slot);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() == 0 {
        sync_folder(folder)?;
    }
    Ok(file)
}

fn segment_header(number: u64, state: u32) -> Vec<u8> {
    [&MAGIC[..], &number.to_le_bytes(), &state.to_le_bytes()].concat()
}

fn read_header(bytes: &[u8]) -> Option<(u64, u32)> {
    let numbers = bytes.strip_prefix(MAGIC)?;
    let (number, state) = numbers.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), u32::from_le_bytes(*state.first_chunk()?)))
}

/// Where the chain of crcs of a segment begins.
fn seed(number: u64) -> u32 {
    crc32fast::hash(&number.to_le_bytes())
}
