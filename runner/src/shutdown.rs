//! The two ways to stop a runner. Knows nothing of signals.

use tokio_util::sync::CancellationToken;

/// Told from outside that the runner should end; clones are the same switch.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    kill: CancellationToken,
}

impl Shutdown {
    /// A switch that nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Finish what runs, take nothing new.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Kill what runs, without a word to the server: its lease ends and another runner gets it.
    pub fn kill(&self) {
        self.drain.cancel();
        self.kill.cancel();
    }

    /// Whether nothing new is to be taken.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether everything is to be killed.
    pub fn is_killed(&self) -> bool {
        self.kill.is_cancelled()
    }

    /// Is cancelled with the kill, or by whoever has it.
    pub(crate) fn kill_token(&self) -> CancellationToken {
        self.kill.child_token()
    }

    /// Resolves with the drain.
    pub async fn drained(&self) {
        self.drain.cancelled().await;
    }

    /// Resolves with the kill.
    pub async fn killed(&self) {
        self.kill.cancelled().await;
    }
}
