//! macOS and Windows: the process group or job object of each command. Knows nothing of why a command runs.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout, Command};

use super::{Event, Launch, NotRun, Over, Stream};
use crate::config::Config;
use crate::platform::{self, Ended, Group};

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
    out: Option<ChildStdout>,
    error: Option<ChildStderr>,
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
        self.running = Some(Running { group: Some(group), out, error });
        Ok(())
    }

    /// What comes next of the running command. May be dropped and called again.
    pub async fn event(&mut self) -> Result<Event, NotRun> {
        let nothing = || NotRun::Local(io::Error::other("nothing runs"));
        let running = self.running.as_mut().ok_or_else(nothing)?;
        let group = running.group.as_mut().ok_or_else(nothing)?;
        self.buffer.clear();
        self.buffer.reserve(PIPE_READ_BYTES);
        let ended = tokio::select! {
            ended = group.wait() => ended.map_err(NotRun::Local)?,
            () = read(&mut running.out, &mut self.buffer) => return Ok(Event::Printed(Stream::Out)),
            () = read(&mut running.error, &mut self.buffer) => return Ok(Event::Printed(Stream::Error)),
        };
        let group = running.group.take().ok_or_else(nothing)?;
        let left = platform::sweep(vec![group], String::new()).await as u32;
        Ok(Event::Ended(Over { ended: Some(ended), killed: 0, left }))
    }

    /// After the end: what is still to be read, one stream at a time.
    pub async fn rest(&mut self) -> Option<Stream> {
        let running = self.running.as_mut()?;
        self.buffer.clear();
        self.buffer.reserve(PIPE_READ_BYTES);
        let quiet = tokio::time::sleep(Duration::from_millis(PIPE_QUIET_MS));
        let stream = tokio::select! {
            () = read(&mut running.out, &mut self.buffer) => Some(Stream::Out),
            () = read(&mut running.error, &mut self.buffer) => Some(Stream::Error),
            () = quiet, if running.out.is_some() || running.error.is_some() => None,
            else => None,
        };
        if stream.is_none() {
            self.running = None;
        }
        stream
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

/// Reads what is there; pends for ever once the pipe is closed.
async fn read<R: AsyncRead + Unpin>(pipe: &mut Option<R>, buffer: &mut Vec<u8>) {
    if let Some(reader) = pipe {
        match reader.read_buf(buffer).await {
            Ok(count) if count > 0 => return,
            _ => *pipe = None,
        }
    }
    std::future::pending().await
}
