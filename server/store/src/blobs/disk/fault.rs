//! What an error of the system means for a blob.

use std::io;

use millrace_engine::error::Error;

/// An error that many callers get.
#[derive(Clone, Debug)]
pub struct Fault {
    exhausted: bool,
    message: String,
}

impl Fault {
    /// Full disks and quotas are `Exhausted`, all else is `Internal`; `doing` says what failed.
    pub fn new(doing: &str, error: &io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let exhausted = matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge);
        let message =
            if exhausted { format!("no space for blobs: {doing}: {error}") } else { format!("{doing}: {error}") };
        Self { exhausted, message }
    }

    /// The store is going down.
    pub fn ended() -> Self {
        Self { exhausted: false, message: "the blob store has ended".into() }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        if fault.exhausted { Self::Exhausted(fault.message) } else { Self::Internal(fault.message) }
    }
}

/// An error that one caller gets.
pub fn blob_error(doing: &str, error: &io::Error) -> Error {
    Fault::new(doing, error).into()
}
