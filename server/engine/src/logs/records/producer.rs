//! Group commit: records that wait for one log are appended together, by one task a log that is gone when nothing waits.
//! It knows nothing of names and projects.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::{Error, Result};
use crate::logs::{LINE_MAX_BYTES, LOG_APPEND_MAX_LINES, LogError, LogId, LogRoom};

/// The longest record.
pub const RECORD_MAX_BYTES: usize = 1024 * 1024;
/// The most line ends in a record: each is a line of the log.
pub const RECORD_MAX_LINE_ENDS: usize = LOG_APPEND_MAX_LINES - 1;
/// The most bytes of records that wait for their appends, of all logs together; who comes then waits.
pub const PRODUCE_WAITING_MAX_BYTES: usize = 64 * 1024 * 1024;

/// The most bytes of one append; one record may be more.
const APPEND_MAX_BYTES: usize = 2 * 1024 * 1024;
/// The most records of one append.
const APPEND_MAX_RECORDS: usize = 20_000;
/// No piece of a line that is too long is shorter, but its last.
const LINE_PIECE_MIN_BYTES: usize = LINE_MAX_BYTES - 3;
/// What a record that waits costs besides its bytes.
const WAITING_COST_BYTES: usize = 256;

/// All that is on its way into logs of records. Cheap to clone.
#[derive(Clone)]
pub(super) struct Producers {
    inner: Arc<Inner>,
}

struct Inner {
    room: LogRoom,
    space: Arc<Semaphore>,
    /// What waits for each log; one with an entry has a task. Held for a look only.
    queues: Mutex<HashMap<LogId, VecDeque<Waiting>>>,
}

/// A record that waits.
struct Waiting {
    value: Bytes,
    lines: usize,
    /// Whoever sent it sends no more after a failure.
    failed: Arc<AtomicBool>,
    told: oneshot::Sender<Result<u64, LogError>>,
    _space: OwnedSemaphorePermit,
}

/// One who produces: its records get their numbers in the order in which they were sent, and none after one that failed.
pub struct Producer {
    producers: Producers,
    log: LogId,
    failed: Arc<AtomicBool>,
}

/// A record on its way.
pub struct Sent(oneshot::Receiver<Result<u64, LogError>>);

impl Producers {
    pub fn new(room: LogRoom) -> Self {
        let space = Arc::new(Semaphore::new(PRODUCE_WAITING_MAX_BYTES));
        Self { inner: Arc::new(Inner { room, space, queues: Mutex::default() }) }
    }

    pub fn producer(&self, log: LogId) -> Producer {
        Producer { producers: self.clone(), log, failed: Arc::default() }
    }

    /// How many logs have records that wait.
    pub fn busy_logs(&self) -> usize {
        self.inner.lock().len()
    }
}

impl Producer {
    /// Sends a record, as soon as there is space for it. What was sent is appended whoever goes away.
    pub async fn send(&self, value: Bytes) -> Result<Sent> {
        let lines = check(&value)?;
        let inner = &self.producers.inner;
        let cost = u32::try_from(value.len() + WAITING_COST_BYTES).unwrap_or(u32::MAX);
        let space = Arc::clone(&inner.space).acquire_many_owned(cost).await.map_err(Error::internal)?;
        let (told, sent) = oneshot::channel();
        let waiting = Waiting { value, lines, failed: Arc::clone(&self.failed), told, _space: space };
        inner.enqueue(&self.log, waiting);
        Ok(Sent(sent))
    }
}

impl Sent {
    /// Its number, when it is durable. Asked once; nothing is lost when the future is dropped before it has told.
    pub async fn durable(&mut self) -> Result<u64> {
        match (&mut self.0).await {
            Ok(told) => Ok(told?),
            Err(_) => Err(Error::internal("the task that appends records has failed")),
        }
    }
}

/// How many lines a record makes, if it may be one.
fn check(value: &[u8]) -> Result<usize> {
    let too_much = |is: usize, most: usize, what: &str| {
        Err(Error::invalid("record.value", format!("has {is} {what}; the limit is {most}")))
    };
    if value.len() > RECORD_MAX_BYTES {
        return too_much(value.len(), RECORD_MAX_BYTES, "bytes");
    }
    let line_ends = memchr::memchr_iter(b'\n', value).count();
    if line_ends > RECORD_MAX_LINE_ENDS {
        return too_much(line_ends, RECORD_MAX_LINE_ENDS, "line ends");
    }
    Ok(line_ends + 1)
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<LogId, VecDeque<Waiting>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(self: &Arc<Self>, log: &LogId, waiting: Waiting) {
        let mut queues = self.lock();
        if let Some(queue) = queues.get_mut(log) {
            queue.push_back(waiting);
            return;
        }
        queues.insert(log.clone(), VecDeque::from([waiting]));
        let task = Task { inner: Arc::clone(self), log: log.clone() };
        tokio::spawn(async move { task.run().await });
    }

    /// What of a log's queue is appended next; when there is nothing the queue goes.
    fn next_batch(&self, log: &LogId) -> Vec<Waiting> {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(log) else { return Vec::new() };
        let (mut bytes, mut lines) = (0, 0);
        let fits = queue.iter().take(APPEND_MAX_RECORDS).take_while(|waiting| {
            bytes += waiting.value.len();
            // A long line is more than one line of the log.
            lines += waiting.lines + waiting.value.len() / LINE_PIECE_MIN_BYTES;
            bytes <= APPEND_MAX_BYTES && lines <= LOG_APPEND_MAX_LINES
        });
        let count = fits.count().max(1).min(queue.len());
        let batch: Vec<Waiting> = queue.drain(..count).collect();
        if batch.is_empty() {
            queues.remove(log);
        }
        batch
    }
}

/// The one that appends to a log.
struct Task {
    inner: Arc<Inner>,
    log: LogId,
}

impl Task {
    async fn run(&self) {
        loop {
            let batch = self.inner.next_batch(&self.log);
            if batch.is_empty() {
                return;
            }
            self.append(batch).await;
        }
    }

    async fn append(&self, batch: Vec<Waiting>) {
        let (late, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(|one| one.failed.load(Ordering::Acquire));
        for one in late {
            // Whether somebody still waits for an answer is theirs to know.
            let _ = one.told.send(Err(LogError::Io("a record that was sent before it could not be stored".into())));
        }
        let records: Vec<Bytes> = batch.iter().map(|one| one.value.clone()).collect();
        match self.inner.room.append_records(&self.log, records).await {
            Ok(first) => {
                for (number, one) in (first..).zip(batch) {
                    let _ = one.told.send(Ok(number));
                }
            }
            Err(error) => {
                for one in batch {
                    one.failed.store(true, Ordering::Release);
                    let _ = one.told.send(Err(error.clone()));
                }
            }
        }
    }
}

impl Drop for Task {
    /// Also after a fault: then those who wait are told by their senders' end.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.inner.lock().remove(&self.log);
        }
    }
}
