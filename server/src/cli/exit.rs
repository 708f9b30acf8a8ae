//! How a command ends: the exit codes, and errors that say what to do next. Knows nothing of any one command.

use std::{fmt, io, process::ExitCode};

use connectrpc::{ConnectError, ErrorCode};

/// An exit code of `millrace`. The numbers are promised to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, and what was asked about is well.
    Success = 0,
    /// Something that should not happen; for `doctor`: a check failed.
    Internal = 1,
    /// The command line, a file or a name in it was wrong.
    Usage = 2,
    /// The run was cancelled or timed out.
    Cancelled = 3,
    /// The server does not know the caller, or does not allow it.
    Denied = 4,
    /// The run failed.
    RunFailed = 5,
    /// The server can't be reached.
    Unreachable = 6,
    /// A second Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked, and what to do about it.
#[derive(Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong, without "error:".
    pub message: String,
    /// What to do next, a sentence; empty when the message says it.
    pub next: String,
}

impl CliError {
    /// An error with nothing more to advise.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), next: String::new() }
    }

    /// The command line, a file or a name in it was wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// With what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// What a call to the server at `url` came back with.
    pub fn from_call(url: &str, error: &ConnectError) -> Self {
        let said = error.message.clone().unwrap_or_else(|| error.code.as_str().to_owned());
        match error.code {
            ErrorCode::Unauthenticated => Self::new(Exit::Denied, format!("{url} does not know you: {said}"))
                .next("give a token with --token or MILLRACE_TOKEN; `millrace token create` on the server makes one"),
            ErrorCode::PermissionDenied => Self::new(Exit::Denied, format!("{url} does not allow this: {said}"))
                .next("use a token with a role that may; `millrace token create --role ...` on the server makes one"),
            ErrorCode::Unavailable => {
                Self::new(Exit::Unreachable, format!("{url} can't be reached: {}", causes(error))).next(
                    "start a server with `millrace dev`, or name another with --server; `millrace doctor` looks closer",
                )
            }
            ErrorCode::DeadlineExceeded => Self::new(Exit::Unreachable, format!("{url} did not answer in time"))
                .next("`millrace doctor` looks closer"),
            ErrorCode::Unimplemented => Self::new(Exit::Internal, format!("{url} does not know this call: {said}"))
                .next("is it a Millrace server, of this version? `millrace doctor` tells"),
            ErrorCode::NotFound
            | ErrorCode::InvalidArgument
            | ErrorCode::FailedPrecondition
            | ErrorCode::OutOfRange
            | ErrorCode::AlreadyExists => Self::usage(said),
            _ => Self::new(Exit::Internal, format!("{url} answered with an error ({}): {said}", error.code.as_str())),
        }
    }

    /// The reader of standard output has gone (`millrace logs ... | head`).
    pub fn is_closed_pipe(&self) -> bool {
        self.message == CLOSED_PIPE
    }
}

/// The message of an error that is not worth a message.
const CLOSED_PIPE: &str = "the reader of the output has gone";

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Internal, CLOSED_PIPE);
        }
        Self::new(Exit::Internal, format!("writing the output failed: {error}"))
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if !self.next.is_empty() {
            write!(f, "\n  next: {}", self.next)?;
        }
        Ok(())
    }
}

impl std::error::Error for CliError {}

/// The innermost cause says it best ("Connection refused"); what stands around it is the library's.
fn causes(error: &ConnectError) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if std::ptr::addr_eq(innermost, error) {
        return error.message.clone().unwrap_or_else(|| "unavailable".to_owned());
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_promised_ones() {
        let all = [
            (Exit::Success, 0),
            (Exit::Internal, 1),
            (Exit::Usage, 2),
            (Exit::Cancelled, 3),
            (Exit::Denied, 4),
            (Exit::RunFailed, 5),
            (Exit::Unreachable, 6),
            (Exit::Interrupted, 130),
        ];
        for (exit, number) in all {
            assert_eq!(exit as u8, number, "{exit:?}");
        }
    }

    #[test]
    fn calls_map_by_meaning() {
        let exit = |error: &ConnectError| CliError::from_call("http://x", error).exit;
        assert_eq!(exit(&ConnectError::unauthenticated("no")), Exit::Denied);
        assert_eq!(exit(&ConnectError::permission_denied("no")), Exit::Denied);
        assert_eq!(exit(&ConnectError::unavailable("gone")), Exit::Unreachable);
        assert_eq!(exit(&ConnectError::deadline_exceeded("slow")), Exit::Unreachable);
        assert_eq!(exit(&ConnectError::not_found("run 7")), Exit::Usage);
        assert_eq!(exit(&ConnectError::invalid_argument("run_id")), Exit::Usage);
        assert_eq!(exit(&ConnectError::internal("oops")), Exit::Internal);
    }

    #[test]
    fn an_error_says_what_to_do_next() {
        let text = CliError::from_call("http://x", &ConnectError::unavailable("refused")).to_string();
        assert!(text.starts_with("error: http://x can't be reached: refused\n  next: start a server"), "{text}");
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        assert!(CliError::from(io::Error::from(io::ErrorKind::BrokenPipe)).is_closed_pipe());
        assert!(!CliError::from(io::Error::from(io::ErrorKind::StorageFull)).is_closed_pipe());
    }
}
