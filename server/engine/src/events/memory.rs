//! An outbox in memory: for tests of those who tell and of those who take. It can be told to fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::event::NewEvent;
use super::outbox::{EventOutbox, OutboxRow, lost};
use crate::error::{Error, Result};

/// An outbox that forgets everything with the process. A clone is another handle on the same.
#[derive(Clone, Debug, Default)]
pub struct MemoryOutbox {
    kept: Arc<Mutex<Kept>>,
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Kept {
    last: u64,
    /// By id: how many events it stands for, and they.
    rows: BTreeMap<u64, (u64, Vec<NewEvent>)>,
    fails: bool,
}

impl MemoryOutbox {
    /// Lets all calls fail from now on, or no longer.
    pub fn fail(&self, fails: bool) {
        self.kept().fails = fails;
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.kept().rows.len()
    }

    /// Begins again with number 1 and nothing in it, as a database does that was put back.
    pub fn reset(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> Result<MutexGuard<'_, Kept>> {
        let kept = self.kept();
        if kept.fails { Err(Error::Unavailable("the outbox was told to fail".into())) } else { Ok(kept) }
    }
}

#[async_trait]
impl EventOutbox for MemoryOutbox {
    async fn read(&self, after: u64, max_events: u32) -> Result<Vec<OutboxRow>> {
        let kept = self.working()?;
        let mut events = 0;
        let rows = kept.rows.range(after + 1..).take_while(|(_, (_, row))| {
            let more = events < max_events as usize;
            events += row.len();
            more
        });
        Ok(rows.map(|(id, (_, events))| OutboxRow { id: *id, events: events.clone() }).collect())
    }

    async fn newest(&self) -> Result<Option<u64>> {
        let last = self.working()?.last;
        Ok((last > 0).then_some(last))
    }

    async fn remove(&self, up_to: u64, kept_rows: &BTreeSet<u64>) -> Result<()> {
        self.working()?.rows.retain(|id, _| *id > up_to || kept_rows.contains(id));
        Ok(())
    }

    async fn put(&self, events: Vec<NewEvent>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut kept = self.working()?;
        kept.last += 1;
        let id = kept.last;
        kept.rows.insert(id, (events.len() as u64, events));
        drop(kept);
        self.news.notify_one();
        Ok(())
    }

    async fn shorten(&self, after: u64, max_events: u64, now_ms: i64) -> Result<Option<u64>> {
        let mut kept = self.working()?;
        let mut left: u64 = kept.rows.range(after + 1..).map(|(_, (_, events))| events.len() as u64).sum();
        let (mut gone, mut place) = (0, None);
        for (id, (stands_for, events)) in kept.rows.range(after + 1..) {
            // One more for what tells of those that go.
            if left + u64::from(place.is_some()) <= max_events {
                break;
            }
            left -= events.len() as u64;
            gone += stands_for;
            place = Some(*id);
        }
        let Some(place) = place else { return Ok(None) };
        kept.rows.retain(|id, _| *id <= after || *id > place);
        kept.rows.insert(place, (gone, vec![lost("", gone, now_ms)]));
        Ok(Some(gone))
    }

    fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }
}
