//! Where hashing and (de)compressing run: short work where it is, longer work on the runtime's blocking threads, so that
//! no async thread stands still for more than about a millisecond. Knows nothing of what the work is.

use std::panic::resume_unwind;

use crate::error::{Error, Result};

/// Up to here work is done on the async thread: half a millisecond for the slowest hash, and less than sending it to
/// another thread and back is worth.
pub(super) const INLINE_MAX_BYTES: usize = 128 * 1024;

/// Does `work`, which goes over `bytes` bytes. Dropped meanwhile, the work's result is lost, and what it owns with it.
pub(super) async fn offload<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if bytes <= INLINE_MAX_BYTES {
        return Ok(work());
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(Error::Unavailable("the server is stopping".into())),
        },
    }
}
