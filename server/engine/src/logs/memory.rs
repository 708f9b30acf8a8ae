//! Logs in memory, for the engine's own tests: the plainest store that keeps the promises of [`LogStore`] but one (it
//! forgets everything when it is dropped).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::head::{is_joined, line_ms, starts_row};
use super::{
    LINE_WORD_BYTES, LogAppend, LogError, LogHead, LogId, LogLines, LogMark, LogPlace, LogStore, LogSummary, MARKS_MAX,
    MarkKind, ReadFrom, line_words, survey_shard,
};

/// Logs in memory.
#[derive(Debug, Default)]
pub struct MemoryLogs {
    logs: Mutex<BTreeMap<LogId, MemoryLog>>,
}

/// All lines that were ever appended: what retention takes is only not shown.
#[derive(Debug, Default)]
struct MemoryLog {
    head: LogHead,
    text: Vec<u8>,
    words: Vec<u64>,
    /// Where each line begins.
    starts: Vec<usize>,
    /// How many lines before each are joined.
    joined: Vec<u64>,
    /// How many rows begin before each.
    rows: Vec<u64>,
}

#[async_trait]
impl LogStore for MemoryLogs {
    async fn head(&self, id: &LogId) -> Result<LogHead, LogError> {
        self.with(id, |log| Ok(log.head))
    }

    async fn append(&self, id: &LogId, append: LogAppend) -> Result<LogHead, LogError> {
        let mut logs = self.lock();
        let head = logs.get(id).map_or(LogHead::default(), |log| log.head);
        if head.complete {
            return Err(LogError::Closed(id.clone()));
        }
        if head.lines != append.at_lines {
            return Err(LogError::Stale(id.clone()));
        }
        let log = logs.entry(id.clone()).or_default();
        for line in append.text.split_inclusive(|byte| *byte == b'\n') {
            log.starts.push(log.text.len());
            log.text.extend_from_slice(line);
        }
        let (mut joined, mut row) = (log.head.joined_lines, log.head.stored_rows());
        for word in line_words(&append.words) {
            log.joined.push(joined);
            log.rows.push(row);
            joined += u64::from(is_joined(word));
            row += u64::from(starts_row(word));
        }
        log.words.extend(line_words(&append.words));
        log.head = head.after(&append);
        Ok(log.head)
    }

    async fn read(&self, id: &LogId, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Result<LogLines, LogError> {
        self.with(id, |log| {
            let first = log.find(from)?;
            let start = log.start_of(first);
            let mut end = first;
            while end < log.starts.len()
                && ((end - first) as u64) < max_lines
                && (end == first || log.start_of(end + 1) - start <= max_bytes)
            {
                end += 1;
            }
            let words: Vec<u8> = log.words[first..end].iter().flat_map(|word| word.to_le_bytes()).collect();
            debug_assert_eq!(words.len(), (end - first) * LINE_WORD_BYTES);
            Ok(LogLines {
                place: log.place(first),
                data: Bytes::copy_from_slice(&log.text[start..log.start_of(end)]),
                words: words.into(),
            })
        })
    }

    async fn read_bytes(&self, id: &LogId, offset: u64, max_bytes: usize) -> Result<Bytes, LogError> {
        self.with(id, |log| {
            if offset < log.head.first.stream_offset() {
                return Err(LogError::Gone { id: id.clone(), first: log.head.first });
            }
            let first = log.find(ReadFrom::Byte(offset))?;
            let words: Vec<u8> = log.words[first..].iter().flat_map(|word| word.to_le_bytes()).collect();
            let data = Bytes::copy_from_slice(&log.text[log.start_of(first)..]);
            let lines = LogLines { place: log.place(first), data, words: words.into() };
            let bytes = lines.stream_bytes();
            let from = bytes.len().min((offset - lines.place.stream_offset().min(offset)) as usize);
            Ok(bytes.slice(from..from.saturating_add(max_bytes).min(bytes.len())))
        })
    }

    async fn marks(&self, id: &LogId) -> Result<Vec<LogMark>, LogError> {
        self.with(id, |log| {
            let marks = (0..)
                .zip(&log.words)
                .filter_map(|(line, word)| Some(LogMark { kind: MarkKind::of_word(*word)?, line }));
            Ok(marks.take(MARKS_MAX as usize).filter(|mark| mark.line >= log.head.first.line).collect())
        })
    }

    async fn list(&self, after: Option<&LogId>, limit: usize) -> Result<Vec<LogId>, LogError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.lock().range((from, Bound::Unbounded)).map(|(id, _)| id.clone()).take(limit).collect())
    }

    async fn delete(&self, id: &LogId) -> Result<(), LogError> {
        self.lock().remove(id).map(|_| ()).ok_or_else(|| LogError::NotFound(id.clone()))
    }

    /// To the last row that begins at this line or before it.
    async fn trim(&self, id: &LogId, before_line: u64) -> Result<LogHead, LogError> {
        let mut logs = self.lock();
        let log = logs.get_mut(id).ok_or_else(|| LogError::NotFound(id.clone()))?;
        if !log.head.complete {
            let most = usize::try_from(before_line).unwrap_or(usize::MAX).min(log.words.len().saturating_sub(1));
            let least = log.head.first.line as usize;
            let row = (least..=most).rev().find(|line| log.words.get(*line).is_some_and(|word| starts_row(*word)));
            log.head.first = row.map_or(log.head.first, |line| log.place(line));
        }
        Ok(log.head)
    }

    async fn survey(&self, shard: u16) -> Result<Vec<LogSummary>, LogError> {
        let logs = self.lock();
        let of_shard = logs.iter().filter(|(id, _)| survey_shard(id) == shard);
        Ok(of_shard
            .map(|(id, log)| {
                let (id, head) = (id.clone(), log.head);
                LogSummary { id, head, stored_bytes: log.stored_bytes(), compressed: false }
            })
            .collect())
    }

    async fn stored(&self, id: &LogId) -> Result<(u64, bool), LogError> {
        self.with(id, |log| Ok((log.stored_bytes(), false)))
    }
}

