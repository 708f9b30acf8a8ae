//! macOS and Windows: the process group or job object of each command. Knows nothing of why a command runs.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout, Command};

use super::{Event, Launch, NotRun, Over, Stream};
use crate::config::Config;
use crate::platform::{self, Group};

const PIPE_READ_BYTES: usize = 64 * 1024;
/// Once all is killed, how long pipes may be quiet that something out of reach still holds.
const PIPE_QUIET_MS: u64 = 200;

/// A place where one command runs at a time.
#[derive(Default)]
pub struct Berth {
    running: Option<Running>,
    buffer: Vec<u8>,
}

struct Running {
    group: Option<Group>,
    out: Pipe<ChildStdout>,
    error: Pipe<ChildStderr>,
}

struct Pipe<R> {
    /// None: it is closed.
    reader: Option<R>,
    buffer: Vec<u8>,
}

impl Berth {
    /// One for each slot of a runner.
    #[expect(clippy::unnecessary_wraps, reason = "as on Linux, where it can fail")]
    pub fn all(config: &Config) -> io::Result<Vec<Self>> {
        if config.actions.memory_max_bytes > 0 || config.actions.pids_max > 0 {
            tracing::warn!("memory and processes of actions are not limited: there are no control groups here");
        }
        Ok((0..config.slots).map(|_| Self::default()).collect())
    }

    /// Starts a command.
    #[expect(clippy::unused_async, reason = "as on Linux, where it waits")]
    pub async fn start(&mut self, launch: &Launch) -> Result<(), NotRun> {
        let mut command = Command::new(&launch.program);
        #[cfg(unix)]
        if let Some(name) = launch.arguments.first() {
            command.arg0(name);
        }
        command.args(launch.arguments.iter().skip(1)).env_clear();
        command.envs(launch.environment.iter().map(|(name, value)| (name, value))).current_dir(&launch.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group = Group::spawn(command).map_err(NotRun::NotStarted)?;
        let (out, error) = group.pipes();
        self.running = Some(Running { group: Some(group), out: Pipe::new(out), error: Pipe::new(error) });
        Ok(())
    }

    /// What comes next of the running command. May be dropped and called again.
    pub async fn event(&mut self) -> Result<Event, NotRun> {
        let nothing = || NotRun::Local(io::Error::other("nothing runs"));
        let running = self.running.as_mut().ok_or_else(nothing)?;
        let group = running.group.as_mut().ok_or_else(nothing)?;
        let ended = loop {
            let (out, error) = (&mut running.out, &mut running.error);
            let (has_out, has_error) = (out.reader.is_some(), error.reader.is_some());
            tokio::select! {
                ended = group.wait() => break ended.map_err(NotRun::Local)?,
                count = out.read(), if has_out => if count > 0 {
                    std::mem::swap(&mut self.buffer, &mut out.buffer);
                    return Ok(Event::Printed(Stream::Out));
                },
                count = error.read(), if has_error => if count > 0 {
                    std::mem::swap(&mut self.buffer, &mut error.buffer);
                    return Ok(Event::Printed(Stream::Error));
                },
            }
        };
        let group = running.group.take().ok_or_else(nothing)?;
        let left = platform::sweep(vec![group], String::new()).await as u32;
        Ok(Event::Ended(Over { ended: Some(ended), killed: 0, left }))
    }

    /// After the end: what is still to be read, one stream at a time.
    pub async fn rest(&mut self) -> Option<Stream> {
        let running = self.running.as_mut()?;
        loop {
            let (out, error) = (&mut running.out, &mut running.error);
            let (has_out, has_error) = (out.reader.is_some(), error.reader.is_some());
            if !has_out && !has_error {
                break;
            }
            tokio::select! {
                count = out.read(), if has_out => if count > 0 {
                    std::mem::swap(&mut self.buffer, &mut out.buffer);
                    return Some(Stream::Out);
                },
                count = error.read(), if has_error => if count > 0 {
                    std::mem::swap(&mut self.buffer, &mut error.buffer);
                    return Some(Stream::Error);
                },
                () = tokio::time::sleep(Duration::from_millis(PIPE_QUIET_MS)) => break,
            }
        }
        self.running = None;
        None
    }

    /// There is no sandbox here that would have one.
    pub fn status(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// What was printed last.
    pub fn printed(&self) -> &[u8] {
        &self.buffer
    }

    /// Asks the command's group to end.
    #[expect(clippy::unused_async, reason = "as on Linux, where it waits")]
    pub async fn ask_to_end(&mut self) -> io::Result<()> {
        if let Some(group) = self.running.as_mut().and_then(|running| running.group.as_mut()) {
            group.ask_to_end();
        }
        Ok(())
    }

    /// Kills the command's group.
    #[expect(clippy::unused_async, reason = "as on Linux, where it waits")]
    pub async fn kill(&mut self) -> io::Result<()> {
        if let Some(group) = self.running.as_mut().and_then(|running| running.group.as_mut()) {
            group.kill();
        }
        Ok(())
    }

    /// Nothing is kept between commands.
    #[expect(clippy::unused_async, reason = "as on Linux, where it waits")]
    pub async fn end(self) {}
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn new(reader: Option<R>) -> Self {
        Self { reader, buffer: Vec::new() }
    }

    /// Reads what is there into the buffer; nothing once the pipe is closed. May be dropped and called again.
    async fn read(&mut self) -> usize {
        let Some(reader) = &mut self.reader else { return 0 };
        self.buffer.clear();
        self.buffer.reserve(PIPE_READ_BYTES);
        let count = reader.read_buf(&mut self.buffer).await.unwrap_or(0);
        if count == 0 {
            self.reader = None;
        }
        count
    }
}
