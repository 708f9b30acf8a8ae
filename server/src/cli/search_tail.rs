//! The lines of one log with some text in them, found by the server, whatever happens to the connection: goes on after the
//! last line that came, so that none is lost and none comes twice. However many there are, all of them come.

use connectrpc::ConnectError;
use millrace_proto::millrace::v1::{GetLogRequest, SearchRequest};
use tokio::{sync::mpsc, time::timeout};

use super::{
    client::Server,
    retry::{Backoff, SILENCE_MAX},
    tail::{Calls, LogTail, Outcome, Tail, silence},
};

/// How many lines a call lists at most; then another call goes on.
const LIST_MAX: u32 = 1_000_000;

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The text, or regular expression.
    pub pattern: String,
    /// It is a regular expression.
    pub regex: bool,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// Only the last so many lines that are there, and what comes.
    pub last_lines: Option<u64>,
    /// Only lines of this time or later, in Unix milliseconds.
    pub since_millis: i64,
}

impl Search {
    /// Searches a log; with `follow` also what comes.
    pub fn start(&self, server: &Server, log_id: &str, follow: bool) -> LogTail {
        let request = SearchRequest {
            log_id: log_id.to_owned(),
            pattern: self.pattern.clone(),
            regex: self.regex,
            case_sensitive: !self.ignore_case,
            since_millis: self.since_millis,
            max_lines: LIST_MAX,
            with_text: true,
            follow,
            ..Default::default()
        };
        LogTail::of(server, Searcher { request, last_lines: self.last_lines })
    }
}

struct Searcher {
    /// What is still to be searched.
    request: SearchRequest,
    last_lines: Option<u64>,
}

impl Calls for Searcher {
    async fn call(
        &mut self,
        server: &Server,
        sender: &mpsc::Sender<Tail>,
        backoff: &mut Backoff,
    ) -> Result<Outcome, ConnectError> {
        let client = server.logs();
        if let Some(lines) = self.last_lines {
            let request = GetLogRequest { log_id: self.request.log_id.clone(), ..Default::default() };
            let log = timeout(SILENCE_MAX, client.get_log(request)).await.map_err(|_| silence())??.into_owned().log;
            self.request.first_line = log.lines.saturating_sub(lines);
            self.last_lines = None;
        }
        let stream = timeout(SILENCE_MAX, client.search(self.request.clone())).await;
        let mut stream = stream.map_err(|_| silence())??;
        loop {
            let message = timeout(SILENCE_MAX, stream.message()).await.map_err(|_| silence())??;
            let Some(message) = message.map(|message| message.to_owned_message()) else {
                // The log is complete, and all of it was searched.
                return if self.request.follow { Ok(Outcome::Complete) } else { Err(cut()) };
            };
            backoff.reset();
            if let Some(last) = message.hits.last() {
                self.request.first_line = last.line + 1;
                if sender.send(Tail::Found(message.hits)).await.is_err() {
                    return Ok(Outcome::Unheard);
                }
            }
            if message.truncated {
                return Ok(Outcome::Again);
            }
            if message.done && !self.request.follow {
                return Ok(Outcome::Complete);
            }
        }
    }

    fn rest(&mut self) -> Option<Tail> {
        None
    }
}

fn cut() -> ConnectError {
    ConnectError::unavailable("the server ended the search")
}
