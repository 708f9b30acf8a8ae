//! Tries a call again while its failure may pass, until patience ends. Knows nothing of what is called.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::error::CasError;
use crate::backoff::Backoff;

/// How often a server may send bytes that are not those of the digest.
const CORRUPT_TRIES: u32 = 3;

/// When to stop trying.
pub struct Patience {
    whole: Duration,
    end: Instant,
    backoff: Backoff,
    corrupt: u32,
}

impl Patience {
    /// Starts now.
    pub fn new(whole: Duration) -> Self {
        Self { whole, end: Instant::now() + whole, backoff: Backoff::default(), corrupt: 0 }
    }

    /// There was progress: the whole time again.
    pub fn renew(&mut self) {
        self.end = Instant::now() + self.whole;
        self.backoff.reset();
    }

    /// Waits before another try; hands the error back when there will be none.
    pub async fn after(&mut self, error: CasError) -> Result<(), CasError> {
        if !error.passes() {
            return Err(error);
        }
        if matches!(error, CasError::Corrupt { .. }) {
            self.corrupt += 1;
            if self.corrupt >= CORRUPT_TRIES {
                return Err(error);
            }
        }
        let wait = self.backoff.next_wait();
        if Instant::now() + wait > self.end {
            return Err(error);
        }
        tracing::debug!("trying again in {wait:?}: {error}");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Calls until it goes well, or will not.
pub async fn retrying<T, F>(whole: Duration, mut call: impl FnMut() -> F) -> Result<T, CasError>
where
    F: Future<Output = Result<T, CasError>>,
{
    let mut patience = Patience::new(whole);
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => patience.after(error).await?,
        }
    }
}
