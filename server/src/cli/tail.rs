//! One log from some place on, whatever happens to the connection: resumes at the byte it had come to, so that nothing is
//! lost and nothing comes twice. Knows nothing of runs or of how lines are shown.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use connectrpc::{ConnectError, ErrorCode};
use futures::Stream;
use millrace_proto::millrace::v1::{
    FollowData, FollowRequest, Log, SearchHit, follow_request::Start, follow_response::Event,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    client::Server,
    exit::CliError,
    position::Position,
    retry::{Backoff, SILENCE_MAX, may_pass},
    search_tail::Search,
};

/// How many messages of a log may wait to be shown; then the server waits.
const TAIL_QUEUE_MAX: usize = 8;

/// What a log has to say.
#[derive(Debug)]
pub enum Tail {
    /// First of each connection: the log as it was then.
    Hello(Log),
    /// Whole lines that were not there before; those that were split are together, as far as memory goes.
    Lines(FollowData),
    /// In their place, when only those with some text are wanted.
    Found(Vec<SearchHit>),
    /// A part of the log is gone.
    Gap {
        /// How many bytes.
        bytes: u64,
        /// Why.
        reason: String,
    },
    /// The connection broke; it is being made again.
    Away(String),
    /// Last: the log is complete, or all that was there has come.
    End,
    /// Last: the log can't be had.
    Failed(CliError),
}

/// What is wanted of a log.
#[derive(Clone, Debug)]
pub enum Reading {
    /// All from some place on.
    Lines(Start),
    /// What has some text in it.
    Found(Search),
}

impl Reading {
    /// The same of a log that begins later: it has no lines from before.
    pub fn of_later_log(&self) -> Self {
        match self {
            Self::Lines(Start::SinceMillis(millis)) => Self::Lines(Start::SinceMillis(*millis)),
            Self::Lines(Start::Offset(_) | Start::LastLines(_)) => Self::Lines(Start::Offset(0)),
            Self::Found(search) => Self::Found(Search { last_lines: None, ..search.clone() }),
        }
    }

    /// Begins to read a log; with `follow` to its end, without as far as it has come.
    pub fn start(&self, server: &Server, log_id: &str, follow: bool) -> LogTail {
        match self {
            Self::Lines(start) => LogTail::new(server, log_id, start.clone(), follow),
            Self::Found(search) => search.start(server, log_id, follow),
        }
    }
}

/// A log being followed: a stream of what it has to say. Ends when dropped.
pub struct LogTail {
    receiver: mpsc::Receiver<Tail>,
    task: JoinHandle<()>,
}

impl LogTail {
    /// Begins to read a log; with `follow` to its end, without as far as it has come.
    pub fn new(server: &Server, log_id: &str, start: Start, follow: bool) -> Self {
        Self::of(server, Follower { log_id: log_id.to_owned(), follow, position: Position::at(start) })
    }

    /// Begins to make these calls.
    pub(super) fn of(server: &Server, calls: impl Calls) -> Self {
        let (sender, receiver) = mpsc::channel(TAIL_QUEUE_MAX);
        Self { receiver, task: tokio::spawn(with_retries(calls, server.clone(), sender)) }
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

/// How a call came to its end.
pub(super) enum Outcome {
    /// All has come.
    Complete,
    /// Nobody listens any more.
    Unheard,
    /// Another call goes on.
    Again,
}

/// Calls that read a log, one after the other: each goes on where the last one ended.
pub(super) trait Calls: Send + 'static {
    /// Makes a call and sends what comes. What has come says that the server is there: the backoff begins anew.
    fn call(
        &mut self,
        server: &Server,
        sender: &mpsc::Sender<Tail>,
        backoff: &mut Backoff,
    ) -> impl Future<Output = Result<Outcome, ConnectError>> + Send;

    /// What is still to be sent when all has come.
    fn rest(&mut self) -> Option<Tail>;
}

/// Makes calls until all has come, it is given up, or nobody listens.
async fn with_retries(mut calls: impl Calls, server: Server, sender: mpsc::Sender<Tail>) {
    let mut backoff = Backoff::default();
    loop {
        let error = match calls.call(&server, &sender, &mut backoff).await {
            Ok(Outcome::Complete) => {
                for last in calls.rest().into_iter().chain([Tail::End]) {
                    // Nobody listens any more: then nobody misses it.
                    _ = sender.send(last).await;
                }
                return;
            }
            Ok(Outcome::Unheard) => return,
            Ok(Outcome::Again) => continue,
            Err(error) => error,
        };
        if !retry(&server, &sender, &mut backoff, error).await {
            return;
        }
    }
}

/// After a break: tells of it, and waits until it is time to try again. No: it is given up, and that was told.
async fn retry(server: &Server, sender: &mpsc::Sender<Tail>, backoff: &mut Backoff, error: ConnectError) -> bool {
    let first = !backoff.is_away();
    let wait = if may_pass(&error) { backoff.failed(Instant::now()) } else { None };
    // Nobody listens any more: then nobody misses it.
    let Some(wait) = wait else {
        _ = sender.send(Tail::Failed(server.explain(&error))).await;
        return false;
    };
    if first {
        let why = error.message.unwrap_or_else(|| error.code.as_str().to_owned());
        _ = sender.send(Tail::Away(why)).await;
    }
    tokio::time::sleep(wait).await;
    true
}

pub(super) fn silence() -> ConnectError {
    ConnectError::new(ErrorCode::Unavailable, format!("the server said nothing for {} s", SILENCE_MAX.as_secs()))
}

struct Follower {
    log_id: String,
    follow: bool,
    position: Position,
}

impl Calls for Follower {
    async fn call(
        &mut self,
        server: &Server,
        sender: &mpsc::Sender<Tail>,
        backoff: &mut Backoff,
    ) -> Result<Outcome, ConnectError> {
        let request =
            FollowRequest { log_id: self.log_id.clone(), start: Some(self.position.request()), ..Default::default() };
        let client = server.logs();
        let mut stream = timeout(SILENCE_MAX, client.follow(request)).await.map_err(|_| silence())??;
        loop {
            let message = timeout(SILENCE_MAX, stream.message()).await.map_err(|_| silence())??;
            let message = message.ok_or_else(|| ConnectError::unavailable("the server ended the stream"))?;
            backoff.reset();
            let tails = match message.to_owned_message().event {
                Some(Event::Hello(hello)) => {
                    let offset = hello.offset;
                    hello.log.into_option().map_or_else(Vec::new, |log| self.position.hello(log, offset))
                }
                Some(Event::Data(data)) => self.position.data(*data),
                Some(Event::Gap(gap)) => self.position.gap(gap.offset, gap.reason),
                Some(Event::Heartbeat(_)) | None => Vec::new(),
                Some(Event::End(_)) => return Ok(Outcome::Complete),
            };
            for tail in tails {
                if sender.send(tail).await.is_err() {
                    return Ok(Outcome::Unheard);
                }
            }
            if !self.follow && self.position.is_at_goal() {
                return Ok(Outcome::Complete);
            }
        }
    }

    fn rest(&mut self) -> Option<Tail> {
        self.position.rest()
    }
}

#[cfg(test)]
mod tests;
