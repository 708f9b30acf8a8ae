//! A client's eye on its operation.

use std::sync::Arc;

use millrace_proto::reapi::ExecuteResponse;
use tokio::sync::watch;
use uuid::Uuid;

use super::Shared;
use super::seen::Seen;
use crate::actions::{ACTION_RESULT_MAX_BYTES, Inline};
use crate::execution::state::OperationState;

/// A client's eye on its operation. When the last one of an operation is dropped and none comes within the grace, the
/// operation is cancelled.
pub struct Watch {
    guard: Guard,
    inline: Inline,
    seen: Arc<Seen>,
    /// None: nothing more will come.
    news: Option<watch::Receiver<Arc<Seen>>>,
    /// What came and was not given yet.
    next: Option<Arc<Seen>>,
    filled: Option<Arc<ExecuteResponse>>,
}

/// Counts as one who watches until it is dropped.
pub(super) struct Guard {
    shared: Arc<Shared>,
    id: Uuid,
    number: u32,
    counted: bool,
}

impl Guard {
    /// Is counted already.
    pub fn counted(shared: &Arc<Shared>, id: Uuid, number: u32) -> Self {
        Self { shared: Arc::clone(shared), id, number, counted: true }
    }

    /// Of an operation that is done.
    pub fn of_done(shared: &Arc<Shared>, id: Uuid, number: u32) -> Self {
        Self { shared: Arc::clone(shared), id, number, counted: false }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.counted {
            let now = self.shared.clock.now_ms();
            self.shared.desk().queue.unwatch(self.id, self.number, now);
        }
    }
}

impl Watch {
    pub(super) async fn new(
        guard: Guard,
        inline: Inline,
        seen: Arc<Seen>,
        news: Option<watch::Receiver<Arc<Seen>>>,
    ) -> Self {
        let mut watch = Self { guard, inline, seen: Arc::clone(&seen), news, next: None, filled: None };
        watch.take(seen).await;
        watch
    }

    /// The state as it was last seen.
    pub fn state(&self) -> OperationState {
        self.seen.operation_state(self.guard.number, self.filled.as_ref())
    }

    /// The next state that differs; None: it is done already, or the server stops. May be dropped and asked again.
    pub async fn changed(&mut self) -> Option<OperationState> {
        loop {
            if let Some(next) = self.next.clone() {
                let before = self.seen.operation_state(self.guard.number, None);
                self.take(next).await;
                let after = self.state();
                if differs(&before, &after) {
                    return Some(after);
                }
            }
            if self.state().response.is_some() {
                return None;
            }
            let news = self.news.as_mut()?;
            news.changed().await.ok()?;
            self.next = Some(Arc::clone(&news.borrow_and_update()));
        }
    }

    /// Makes what came what is seen, with its contents if it is the end.
    async fn take(&mut self, next: Arc<Seen>) {
        if let Some(response) = &next.state.response {
            let shared = &self.guard.shared;
            self.filled = fill(shared, &next, response, &self.inline).await;
        }
        self.seen = next;
        self.next = None;
    }
}

fn differs(before: &OperationState, after: &OperationState) -> bool {
    before.stage != after.stage
        || before.message != after.message
        || before.stdout_stream_name != after.stdout_stream_name
        || before.response.is_some() != after.response.is_some()
}

/// The response with what a client wants to have in it; None: as it is.
async fn fill(
    shared: &Shared,
    seen: &Seen,
    response: &Arc<ExecuteResponse>,
    inline: &Inline,
) -> Option<Arc<ExecuteResponse>> {
    let wants = inline.stdout || inline.stderr || !inline.output_files.is_empty();
    if !wants || seen.cached || !response.result.is_set() {
        return None;
    }
    let mut filled = (**response).clone();
    let left = ACTION_RESULT_MAX_BYTES / 2;
    let result = filled.result.as_option_mut()?;
    inline.fill(&shared.blobs, &seen.state.instance, seen.action.function(), result, left as u64).await;
    Some(Arc::new(filled))
}
