//! Tells the one who searches what was found and how far it has come. It knows nothing of logs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::SearchNews;
use super::merge::Unheard;
use super::scan::{Found, Wanted};
use crate::logs::LogError;

/// How often a search says how far it has come, in milliseconds.
pub const SEARCH_PROGRESS_MS: u64 = 200;
/// How long a search waits for its reader to take a message, in milliseconds; then it ends.
pub const SEARCH_READER_MAX_MS: u64 = 30_000;

/// Tells the one who searches.
pub struct Teller {
    /// What the next message says.
    pub news: SearchNews,
    sender: mpsc::Sender<Result<SearchNews, LogError>>,
    wanted: Arc<Wanted>,
    listed: u64,
    /// How many lines the last message said were searched.
    told_searched: u64,
    tick: Interval,
}

impl Teller {
    /// By this way.
    pub fn new(sender: mpsc::Sender<Result<SearchNews, LogError>>, wanted: Arc<Wanted>) -> Self {
        let mut tick = interval(Duration::from_millis(SEARCH_PROGRESS_MS));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        Self { news: SearchNews::default(), sender, wanted, listed: 0, told_searched: 0, tick }
    }

    /// Adds what was found to the next message; answers whether there is something to list.
    pub fn add(&mut self, found: Found) -> bool {
        let left = self.wanted.list_left.load(Ordering::Relaxed);
        let hits = found.hits.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX));
        let before = self.news.hits.len();
        self.news.hits.extend(hits);
        let new = (self.news.hits.len() - before) as u64;
        self.listed += new;
        self.wanted.list_left.store(left - new, Ordering::Relaxed);
        self.news.matching_lines += found.matching_lines;
        self.news.matches += found.matches;
        self.news.truncated = self.news.matching_lines > self.listed;
        !self.news.hits.is_empty()
    }

    /// Comes back when it is time for a message.
    pub async fn tick(&mut self) {
        self.tick.tick().await;
    }

    /// Whether more was searched since the last message.
    pub fn is_new(&self) -> bool {
        self.news.lines_searched != self.told_searched
    }

    /// Sends a message.
    pub async fn tell(&mut self) -> Result<(), Unheard> {
        self.tick.reset();
        self.told_searched = self.news.lines_searched;
        let hits = std::mem::take(&mut self.news.hits);
        let news = SearchNews { hits, ..self.news.clone() };
        // Who takes nothing must not keep others from searching.
        let patience = Duration::from_millis(SEARCH_READER_MAX_MS);
        let Ok(sent) = timeout(patience, self.sender.send(Ok(news))).await else {
            self.wanted.untaken.store(true, Ordering::Relaxed);
            return Err(Unheard);
        };
        sent.map_err(|_| Unheard)
    }

    /// The last message: it failed.
    pub async fn fail(&self, error: LogError) -> Result<(), Unheard> {
        self.sender.send(Err(error)).await.map_err(|_| Unheard)
    }
}
