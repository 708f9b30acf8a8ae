//! Counts in memory: the plainest store that keeps the promises of [`ActivityStore`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::store::{ActivityCounts, ActivityMinute, ActivityStore};
use crate::error::{Error, Result};

/// Counts in memory.
#[derive(Default)]
pub struct MemoryActivity {
    kept: Mutex<BTreeMap<(String, i64), ActivityCounts>>,
    fails: AtomicBool,
}

impl MemoryActivity {
    /// Makes every addition fail, or work again.
    pub fn set_failing(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<(String, i64), ActivityCounts>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ActivityStore for MemoryActivity {
    async fn add(&self, minutes: Vec<ActivityMinute>) -> Result<()> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("told to fail".into()));
        }
        let mut kept = self.kept();
        for ActivityMinute { instance, minute, counts } in minutes {
            kept.entry((instance, minute)).or_default().add(&counts);
        }
        Ok(())
    }

    async fn sums(
        &self,
        instance: Option<&str>,
        first_minute: i64,
        end_minute: i64,
        step_minutes: i64,
    ) -> Result<Vec<(i64, ActivityCounts)>> {
        let mut sums: BTreeMap<i64, ActivityCounts> = BTreeMap::new();
        for ((name, minute), counts) in &*self.kept() {
            if (first_minute..end_minute).contains(minute) && instance.is_none_or(|wanted| wanted == name) {
                sums.entry((minute - first_minute) / step_minutes).or_default().add(counts);
            }
        }
        Ok(sums.into_iter().collect())
    }

    async fn instances(&self, limit: u32) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.kept().keys().map(|(name, _)| name.clone()).collect();
        names.dedup();
        names.truncate(limit as usize);
        Ok(names)
    }

    async fn prune(&self, before_minute: i64) -> Result<()> {
        self.kept().retain(|(_, minute), _| *minute >= before_minute);
        Ok(())
    }
}
