//! Finished executions that are in memory, so that who asks again soon costs the store nothing: those that ran, and apart
//! from them those that the action cache answered, which are nowhere else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::seen::Seen;

/// How many executions that ran are remembered.
pub const RAN_MAX: usize = 10_000;
/// How many answers of the action cache are remembered.
pub const CACHED_MAX: usize = 10_000;
/// How long, in milliseconds.
pub const REMEMBERED_MAX_MS: i64 = 3_600_000;

/// The finished executions.
#[derive(Default)]
pub struct Remembered {
    known: HashMap<Uuid, Arc<Seen>>,
    ran: VecDeque<(i64, Uuid)>,
    cached: VecDeque<(i64, Uuid)>,
}

impl Remembered {
    /// Remembers one, and forgets the oldest of its kind if there are too many.
    pub fn put(&mut self, id: Uuid, seen: Arc<Seen>, now_ms: i64) {
        let (line, max) = if seen.cached { (&mut self.cached, CACHED_MAX) } else { (&mut self.ran, RAN_MAX) };
        line.push_back((now_ms, id));
        if line.len() > max
            && let Some((_, oldest)) = line.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(id, seen);
    }

    /// One of them.
    pub fn get(&self, id: Uuid) -> Option<&Arc<Seen>> {
        self.known.get(&id)
    }

    /// Puts something else in its place.
    pub fn replace(&mut self, id: Uuid, seen: Arc<Seen>) {
        if let Some(known) = self.known.get_mut(&id) {
            *known = seen;
        }
    }

    /// Forgets one.
    pub fn forget(&mut self, id: Uuid) {
        // Its place in the line stays until its turn comes.
        self.known.remove(&id);
    }

    /// Forgets those that have been there too long.
    pub fn expire(&mut self, now_ms: i64) {
        for line in [&mut self.ran, &mut self.cached] {
            while let Some((at, id)) = line.front().copied()
                && at + REMEMBERED_MAX_MS <= now_ms
            {
                line.pop_front();
                self.known.remove(&id);
            }
        }
    }
}
