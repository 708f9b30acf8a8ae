//! The nursery itself: a process with one thread that starts commands, one after the other, and outlives none of what
//! they start. Everything that a command leaves behind becomes its child and is killed; when the runner is gone, so is
//! all of it. Knows nothing of actions.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd, retry_on_intr};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getpid, pidfd_open, set_child_subreaper,
    setrlimit, setsid, waitid,
};

use super::family;
use super::wire::{self, HEADER_BYTES, Kind, Outcome, Reply, Request};

/// The hidden subcommand that makes a program a nursery.
pub const SUBCOMMAND: &str = "nursery";
/// The option with the largest file that a command may write, in bytes.
pub const FILE_MAX_OPTION: &str = "--file-max-bytes";
/// The option with the control group to be in.
pub const CGROUP_OPTION: &str = "--cgroup";
/// The most files that come with a request.
const FILES_MAX: usize = 3;
/// How often the command is looked at on kernels that cannot wait for it and the socket at once.
const LOOK_NANOSECONDS: i64 = 2_000_000;

/// Serves as a nursery when the command line says so; must be called before the program has a second thread.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != SUBCOMMAND {
        return None;
    }
    Some(match prepare(arguments).and_then(|()| serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nursery: {error} (this command is the runner's own: it is not meant to be called by hand)");
            ExitCode::from(2)
        }
    })
}

fn prepare(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    while let (Some(option), Some(value)) = (arguments.next(), arguments.next()) {
        match option.to_str() {
            Some(FILE_MAX_OPTION) => {
                let bytes = value.to_str().and_then(|text| text.parse().ok());
                setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: bytes })?;
            }
            Some(CGROUP_OPTION) => {
                let file = std::path::Path::new(&value).join("cgroup.procs");
                std::fs::write(file, std::process::id().to_string())?;
            }
            _ => return Err(io::Error::other(format!("{} is not an option", option.display()))),
        }
    }
    // Signals of the runner's terminal are the runner's business.
    setsid()?;
    Ok(set_child_subreaper(Some(getpid()))?)
}

fn serve() -> io::Result<()> {
    let stdin = io::stdin();
    let socket = stdin.as_fd();
    let null = std::fs::File::open("/dev/null")?;
    while let Some(message) = receive(socket)? {
        // A request to end what has ended already is late.
        let Message::Run(request, files) = message else { continue };
        let reply = match spawn(request, files, &null) {
            Ok(first) => attend(socket, first)?,
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error());
                Reply { outcome: Outcome::NotStarted(code), killed: 0, left: 0 }
            }
        };
        // Closed: the next receive says so.
        let _closed = retry_on_intr(|| send(socket, &reply.encode(), SendFlags::NOSIGNAL));
    }
    Ok(())
}

use rustix::io::Errno;

enum Message {
    Run(Request, Vec<OwnedFd>),
    AskToEnd,
    Kill,
}

/// The next message; `None`: the runner is gone.
fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Message>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let (mut header, mut filled, mut files) = ([0; HEADER_BYTES], 0, Vec::new());
    while filled < HEADER_BYTES {
        let mut into = [io::IoSliceMut::new(&mut header[filled..])];
        let received = retry_on_intr(|| recvmsg(socket, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC))?;
        if received.bytes == 0 {
            return Ok(None);
        }
        filled += received.bytes;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                files.extend(received);
            }
        }
    }
    let (kind, length) = wire::parse_header(header)?;
    let mut body = vec![0; length];
    if length > 0 && Socket(socket).read_exact(&mut body).is_err() {
        return Ok(None);
    }
    Ok(Some(match kind {
        Kind::Run => Message::Run(Request::decode(&body)?, files),
        Kind::AskToEnd => Message::AskToEnd,
        Kind::Kill => Message::Kill,
    }))
}

struct Socket<'a>(BorrowedFd<'a>);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }
}

fn spawn(request: Request, files: Vec<OwnedFd>, null: &std::fs::File) -> io::Result<Pid> {
    let mut files = files.into_iter();
    let (Some(out), Some(error)) = (files.next(), files.next()) else {
        return Err(Errno::BADF.into());
    };
    let status = files.next().filter(|_| request.has_status);
    if let Some(status) = &status {
        // This thread is the only one: no other child can be started while the file is open to children.
        fcntl_setfd(status, FdFlags::empty())?;
    }
    let number = status.as_ref().map(|file| file.as_raw_fd().to_string());
    let argument = |argument: &OsString| match &number {
        Some(number) if argument == OsStr::new(wire::STATUS_FILE) => number.into(),
        _ => argument.clone(),
    };
    let mut command = Command::new(&request.program);
    if let Some((name, rest)) = request.arguments.split_first() {
        command.arg0(name).args(rest.iter().map(argument));
    }
    command.env_clear().envs(request.environment).current_dir(&request.folder);
    command.stdin(null.try_clone()?).stdout(Stdio::from(out)).stderr(Stdio::from(error)).process_group(0);
    let child = command.spawn()?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| Errno::SRCH.into())
}

/// Waits for the command, heeds the runner meanwhile, and leaves nothing behind.
fn attend(socket: BorrowedFd<'_>, first: Pid) -> io::Result<Reply> {
    let process = pidfd_open(first, PidfdFlags::empty()).ok();
    while !has_ended(socket, first, process.as_ref())? {
        match receive(socket)? {
            Some(Message::AskToEnd) => family::signal(first, Signal::TERM),
            // Gone, or lost its mind.
            Some(Message::Kill | Message::Run(..)) | None => break,
        }
    }
    let cleared = family::clear(first);
    let outcome = match cleared.status {
        None => Outcome::Stuck,
        Some(status) => match status.exit_status() {
            Some(code) => Outcome::Code(code),
            None => Outcome::Signal(status.terminating_signal().unwrap_or_default()),
        },
    };
    Ok(Reply { outcome, killed: cleared.killed, left: cleared.left })
}

/// Waits until the command has ended (true) or the runner says something (false).
fn has_ended(socket: BorrowedFd<'_>, first: Pid, process: Option<&OwnedFd>) -> io::Result<bool> {
    let look = Timespec { tv_sec: 0, tv_nsec: LOOK_NANOSECONDS };
    loop {
        let watched = process.map_or(socket, AsFd::as_fd);
        let mut watch =
            [PollFd::from_borrowed_fd(socket, PollFlags::IN), PollFd::from_borrowed_fd(watched, PollFlags::IN)];
        retry_on_intr(|| poll(&mut watch, process.is_none().then_some(&look)))?;
        let ended = match process {
            Some(_) => !watch[1].revents().is_empty(),
            None => {
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
                waitid(WaitId::Pid(first), options)?.is_some()
            }
        };
        if ended {
            return Ok(true);
        }
        if !watch[0].revents().is_empty() {
            return Ok(false);
        }
    }
}
