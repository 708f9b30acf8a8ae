//! The log room: who may append what, and where readers come in. How bytes are kept is [`LogStore`]'s business.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::append::AppendPlan;
use super::live::{HeldLog, Known, LiveLog, LiveTable};
use super::masks::{LogMasks, same_bytes};
use super::notice;
use super::rate::{LOG_RATE_BURST_BYTES, LOG_RATE_BYTES, LogRates};
use super::records::{NAMED_LOGS_MAX, NamedLog, NamedLogs};
use super::tail::{LogTail, Missing, Start};
use super::{
    LINE_WORD_BYTES, LogAppend, LogError, LogHead, LogId, LogLines, LogMark, LogStore, MARKS_MAX, ReadFrom, RowBatch,
    flags, line_words, starts_row,
};
use crate::clock::Clock;

/// A log takes this many bytes unless [`LogLimits`] says otherwise; what comes then is acknowledged and dropped.
pub const LOG_MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Limits an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// The most bytes of one log.
    pub log_max_bytes: u64,
    /// So many bytes a log grows in a second; who writes faster waits. 0: no limit.
    pub rate_bytes: u64,
    /// So many bytes may come faster than that.
    pub rate_burst_bytes: u64,
    /// So many named logs a project may have.
    pub named_logs_max: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            log_max_bytes: LOG_MAX_BYTES,
            rate_bytes: LOG_RATE_BYTES,
            rate_burst_bytes: LOG_RATE_BURST_BYTES,
            named_logs_max: NAMED_LOGS_MAX,
        }
    }
}

/// A log's size and marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStat {
    /// Size, lines, rows, whether it is complete, the first error.
    pub head: LogHead,
    /// The first [`MARKS_MAX`] marks.
    pub marks: Vec<LogMark>,
    /// There are more.
    pub marks_truncated: bool,
}

/// The log room. Cheap to clone.
#[derive(Clone)]
pub struct LogRoom {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub store: Arc<dyn LogStore>,
    pub clock: Arc<dyn Clock>,
    pub limits: LogLimits,
    pub lives: Arc<LiveTable>,
    pub rates: LogRates,
    pub masks: LogMasks,
    pub named: NamedLogs,
}

impl LogRoom {
    /// A room over a store. There must be no other room over the same store.
    pub fn new(store: Arc<dyn LogStore>, clock: Arc<dyn Clock>, limits: LogLimits) -> Self {
        let rates = LogRates::new(Arc::clone(&clock), limits.rate_bytes, limits.rate_burst_bytes);
        Self {
            inner: Arc::new(Inner {
                store,
                clock,
                limits,
                lives: Arc::default(),
                rates,
                masks: LogMasks::default(),
                named: NamedLogs::default(),
            }),
        }
    }

    /// The limits of one log.
    pub fn limits(&self) -> &LogLimits {
        &self.inner.limits
    }

    /// An empty batch to fill with rows and give to [`Self::append`].
    pub fn batch(&self) -> RowBatch {
        self.inner.batch(self.inner.clock.now_ms())
    }

    /// The same for the log of a job: what its task masks is masked, too.
    pub fn batch_for(&self, id: &LogId) -> RowBatch {
        RowBatch::masked(self.inner.clock.now_ms(), self.inner.masks.of_log(id))
    }

    /// What is masked in all logs of this room.
    pub fn masks(&self) -> &LogMasks {
        &self.inner.masks
    }

    /// Appends rows from `index` on and returns how many rows of the log are acknowledged by now: they are durable.
    ///
    /// A gap, a duplicate or no rows store nothing; of an overlap only what is new is stored, and the rest must be the
    /// same as before (`Conflict`). `no_more` ends the log if these rows, or those sent before, are all of it. Rows
    /// after the end are `Closed`. Who writes faster than the log may grow waits here. Goes on to its end when the caller
    /// goes away.
    pub async fn append(&self, id: &LogId, index: u64, rows: RowBatch, no_more: bool) -> Result<u64, LogError> {
        self.inner.rates.admit(id).await;
        let (inner, live) = (self.inner.clone(), self.inner.lives.get(id));
        let task = tokio::spawn(async move { inner.append(&live, index, rows, no_more).await });
        task.await.unwrap_or_else(|fault| Err(LogError::Io(format!("appending to log {id} failed: {fault}"))))
    }

    /// Ends the log whatever is missing (its writer is gone); makes an empty one if there is none. Twice is fine.
    pub async fn close(&self, id: &LogId) -> Result<LogHead, LogError> {
        let (inner, live) = (self.inner.clone(), self.inner.lives.get(id));
        let task = tokio::spawn(async move {
            let _turn = live.turn().await;
            match inner.known_head(&live).await? {
                Some(head) if head.complete => Ok(head),
                head => {
                    let head = head.unwrap_or_default();
                    inner.write(&live, head, LogAppend::end(head.lines)).await
                }
            }
        });
        task.await.unwrap_or_else(|fault| Err(LogError::Io(format!("ending log {id} failed: {fault}"))))
    }

