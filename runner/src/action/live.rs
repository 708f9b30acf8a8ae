//! What a command prints, to those who follow it while it runs: a stream for standard output and one for standard error,
//! written once the action has lasted a little. Whatever goes wrong here costs the followers, never the action. Knows
//! nothing of the result, which has all of it anyway.

use std::sync::Arc;
use std::time::Duration;

use connectrpc::client::CallOptions;
use connectrpc::{ConnectError, ErrorCode};
use futures::Stream;
use millrace_proto::bytestream::{ByteStreamClient, QueryWriteStatusRequest, WriteRequest};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::spool::Spool;
use crate::backoff::Backoff;
use crate::transport::Transport;

/// How long an action lasts before it is worth a stream.
pub const LIVE_AFTER_MS: u64 = 200;
/// How long something that was printed may wait for what comes next.
const LIVE_PAUSE_MS: u64 = 50;
/// The most that goes in one message.
const LIVE_CHUNK_MAX_BYTES: usize = 256 * 1024;
/// How long the end of an action waits for the end of its streams.
const LIVE_END_WAIT_MS: u64 = 2_000;
/// And how long they may then go on by themselves.
const LIVE_END_MAX_SECONDS: u64 = 30;
/// How long a question may take.
const QUERY_TIMEOUT_SECONDS: u64 = 10;

/// The streams of one action.
pub struct Live {
    ended: CancellationToken,
    streams: JoinSet<()>,
}

impl Live {
    /// Starts to watch what is printed: for each spool the name of its stream; none without a name.
    pub fn start(client: &ByteStreamClient<Transport>, spools: [(&str, &Arc<Spool>); 2]) -> Self {
        let ended = CancellationToken::new();
        let mut streams = JoinSet::new();
        for (name, spool) in spools.into_iter().filter(|(name, _)| !name.is_empty()) {
            let source = Source { name: name.to_owned(), spool: Arc::clone(spool), ended: ended.clone() };
            streams.spawn(source.follow(client.clone()));
        }
        Self { ended, streams }
    }

    /// Nothing is printed any more. Waits a little for the streams to be whole; returns those that need longer.
    pub async fn finish(mut self) -> Option<JoinSet<()>> {
        self.ended.cancel();
        let until = Instant::now() + Duration::from_millis(LIVE_END_WAIT_MS);
        while !self.streams.is_empty() {
            if timeout_at(until, self.streams.join_next()).await.is_err() {
                return Some(self.streams);
            }
        }
        None
    }

    /// Waits for the streams that need longer.
    pub async fn linger(mut streams: JoinSet<()>) {
        let until = Instant::now() + Duration::from_secs(LIVE_END_MAX_SECONDS);
        while !streams.is_empty() {
            if timeout_at(until, streams.join_next()).await.is_err() {
                tracing::debug!("a live stream is given up {LIVE_END_MAX_SECONDS} s after its action");
                return;
            }
        }
    }
}

#[derive(Clone)]
struct Source {
    name: String,
    spool: Arc<Spool>,
    ended: CancellationToken,
}

impl Source {
    async fn follow(self, client: ByteStreamClient<Transport>) {
        tokio::select! {
            // Too short to be followed.
            () = self.ended.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(LIVE_AFTER_MS)) => {}
        }
        while self.spool.is_empty() {
            if self.ended.is_cancelled() {
                return;
            }
            self.pause().await;
        }
        let (mut offset, mut backoff) = (0, Backoff::default());
        loop {
            match client.write_with_options(self.clone().requests(offset), CallOptions::default()).await {
                Ok(answer) => {
                    let committed = answer.into_owned().committed_size;
                    if self.ended.is_cancelled() && committed == self.spool.len() as i64 {
                        return;
                    }
                    tracing::debug!("live stream: the server ended it at {committed} bytes");
                }
                Err(error) if is_final(&error) => {
                    tracing::debug!("live stream: not taken: {error}");
                    return;
                }
                Err(error) => tracing::debug!("live stream: {error}; trying again"),
            }
            match self.resume(&client, &mut backoff).await {
                Some(committed) => offset = committed,
                None => return,
            }
        }
    }

    /// How much the server has; none: there is nothing to add.
    async fn resume(&self, client: &ByteStreamClient<Transport>, backoff: &mut Backoff) -> Option<u64> {
        let options = || CallOptions::default().with_timeout(Duration::from_secs(QUERY_TIMEOUT_SECONDS));
        loop {
            backoff.wait().await;
            let question = QueryWriteStatusRequest { resource_name: self.name.clone(), ..Default::default() };
            match client.query_write_status_with_options(question, options()).await {
                Ok(answer) => {
                    let answer = answer.into_owned();
                    let committed = u64::try_from(answer.committed_size).ok().filter(|at| *at <= self.spool.len());
                    return committed.filter(|_| !answer.complete);
                }
                // A stream that never got there begins at its beginning.
                Err(error) if error.code == ErrorCode::NotFound => return Some(0),
                Err(error) if is_final(&error) => return None,
                Err(error) => tracing::debug!("live stream: {error}; asking again"),
            }
        }
    }

    /// What is there from `offset` on, then what comes, then the end.
    fn requests(self, offset: u64) -> impl Stream<Item = WriteRequest> + Send + 'static {
        let start = (self, Some(offset), true);
        futures::stream::unfold(start, |(source, offset, is_first)| async move {
            let offset = offset?;
            let (data, finish_write) = source.next(offset).await?;
            let after = (!finish_write).then(|| offset + data.len() as u64);
            let resource_name = if is_first { source.name.clone() } else { String::new() };
            let request =
                WriteRequest { resource_name, write_offset: offset as i64, data, finish_write, ..Default::default() };
            Some((request, (source, after, false)))
        })
    }

    async fn next(&self, offset: u64) -> Option<(bytes::Bytes, bool)> {
        loop {
            // Asked first: what is there once it has ended is all there will be.
            let has_ended = self.ended.is_cancelled();
            let data = match self.spool.read(offset, LIVE_CHUNK_MAX_BYTES) {
                Ok(data) => data,
                Err(error) => {
                    tracing::debug!("live stream: {error}");
                    return None;
                }
            };
            let finish = has_ended && offset + data.len() as u64 == self.spool.len();
            if finish || !data.is_empty() {
                return Some((data, finish));
            }
            self.pause().await;
        }
    }

    async fn pause(&self) {
        tokio::select! {
            () = self.ended.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(LIVE_PAUSE_MS)) => {}
        }
    }
}

/// Whether the server will never take it.
fn is_final(error: &ConnectError) -> bool {
    !matches!(
        error.code,
        ErrorCode::Unavailable
            | ErrorCode::Aborted
            | ErrorCode::DeadlineExceeded
            | ErrorCode::Internal
            | ErrorCode::Unknown
    )
}
