//! What time does to the queue: leases that end, clients that stay away, executions that nobody can run.

use millrace_proto::rpc::Code;
use uuid::Uuid;

use super::{Ending, Queue};

/// Why an operation without watchers ends.
const LEFT: &str = "nobody waits for the result any more";

impl Queue {
    /// Looks at all that is due, at most `limit` of them; whether there is more.
    pub fn tick(&mut self, now_ms: i64, limit: usize) -> bool {
        for _ in 0..limit {
            let Some(id) = self.timers.pop(now_ms) else { return false };
            self.look(id, now_ms);
            // If it is still here, its next deadline counts.
            self.arm(id);
        }
        true
    }

    fn look(&mut self, id: Uuid, now_ms: i64) {
        self.drop_left(id, now_ms);
        let Some(entry) = self.entries.get(&id) else { return };
        if entry.standing.lease.is_some() && entry.lease_expires_ms <= now_ms {
            self.lose(id, now_ms);
        } else if entry.stop_until_ms.is_some_and(|until| until <= now_ms) {
            let why = entry.standing.cancelled.clone().unwrap_or_default();
            let message = format!("{why}; the runner did not stop the action in time");
            self.end(id, Ending::Failed(Code::CANCELLED, message), now_ms);
        } else if entry.unmatched_until_ms.is_some_and(|until| until <= now_ms) {
            let requested = self.platforms.matched(&entry.spec.properties);
            let message = self.platforms.explain(&requested);
            self.end(id, Ending::Failed(Code::FAILED_PRECONDITION, message), now_ms);
        }
    }

    /// Operations that nobody has watched for too long are cancelled.
    fn drop_left(&mut self, id: Uuid, now_ms: i64) {
        let Some(entry) = self.entries.get(&id) else { return };
        let grace = self.limits.client_grace_ms;
        let both = entry.standing.operations.iter().zip(&entry.watchers);
        let left = both.filter(|(operation, watchers)| {
            !operation.cancelled && watchers.count == 0 && watchers.left_ms.saturating_add(grace) <= now_ms
        });
        let left: Vec<u32> = left.map(|(operation, _)| operation.number).collect();
        for operation in left {
            self.cancel_operation(id, operation, LEFT, now_ms);
        }
    }
}
