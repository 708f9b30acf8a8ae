//! `LogService.Search`: the request checked, the engine's news as messages of a bounded size, and a sign of life while a
//! search waits for what comes.

use std::collections::VecDeque;
use std::sync::Arc;

use connectrpc::ConnectError;
use futures::{Stream, stream};
use millrace_engine::error::Result;
use millrace_engine::logs::search::{LogSearch, SearchHit, SearchNews, SearchQuery};
use millrace_proto::millrace::v1 as api;

use super::follow::Follow;
use super::log::{limit, since};
use super::status::status;
use crate::app::App;
use crate::auth::Caller;

/// How many lines are listed when the request does not say.
const LIST_DEFAULT: u32 = 10_000;
/// The most lines that are listed.
const LIST_MAX: u32 = 1_000_000;
/// A message is sent when it has so many bytes of hits, about.
const MESSAGE_BYTES: usize = 512 * 1024;
/// What a hit takes besides its text and columns, about, in bytes.
const HIT_BYTES: usize = 32;

/// A search of a log that the caller may read.
pub struct Searching {
    follow: Follow,
    search: LogSearch,
    waiting: VecDeque<api::SearchResponse>,
    /// What the last message said.
    last: api::SearchResponse,
}

impl Searching {
    /// Begins to search.
    pub async fn begin(app: &Arc<App>, caller: &Caller, follow: Follow, request: api::SearchRequest) -> Result<Self> {
        let list_max = limit("max_lines", request.max_lines, LIST_DEFAULT, LIST_MAX)?;
        let since_ms = since(request.since_millis)?;
        let query = SearchQuery {
            pattern: request.pattern,
            regex: request.regex,
            case_sensitive: request.case_sensitive,
            first_line: request.first_line,
            end_line: Some(request.end_line).filter(|end| *end > 0),
            since_ms,
            list_max: u64::from(list_max),
            with_text: request.with_text,
            follow: request.follow,
        };
        let missing = if request.follow { follow.attend().await? } else { follow.missing().await? };
        let search = app.searches.search(&follow.id, query, missing, caller.project().unwrap_or_default()).await?;
        Ok(Self { follow, search, waiting: VecDeque::new(), last: api::SearchResponse::default() })
    }

    /// Its messages.
    pub fn messages(self) -> impl Stream<Item = Result<api::SearchResponse, ConnectError>> + Send + 'static {
        stream::unfold(Some(self), |searching| async move {
            let mut searching = searching?;
            match searching.next().await {
                Ok(Some(message)) => Some((Ok(message), Some(searching))),
                Ok(None) => None,
                Err(error) => Some((Err(status(error)), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<api::SearchResponse>> {
        if let Some(message) = self.waiting.pop_front() {
            return Ok(Some(message));
        }
        match self.follow.wait(self.search.next()).await? {
            Some(Some(news)) => self.take(news?),
            Some(None) => return Ok(None),
            // Nothing new: a sign of life.
            None => self.waiting.push_back(self.last.clone()),
        }
        Ok(self.waiting.pop_front())
    }

    /// Makes messages of what is new: how far it has come stands in the last of them, so that who goes on there misses none.
    fn take(&mut self, news: SearchNews) {
        let (mut hits, mut bytes) = (Vec::new(), 0);
        for hit in news.hits {
            bytes += HIT_BYTES + hit.text.len() + 8 * hit.columns.len();
            hits.push(wire(hit));
            if bytes >= MESSAGE_BYTES {
                let hits = std::mem::take(&mut hits);
                self.waiting.push_back(api::SearchResponse { hits, done: false, ..self.last.clone() });
                bytes = 0;
            }
        }
        self.last = api::SearchResponse {
            lines_searched: news.lines_searched,
            lines_total: news.lines_total,
            matching_lines: news.matching_lines,
            matches: news.matches,
            truncated: news.truncated,
            done: news.done,
            ..Default::default()
        };
        self.waiting.push_back(api::SearchResponse { hits, ..self.last.clone() });
    }
}

fn wire(hit: SearchHit) -> api::SearchHit {
    api::SearchHit {
        line: hit.line,
        columns: hit.columns.into_iter().flat_map(|(from, to)| [from, to]).collect(),
        text: hit.text,
        time_millis: hit.time_ms,
        stderr: hit.stderr,
        text_cut: hit.text_cut,
        ..Default::default()
    }
}
