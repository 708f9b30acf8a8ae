//! What an error of the system means for a log.

use std::io;

use millrace_engine::logs::LogError;

/// Full disks and quotas are `Exhausted`, all else is `Io`; `doing` says what failed.
pub fn log_error(doing: &str, error: &io::Error) -> LogError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let message = format!("{doing}: {error}");
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => LogError::Exhausted(message),
        _ => LogError::Io(message),
    }
}
