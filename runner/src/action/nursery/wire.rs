//! What a runner and its nursery say to each other over their socket. Knows nothing of processes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The largest request: the arguments and the environment of a command. The system takes some 2 MiB.
pub const REQUEST_MAX_BYTES: usize = 64 * 1024 * 1024;
/// What stands before each request's body: its kind and its length.
pub const HEADER_BYTES: usize = 5;
/// The length of a reply.
pub const REPLY_BYTES: usize = 13;

/// What the runner wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Run a command; its standard output and error come along.
    Run = 1,
    /// SIGTERM to the command and all it started.
    AskToEnd = 2,
    /// SIGKILL to the command and all it started.
    Kill = 3,
}

/// A command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The working directory.
    pub folder: OsString,
    /// The file to execute.
    pub program: OsString,
    /// Its arguments, the name it is called by first.
    pub arguments: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// A third file comes along, for the program alone: [`STATUS_FILE`] among the arguments stands for its number.
    pub has_status: bool,
}

/// Stands for the number of the status file among the arguments.
pub const STATUS_FILE: &str = "{status-file}";

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It could not be started: the system's error.
    NotStarted(i32),
    /// It was killed and is not gone; the nursery is of no use any more.
    Stuck,
}

/// A nursery's only kind of message: the command is over, with all it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it ended.
    pub outcome: Outcome,
    /// How many processes it left behind, which were killed.
    pub killed: u32,
    /// How many of them are still there.
    pub left: u32,
}

/// The header of a message.
pub fn header(kind: Kind, length: usize) -> [u8; HEADER_BYTES] {
    let mut header = [kind as u8; HEADER_BYTES];
    header[1..].copy_from_slice(&(length as u32).to_le_bytes());
    header
}

/// Kind and length of what follows.
pub fn parse_header(header: [u8; HEADER_BYTES]) -> io::Result<(Kind, usize)> {
    let kind = match header[0] {
        1 => Kind::Run,
        2 => Kind::AskToEnd,
        3 => Kind::Kill,
        other => return Err(invalid(&format!("message of kind {other}"))),
    };
    let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if length > REQUEST_MAX_BYTES {
        return Err(invalid(&format!("{length} bytes; the limit is {REQUEST_MAX_BYTES}")));
    }
    Ok((kind, length))
}

impl Request {
    /// As bytes, with the header.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = header(Kind::Run, 0).to_vec();
        put(&mut bytes, &self.folder);
        put(&mut bytes, &self.program);
        bytes.push(u8::from(self.has_status));
        bytes.extend((self.arguments.len() as u32).to_le_bytes());
        self.arguments.iter().for_each(|argument| put(&mut bytes, argument));
        bytes.extend((self.environment.len() as u32).to_le_bytes());
        for (name, value) in &self.environment {
            put(&mut bytes, name);
            put(&mut bytes, value);
        }
        let length = (bytes.len() - HEADER_BYTES) as u32;
        bytes[1..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    /// Of the bytes after the header.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut rest = bytes;
        let (folder, program) = (take(&mut rest)?, take(&mut rest)?);
        let has_status = take_bytes(&mut rest, 1)?[0] != 0;
        let arguments = (0..take_number(&mut rest)?).map(|_| take(&mut rest)).collect::<io::Result<_>>()?;
        let count = take_number(&mut rest)?;
        let environment = (0..count).map(|_| Ok((take(&mut rest)?, take(&mut rest)?))).collect::<io::Result<_>>()?;
        Ok(Self { folder, program, arguments, environment, has_status })
    }
}

impl Reply {
    /// As bytes.
    pub fn encode(self) -> [u8; REPLY_BYTES] {
        let (kind, value) = match self.outcome {
            Outcome::Code(code) => (0, code),
            Outcome::Signal(signal) => (1, signal),
            Outcome::NotStarted(error) => (2, error),
            Outcome::Stuck => (3, 0),
        };
        let mut bytes = [kind; REPLY_BYTES];
        bytes[1..5].copy_from_slice(&value.to_le_bytes());
        bytes[5..9].copy_from_slice(&self.killed.to_le_bytes());
        bytes[9..].copy_from_slice(&self.left.to_le_bytes());
        bytes
    }

    /// Of bytes.
    pub fn decode(bytes: [u8; REPLY_BYTES]) -> io::Result<Self> {
        let number = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let value = i32::from_le_bytes(number(1));
        let outcome = match bytes[0] {
            0 => Outcome::Code(value),
            1 => Outcome::Signal(value),
            2 => Outcome::NotStarted(value),
            3 => Outcome::Stuck,
            other => return Err(invalid(&format!("reply of kind {other}"))),
        };
        Ok(Self { outcome, killed: u32::from_le_bytes(number(5)), left: u32::from_le_bytes(number(9)) })
    }
}

fn put(bytes: &mut Vec<u8>, text: &OsStr) {
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn take(rest: &mut &[u8]) -> io::Result<OsString> {
    let length = take_number(rest)? as usize;
    Ok(OsString::from_vec(take_bytes(rest, length)?.to_vec()))
}

fn take_number(rest: &mut &[u8]) -> io::Result<u32> {
    let bytes = take_bytes(rest, 4)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn take_bytes<'a>(rest: &mut &'a [u8], count: usize) -> io::Result<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count).ok_or_else(|| invalid("it ends too soon"))?;
    *rest = after;
    Ok(taken)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("nursery: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back() {
        let request = Request {
            folder: "/a b".into(),
            program: "/bin/true".into(),
            arguments: vec!["true".into(), OsString::from_vec(vec![0xff, b'x']), OsString::new()],
            environment: vec![("A".into(), "b=c".into()), ("EMPTY".into(), "".into())],
            has_status: true,
        };
        let bytes = request.encode();
        let (head, body) = bytes.split_at(HEADER_BYTES);
        assert_eq!(parse_header(head.try_into().expect("5")).expect("reads"), (Kind::Run, body.len()));
        assert_eq!(Request::decode(body).expect("reads"), request);
        for end in 0..body.len() {
            assert!(Request::decode(&body[..end]).is_err(), "{end}");
        }
        for outcome in [Outcome::Code(3), Outcome::Signal(9), Outcome::NotStarted(2), Outcome::Stuck] {
            let reply = Reply { outcome, killed: 4, left: 5 };
            assert_eq!(Reply::decode(reply.encode()).expect("reads"), reply);
        }
        assert!(parse_header([9, 0, 0, 0, 0]).is_err() && parse_header([1, 255, 255, 255, 255]).is_err());
    }
}
