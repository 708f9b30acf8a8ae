//! Runners that come and go.

use uuid::Uuid;

use super::Queue;
use super::lanes::Lanes;
use crate::execution::runner::KnownRunner;

impl Queue {
    /// Takes the runners that there are now. What waited for runners that are gone waits where it belongs now, and what
    /// nobody could run before may find somebody.
    pub fn set_runners(&mut self, runners: Vec<KnownRunner>, now_ms: i64) {
        let gone = self.platforms.set_runners(runners);
        let homeless: Vec<Uuid> = gone.iter().flat_map(|platform| ids(&platform.lanes)).collect();
        for id in homeless {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.place = None;
            }
            self.place(id, now_ms, false);
            self.arm(id);
            self.touch(id, super::Touch::Seen);
        }
        for id in self.matched_now() {
            self.unplace(id, false);
            self.place(id, now_ms, false);
            self.touch(id, super::Touch::Seen);
        }
    }

    /// A runner is gone for good: what it held is lost.
    pub fn runner_removed(&mut self, uuid: &str, now_ms: i64) {
        let held: Vec<Uuid> = self.held.get(uuid).into_iter().flatten().copied().collect();
        for id in held {
            self.lose(id, now_ms);
        }
    }

    /// What had no platform queue and has one now.
    fn matched_now(&mut self) -> Vec<Uuid> {
        let mut matched = Vec::new();
        for (key, group) in self.unmatched.groups() {
            let requested = self.platforms.matched(&key.requested);
            if self.platforms.place(&requested).is_some() {
                matched.extend(group.ids());
            }
        }
        matched
    }
}

fn ids(lanes: &Lanes) -> Vec<Uuid> {
    lanes.groups().flat_map(|(_, group)| group.ids()).collect()
}
