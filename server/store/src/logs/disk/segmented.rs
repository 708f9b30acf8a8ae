//! A long file as a row of short ones, so that its beginning can be removed: `name.ext`, `name~1.ext` and so on, all of one
//! length but the last. Knows nothing of what is in it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::name::{LogPath, Part, remove_if_there};
use crate::positioned::{read_up_to, write_all_at};

/// So many segments of one file are kept open.
const SEGMENTS_OPEN_MAX: usize = 4;

/// A file made of segments.
#[derive(Debug)]
pub struct SegmentedFile {
    path: LogPath,
    part: Part,
    /// Held to look up a file, and while one is opened.
    open: Mutex<BTreeMap<u64, Arc<File>>>,
}

impl SegmentedFile {
    /// This part of a log. Opens and makes nothing.
    pub fn new(path: &LogPath, part: Part) -> Self {
        Self { path: path.clone(), part, open: Mutex::default() }
    }

    /// Makes the first segment, if it is not there.
    pub fn create(&self) -> io::Result<()> {
        self.file(0, true).map(|_| ())
    }

    /// Whether there is a first segment.
    pub fn exists(&self) -> io::Result<bool> {
        Ok(self.file(0, false)?.is_some())
    }

    /// Reads up to `max_bytes` from this position; fewer only where the file ends, or was removed.
    pub fn read_up_to(&self, offset: u64, max_bytes: usize) -> io::Result<Vec<u8>> {
        let size = self.path.segment_bytes();
        let mut bytes = Vec::new();
        while bytes.len() < max_bytes {
            let at = offset + bytes.len() as u64;
            let want = (size - at % size).min((max_bytes - bytes.len()) as u64) as usize;
            let Some(file) = self.file(at / size, false)? else { break };
            let read = read_up_to(&file, at % size, want)?;
            let whole = read.len() == want;
            if bytes.is_empty() {
                bytes = read;
            } else {
                bytes.extend_from_slice(&read);
            }
            if !whole {
                break;
            }
        }
        Ok(bytes)
    }

