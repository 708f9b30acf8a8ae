//! One way to read a log, however it is kept.

use bytes::Bytes;
use millrace_engine::logs::{LogError, LogLines, LogMark, LogPlace, ReadFrom};

use super::read::LogReader;
use super::sealed::SealedReader;

/// Reads a log as it was at some time.
pub enum Reader<'a> {
    /// From its plain files.
    Plain(LogReader<'a>),
    /// From its one file.
    Sealed(SealedReader<'a>),
}

impl Reader<'_> {
    /// As [`millrace_engine::logs::LogStore::read`].
    pub fn read(&self, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError> {
        match self {
            Self::Plain(log) => log.read(from, max_lines, max_bytes),
            Self::Sealed(log) => log.read(from, max_lines, max_bytes),
        }
    }

    /// As [`millrace_engine::logs::LogStore::read_bytes`].
    pub fn read_bytes(&self, offset: u64, max_bytes: usize) -> Result<Bytes, LogError> {
        match self {
            Self::Plain(log) => log.read_bytes(offset, max_bytes),
            Self::Sealed(log) => log.read_bytes(offset, max_bytes),
        }
    }

    /// As [`millrace_engine::logs::LogStore::marks`].
    pub fn marks(&self) -> Result<Vec<LogMark>, LogError> {
        match self {
            Self::Plain(log) => log.marks(),
            Self::Sealed(log) => Ok(log.marks()),
        }
    }

    /// What would be the first line after a trim; none if nothing can be taken.
    pub fn first_after_trim(&self, before_line: u64) -> Result<Option<LogPlace>, LogError> {
        match self {
            Self::Plain(log) => log.first_after_trim(before_line),
            Self::Sealed(_) => Ok(None),
        }
    }
}
