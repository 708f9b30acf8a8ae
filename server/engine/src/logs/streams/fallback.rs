//! Streams whose writer may never write: an action that was faster than its first report has its output in its result
//! only. Whoever knows results answers for them here, and the log is filled from what they have.

use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{LogStreams, StreamId, not_found};
use crate::error::{Error, Result};
use crate::logs::LogError;

/// So many logs are filled at a time.
const FILLING_MAX: usize = 8;
/// The most bytes of one append while a log is filled.
const FILL_APPEND_MAX_BYTES: usize = 1024 * 1024;

/// Knows streams that are written on behalf of something: an execution.
#[async_trait]
pub trait StreamFallback: Send + Sync + 'static {
    /// What is known of this stream.
    async fn state(&self, stream: &StreamId) -> StreamState;

    /// Comes back when the state is no longer `WillCome`; at once if it is not.
    async fn settled(&self, stream: &StreamId);

    /// The whole content from this byte on, of a stream that is `Done`. Past its end: nothing.
    async fn content(&self, stream: &StreamId, offset: u64) -> Result<StreamContent>;
}

/// The bytes of a stream that is done.
pub type StreamContent = BoxStream<'static, Result<Bytes>>;

/// What is known of a stream besides its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Nothing. The log says it all, if there is one.
    Unknown,
    /// Somebody may write it, now or later.
    WillCome,
    /// Nobody writes any more, and all of it is known.
    Done,
}

/// How many logs are being filled.
pub(super) struct Filling(Semaphore);

impl Default for Filling {
    fn default() -> Self {
        Self(Semaphore::new(FILLING_MAX))
    }
}

/// Fills a log when its stream is done, as long as this lives.
pub struct FillGuard(Option<JoinHandle<Result<()>>>);

impl LogStreams {
    /// What is known of a stream besides its log.
    pub async fn state(&self, stream: &StreamId) -> StreamState {
        match self.inner.fallback.get() {
            Some(fallback) => fallback.state(stream).await,
            None => StreamState::Unknown,
        }
    }

    /// Sees to it that a reader of this stream's log gets its end: the log is filled from the result when the stream is
    /// done and its log is not. `NotFound` if there is no log and none will come.
    pub async fn attend(&self, stream: &StreamId) -> Result<FillGuard> {
        let here = match self.inner.room.head(stream.log()).await {
            Ok(head) if head.complete => return Ok(FillGuard(None)),
            Ok(_) => true,
            Err(LogError::NotFound(_)) => false,
            Err(error) => return Err(error.into()),
        };
        match self.state(stream).await {
            StreamState::Unknown if here => Ok(FillGuard(None)),
            StreamState::Unknown => Err(not_found(stream.id())),
            StreamState::WillCome | StreamState::Done => {
                let (streams, stream) = (self.clone(), stream.clone());
                Ok(FillGuard(Some(tokio::spawn(async move { streams.fill_when_done(&stream).await }))))
            }
        }
    }

    async fn fill_when_done(&self, stream: &StreamId) -> Result<()> {
        let Some(fallback) = self.inner.fallback.get() else { return Ok(()) };
        fallback.settled(stream).await;
        let _one_of_few = self.inner.filling.0.acquire().await;
        let mut at = match self.inner.room.head(stream.log()).await {
            Ok(head) if head.complete => return Ok(()),
            Ok(head) => head.written_bytes(),
            Err(LogError::NotFound(_)) => 0,
            Err(error) => return Err(error.into()),
        };
        if fallback.state(stream).await != StreamState::Done {
            // It was forgotten meanwhile: nobody will write it.
            return if at > 0 { self.close(stream).await } else { Err(not_found(stream.id())) };
        }
        let mut content = fallback.content(stream, at).await?;
        while let Some(piece) = content.next().await {
            let mut piece = piece?;
            while !piece.is_empty() {
                let part = piece.split_to(piece.len().min(FILL_APPEND_MAX_BYTES));
                let end = at + part.len() as u64;
                match self.inner.room.append_bytes(stream.log(), at, part, false).await {
                    // It is full: nothing more is kept.
                    Ok(head) if head.dropped_bytes > 0 => return self.close(stream).await,
                    Ok(_) => at = end,
                    // Somebody else has ended it.
                    Err(LogError::Closed(_)) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.close(stream).await
    }

    async fn close(&self, stream: &StreamId) -> Result<()> {
        Ok(self.inner.room.close(stream.log()).await.map(|_| ())?)
    }
}

impl FillGuard {
    /// For a log that is filled by nobody, or by somebody else.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// Waits for a fault. Goes on for ever if there is none.
    pub async fn failed(&mut self) -> Error {
        std::future::poll_fn(|context| self.poll_failed(context)).await
    }

    fn poll_failed(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        let Some(task) = &mut self.0 else { return Poll::Pending };
        let Poll::Ready(ended) = Future::poll(std::pin::Pin::new(task), context) else { return Poll::Pending };
        self.0 = None;
        match ended {
            Ok(Ok(())) => Poll::Pending,
            Ok(Err(error)) => Poll::Ready(error),
            Err(fault) => Poll::Ready(Error::internal(fault)),
        }
    }
}

impl Drop for FillGuard {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
