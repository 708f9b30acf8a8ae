//! Linux: a nursery and two pipes that are used again for each command. As nothing of a command is left when the next
//! one starts, the pipes are empty then, and nobody else holds them. Knows nothing of why a command runs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::net::unix::pipe::Receiver;

use super::{Event, Launch, NotRun, Over, Stream};
use crate::action::cgroup::{self, Limits};
use crate::action::nursery::{Nursery, Outcome, Plan, Reply, Request, words};
use crate::config::Config;
use crate::platform::{self, Ended};

/// How much is read from a pipe at once: all that it holds.
const PIPE_READ_BYTES: usize = 64 * 1024;

/// A place where one command runs at a time.
pub struct Berth {
    plan: Plan,
    home: Option<Home>,
    buffer: Vec<u8>,
}

/// What a berth has once it was used. Dropped when anything about it is in doubt.
struct Home {
    nursery: Nursery,
    out: Pipe,
    error: Pipe,
    status: Pipe,
}

struct Pipe {
    reader: Receiver,
    writer: OwnedFd,
}

impl Berth {
    /// One for each slot of a runner, without a process yet.
    pub fn all(config: &Config) -> io::Result<Vec<Self>> {
        let actions = &config.actions;
        let program = actions.program.clone().map_or_else(std::env::current_exe, Ok)?;
        let limits = Limits { memory_max_bytes: actions.memory_max_bytes, pids_max: actions.pids_max };
        let mut groups = Vec::new();
        if actions.enabled && limits != Limits::default() {
            match cgroup::prepare(limits, config.slots) {
                Ok(made) => groups = made,
                Err(why) => tracing::warn!("memory and processes of actions are not limited: {why}"),
            }
        }
        let mut groups = groups.into_iter();
        let plan = |cgroup| Plan { program: program.clone(), file_max_bytes: actions.disk_max_bytes, cgroup };
        Ok((0..config.slots).map(|_| Self { plan: plan(groups.next()), home: None, buffer: Vec::new() }).collect())
    }

    /// Starts a command.
    pub async fn start(&mut self, launch: &Launch) -> Result<(), NotRun> {
        let mut home = match self.home.take() {
            Some(home) => home,
            None => Home::new(&self.plan).map_err(NotRun::Local)?,
        };
        let request = Request {
            folder: launch.folder.clone().into(),
            program: launch.program.clone().into(),
            arguments: words(&launch.arguments),
            environment: launch.environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            has_status: launch.has_status,
        };
        let files = [home.out.writer.as_fd(), home.error.writer.as_fd(), home.status.writer.as_fd()];
        let files: &[BorrowedFd<'_>] = if launch.has_status { &files } else { &files[..2] };
        home.nursery.run(&request, files).await.map_err(NotRun::Local)?;
        self.home = Some(home);
        Ok(())
    }

    /// What comes next of the running command. May be dropped and called again.
    pub async fn event(&mut self) -> Result<Event, NotRun> {
        let Some(home) = &mut self.home else { return Err(NotRun::Local(io::Error::other("nothing runs"))) };
        let reply = loop {
            // The writer's other end is here: there is no end of file.
            let (stream, ready) = tokio::select! {
                reply = home.nursery.reply() => break reply,
                ready = home.out.reader.readable() => (Stream::Out, ready),
                ready = home.error.reader.readable() => (Stream::Error, ready),
            };
            ready.map_err(NotRun::Local)?;
            self.buffer.clear();
            self.buffer.reserve(PIPE_READ_BYTES);
            let pipe = if stream == Stream::Out { &home.out } else { &home.error };
            match pipe.reader.try_read_buf(&mut self.buffer) {
                Ok(_) => return Ok(Event::Printed(stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(NotRun::Local(error)),
            }
        };
        match reply {
            Ok(reply) => self.over(reply),
            Err(error) => {
                // Killed, by the command maybe: what it had may be anywhere below its session.
                let session = home.nursery.id();
                self.home = None;
                let left = platform::sweep_session(session).await;
                let text = format!("the nursery has ended before its command ({error}); {left} processes are left");
                Err(NotRun::Local(io::Error::other(text)))
            }
        }
    }

    /// After the end: what is still to be read, one stream at a time.
    #[expect(clippy::unused_async, reason = "as on the other systems, where it waits")]
    pub async fn rest(&mut self) -> Option<Stream> {
        let home = self.home.as_mut()?;
        self.buffer.clear();
        self.buffer.reserve(PIPE_READ_BYTES);
        for (pipe, stream) in [(&home.out, Stream::Out), (&home.error, Stream::Error)] {
            if pipe.read(&mut self.buffer) > 0 {
                return Some(stream);
            }
        }
        None
    }

    /// After the end: what was written to the status file.
    pub fn status(&mut self) -> Vec<u8> {
        let mut status = Vec::with_capacity(PIPE_READ_BYTES);
        if let Some(home) = &self.home {
            home.status.read(&mut status);
        }
        status
    }

    /// What was printed last.
    pub fn printed(&self) -> &[u8] {
        &self.buffer
    }

    /// SIGTERM to the command and all it started.
    pub async fn ask_to_end(&mut self) -> io::Result<()> {
        match &mut self.home {
            Some(home) => home.nursery.ask_to_end().await,
            None => Ok(()),
        }
    }

    /// SIGKILL to the command and all it started.
    pub async fn kill(&mut self) -> io::Result<()> {
        match &mut self.home {
            Some(home) => home.nursery.kill().await,
            None => Ok(()),
        }
    }

    /// Ends what a berth has, for good.
    pub async fn end(mut self) {
        if let Some(home) = self.home.take() {
            home.nursery.end().await;
        }
    }

    fn over(&mut self, reply: Reply) -> Result<Event, NotRun> {
        let ended = match reply.outcome {
            Outcome::Code(code) => Some(Ended::Code(code)),
            Outcome::Signal(signal) => Some(Ended::Signal(signal)),
            Outcome::NotStarted(error) => return Err(NotRun::NotStarted(io::Error::from_raw_os_error(error))),
            Outcome::Stuck => None,
        };
        if reply.left > 0 || ended.is_none() {
            // Its pipes may still be written to.
            self.home = None;
        }
        Ok(Event::Ended(Over { ended, killed: reply.killed, left: reply.left }))
    }
}

impl Home {
    fn new(plan: &Plan) -> io::Result<Self> {
        Ok(Self { nursery: Nursery::start(plan)?, out: Pipe::new()?, error: Pipe::new()?, status: Pipe::new()? })
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { reader: Receiver::from_owned_fd(reader.into())?, writer: writer.into() })
    }

    /// Reads what is there; nothing when there is nothing.
    fn read(&self, into: &mut Vec<u8>) -> usize {
        // The system itself is asked: the runtime may not have heard yet. Whatever else is wrong shows with the next
        // command.
        rustix::io::read(&self.reader, rustix::buffer::spare_capacity(into)).unwrap_or(0)
    }
}
