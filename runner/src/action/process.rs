//! Runs one command: what it prints into spools, until it ends or has to, and nothing of it is left. Knows nothing of
//! inputs, outputs or the wire.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub use linux::Berth;
#[cfg(not(target_os = "linux"))]
pub use other::Berth;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::disk::DiskShare;
use super::spool::Spool;
use crate::platform::Ended;

/// How long a command that takes too long may take to end by itself.
pub const TIMEOUT_GRACE_MS: u64 = 1_000;
/// How often the disk is looked at while a command runs.
pub const DISK_LOOK_MS: u64 = 3_000;

/// A command, found and ready to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The file to execute.
    pub program: PathBuf,
    /// Its arguments, the name it is called by first.
    pub arguments: Vec<String>,
    /// All of its environment.
    pub environment: Vec<(String, String)>,
    /// The working directory.
    pub folder: PathBuf,
    /// It writes to a status file whether the command itself was started; see [`Over::status`].
    pub has_status: bool,
}

/// What a berth says while a command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The berth's buffer has what was printed to this stream.
    Printed(Stream),
    /// It is over.
    Ended(Over),
}

/// Where something was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// The end of a command with all it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// How the command ended; none: it was killed and is not gone.
    pub ended: Option<Ended>,
    /// How many processes it left behind, which were killed.
    pub killed: u32,
    /// How many of them are still there.
    pub left: u32,
}

/// Why a command could not be run.
#[derive(Debug)]
pub enum NotRun {
    /// The system did not start it.
    NotStarted(io::Error),
    /// Something of the runner's own went wrong.
    Local(io::Error),
}

/// Why a command had to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It took too long.
    TimedOut,
    /// Nobody wants it any more.
    Cancelled,
    /// It used too much of something.
    Exhausted(String),
}

/// How a command went.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its end.
    pub over: Over,
    /// Why it had to end, when it did not by itself.
    pub stop: Option<Stop>,
}

/// What bounds a command.
pub struct Bounds<'a> {
    /// How long it may run.
    pub timeout: Duration,
    /// How much it may print, in bytes.
    pub printed_max_bytes: u64,
    /// Nobody wants it any more.
    pub cancel: &'a CancellationToken,
    /// What the disk says of it, asked every few seconds with what it printed: why it has to end.
    pub disk: &'a DiskShare,
}

/// Runs a command in a berth.
pub async fn run(
    berth: &mut Berth,
    launch: &Launch,
    bounds: Bounds<'_>,
    out: &Spool,
    error: &Spool,
) -> Result<Ran, NotRun> {
    berth.start(launch).await?;
    let mut run = Run { bounds, out, error, stop: None, killed: false, failed: None };
    let over = run.attend(berth).await?;
    while let Some(stream) = berth.rest().await {
        run.printed(berth, stream).await;
    }
    match run.failed {
        Some(failed) => Err(NotRun::Local(failed)),
        None => Ok(Ran { over, stop: run.stop }),
    }
}

struct Run<'a> {
    bounds: Bounds<'a>,
    out: &'a Spool,
    error: &'a Spool,
    stop: Option<Stop>,
    killed: bool,
    /// What it prints cannot be kept.
    failed: Option<io::Error>,
}

impl Run<'_> {
    async fn attend(&mut self, berth: &mut Berth) -> Result<Over, NotRun> {
        let mut deadline = Instant::now() + self.bounds.timeout;
        let mut look = Instant::now() + Duration::from_millis(DISK_LOOK_MS);
        loop {
            let cancel = self.bounds.cancel.clone();
            tokio::select! {
                event = berth.event() => match event? {
                    Event::Ended(over) => return Ok(over),
                    Event::Printed(stream) => self.printed(berth, stream).await,
                },
                () = cancel.cancelled(), if !self.killed => self.stop(Stop::Cancelled),
                () = tokio::time::sleep_until(deadline), if !self.killed => {
                    if self.stop == Some(Stop::TimedOut) {
                        self.kill(berth).await?;
                    } else {
                        self.stop(Stop::TimedOut);
                        berth.ask_to_end().await.map_err(NotRun::Local)?;
                        deadline = Instant::now() + Duration::from_millis(TIMEOUT_GRACE_MS);
                    }
                }
                () = tokio::time::sleep_until(look), if !self.killed => {
                    let printed = self.out.len() + self.error.len();
                    if let Some(why) = self.bounds.disk.look(printed).await {
                        self.stop(Stop::Exhausted(why));
                    }
                    look = Instant::now() + Duration::from_millis(DISK_LOOK_MS);
                }
            }
            if !self.killed && (self.failed.is_some() || !matches!(self.stop, None | Some(Stop::TimedOut))) {
                self.kill(berth).await?;
            }
        }
    }

    /// The first reason counts, but for a time that was up: whoever is being asked to end may be killed for another.
    fn stop(&mut self, why: Stop) {
        if matches!(self.stop, None | Some(Stop::TimedOut)) {
            self.stop = Some(why);
        }
    }

    async fn kill(&mut self, berth: &mut Berth) -> Result<(), NotRun> {
        self.killed = true;
        berth.kill().await.map_err(NotRun::Local)
    }

    async fn printed(&mut self, berth: &Berth, stream: Stream) {
        if self.failed.is_some() || matches!(self.stop, Some(Stop::Exhausted(_))) {
            return;
        }
        let (limit, spool) = (self.bounds.printed_max_bytes, if stream == Stream::Out { self.out } else { self.error });
        if let Err(error) = spool.push(berth.printed()).await {
            self.failed = Some(io::Error::new(error.kind(), format!("keeping what the command prints: {error}")));
        } else if self.out.len() + self.error.len() > limit {
            self.stop(Stop::Exhausted(format!("the command printed more than its limit of {limit} bytes")));
        }
    }
}
