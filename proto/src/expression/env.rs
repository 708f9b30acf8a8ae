//! What an expression sees of its host: contexts, how things went so far, and the files. Knows nothing of where they
//! come from.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What an expression is evaluated in.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// The root contexts.
    pub contexts: &'a dyn Contexts,
    /// What the status functions answer.
    pub status: Status,
    /// What hashFiles() asks; `None` where there are no files.
    pub files: Option<&'a dyn HashFiles>,
}

impl<'a> Env<'a> {
    /// All goes well, and there are no files.
    pub fn new(contexts: &'a dyn Contexts) -> Self {
        Self { contexts, status: Status::SUCCESS, files: None }
    }

    /// The same with another status.
    pub fn with_status(self, status: Status) -> Self {
        Self { status, ..self }
    }

    /// The same with files.
    pub fn with_files(self, files: &'a dyn HashFiles) -> Self {
        Self { files: Some(files), ..self }
    }
}

/// Root names (in lower case) to values.
pub trait Contexts {
    /// The value of a root context; `None` when there is no such context here, which is an error.
    fn context(&self, name: &str) -> Option<&Value>;
}

impl Contexts for BTreeMap<String, Value> {
    fn context(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

impl Contexts for Map<String, Value> {
    fn context(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

/// The host's hashFiles().
pub trait HashFiles {
    /// One hash over all files that match the patterns; empty when none does. The error is a text for people.
    fn hash_files(&self, patterns: &[String]) -> Result<String, String>;
}

/// What success(), failure() and cancelled() answer. Three answers and not one state, because after a skipped
/// dependency neither success() nor failure() holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// success()
    pub success: bool,
    /// failure()
    pub failure: bool,
    /// cancelled()
    pub cancelled: bool,
}

impl Status {
    /// All went well so far.
    pub const SUCCESS: Self = Self { success: true, failure: false, cancelled: false };
    /// Something failed before.
    pub const FAILURE: Self = Self { success: false, failure: true, cancelled: false };
    /// The run was cancelled.
    pub const CANCELLED: Self = Self { success: false, failure: false, cancelled: true };
    /// Something before was skipped.
    pub const SKIPPED: Self = Self { success: false, failure: false, cancelled: false };
}
