//! Linux: a small process of its own for each slot, in which commands are started, so that nothing they start can
//! outlive them or the runner. This side talks to it. Knows nothing of actions.
//!
//! The nursery is this very program with a hidden subcommand. It is a subreaper: a process whose parent ends becomes its
//! child, whatever session, group or environment it has, and can be found and killed.

mod family;
pub mod subreaper;
mod wire;

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use wire::{Kind, REPLY_BYTES};
pub use wire::{Outcome, Reply, Request, STATUS_FILE};

/// How long a nursery may take to end: it kills what it has first.
const END_MAX_MS: u64 = family::KILL_MAX_MS + 2_000;

/// How nurseries are started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program that has the hidden subcommand.
    pub program: PathBuf,
    /// The largest file that a command may write.
    pub file_max_bytes: u64,
    /// The control group to be in.
    pub cgroup: Option<PathBuf>,
}

/// A nursery that is running.
pub struct Nursery {
    socket: UnixStream,
    child: Child,
    id: i32,
    reply: [u8; REPLY_BYTES],
    filled: usize,
}

impl Nursery {
    /// Starts one.
    pub fn start(plan: &Plan) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(&plan.program);
        command.arg(subreaper::SUBCOMMAND).arg(subreaper::FILE_MAX_OPTION).arg(plan.file_max_bytes.to_string());
        if let Some(cgroup) = &plan.cgroup {
            command.arg(subreaper::CGROUP_OPTION).arg(cgroup);
        }
        command.env_clear().current_dir(Path::new("/"));
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
        let child = command.spawn()?;
        let id = child.id().unwrap_or_default().cast_signed();
        Ok(Self { socket: UnixStream::from_std(ours)?, child, id, reply: [0; REPLY_BYTES], filled: 0 })
    }

    /// Its process; also the session of what it starts.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Starts a command that prints to these files; [`Self::reply`] tells of its end.
    pub async fn run(&mut self, request: &Request, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.filled = 0;
        let bytes = request.encode();
        let sent = self
            .socket
            .async_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                ancillary.push(SendAncillaryMessage::ScmRights(files));
                Ok(sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
            })
            .await?;
        self.socket.write_all(&bytes[sent..]).await
    }

    /// SIGTERM to the command and all it started.
    pub async fn ask_to_end(&mut self) -> io::Result<()> {
        self.socket.write_all(&wire::header(Kind::AskToEnd, 0)).await
    }

    /// SIGKILL to the command and all it started.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.socket.write_all(&wire::header(Kind::Kill, 0)).await
    }

    /// Waits until the command and all it started are gone. May be dropped and called again.
    pub async fn reply(&mut self) -> io::Result<Reply> {
        while self.filled < REPLY_BYTES {
            self.socket.readable().await?;
            match self.socket.try_read(&mut self.reply[self.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Reply::decode(self.reply)
    }

    /// Ends it, with all that runs in it.
    pub async fn end(mut self) {
        drop(self.socket);
        let ended = tokio::time::timeout(Duration::from_millis(END_MAX_MS), self.child.wait()).await;
        if !matches!(ended, Ok(Ok(_))) {
            tracing::warn!("nursery {}: it does not end and is killed", self.id);
            // Gone meanwhile is as good.
            let _gone = self.child.kill().await;
        }
    }
}

/// Words as the wire has them.
pub fn words(words: &[String]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
