//! When executions are to be looked at. One entry an execution; a deadline that moved away is noticed when it is due.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

/// What is due when.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeSet<(i64, Uuid)>,
    armed: HashMap<Uuid, i64>,
}

impl Timers {
    /// Looks at it at `at_ms`, or before, if that is what was said before.
    pub fn arm(&mut self, id: Uuid, at_ms: i64) {
        if let Some(armed) = self.armed.get_mut(&id) {
            if *armed <= at_ms {
                return;
            }
            self.due.remove(&(*armed, id));
            *armed = at_ms;
        } else {
            self.armed.insert(id, at_ms);
        }
        self.due.insert((at_ms, id));
    }

    /// Looks at it no more.
    pub fn disarm(&mut self, id: Uuid) {
        if let Some(armed) = self.armed.remove(&id) {
            self.due.remove(&(armed, id));
        }
    }

    /// The next that is due; it is not armed any more.
    pub fn pop(&mut self, now_ms: i64) -> Option<Uuid> {
        let (at, id) = *self.due.first()?;
        if at > now_ms {
            return None;
        }
        self.due.pop_first();
        self.armed.remove(&id);
        Some(id)
    }
}
