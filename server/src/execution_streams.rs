//! What the log streams of executions hold when their runner did not write them: an action that was faster than its first
//! report, or whose runner was cut off, has its output in its result. Knows nothing of how streams are read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use millrace_engine::blobs::{BlobRoom, Encoding};
use millrace_engine::error::{Error, Result};
use millrace_engine::execution::{Execution, ExecutionState, Stage, Stream};
use millrace_engine::logs::streams::{StreamContent, StreamFallback, StreamId, StreamState};
use millrace_proto::digest::Digest;

/// How long a reader waits between two looks at its execution at least, in milliseconds: the queue may change thousands
/// of times a second.
const LOOK_EVERY_MS: u64 = 100;

/// Answers for the streams of executions.
pub struct ExecutionStreams {
    execution: Arc<Execution>,
    blobs: Arc<BlobRoom>,
}

/// An execution, one of its outputs, and the lease under which that was written.
struct Output {
    state: ExecutionState,
    stream: Stream,
    epoch: u64,
}

impl ExecutionStreams {
    /// Over the queue and the blobs that results name.
    pub fn new(execution: Arc<Execution>, blobs: Arc<BlobRoom>) -> Self {
        Self { execution, blobs }
    }

    /// The output that a stream is of: its id is `{execution}.{epoch}.{output}`.
    async fn output(&self, stream: &StreamId) -> Option<Output> {
        let mut parts = stream.id().split('.');
        let (id, epoch, name) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let output = match name {
            "stdout" => Stream::Stdout,
            "stderr" => Stream::Stderr,
            _ => return None,
        };
        let state = self.execution.execution(id).await.ok()?;
        let is_its_own = parts.next().is_none() && stream.is_of(&state.instance) && (1..=state.epoch).contains(&epoch);
        is_its_own.then_some(Output { state, stream: output, epoch })
    }
}

#[async_trait]
impl StreamFallback for ExecutionStreams {
    async fn state(&self, stream: &StreamId) -> StreamState {
        match self.output(stream).await {
            None => StreamState::Unknown,
            // A later lease has streams of its own: nobody writes this one any more.
            Some(output) if output.epoch < output.state.epoch => StreamState::Done,
            Some(output) if output.state.stage == Stage::Done => StreamState::Done,
            Some(_) => StreamState::WillCome,
        }
    }

    async fn settled(&self, stream: &StreamId) {
        let mut changes = self.execution.changes();
        loop {
            changes.mark_unchanged();
            if self.state(stream).await != StreamState::WillCome || changes.changed().await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
        }
    }

    async fn content(&self, stream: &StreamId, offset: u64) -> Result<StreamContent> {
        let nothing = || Ok(stream::empty().boxed());
        let Some(Output { state, stream, epoch }) = self.output(stream).await else { return nothing() };
        let response = state.response.as_ref().filter(|_| epoch == state.epoch);
        let Some(result) = response.and_then(|response| response.result.as_option()) else { return nothing() };
        let (raw, digest) = match stream {
            Stream::Stdout => (&result.stdout_raw, result.stdout_digest.as_option()),
            Stream::Stderr => (&result.stderr_raw, result.stderr_digest.as_option()),
        };
        if !raw.is_empty() {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(raw.len());
            return Ok(stream::iter([Ok(raw.slice(from..))]).boxed());
        }
        let (Some(digest), Some(action)) = (digest, &state.action) else { return nothing() };
        let digest = Digest::parse(action.function(), &digest.hash, digest.size_bytes).map_err(Error::internal)?;
        if offset >= digest.size() {
            return nothing();
        }
        Ok(self.blobs.read(&state.instance, &digest, Encoding::Identity, offset, None).await?.boxed())
    }
}
