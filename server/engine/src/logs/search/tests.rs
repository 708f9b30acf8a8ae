//! Search against a naive one: line by line, with nothing read side by side.

use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::visible::{utf16_len, visible};
use super::*;
use crate::clock::Clock;
use crate::logs::memory::MemoryLogs;
use crate::logs::{LINE_MAX_BYTES, LogAppend, LogLimits, LogStore, flags};

struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

/// A line of a log as it is stored.
#[derive(Clone, Debug)]
struct Stored {
    text: Vec<u8>,
    flags: u64,
    time_ms: i64,
}

fn append_of(at_lines: u64, lines: &[Stored], complete: bool) -> LogAppend {
    let (mut text, mut words) = (BytesMut::new(), BytesMut::new());
    for line in lines {
        text.put_slice(&line.text);
        text.put_u8(b'\n');
        words.put_u64_le((line.time_ms as u64) << flags::TIME_SHIFT | line.flags);
    }
    LogAppend { at_lines, text: text.freeze(), words: words.freeze(), complete, ..LogAppend::default() }
}

fn id() -> LogId {
    LogId::parse("a").unwrap()
}

fn room(store: MemoryLogs) -> LogRoom {
    LogRoom::new(Arc::new(store), Arc::new(Noon), LogLimits::default())
}

async fn logged(lines: &[Stored], complete: bool) -> LogRoom {
    let store = MemoryLogs::default();
    store.append(&id(), append_of(0, lines, complete)).await.unwrap();
    room(store)
}