    /// How far the log has come.
    pub async fn head(&self, id: &LogId) -> Result<LogHead, LogError> {
        self.inner.store.head(id).await
    }

    /// Its size and marks.
    pub async fn stat(&self, id: &LogId) -> Result<LogStat, LogError> {
        let head = self.head(id).await?;
        let mut marks = if head.marks == 0 { Vec::new() } else { self.inner.store.marks(id).await? };
        // An append may have come in between.
        marks.retain(|mark| mark.line < head.lines);
        Ok(LogStat { head, marks, marks_truncated: head.marks > MARKS_MAX })
    }

    /// The first line that is marked as an error.
    pub async fn first_error_line(&self, id: &LogId) -> Result<Option<u64>, LogError> {
        Ok(self.head(id).await?.first_error_line)
    }

    /// Lines from `first` on: at most `max_lines` and `max_bytes`, one line at least if there is one. Past the end: none.
    pub async fn read_lines(
        &self,
        id: &LogId,
        first: u64,
        max_lines: u64,
        max_bytes: usize,
    ) -> Result<LogLines, LogError> {
        self.inner.store.read(id, ReadFrom::Line(first), max_lines, max_bytes).await
    }

    /// The last `lines` lines; of them the first ones that fit into `max_bytes`.
    pub async fn last_lines(&self, id: &LogId, lines: u64, max_bytes: usize) -> Result<LogLines, LogError> {
        let head = self.head(id).await?;
        let first = head.lines.saturating_sub(lines);
        self.inner.store.read(id, ReadFrom::Line(first), head.lines - first, max_bytes).await
    }

    /// Bytes as they were written, from an offset on, at most `max_bytes`; fewer only at the end.
    pub async fn read_bytes(&self, id: &LogId, offset: u64, max_bytes: usize) -> Result<Bytes, LogError> {
        self.inner.store.read_bytes(id, offset, max_bytes).await
    }

    /// A tail from some place on that gets all that is there and all that comes.
    pub async fn tail(&self, id: &LogId, start: Start, missing: Missing) -> Result<LogTail, LogError> {
        LogTail::open(self.inner.clone(), self.inner.lives.get(id), start, missing).await
    }

    /// Ids in their order, those after `after`, at most `limit`.
    pub async fn list(&self, after: Option<&LogId>, limit: usize) -> Result<Vec<LogId>, LogError> {
        self.inner.store.list(after, limit).await
    }

    /// For who reads a log by several calls.
    pub fn hold(&self, id: &LogId) -> HeldLog {
        HeldLog::new(self.inner.lives.get(id))
    }

    /// Removes a log. Who follows or holds it gets `NotFound`, also if there is one of its id again.
    pub async fn delete(&self, id: &LogId) -> Result<(), LogError> {
        let (inner, live) = (self.inner.clone(), self.inner.lives.get(id));
        let task = tokio::spawn(async move {
            let _turn = live.turn().await;
            let removed = inner.store.delete(&live.id).await;
            match &removed {
                Ok(()) => {
                    live.removed();
                    inner.named.removed(&live.id);
                }
                // Whatever happened, the store knows.
                Err(_) => live.forget(),
            }
            removed
        });
        task.await.unwrap_or_else(|fault| Err(LogError::Io(format!("removing log {id} failed: {fault}"))))
    }

    /// Why no log takes anything now, if so: the store goes on trying.
    pub fn fault(&self) -> Option<LogError> {
        self.inner.store.fault()
    }

    /// How many logs are being written or followed right now.
    pub fn live_logs(&self) -> usize {
        self.inner.lives.len()
    }
}

impl Inner {
    /// A batch whose rows are masked.
    pub(super) fn batch(&self, now_ms: i64) -> RowBatch {
        RowBatch::masked(now_ms, self.masks.of_server())
    }

    async fn append(&self, live: &LiveLog, index: u64, mut rows: RowBatch, no_more: bool) -> Result<u64, LogError> {
        rows.settle(no_more);
        let _turn = live.turn().await;
        let head = self.known_head(live).await?.unwrap_or_default();
        let plan = AppendPlan::new(&head, index, rows.len(), no_more);
        // What retention has taken is not there to compare with.
        let gone = usize::try_from(head.first.row.saturating_sub(index)).unwrap_or(usize::MAX).min(plan.compare);
        self.compare(live, index, &rows, gone..plan.compare).await?;
        if plan.after_end {
            return Err(LogError::Closed(live.id.clone()));
        }
        if !plan.write {
            return Ok(head.rows);
        }
        if head.unended {
            rows.go_on(plan.skip);
        }
        let append = self.fit(&head, rows, &plan, self.limit_of(&live.id));
        Ok(self.write(live, head, append).await?.rows)
    }

