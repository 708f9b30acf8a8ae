//! A blob's bytes on their way out: while a piece is sent, the next one is made. Knows nothing of what is behind them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{FutureExt, Stream};
use tokio::task::JoinHandle;

use super::pipeline::Pipeline;
use crate::error::{Error, Result};

/// The bytes of a blob, in pieces; none of them is empty. It ends after an error. Dropped, it reads no more.
pub struct BlobStream(State);

enum State {
    /// One piece, the last.
    Last(Bytes),
    /// A piece, and what makes more.
    Piece(Bytes, Box<Pipeline>),
    /// The next one is being made.
    Making(JoinHandle<(Box<Pipeline>, Result<Option<Bytes>>)>),
    End,
}

impl BlobStream {
    pub(super) fn last(data: Bytes) -> Self {
        Self(if data.is_empty() { State::End } else { State::Last(data) })
    }

    /// With the first piece made, so that a blob that can't be read is known before anything is sent.
    pub(super) async fn begin(mut pipeline: Box<Pipeline>) -> Result<Self> {
        Ok(Self(match pipeline.next().await? {
            Some(first) => State::Piece(first, pipeline),
            None => State::End,
        }))
    }
}

impl Stream for BlobStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let (data, mut pipeline) = match std::mem::replace(&mut self.0, State::End) {
            State::End => return Poll::Ready(None),
            State::Last(data) => return Poll::Ready(Some(Ok(data))),
            State::Piece(data, pipeline) => (data, pipeline),
            State::Making(mut making) => {
                let Poll::Ready(made) = making.poll_unpin(context) else {
                    self.0 = State::Making(making);
                    return Poll::Pending;
                };
                match made {
                    Ok((pipeline, Ok(Some(data)))) => (data, pipeline),
                    Ok((_, Ok(None))) => return Poll::Ready(None),
                    Ok((_, Err(error))) => return Poll::Ready(Some(Err(error))),
                    Err(error) => return Poll::Ready(Some(Err(Error::internal(error)))),
                }
            }
        };
        if !pipeline.ended() {
            self.0 = State::Making(tokio::spawn(async move {
                let made = pipeline.next().await;
                (pipeline, made)
            }));
        }
        Poll::Ready(Some(Ok(data)))
    }
}

impl Drop for BlobStream {
    fn drop(&mut self) {
        if let State::Making(making) = &self.0 {
            making.abort();
        }
    }
}
