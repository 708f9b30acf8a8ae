//! Clients that come, leave and give up.

use millrace_proto::rpc::Code;
use uuid::Uuid;

use super::entry::Touch;
use super::{Ending, Queue, STOP_WAIT_MS};

impl Queue {
    /// Somebody watches an operation.
    pub fn watch(&mut self, id: Uuid, operation: u32) {
        if let Some(watchers) = self.entries.get_mut(&id).and_then(|entry| entry.watchers.get_mut(operation as usize)) {
            watchers.count += 1;
        }
    }

    /// Somebody watches an operation no more.
    pub fn unwatch(&mut self, id: Uuid, operation: u32, now_ms: i64) {
        let Some(watchers) = self.entries.get_mut(&id).and_then(|entry| entry.watchers.get_mut(operation as usize))
        else {
            return;
        };
        watchers.count = watchers.count.saturating_sub(1);
        if watchers.count == 0 {
            watchers.left_ms = now_ms;
            self.timers.arm(id, now_ms.saturating_add(self.limits.client_grace_ms));
        }
    }

    /// A client gives its operation up. When it was the last, the execution is cancelled. Whether there was one.
    pub fn cancel_operation(&mut self, id: Uuid, operation: u32, why: &str, now_ms: i64) -> bool {
        let Some(record) =
            self.entries.get_mut(&id).and_then(|entry| entry.standing.operations.get_mut(operation as usize))
        else {
            return false;
        };
        if record.cancelled {
            return true;
        }
        record.cancelled = true;
        self.touch(id, Touch::Kept);
        if self.entries.get(&id).is_some_and(super::Entry::wanted) {
            self.follow_priority(id);
        } else {
            self.cancel(id, why, now_ms);
        }
        true
    }

    /// A client wants to hear of its operation no more; that does not stop it. Whether there was one.
    pub fn forget_operation(&mut self, id: Uuid, operation: u32) -> bool {
        let Some(record) =
            self.entries.get_mut(&id).and_then(|entry| entry.standing.operations.get_mut(operation as usize))
        else {
            return false;
        };
        record.deleted = true;
        self.touch(id, Touch::Kept);
        true
    }

    /// Stops an execution for all who wait for it: at once if it waits, else when its runner says so. Whether there was
    /// one.
    pub fn cancel(&mut self, id: Uuid, why: &str, now_ms: i64) -> bool {
        self.close_to_others(id);
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        if entry.standing.lease.is_none() {
            self.end(id, Ending::Failed(Code::CANCELLED, why.to_owned()), now_ms);
            return true;
        }
        if entry.standing.cancelled.is_none() {
            entry.standing.cancelled = Some(why.to_owned());
            entry.stop_until_ms = Some(now_ms + STOP_WAIT_MS);
            self.touch(id, Touch::Kept);
            self.arm(id);
        }
        true
    }
}
