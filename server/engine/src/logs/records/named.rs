//! How many named logs each project has: a log is made by its first record, so somebody has to say when it is enough. The
//! logs of events are the server's own and don't count.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::NamedLog;
use crate::logs::project::ProjectHash;
use crate::logs::{LogError, LogId, LogStore};

/// So many named logs a project may have unless [`crate::logs::LogLimits`] says otherwise.
pub const NAMED_LOGS_MAX: u64 = 10_000;

/// The counts, each found out when the project's first log since the start is made.
#[derive(Default)]
pub(in crate::logs) struct NamedLogs {
    /// Held to look at and to count.
    counts: Mutex<HashMap<ProjectHash, u64>>,
}

/// A log that may be made. When it is dropped before it was, its place is free again.
pub(in crate::logs) struct NewNamedLog<'a> {
    logs: &'a NamedLogs,
    project: ProjectHash,
    made: bool,
}

impl NamedLogs {
    /// A place for one more log, if it is a named one that counts; `Exhausted` when there is none.
    pub async fn admit(
        &self,
        store: &dyn LogStore,
        id: &LogId,
        most: u64,
    ) -> Result<Option<NewNamedLog<'_>>, LogError> {
        let Some(named) = NamedLog::of_log(id).filter(|named| !named.is_read_only()) else { return Ok(None) };
        let project = named.project();
        if !self.counts().contains_key(&project) {
            let found = count(store, project, most).await?;
            // Who was faster has counted its own as well.
            self.counts().entry(project).or_insert(found);
        }
        let mut counts = self.counts();
        let count = counts.entry(project).or_default();
        if *count >= most {
            let message = format!(
                "log {}: the project has {count} named logs, the limit is {most} (--log-named-max); those go on",
                named.name()
            );
            return Err(LogError::Exhausted(message));
        }
        *count += 1;
        Ok(Some(NewNamedLog { logs: self, project, made: false }))
    }

    /// A log was removed.
    pub fn removed(&self, id: &LogId) {
        if let Some(named) = NamedLog::of_log(id) {
            // Counted anew.
            self.counts().remove(&named.project());
        }
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<ProjectHash, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NewNamedLog<'_> {
    /// It is there.
    pub fn made(mut self) {
        self.made = true;
    }
}

impl Drop for NewNamedLog<'_> {
    fn drop(&mut self) {
        if !self.made {
            // It may be there all the same: counted anew.
            self.logs.counts().remove(&self.project);
        }
    }
}

/// How many there are, as far as it matters.
async fn count(store: &dyn LogStore, project: ProjectHash, most: u64) -> Result<u64, LogError> {
    let prefix = NamedLog::id_prefix(Some(project));
    let before = LogId::parse(prefix.trim_end_matches('.'))?;
    // With the log of events.
    let limit = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1);
    let ids = store.list(Some(&before), limit).await?;
    let counts =
        |id: &&LogId| id.as_str().starts_with(&prefix) && NamedLog::of_log(id).is_some_and(|log| !log.is_read_only());
    Ok(ids.iter().filter(counts).count() as u64)
}
