//! A search whose reader does not read: how far it goes, and what it keeps.

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};

use super::*;
use crate::clock::Clock;
use crate::logs::memory::MemoryLogs;
use crate::logs::{LogAppend, LogLimits, LogLines, LogMark, LogStore, LogSummary};

const LINES: u64 = 40_000;
/// Each line has so many bytes, its end among them.
const LINE_BYTES: u64 = 10;
const BLOCK_BYTES: u64 = 10_000;
const BLOCKS_AHEAD: usize = 3;
/// Some ten hits.
const FOUND_BYTES: usize = 1_500;

struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

/// Counts the lines that are read of one log.
#[derive(Default)]
struct Counted {
    logs: MemoryLogs,
    read: AtomicU64,
}

#[async_trait]
impl LogStore for Counted {
    async fn head(&self, id: &LogId) -> std::result::Result<LogHead, LogError> {
        self.logs.head(id).await
    }

    async fn append(&self, id: &LogId, append: LogAppend) -> std::result::Result<LogHead, LogError> {
        self.logs.append(id, append).await
    }

    async fn read(
        &self,
        id: &LogId,
        from: ReadFrom,
        max_lines: u64,
        max_bytes: usize,
    ) -> std::result::Result<LogLines, LogError> {
        let lines = self.logs.read(id, from, max_lines, max_bytes).await?;
        if id.as_str() == "dense" {
            self.read.fetch_add(lines.lines(), Ordering::Relaxed);
        }
        Ok(lines)
    }

    async fn read_bytes(&self, id: &LogId, offset: u64, max_bytes: usize) -> std::result::Result<Bytes, LogError> {
        self.logs.read_bytes(id, offset, max_bytes).await
    }

    async fn marks(&self, id: &LogId) -> std::result::Result<Vec<LogMark>, LogError> {
        self.logs.marks(id).await
    }

    async fn list(&self, after: Option<&LogId>, limit: usize) -> std::result::Result<Vec<LogId>, LogError> {
        self.logs.list(after, limit).await
    }

    async fn delete(&self, id: &LogId) -> std::result::Result<(), LogError> {
        self.logs.delete(id).await
    }

    async fn trim(&self, id: &LogId, before_line: u64) -> std::result::Result<LogHead, LogError> {
        self.logs.trim(id, before_line).await
    }

    async fn survey(&self, shard: u16) -> std::result::Result<Vec<LogSummary>, LogError> {
        self.logs.survey(shard).await
    }

    async fn stored(&self, id: &LogId) -> std::result::Result<(u64, bool), LogError> {
        self.logs.stored(id).await
    }
}

/// A log in which each line is a hit, and another one like it.
async fn dense() -> (Arc<Counted>, LogId) {
    let (mut text, mut words) = (BytesMut::new(), BytesMut::new());
    for line in 0..LINES {
        text.put_slice(format!("x x {line:05}\n").as_bytes());
        words.put_u64_le(0);
    }
    let (store, id) = (Arc::new(Counted::default()), LogId::parse("dense").unwrap());
    let append = LogAppend { text: text.freeze(), words: words.freeze(), complete: true, ..LogAppend::default() };
    store.append(&LogId::parse("other").unwrap(), append.clone()).await.unwrap();
    store.append(&id, append).await.unwrap();
    (store, id)
}

fn query() -> SearchQuery {
    SearchQuery {
        pattern: "x".into(),
        regex: false,
        case_sensitive: true,
        first_line: 0,
        end_line: None,
        since_ms: 0,
        list_max: u64::MAX,
        with_text: true,
        follow: false,
    }
}

/// Waits until the search has something to say, and then as long as another one takes for all of an equal log.
async fn wait_while_another_searches(search: &LogSearch, searches: &LogSearches) {
    while search.news.len() < NEWS_WAITING_MAX {
        tokio::task::yield_now().await;
    }
    let mut other = searches.search(&LogId::parse("other").unwrap(), query(), Missing::Refuse, "").await.unwrap();
    let mut found = 0;
    while let Some(news) = other.next().await {
        found = news.unwrap().matching_lines;
    }
    assert_eq!(found, LINES, "a slow reader is in nobody's way");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_until_the_reader_takes_what_was_found() {
    let (store, id) = dense().await;
    let room = LogRoom::new(Arc::clone(&store) as Arc<dyn LogStore>, Arc::new(Noon), LogLimits::default());
    let limits = SearchLimits {
        block_bytes: BLOCK_BYTES,
        blocks_ahead: BLOCKS_AHEAD,
        found_bytes: FOUND_BYTES,
        ..SearchLimits::default()
    };
    let searches = LogSearches::new(room, limits);
    let mut search = searches.search(&id, query(), Missing::Refuse, "").await.unwrap();
    wait_while_another_searches(&search, &searches).await;
    // Those ahead, the one whose hits wait to be taken, and what is cut where blocks end.
    let most = (BLOCKS_AHEAD as u64 + 3) * BLOCK_BYTES / LINE_BYTES;
    let read = store.read.load(Ordering::Relaxed);
    assert!(read > 0 && read <= most, "{read} lines were read, {most} may be");
    // What is under way comes in small pieces, each found once the one before was taken.
    let (mut lines, mut pieces) = (0, 0);
    while let Some(news) = search.next().await {
        let news = news.unwrap();
        let bytes: usize = news.hits.iter().map(SearchHit::bytes).sum();
        assert!(bytes <= FOUND_BYTES + 300, "{bytes} bytes of hits at once");
        for hit in news.hits {
            assert_eq!((hit.line, hit.columns.len()), (lines, 2));
            lines += 1;
        }
        pieces += 1;
        if pieces == 500 {
            wait_while_another_searches(&search, &searches).await;
            let ahead = store.read.load(Ordering::Relaxed) - lines;
            assert!(ahead <= most, "{ahead} lines were read ahead, {most} may be");
        }
    }
    assert!(lines == LINES && pieces > 1_000, "{lines} lines in {pieces} pieces");
}