fn query(pattern: &str) -> SearchQuery {
    SearchQuery {
        pattern: pattern.to_owned(),
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

fn tiny(block_bytes: u64) -> SearchLimits {
    SearchLimits { block_bytes, blocks_ahead: 3, found_bytes: 300, ..SearchLimits::default() }
}

/// All of a search, as one message.
async fn all(mut search: LogSearch) -> Result<SearchNews> {
    let mut all = SearchNews::default();
    while let Some(news) = search.next().await {
        let news = news?;
        assert!(!all.done && news.lines_searched >= all.lines_searched && news.matches >= all.matches);
        let hits = [std::mem::take(&mut all.hits), news.hits.clone()].concat();
        all = SearchNews { hits, ..news };
    }
    Ok(all)
}

/// What a search must find, by a look at each line alone.
fn naive(lines: &[Stored], query: &SearchQuery) -> SearchNews {
    let pattern = Pattern::new(&query.pattern, query.regex, query.case_sensitive).unwrap();
    let mut found = SearchNews { done: true, ..SearchNews::default() };
    let mut at = 0;
    while at < lines.len() {
        let first = at;
        let mut text = Vec::new();
        loop {
            text.extend_from_slice(&lines[at].text);
            at += 1;
            if at == lines.len() || lines[at - 1].flags & flags::JOINED == 0 {
                break;
            }
        }
        let asked = query.first_line..query.end_line.unwrap_or(u64::MAX);
        if !asked.contains(&(first as u64)) || lines[first].time_ms < query.since_ms {
            continue;
        }
        found.lines_total += (at - first) as u64;
        let shown = visible(&text);
        let mut columns = Vec::new();
        pattern.each(&shown, |from, to| {
            columns.push((utf16_len(&shown[..from]) as u32, utf16_len(&shown[..to]) as u32));
            std::ops::ControlFlow::Continue(())
        });
        if columns.is_empty() {
            continue;
        }
        found.matching_lines += 1;
        found.matches += columns.len() as u64;
        columns.truncate(SEARCH_COLUMNS_MAX);
        found.hits.push(SearchHit {
            line: first as u64,
            columns,
            text_cut: text.len() > LINE_MAX_BYTES,
            text: text.into(),
            time_ms: lines[first].time_ms,
            stderr: lines[first].flags & flags::STDERR != 0,
        });
    }
    found.lines_searched = found.lines_total;
    found.truncated = found.hits.len() as u64 > query.list_max;
    found.hits.truncate(query.list_max as usize);
    found
}

/// Lines as writers make them: after a JOINED one comes a CONTINUATION, others may be one.
fn stored() -> impl Strategy<Value = Vec<Stored>> {
    let parts = ["a", "b", "ab", "A", "B", "é", "É", "😀", " ", "\x1b[1m", "\x1b[0;3", "\x1b]0;x\x07", "\r", "\x07"];
    let part = prop_oneof![
        12 => prop::sample::select(parts.map(|part| part.as_bytes().to_vec()).to_vec()),
        1 => prop::sample::select(vec![b"\xff".to_vec(), b"\xe2\x82".to_vec(), b"\x80".to_vec(), b"\x1b".to_vec()]),
    ];
    let line = (prop::collection::vec(part, 0..8), 0..100_u8, any::<bool>());
    prop::collection::vec(line, 1..60).prop_map(|lines| {
        let mut joined = false;
        let lines = lines.into_iter().enumerate().map(|(number, (parts, dice, stderr))| {
            let mut word = if stderr { flags::STDERR } else { 0 };
            if joined || dice % 5 == 0 {
                word |= flags::CONTINUATION;
            }
            joined = dice < 40;
            if joined {
                word |= flags::JOINED;
            }
            Stored { text: parts.concat(), flags: word, time_ms: 1_000 + number as i64 / 3 }
        });
        lines.collect()
    })
}

fn queries() -> impl Strategy<Value = SearchQuery> {
    let pattern = prop_oneof![
        prop::sample::select(vec!["a", "ab", "AB", "b", "é", "éa", "😀", "ba b", "\r"]).prop_map(|text| (text, false)),
        prop::sample::select(vec![
            "a+b",
            "^a",
            "b$",
            r"\Aa",
            r"b\z",
            "[^b]b",
            r"\bab\b",
            "a*",
            "(?s).b",
            r"\s",
            "é|B",
            "^$",
            "(?-u:[^a])"
        ])
        .prop_map(|text| (text, true)),
    ];
    let range = (0..20_u64, prop::option::of(0..60_u64));
    (pattern, any::<bool>(), range, 0..1_015_i64, 0..4_u64, any::<bool>()).prop_map(
        |((pattern, regex), case_sensitive, (first_line, end_line), since_ms, list, from_start)| SearchQuery {
            regex,
            case_sensitive,
            first_line: if from_start { 0 } else { first_line },
            end_line,
            since_ms: if since_ms < 1_000 { 0 } else { since_ms },
            list_max: if list == 0 { 3 } else { u64::MAX },
            ..query(pattern)
        },
    )
}

/// Bytes that are not of a pattern's own may be cut in the middle of a character: then columns are not comparable.
fn comparable(news: SearchNews, query: &SearchQuery) -> SearchNews {
    let cuts = query.pattern.contains("(?-u") || query.pattern == "a*";
    let hits = news.hits.into_iter();
    let hits = hits.map(|hit| SearchHit { columns: if cuts { Vec::new() } else { hit.columns }, ..hit }).collect();
    // By time a search begins about there: how many lines it goes through is another question.
    let (lines_searched, lines_total) =
        if query.since_ms > 0 { (0, 0) } else { (news.lines_searched, news.lines_total) };
    SearchNews { hits, lines_searched, lines_total, ..news }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
    #[test]
    fn finds_what_a_naive_search_finds(lines in stored(), query in queries(), block in 1..200_u64, step in 1..70_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let expected = comparable(naive(&lines, &query), &query);
            let room = logged(&lines, true).await;
            let searches = LogSearches::new(room, tiny(block));
            let found = all(searches.search(&id(), query.clone(), Missing::Refuse, "").await.unwrap()).await.unwrap();
            assert_eq!(comparable(found, &query), expected, "blocks of {block}");

            // The same while it comes, in appends of some lines.
            let store = Arc::new(MemoryLogs::default());
            let room = LogRoom::new(store, Arc::new(Noon), LogLimits::default());
            let searches = LogSearches::new(room.clone(), tiny(block));
            let follow = SearchQuery { first_line: 0, end_line: None, since_ms: 0, follow: true, ..query.clone() };
            let expected = comparable(naive(&lines, &follow), &follow);
            let mut at = 0;
            let first = step.min(lines.len());
            room.inner.store.append(&id(), append_of(0, &lines[..first], false)).await.unwrap();
            at += first;
            let search = searches.search(&id(), follow.clone(), Missing::Refuse, "").await.unwrap();
            while at < lines.len() {
                let next = (at + step).min(lines.len());
                let live = room.inner.lives.get(&id());
                let head = room.head(&id()).await.unwrap();
                room.inner.write(&live, head, append_of(at as u64, &lines[at..next], false)).await.unwrap();
                at = next;
                tokio::task::yield_now().await;
            }
            room.close(&id()).await.unwrap();
            let found = followed(search).await;
            assert_eq!(comparable(found, &follow), expected, "followed, blocks of {block}, {step} lines at once");
        });
    }
}

