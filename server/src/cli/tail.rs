//! One log from some place on, whatever happens to the connection: resumes at the byte it had come to, so that nothing is
//! lost and nothing comes twice. Knows nothing of runs or of how lines are shown.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Buf;
use connectrpc::{ConnectError, ErrorCode};
use futures::Stream;
use millrace_proto::millrace::v1::{FollowData, FollowRequest, Log, follow_request::Start, follow_response::Event};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    client::Server,
    exit::CliError,
    line::LINE_META_BYTES,
    retry::{Backoff, SILENCE_MAX, may_pass},
};

/// How many messages of a log may wait to be shown; then the server waits.
const TAIL_QUEUE_MAX: usize = 8;

/// What a log has to say.
#[derive(Debug)]
pub enum Tail {
    /// First of each connection: the log as it was then.
    Hello(Log),
    /// Whole lines that were not there before.
    Lines(FollowData),
    /// A part of the log is gone.
    Gap {
        /// How many bytes.
        bytes: u64,
        /// Why.
        reason: String,
    },
    /// The connection broke; it is being made again.
    Away(String),
    /// Last: the log is complete.
    End,
    /// Last: the log can't be had.
    Failed(CliError),
}

/// A log being followed: a stream of what it has to say. Ends when dropped.
pub struct LogTail {
    receiver: mpsc::Receiver<Tail>,
    task: JoinHandle<()>,
}

impl LogTail {
    /// Begins to follow a log.
    pub fn new(server: &Server, log_id: &str, start: Start) -> Self {
        let (sender, receiver) = mpsc::channel(TAIL_QUEUE_MAX);
        let follower =
            Follower { server: server.clone(), log_id: log_id.to_owned(), position: Position::at(start), sender };
        Self { receiver, task: tokio::spawn(follower.follow()) }
    }
}

impl Stream for LogTail {
    type Item = Tail;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Tail>> {
        self.receiver.poll_recv(context)
    }
}

impl Drop for LogTail {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a stream came to its end.
enum Outcome {
    /// The log is complete.
    Complete,
    /// Nobody listens any more.
    Unheard,
    /// The stream broke.
    Broken(ConnectError),
}

struct Follower {
    server: Server,
    log_id: String,
    position: Position,
    sender: mpsc::Sender<Tail>,
}

impl Follower {
    async fn follow(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.stream(&mut backoff).await {
                Outcome::Complete => return self.tell(Tail::End).await,
                Outcome::Unheard => return,
                Outcome::Broken(error) => error,
            };
            let first = !backoff.is_away();
            let wait = if may_pass(&error) { backoff.failed(Instant::now()) } else { None };
            let Some(wait) = wait else {
                return self.tell(Tail::Failed(self.server.explain(&error))).await;
            };
            if first {
                self.tell(Tail::Away(error.message.unwrap_or_else(|| error.code.as_str().to_owned()))).await;
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn stream(&mut self, backoff: &mut Backoff) -> Outcome {
        let request =
            FollowRequest { log_id: self.log_id.clone(), start: Some(self.position.request()), ..Default::default() };
        let client = self.server.logs();
        let mut stream = match timeout(SILENCE_MAX, client.follow(request)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Outcome::Broken(error),
            Err(_) => return Outcome::Broken(silence()),
        };
        loop {
            let message = match timeout(SILENCE_MAX, stream.message()).await {
                Ok(Ok(Some(message))) => message.to_owned_message(),
                Ok(Ok(None)) => {
                    return Outcome::Broken(ConnectError::unavailable("the server ended the stream"));
                }
                Ok(Err(error)) => return Outcome::Broken(error),
                Err(_) => return Outcome::Broken(silence()),
            };
            backoff.reset();
            let tails = match message.event {
                Some(Event::Hello(hello)) => {
                    hello.log.into_option().map_or_else(Vec::new, |log| self.position.hello(log))
                }
                Some(Event::Data(data)) => self.position.data(*data),
                Some(Event::Gap(gap)) => self.position.gap(gap.offset, gap.reason),
                Some(Event::Heartbeat(_)) | None => Vec::new(),
                Some(Event::End(_)) => return Outcome::Complete,
            };
            for tail in tails {
                if self.sender.send(tail).await.is_err() {
                    return Outcome::Unheard;
                }
            }
        }
    }

    async fn tell(&self, tail: Tail) {
        // Nobody listens any more: then nobody misses it.
        _ = self.sender.send(tail).await;
    }
}

fn silence() -> ConnectError {
    ConnectError::new(ErrorCode::Unavailable, format!("the server said nothing for {} s", SILENCE_MAX.as_secs()))
}

/// How far a log has been read.
#[derive(Debug)]
struct Position {
    start: Start,
    /// The byte to go on at, once known.
    next: Option<u64>,
}

impl Position {
    fn at(start: Start) -> Self {
        let next = match start {
            Start::Offset(offset) => Some(offset),
            Start::LastLines(_) | Start::SinceMillis(_) => None,
        };
        Self { start, next }
    }

    fn request(&self) -> Start {
        self.next.map_or_else(|| self.start.clone(), Start::Offset)
    }

    fn hello(&mut self, log: Log) -> Vec<Tail> {
        if matches!(self.start, Start::LastLines(0)) {
            self.next.get_or_insert(log.size_bytes);
        }
        vec![Tail::Hello(log)]
    }

    fn data(&mut self, mut data: FollowData) -> Vec<Tail> {
        let mut tails = Vec::new();
        if let Some(next) = self.next {
            if data.offset > next {
                tails.extend(self.gap(data.offset, "the server left it out".to_owned()));
            } else if data.offset < next {
                drop_lines_before(&mut data, next);
            }
        }
        self.next = Some(data.offset + data.data.len() as u64);
        if !data.data.is_empty() {
            tails.push(Tail::Lines(data));
        }
        tails
    }

    fn gap(&mut self, offset: u64, reason: String) -> Vec<Tail> {
        let bytes = offset.saturating_sub(self.next.unwrap_or(offset));
        self.next = Some(offset);
        vec![Tail::Gap { bytes, reason }]
    }
}

/// Removes the whole lines that lie before a byte of the log.
fn drop_lines_before(data: &mut FollowData, next: u64) {
    let known = usize::try_from(next - data.offset).unwrap_or(usize::MAX).min(data.data.len());
    let lines = memchr::memchr_iter(b'\n', &data.data[..known]).count();
    data.data.advance(known);
    data.line_meta.advance((lines * LINE_META_BYTES).min(data.line_meta.len()));
    data.first_line += lines as u64;
    data.offset += known as u64;
}

#[cfg(test)]
mod tests;
