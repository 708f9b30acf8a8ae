//! What administrators do with executions that wait.

use uuid::Uuid;

use super::entry::Touch;
use super::{Queue, not_found};
use crate::error::{Error, Result};

impl Queue {
    /// Puts a waiting execution into a platform queue, whatever that offers.
    pub fn move_to(&mut self, id: Uuid, platform: &str, now_ms: i64) -> Result<()> {
        self.must_wait(id, "moved")?;
        if self.platforms.named(platform).is_none() {
            return Err(Error::NotFound(format!("platform queue {platform:?}")));
        }
        self.unplace(id, false);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.standing.moved_to = Some(platform.to_owned());
            entry.avoid.clear();
        }
        self.place(id, now_ms, false);
        self.touch(id, Touch::Kept);
        self.arm(id);
        Ok(())
    }

    /// Gives a waiting execution a priority that its clients' do not change any more.
    pub fn reprioritize(&mut self, id: Uuid, priority: i32, now_ms: i64) -> Result<()> {
        self.must_wait(id, "given another priority")?;
        self.unplace(id, false);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.standing.priority = priority;
            entry.standing.priority_given = true;
        }
        self.place(id, now_ms, false);
        self.touch(id, Touch::Kept);
        self.arm(id);
        Ok(())
    }

    fn must_wait(&self, id: Uuid, what: &str) -> Result<()> {
        let entry = self.entries.get(&id).ok_or_else(|| not_found(id))?;
        if entry.place.is_none() {
            let message = format!("execution {id} does not wait any more; only one that waits can be {what}");
            return Err(Error::Precondition(message));
        }
        Ok(())
    }
}