impl MemoryLogs {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<LogId, MemoryLog>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, id: &LogId, read: impl FnOnce(&MemoryLog) -> Result<T, LogError>) -> Result<T, LogError> {
        self.lock().get(id).map_or_else(|| Err(LogError::NotFound(id.clone())), read)
    }
}

impl MemoryLog {
    fn stored_bytes(&self) -> u64 {
        let lines = self.head.lines - self.head.first.line;
        self.head.bytes - self.head.first.offset + lines * LINE_WORD_BYTES as u64
    }

    fn find(&self, from: ReadFrom) -> Result<usize, LogError> {
        Ok(self.find_any(from)?.max(self.head.first.line as usize))
    }

    fn find_any(&self, from: ReadFrom) -> Result<usize, LogError> {
        let to_line = |line: u64| usize::try_from(line).unwrap_or(usize::MAX).min(self.starts.len());
        match from {
            ReadFrom::Line(line) | ReadFrom::Place(LogPlace { line, .. }) => Ok(to_line(line)),
            ReadFrom::Byte(byte) if byte >= self.head.stream_bytes() => Ok(self.starts.len()),
            ReadFrom::Byte(byte) => {
                let (mut low, mut high) = (0, self.starts.len());
                while high - low > 1 {
                    let middle = low.midpoint(high);
                    if self.place(middle).stream_offset() <= byte { low = middle } else { high = middle }
                }
                Ok(low)
            }
            ReadFrom::Offset(offset) if offset == self.text.len() as u64 => Ok(self.starts.len()),
            ReadFrom::Offset(offset) if offset < self.head.first.offset => Ok(0),
            ReadFrom::Offset(offset) => self
                .starts
                .binary_search(&usize::try_from(offset).unwrap_or(usize::MAX))
                .map_err(|_| LogError::invalid("offset", format!("{offset} is not where a line begins"))),
            ReadFrom::Row(row) => {
                let mut begins = (0..).zip(&self.words).filter(|(_, word)| starts_row(**word)).map(|(line, _)| line);
                Ok(begins.nth(usize::try_from(row).unwrap_or(usize::MAX)).unwrap_or(self.starts.len()))
            }
            ReadFrom::Time(time_ms) => Ok(self.words.partition_point(|word| line_ms(*word) < time_ms)),
        }
    }

    fn place(&self, line: usize) -> LogPlace {
        let joined = self.joined.get(line).copied().unwrap_or(self.head.joined_lines);
        let row = self.rows.get(line).copied().unwrap_or(self.head.stored_rows());
        LogPlace { line: line as u64, offset: self.start_of(line) as u64, joined, row }
    }

    fn start_of(&self, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(self.text.len())
    }
}