    /// Writes all of it at this position; makes what segments that needs.
    pub fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        let size = self.path.segment_bytes();
        while !bytes.is_empty() {
            let count = (size - offset % size).min(bytes.len() as u64) as usize;
            let (now, rest) = bytes.split_at(count);
            let file = self.file(offset / size, true)?.ok_or(io::ErrorKind::NotFound)?;
            write_all_at(&file, now, offset % size)?;
            (bytes, offset) = (rest, offset + count as u64);
        }
        Ok(())
    }

    /// Where it ends, if all is there from the segment with this offset on.
    pub fn len(&self, from: u64) -> io::Result<u64> {
        let size = self.path.segment_bytes();
        let first = from / size;
        Ok(first * size + self.lens(first)?.into_iter().sum::<u64>())
    }

    /// How many bytes are stored, if all before `from` was removed.
    pub fn stored(&self, from: u64) -> io::Result<u64> {
        let first = from / self.path.segment_bytes();
        // What is left of the first segment is a header at most.
        let header = if first == 0 { 0 } else { self.file(0, false)?.map_or(Ok(0), |file| len_of(&file))? };
        Ok(header + self.lens(first)?.into_iter().sum::<u64>())
    }

    /// Cuts it, and removes the segments after that.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        let size = self.path.segment_bytes();
        let mut number = len / size;
        if number == 0 || !len.is_multiple_of(size) {
            if let Some(file) = self.file(number, false)? {
                file.set_len(len % size)?;
            }
            number += 1;
        }
        while self.remove(number)? {
            number += 1;
        }
        Ok(())
    }

    /// Removes the segments that end between these two places; of the first one `keep` bytes stay.
    pub fn remove_between(&self, from: u64, to: u64, keep: u64) -> io::Result<()> {
        let size = self.path.segment_bytes();
        for number in from / size..to / size {
            if number > 0 || keep == 0 {
                self.remove(number)?;
            } else if let Some(file) = self.file(0, false)? {
                file.set_len(keep.min(len_of(&file)?))?;
            }
        }
        Ok(())
    }

    /// Makes durable what was written to the first segment.
    pub fn sync_first(&self) -> io::Result<()> {
        self.file(0, false)?.map_or(Ok(()), |file| file.sync_all())
    }

    /// Makes durable what was written to any segment from the one with this offset on.
    pub fn sync(&self, from: u64) -> io::Result<()> {
        let mut number = from / self.path.segment_bytes();
        while let Some(file) = self.file(number, false)? {
            file.sync_all()?;
            number += 1;
        }
        Ok(())
    }

    /// The lengths of the segments from this one to the last, or to one that is too short.
    fn lens(&self, first: u64) -> io::Result<Vec<u64>> {
        let mut lens = Vec::new();
        while let Some(file) = self.file(first + lens.len() as u64, false)? {
            lens.push(len_of(&file)?);
            if lens.last().is_none_or(|len| *len < self.path.segment_bytes()) {
                break;
            }
        }
        Ok(lens)
    }

    fn remove(&self, number: u64) -> io::Result<bool> {
        self.lock().remove(&number);
        remove_if_there(&self.path.segment(self.part, number))
    }

    fn file(&self, number: u64, make: bool) -> io::Result<Option<Arc<File>>> {
        let mut open = self.lock();
        if let Some(file) = open.get(&number) {
            return Ok(Some(file.clone()));
        }
        let path = self.path.segment(self.part, number);
        let file = match OpenOptions::new().read(true).write(true).create(make).truncate(false).open(path) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
            Err(error) => return Err(error),
        };
        if open.len() >= SEGMENTS_OPEN_MAX {
            // The first has the header in it, it is always wanted.
            let oldest = open.keys().copied().find(|number| *number > 0);
            oldest.and_then(|number| open.remove(&number));
        }
        open.insert(number, file.clone());
        Ok(Some(file))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<File>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn len_of(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

#[cfg(test)]
mod tests {
    use millrace_engine::logs::LogId;

    use super::*;

    #[test]
    fn it_looks_like_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = LogPath::new(folder.path(), &LogId::parse("a").unwrap(), 8);
        std::fs::create_dir(path.folder()).unwrap();
        let file = SegmentedFile::new(&path, Part::Text);
        assert!(!file.exists().unwrap());
        assert_eq!((file.len(0).unwrap(), file.read_up_to(0, 5).unwrap()), (0, vec![]));
        let all: Vec<u8> = (0..100).collect();
        file.write_all_at(&all[..30], 0).unwrap();
        file.write_all_at(&all[24..], 24).unwrap();
        assert!(file.exists().unwrap());
        for from in 0..102 {
            for count in [0, 1, 7, 8, 9, 40, 200] {
                let expected = &all[from.min(100)..(from + count).min(100)];
                assert_eq!(file.read_up_to(from as u64, count).unwrap(), expected);
            }
        }
        assert_eq!((file.len(0).unwrap(), file.len(50).unwrap(), file.stored(0).unwrap()), (100, 100, 100));
        file.remove_between(0, 33, 3).unwrap();
        assert_eq!((file.len(33).unwrap(), file.stored(33).unwrap(), file.len(0).unwrap()), (100, 71, 3));
        assert_eq!(file.read_up_to(0, 50).unwrap(), all[..3]);
        assert_eq!(file.read_up_to(32, 50).unwrap(), all[32..82]);
        for len in [97, 96, 90] {
            file.set_len(len).unwrap();
            assert_eq!(file.len(40).unwrap(), len);
        }
        file.remove_between(33, 72, 0).unwrap();
        assert_eq!(std::fs::read_dir(path.folder()).unwrap().count(), 1 + 3);
        file.sync(72).unwrap();
        file.sync_first().unwrap();
    }
}
