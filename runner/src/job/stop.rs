//! Why and how hard a job is to be stopped; it only ever gets harder. Knows nothing of who stops it.

use std::sync::Arc;

use tokio::sync::watch;

/// How hard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    #[default]
    No,
    /// What runs is asked to end; `always()` and `cancelled()` actions still run.
    Cancel,
    /// What runs is killed, nothing else runs, and the server is told.
    Kill,
    /// What runs is killed and nobody is told: the task is another's, or the runner is being killed.
    Lost,
}

/// What the job counts as then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody cancelled it.
    Cancelled,
    /// Something went wrong.
    Failure,
}

#[derive(Clone, Debug, Default)]
struct State {
    stop: Stop,
    cause: Option<(Verdict, String)>,
}

/// Where a stop is raised.
#[derive(Clone)]
pub struct StopSwitch(Arc<watch::Sender<State>>);

/// Where it is waited for.
#[derive(Clone)]
pub struct StopWatch(watch::Receiver<State>);

impl Default for StopSwitch {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }
}

impl StopSwitch {
    /// Stops it at least this hard. The first cause is the one that counts.
    pub fn raise(&self, stop: Stop, verdict: Verdict, reason: &str) {
        self.0.send_if_modified(|state| {
            if stop <= state.stop {
                return false;
            }
            state.stop = stop;
            state.cause.get_or_insert_with(|| (verdict, reason.to_owned()));
            true
        });
    }

    /// How hard it is stopped now.
    pub fn now(&self) -> Stop {
        self.0.borrow().stop
    }

    /// Why, if at all.
    pub fn cause(&self) -> Option<(Verdict, String)> {
        self.0.borrow().cause.clone()
    }

    /// Something to wait on.
    pub fn subscribe(&self) -> StopWatch {
        StopWatch(self.0.subscribe())
    }
}

impl StopWatch {
    /// Resolves once it is stopped at least this hard.
    pub async fn reached(&mut self, stop: Stop) {
        if self.0.wait_for(|state| state.stop >= stop).await.is_err() {
            // Nobody is left who could stop it.
            std::future::pending::<()>().await;
        }
    }
}
