//! Executions in memory only: for tests, and for those who don't mind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use uuid::Uuid;

use super::store::{ActiveRecord, Change, ExecutionStore, FinishedQuery, FinishedRecord};
use crate::error::{Error, Result};
use crate::events::NewEvent;

/// A store that forgets everything with the process. A clone is another handle on the same.
#[derive(Clone, Default)]
pub struct MemoryExecutions {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    active: BTreeMap<Uuid, ActiveRecord>,
    finished: BTreeMap<Uuid, FinishedRecord>,
    commits: u64,
    told: Vec<NewEvent>,
    fails: bool,
}

impl MemoryExecutions {
    /// How many transactions there were.
    pub fn commits(&self) -> u64 {
        self.inner().commits
    }

    /// What was told.
    pub fn told(&self) -> Vec<NewEvent> {
        self.inner().told.clone()
    }

    /// Lets every transaction fail from now on, or no longer.
    pub fn fail(&self, fails: bool) {
        self.inner().fails = fails;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ExecutionStore for MemoryExecutions {
    async fn load(&self) -> Result<Vec<ActiveRecord>> {
        Ok(self.inner().active.values().cloned().collect())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<()> {
        let mut inner = self.inner();
        if inner.fails {
            return Err(Error::Unavailable("the store was told to fail".into()));
        }
        inner.commits += 1;
        for change in changes {
            match change {
                Change::Insert(record) => {
                    inner.active.insert(record.id, *record);
                }
                Change::Update(id, standing) => {
                    if let Some(record) = inner.active.get_mut(&id) {
                        record.standing = *standing;
                    }
                }
                Change::Finish(record) => {
                    inner.active.remove(&record.id);
                    inner.finished.entry(record.id).or_insert(*record);
                }
                Change::Tell(events) => inner.told.extend(events),
            }
        }
        Ok(())
    }

    async fn finished(&self, id: Uuid) -> Result<Option<FinishedRecord>> {
        Ok(self.inner().finished.get(&id).cloned())
    }

    async fn list(&self, query: FinishedQuery) -> Result<Vec<FinishedRecord>> {
        let asked = |record: &&FinishedRecord| {
            query.before.is_none_or(|before| record.id < before)
                && query.instance.as_ref().is_none_or(|instance| *instance == record.spec.instance.as_str())
                && (query.action_hash.is_empty() || query.action_hash == record.spec.action.hex())
                && (query.invocation_id.is_empty() || query.invocation_id == record.spec.invocation_id)
        };
        let inner = self.inner();
        Ok(inner.finished.values().rev().filter(asked).take(query.limit as usize).cloned().collect())
    }

    async fn forget(&self, id: Uuid) -> Result<bool> {
        Ok(self.inner().finished.remove(&id).is_some())
    }

    async fn prune(&self, before_ms: i64, keep: u64, limit: u32) -> Result<u64> {
        let mut inner = self.inner();
        let mut ages: Vec<(i64, Uuid)> =
            inner.finished.values().map(|record| (record.finished_ms, record.id)).collect();
        ages.sort_unstable();
        let beyond = ages.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        let old = ages.iter().enumerate().filter(|(place, (at, _))| *place < beyond || *at < before_ms);
        let old: Vec<Uuid> = old.take(limit as usize).map(|(_, (_, id))| *id).collect();
        for id in &old {
            inner.finished.remove(id);
        }
        Ok(old.len() as u64)
    }
}
