//! Runs one process of a job with its output in a log, and in the end kills whatever the job has left. Knows nothing
//! of scripts.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::stop::{Stop, StopSwitch};
use crate::logs::{Lines, LogWriter, Stream};
use crate::platform::{self, Ended, Group};

/// How much is read from a pipe at once.
const PIPE_READ_BYTES: usize = 64 * 1024;
/// Once the process is gone, how long its pipes may be quiet, when something it left in the background holds them.
const PIPE_QUIET_MS: u64 = 200;
/// And how much is still read then: more than a pipe holds.
const PIPE_AFTER_EXIT_MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long an action that takes too long may take to end by itself.
pub const TIMEOUT_GRACE_MAX_MS: u64 = 10_000;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEnd {
    /// By itself.
    Itself(Ended),
    /// Stopped: it took too long.
    TimedOut,
    /// Stopped: the job was.
    Stopped,
}

/// The processes of a job.
pub struct Processes {
    groups: Vec<Group>,
    mark: String,
    stop: StopSwitch,
    timeout_grace: Duration,
}

impl Processes {
    /// None yet. `mark` is what each will carry in its environment.
    pub fn new(mark: String, stop: StopSwitch, cancel_grace_ms: u64) -> Self {
        let timeout_grace = Duration::from_millis(cancel_grace_ms.min(TIMEOUT_GRACE_MAX_MS));
        Self { groups: Vec::new(), mark, stop, timeout_grace }
    }

    /// Runs a process until it ends or has to. What it leaves in the background goes on until [`Self::sweep`].
    pub async fn run(
        &mut self,
        mut command: Command,
        log: LogWriter,
        deadline: Option<Instant>,
    ) -> (LogWriter, std::io::Result<ProcessEnd>) {
        command.env(platform::MARK_VARIABLE, self.marks());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = match Group::spawn(command) {
            Ok(group) => group,
            Err(error) => return (log, Err(error)),
        };
        let (out, error) = group.pipes();
        let (Some(out), Some(error)) = (out, error) else {
            return (log, Err(std::io::Error::other("the process has no pipes")));
        };
        let exited = CancellationToken::new();
        let pump = tokio::spawn(pump(log, out, error, exited.clone()));
        let end = self.wait(&mut group, deadline).await;
        exited.cancel();
        self.groups.push(group);
        match pump.await {
            Ok(log) => (log, end),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Kills whatever is left of the job; returns how many processes could not be killed.
    pub async fn sweep(&mut self) -> usize {
        platform::sweep(std::mem::take(&mut self.groups), self.mark.clone()).await
    }

    async fn wait(&self, group: &mut Group, deadline: Option<Instant>) -> std::io::Result<ProcessEnd> {
        let (mut cancel, mut kill) = (self.stop.subscribe(), self.stop.subscribe());
        // What starts in a job that is being cancelled is meant to run then.
        let mut asked = self.stop.now() >= Stop::Cancel;
        let (mut stopped, mut timed_out, mut killed) = (false, false, false);
        let mut deadline = deadline;
        loop {
            tokio::select! {
                // Killed first: whoever is to be killed is not asked before.
                biased;
                () = kill.reached(Stop::Kill), if !killed => {
                    group.kill();
                    (stopped, asked, killed) = (true, true, true);
                }
                ended = group.wait() => {
                    let ended = ended?;
                    return Ok(match (stopped, timed_out) {
                        (true, _) => ProcessEnd::Stopped,
                        (false, true) => ProcessEnd::TimedOut,
                        (false, false) => ProcessEnd::Itself(ended),
                    });
                }
                () = cancel.reached(Stop::Cancel), if !asked => {
                    group.ask_to_end();
                    (stopped, asked) = (true, true);
                }
                () = sleep_until(deadline), if !killed => {
                    if timed_out {
                        group.kill();
                        killed = true;
                    } else {
                        group.ask_to_end();
                        timed_out = true;
                        deadline = Some(Instant::now() + self.timeout_grace);
                    }
                }
            }
        }
    }

    fn marks(&self) -> String {
        match std::env::var(platform::MARK_VARIABLE) {
            Ok(outer) if !outer.is_empty() => format!("{outer} {}", self.mark),
            _ => self.mark.clone(),
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// One pipe being read.
struct Pipe<R> {
    reader: Option<R>,
    lines: Lines,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin + Send + 'static> Pipe<R> {
    fn new(reader: R) -> Self {
        Self { reader: Some(reader), lines: Lines::default(), buffer: Vec::with_capacity(PIPE_READ_BYTES) }
    }

    /// Reads what is there; pends for ever once it is closed.
    async fn read(&mut self) -> std::io::Result<usize> {
        let Some(reader) = &mut self.reader else { return std::future::pending().await };
        self.buffer.clear();
        reader.read_buf(&mut self.buffer).await
    }

    /// Hands on the lines of what was read; nothing read means that the pipe is closed.
    async fn hand_on(&mut self, read: std::io::Result<usize>, stream: Stream, log: &mut LogWriter) -> usize {
        let count = read.unwrap_or(0);
        let mut lines = Vec::new();
        if count == 0 {
            self.reader = None;
            self.lines.finish(&log.masks().current(), &mut lines);
        } else {
            self.lines.push(&self.buffer[..count], &log.masks().current(), &mut lines);
        }
        for line in lines {
            log.printed(stream, line).await;
        }
        count
    }

    /// Ends the log's part and goes on reading, so that what runs in the background does not stall.
    async fn leave(mut self, stream: Stream, log: &mut LogWriter) {
        let Some(mut reader) = self.reader.take() else { return };
        self.hand_on(Ok(0), stream, log).await;
        tokio::spawn(async move {
            // Ends with the process that holds the other end, at the latest when the job is swept.
            let _ended = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
        });
    }
}

/// Both pipes into the log, in the order of arrival.
async fn pump<O, E>(mut log: LogWriter, out: O, error: E, exited: CancellationToken) -> LogWriter
where
    O: AsyncRead + Unpin + Send + 'static,
    E: AsyncRead + Unpin + Send + 'static,
{
    let (mut out, mut error) = (Pipe::new(out), Pipe::new(error));
    let mut after_exit = 0;
    while (out.reader.is_some() || error.reader.is_some()) && after_exit <= PIPE_AFTER_EXIT_MAX_BYTES {
        let has_exited = exited.is_cancelled();
        let count = tokio::select! {
            read = out.read() => out.hand_on(read, Stream::Out, &mut log).await,
            read = error.read() => error.hand_on(read, Stream::Error, &mut log).await,
            () = exited.cancelled(), if !has_exited => 0,
            () = tokio::time::sleep(Duration::from_millis(PIPE_QUIET_MS)), if has_exited => break,
        };
        if has_exited {
            after_exit += count;
        }
    }
    out.leave(Stream::Out, &mut log).await;
    error.leave(Stream::Error, &mut log).await;
    log
}
