//! Which logs were written since their files were made durable, and between where and where.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use millrace_engine::logs::{LINE_WORD_BYTES, LogId};

use super::record::{Change, Record};

/// Logs that were written.
#[derive(Debug, Default)]
pub struct Dirty {
    logs: HashMap<LogId, Written>,
}

/// Between where and where a log was written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Bytes of the text.
    pub text: Option<RangeInclusive<u64>>,
    /// Lines.
    pub lines: Option<RangeInclusive<u64>>,
}

impl Dirty {
    /// Adds what a record does.
    pub fn add(&mut self, record: &Record) {
        let written = match self.logs.get_mut(&record.id) {
            Some(written) => written,
            None => self.logs.entry(record.id.clone()).or_default(),
        };
        if let Change::Append(append) = &record.change {
            let (bytes, lines) = (record.before.bytes, record.before.lines);
            extend(&mut written.text, bytes, append.text.len());
            extend(&mut written.lines, lines, append.words.len() / LINE_WORD_BYTES);
        }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.logs.len()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = (&LogId, &Written)> {
        self.logs.iter()
    }
}

fn extend(range: &mut Option<RangeInclusive<u64>>, from: u64, len: usize) {
    let to = from + len as u64;
    *range = Some(match range {
        Some(range) => from.min(*range.start())..=to.max(*range.end()),
        None => from..=to,
    });
}