/// As `all`, where more comes after what was there.
async fn followed(mut search: LogSearch) -> SearchNews {
    let mut all = SearchNews::default();
    while let Some(news) = search.next().await {
        let news = news.unwrap();
        let hits = [std::mem::take(&mut all.hits), news.hits.clone()].concat();
        all = SearchNews { hits, ..news };
    }
    all
}

fn plain(texts: &[&str]) -> Vec<Stored> {
    let line = |text: &&str| Stored { text: text.as_bytes().to_vec(), flags: 0, time_ms: 7 };
    texts.iter().map(line).collect()
}

#[tokio::test]
async fn a_log_that_may_come_is_empty_until_then() {
    let searches = LogSearches::new(room(MemoryLogs::default()), SearchLimits::default());
    let none = searches.search(&id(), query("x"), Missing::Refuse, "").await.err().map(|error| error.to_string());
    assert_eq!(none.as_deref(), Some("log a not found"));
    let empty = all(searches.search(&id(), query("x"), Missing::Wait, "").await.unwrap()).await.unwrap();
    assert_eq!(empty, SearchNews { done: true, ..SearchNews::default() });
}

#[tokio::test]
async fn what_comes_is_found_as_it_comes() {
    let room = logged(&plain(&["x 1", "y"]), false).await;
    let searches = LogSearches::new(room.clone(), SearchLimits::default());
    let mut search =
        searches.search(&id(), SearchQuery { follow: true, ..query("x") }, Missing::Refuse, "").await.unwrap();
    let news = search.next().await.unwrap().unwrap();
    assert_eq!((news.hits.len(), news.matches, news.lines_searched), (1, 1, 2));
    let news = search.next().await.unwrap().unwrap();
    assert!(news.done && news.hits.is_empty(), "{news:?}");
    let live = room.inner.lives.get(&id());
    let head = room.head(&id()).await.unwrap();
    let mut lines = plain(&["y", "an x"]);
    lines[1].flags = flags::JOINED;
    let head = room.inner.write(&live, head, append_of(2, &lines, false)).await.unwrap();
    let mut lines = plain(&["x", "x", "x"]);
    lines[0].flags = flags::CONTINUATION;
    room.inner.write(&live, head, append_of(4, &lines, false)).await.unwrap();
    let mut hits = Vec::new();
    while hits.len() < 3 {
        hits.extend(search.next().await.unwrap().unwrap().hits);
    }
    let found: Vec<_> = hits.iter().map(|hit| (hit.line, &hit.text[..], hit.columns.clone())).collect();
    assert_eq!(found[0], (3, &b"an xx"[..], vec![(3, 4), (4, 5)]), "once it is whole");
    assert_eq!((found[1].0, found[2].0), (5, 6));
    room.close(&id()).await.unwrap();
    let last = search.next().await.unwrap().unwrap();
    assert_eq!((last.done, last.matching_lines, last.matches, last.lines_searched), (true, 4, 5, 7));
    assert!(search.next().await.is_none());
}