    /// How far the log has come; none if there is no such log. Only in this log's turn.
    pub(super) async fn known_head(&self, live: &LiveLog) -> Result<Option<LogHead>, LogError> {
        let known = *live.known.borrow();
        if let Known::Head(head) = known {
            return Ok(Some(head));
        }
        match self.store.head(&live.id).await {
            Ok(head) => {
                live.learn(known, Known::Head(head));
                Ok(Some(head))
            }
            Err(LogError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// These of the rows that were sent from `index` on must be what is stored there. Times need not be: the server may
    /// have put its own.
    async fn compare(
        &self,
        live: &LiveLog,
        index: u64,
        rows: &RowBatch,
        these: std::ops::Range<usize>,
    ) -> Result<(), LogError> {
        let (first, count) = (these.start, these.end);
        if these.is_empty() {
            return Ok(());
        }
        let before = rows.lines(0, first);
        let (text, words) = rows.lines(first, count);
        let conflict = |row: usize| LogError::Conflict { id: live.id.clone(), row: index + row as u64 };
        let mut from = ReadFrom::Row(index + first as u64);
        let (mut checked, mut lines) = (0, 0);
        while checked < text.len() {
            let stored = self.store.read(&live.id, from, u64::MAX, text.len() - checked).await?;
            let (sent_text, sent_words) = (&text[checked..], &words[lines * LINE_WORD_BYTES..]);
            let bytes = same_bytes(&stored.data, sent_text, rows.is_masked());
            let splits = line_words(&stored.words).zip(line_words(sent_words));
            let splits = splits.take_while(|(stored, sent)| starts_row(*stored) == starts_row(*sent)).count();
            if bytes < stored.data.len() || (splits as u64) < stored.lines() || stored.data.is_empty() {
                let (text_at, line) =
                    (before.0.len() + checked + bytes, before.1.len() / LINE_WORD_BYTES + lines + splits);
                let row = rows.row_at(text_at).min(rows.row_of_line(line));
                return Err(conflict(row.min(count - 1)));
            }
            checked += stored.data.len();
            lines += stored.lines() as usize;
            from = ReadFrom::Place(stored.end());
        }
        // The last row may go on where the one that was sent ends.
        let next = self.store.read(&live.id, from, 1, 0).await?;
        let rest = |word| word & flags::CONTINUATION != 0 && word & (flags::ROW | flags::ROOM) == 0;
        let goes_on = line_words(&next.words).any(rest);
        if goes_on { Err(conflict(count - 1)) } else { Ok(()) }
    }

    /// How much a log takes. The rows of a named log are the events, which may not be dropped: retention sees to its size.
    fn limit_of(&self, id: &LogId) -> u64 {
        if NamedLog::of_log(id).is_some() { u64::MAX } else { self.limits.log_max_bytes }
    }

    /// What of a call is new and fits. The first row that doesn't fit is answered by a last line that says so.
    fn fit(&self, head: &LogHead, rows: RowBatch, plan: &AppendPlan, max_bytes: u64) -> LogAppend {
        let new_rows = rows.len() - plan.skip;
        let full = head.dropped_rows > 0 && max_bytes < u64::MAX;
        let room = max_bytes.saturating_sub(head.bytes - head.first.offset);
        let kept = if full { 0 } else { rows.rows_that_fit(plan.skip, room) };
        let dropped_rows = (new_rows - kept) as u64;
        let (text, words) = rows.into_lines(plan.skip, plan.skip + kept);
        let append = LogAppend {
            at_lines: head.lines,
            text,
            words,
            dropped_rows,
            complete: plan.complete,
            ..LogAppend::default()
        };
        if full || dropped_rows == 0 {
            return append;
        }
        append.with_notice(head, &notice::full(max_bytes), self.clock.now_ms())
    }

    pub(super) async fn write(&self, live: &LiveLog, head: LogHead, append: LogAppend) -> Result<LogHead, LogError> {
        let (data, words) = (append.text.clone(), append.words.clone());
        let new_head = match self.store.append(&live.id, append).await {
            Ok(new_head) => new_head,
            Err(error) => {
                // Whatever happened, the store knows.
                live.forget();
                return Err(error);
            }
        };
        self.rates.charge(&live.id, data.len() as u64);
        if live.known.receiver_count() > 0 && !data.is_empty() {
            live.hot.lock().unwrap_or_else(PoisonError::into_inner).push(LogLines { place: head.end(), data, words });
        }
        live.known.send_replace(Known::Head(new_head));
        Ok(new_head)
    }
}