#[tokio::test]
async fn searches_are_bounded_and_give_their_places_back() {
    let room = logged(&plain(&["x"]), false).await;
    let searches = LogSearches::new(room, SearchLimits { searches: 1, ..SearchLimits::default() });
    let mut first = searches.search(&id(), query("x"), Missing::Refuse, "").await.unwrap();
    let refused = searches.search(&id(), query("x"), Missing::Refuse, "").await.err().unwrap();
    assert!(
        matches!(&refused, Error::Exhausted(message) if message.contains("1 searches are under way")),
        "{refused:?}"
    );
    while first.next().await.is_some() {}
    let follow = SearchQuery { follow: true, ..query("x") };
    let mut following = searches.search(&id(), follow, Missing::Refuse, "").await.unwrap();
    while !following.next().await.unwrap().unwrap().done {}
    let again = all(searches.search(&id(), query("x"), Missing::Refuse, "").await.unwrap()).await.unwrap();
    assert_eq!(again.matches, 1, "one that only waits is in nobody's way");
}

#[tokio::test]
async fn one_project_leaves_places_for_others() {
    let room = logged(&plain(&["x"]), false).await;
    let searches = LogSearches::new(room, SearchLimits { project_searches: 1, ..SearchLimits::default() });
    let _first = searches.search(&id(), query("x"), Missing::Refuse, "a").await.unwrap();
    let refused = searches.search(&id(), query("x"), Missing::Refuse, "a").await.err().unwrap();
    assert!(
        matches!(&refused, Error::Exhausted(message) if message.contains("1 searches of one project")),
        "{refused:?}"
    );
    searches.search(&id(), query("x"), Missing::Refuse, "b").await.expect("another project's");
    searches.search(&id(), query("x"), Missing::Refuse, "").await.expect("of none");
}

#[tokio::test]
async fn a_dropped_search_reads_no_more() {
    let lines: Vec<_> = (0..10_000).map(|number| format!("line {number}")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let room = logged(&plain(&lines), true).await;
    let searches = LogSearches::new(room, SearchLimits { searches: 1, ..tiny(100) });
    let mut search = searches.search(&id(), query("line"), Missing::Refuse, "").await.unwrap();
    assert!(!search.next().await.unwrap().unwrap().done);
    let wanted = Arc::downgrade(&search.wanted);
    drop(search);
    // Whatever worked for it lets go of it.
    while wanted.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    let again = searches.search(&id(), query("9999"), Missing::Refuse, "").await.unwrap();
    assert_eq!(all(again).await.unwrap().matching_lines, 1);
}

#[tokio::test]
async fn long_lines_are_cut_in_the_answer_and_bounded_in_memory() {
    let mut text = String::new();
    while text.len() < 10 * LINE_MAX_BYTES {
        write!(text, "{:08} ", text.len()).unwrap();
    }
    let pieces = text.as_bytes().chunks(LINE_MAX_BYTES).map(<[u8]>::to_vec).enumerate();
    let mut lines: Vec<_> = pieces
        .map(|(piece, text)| Stored {
            text,
            flags: flags::JOINED | if piece == 0 { 0 } else { flags::CONTINUATION },
            time_ms: 7,
        })
        .collect();
    lines.last_mut().unwrap().flags = flags::CONTINUATION;
    let room = logged(&lines, true).await;
    // (At the beginning of the tenth piece.)
    let (at, wanted) = (9 * LINE_MAX_BYTES, format!("{:08}", 9 * LINE_MAX_BYTES));
    let whole = LogSearches::new(room.clone(), tiny(1000));
    let found = all(whole.search(&id(), query(&wanted), Missing::Refuse, "").await.unwrap()).await.unwrap();
    assert_eq!((found.hits[0].line, found.hits[0].columns[0].0 as usize), (0, at));
    assert!(found.hits[0].text_cut && found.hits[0].text == text.as_bytes()[..LINE_MAX_BYTES]);
    let bounded = LogSearches::new(room, SearchLimits { line_bytes: 2 * LINE_MAX_BYTES, ..tiny(1000) });
    let found = all(bounded.search(&id(), query(&wanted), Missing::Refuse, "").await.unwrap()).await.unwrap();
    assert_eq!((found.matching_lines, found.hits[0].line), (1, 8), "in parts");
}
