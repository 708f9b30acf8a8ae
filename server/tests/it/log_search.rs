//! `LogService.Search` by tonic and as Connect's JSON: what is found, where, how much of it is told; live; and what is refused.

use millrace_bench::wire::millrace_v1::follow_request::Start;
use millrace_bench::wire::millrace_v1::follow_response::Event;
use millrace_bench::wire::millrace_v1::{
    FollowRequest, GetLogRequest, ReadLinesRequest, SearchHit, SearchRequest, SearchResponse,
};
use millrace_engine::logs::search::SEARCHES_PROJECT_MAX;
use millrace_server::auth::Role;
use serde_json::{Value, json};
use tonic::{Code, Streaming};

use crate::agent_grpc::log_of;
use crate::app::{TestApp, within};
use crate::log_reading::{ended, printed};

/// Longer than a line may be: it is split.
const LONG_BYTES: usize = 150_000;
/// So many rows of a thousand bytes are more than sockets hold.
const SLOW_ROWS: i64 = 14_000;

fn request(log: &str, pattern: &str) -> SearchRequest {
    SearchRequest { log_id: log.into(), pattern: pattern.into(), ..SearchRequest::default() }
}

async fn search(test: &TestApp, request: SearchRequest) -> Streaming<SearchResponse> {
    within("a search", test.logs().search(request)).await.expect("a stream").into_inner()
}

/// All of a search: its hits, and its last message.
async fn all(test: &TestApp, request: SearchRequest) -> (Vec<SearchHit>, SearchResponse) {
    let mut stream = search(test, request).await;
    let (mut hits, mut last) = (Vec::new(), SearchResponse::default());
    while let Some(mut message) = within("the search", stream.message()).await.expect("a message") {
        assert!(!last.done, "nothing after the last message");
        hits.append(&mut message.hits);
        last = message;
    }
    assert!(last.done);
    (hits, last)
}

async fn lines_with(test: &TestApp, request: SearchRequest) -> Vec<u64> {
    all(test, request).await.0.iter().map(|hit| hit.line).collect()
}

#[tokio::test]
async fn lines_are_found_with_their_columns() {
    let test = TestApp::with_tokens().await;
    let rows = ["one ERROR", "\u{1b}[31mer\u{1b}[0mror, é error\r", "nothing", "Error 4\nerror in row 5", ""];
    let (mut agent, run, log) = printed(&test, &rows).await;
    ended(&mut agent, &run, 5).await;
    let (hits, last) = all(&test, SearchRequest { with_text: true, ..request(&log, "error") }).await;
    let found: Vec<_> = hits.iter().map(|hit| (hit.line, hit.columns.as_slice())).collect();
    assert_eq!(found, [(0, &[4, 9][..]), (1, &[0, 5, 9, 14]), (3, &[0, 5]), (4, &[0, 5])]);
    assert_eq!(hits[1].text, "\u{1b}[31mer\u{1b}[0mror, é error\r".as_bytes());
    assert!(hits[0].time_millis > 0 && !hits[0].text_cut && !hits[0].stderr);
    assert_eq!(
        (last.lines_searched, last.lines_total, last.matching_lines, last.matches, last.truncated),
        (6, 6, 4, 5, false)
    );
    let (bare, _) = all(&test, request(&log, "error")).await;
    assert!(bare.iter().all(|hit| hit.text.is_empty()) && bare.len() == 4);

    let of = |more: SearchRequest| SearchRequest { log_id: log.clone(), pattern: "error".into(), ..more };
    let case_sensitive = SearchRequest { case_sensitive: true, ..SearchRequest::default() };
    assert_eq!(lines_with(&test, of(case_sensitive)).await, [1, 4]);
    let range = SearchRequest { first_line: 1, end_line: 4, ..SearchRequest::default() };
    assert_eq!(lines_with(&test, of(range)).await, [1, 3]);
    let later = SearchRequest { since_millis: i64::MAX >> 20, ..SearchRequest::default() };
    assert_eq!(lines_with(&test, of(later)).await, Vec::<u64>::new());
    let earlier = SearchRequest { since_millis: hits[0].time_millis, ..SearchRequest::default() };
    assert_eq!(lines_with(&test, of(earlier)).await.len(), 4);
    let regex = SearchRequest { regex: true, ..request(&log, r"^(one|error).*\d$") };
    assert_eq!(lines_with(&test, regex).await, [3, 4]);
    let (hits, last) = all(&test, of(SearchRequest { max_lines: 2, ..SearchRequest::default() })).await;
    assert_eq!(
        (hits.len(), last.truncated, last.matching_lines, last.matches),
        (2, true, 4, 5),
        "the others are counted"
    );
    test.close().await;
}

#[tokio::test]
async fn a_search_follows_what_comes_and_sees_split_lines_whole() {
    let test = TestApp::with_tokens().await;
    let (mut agent, run, log) = printed(&test, &["first x"]).await;
    let mut stream = search(&test, SearchRequest { follow: true, with_text: true, ..request(&log, "x 1") }).await;
    while !within("the search", stream.message()).await.expect("a message").expect("it goes on").done {}
    // The pattern lies over the place where the line is split.
    let mut long = "-".repeat(LONG_BYTES);
    long.replace_range(65_535..65_538, "x 1");
    let more = millrace_bench::wire::runner_v1::UpdateLogRequest { index: 1, ..log_of(&run, &["y", &long, "x 1"]) };
    agent.client.update_log(more).await.expect("stored");
    let mut hits = Vec::new();
    while hits.len() < 2 {
        hits.extend(within("hits", stream.message()).await.expect("a message").expect("it goes on").hits);
    }
    assert_eq!((hits[0].line, hits[0].columns.as_slice()), (2, &[65_535, 65_538][..]));
    assert!(hits[0].text_cut && hits[0].text == long.as_bytes()[..65_536]);
    assert_eq!(hits[1].text, b"x 1");
    ended(&mut agent, &run, 4).await;
    let mut last = SearchResponse::default();
    while let Some(message) = within("the end", stream.message()).await.expect("a clean end") {
        last = message;
    }
    assert_eq!((last.done, last.matching_lines, last.lines_searched, last.lines_total), (true, 2, 6, 6));
    test.close().await;
}

#[tokio::test]
async fn what_can_not_be_searched_is_refused_by_name() {
    let test = TestApp::with_tokens().await;
    let (_agent, _run, log) = printed(&test, &["x"]).await;
    for (refused, code, words) in [
        (request(&log, ""), Code::InvalidArgument, ["pattern", "1024"]),
        (request(&log, &"x".repeat(1025)), Code::InvalidArgument, ["pattern", "1025"]),
        (request(&log, "a\nb"), Code::InvalidArgument, ["pattern", "line end"]),
        (SearchRequest { regex: true, ..request(&log, "a(b") }, Code::InvalidArgument, ["pattern", "unclosed group"]),
        (SearchRequest { regex: true, ..request(&log, r"\w{900}{9}") }, Code::InvalidArgument, ["pattern", "limit"]),
        (SearchRequest { max_lines: 1_000_001, ..request(&log, "x") }, Code::InvalidArgument, ["max_lines", "1000000"]),
        (SearchRequest { since_millis: -1, ..request(&log, "x") }, Code::InvalidArgument, ["since_millis", "1970"]),
        (request("none", "x"), Code::NotFound, ["none", "not found"]),
        (request("../x", "x"), Code::InvalidArgument, ["log_id", "'/'"]),
    ] {
        let status = match test.logs().search(refused.clone()).await {
            Err(status) => status,
            Ok(stream) => within("a refusal", stream.into_inner().message()).await.expect_err("must be refused"),
        };
        assert_eq!(status.code(), code, "{refused:?}: {status:?}");
        assert!(words.iter().all(|word| status.message().contains(word)), "{status:?}");
    }
    let stranger = test.token_for(Role::Read, "other").await;
    let mut logs =
        millrace_bench::wire::millrace_v1::log_service_client::LogServiceClient::new(test.wire_with(Some(&stranger)));
    let status = logs.search(request(&log, "x")).await.expect_err("of another project");
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
    test.close().await;
}

#[tokio::test]
async fn the_same_in_json() {
    let test = TestApp::open().await;
    let (mut agent, run, log) = printed(&test, &["a", "b x x"]).await;
    ended(&mut agent, &run, 2).await;
    let message = json!({ "logId": log, "pattern": "X", "withText": true }).to_string();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let client = reqwest::Client::builder().http1_only().build().expect("a client");
    let sent = client
        .post(format!("{}/millrace.v1.LogService/Search", test.url))
        .header("content-type", "application/connect+json")
        .body([&[0][..], &length, message.as_bytes()].concat())
        .send();
    let answer = within("the search", sent).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = within("the end", answer.bytes()).await.expect("a body");
    let (mut rest, mut messages) = (&body[..], Vec::new());
    while let [flags, a, b, c, d, more @ ..] = rest {
        let (message, next) = more.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        messages.push((*flags, serde_json::from_slice::<Value>(message).expect("JSON")));
        rest = next;
    }
    assert_eq!(messages.pop(), Some((2, json!({}))), "a clean end");
    let hits: Vec<_> = messages.iter().filter_map(|(_, message)| message["hits"].as_array()).flatten().collect();
    assert_eq!(hits.len(), 1, "{messages:?}");
    assert_eq!(
        (&hits[0]["line"], &hits[0]["columns"], &hits[0]["text"]),
        (&json!("1"), &json!([2, 3, 4, 5]), &json!("YiB4IHg="))
    );
    let last = &messages.last().expect("messages").1;
    assert_eq!((&last["done"], &last["matches"], &last["linesSearched"]), (&json!(true), &json!("2"), &json!("2")));
    test.close().await;
}

#[tokio::test]
async fn a_tail_begins_at_a_time_and_a_log_tells_what_it_takes() {
    let test = TestApp::with_tokens().await;
    let (mut agent, run, log) = printed(&test, &[]).await;
    let now = millrace_bench::now_ms();
    let times = vec![now - 60_000, now - 30_000, now - 10_000];
    let rows = millrace_bench::wire::runner_v1::UpdateLogRequest { times, ..log_of(&run, &["old", "mid", "new"]) };
    agent.client.update_log(rows).await.expect("stored");
    ended(&mut agent, &run, 3).await;
    for (since, begin, text) in
        [(0, 0, "old\nmid\nnew\n"), (now - 30_000, 4, "mid\nnew\n"), (now - 29_999, 8, "new\n"), (now, 12, "")]
    {
        let start = Some(Start::SinceMillis(since));
        let follow = FollowRequest { log_id: log.clone(), start };
        let mut stream = test.logs().follow(follow).await.expect("a stream").into_inner();
        let (mut begun, mut seen) = (None, String::new());
        while let Some(message) = within("the tail", stream.message()).await.expect("a message") {
            match message.event.expect("an event") {
                Event::Hello(hello) => begun = Some(hello.offset),
                Event::Data(data) => seen.push_str(std::str::from_utf8(&data.data).expect("text")),
                _ => {}
            }
        }
        assert_eq!((begun, seen.as_str()), (Some(begin), text), "since {since}");
    }
    let since = SearchRequest { since_millis: now - 30_000, ..request(&log, "[a-z]") };
    assert_eq!(lines_with(&test, SearchRequest { regex: true, ..since }).await, [1, 2]);
    let stat = test.logs().get_log(GetLogRequest { log_id: log.clone() }).await.expect("a log").into_inner();
    let stat = stat.log.expect("a log");
    assert_eq!((stat.first_line, stat.first_offset, stat.lines), (0, 0, 3));
    assert!(stat.stored_bytes > 0, "{stat:?}");
    let read = ReadLinesRequest { log_id: log, ..ReadLinesRequest::default() };
    assert_eq!(test.logs().read_lines(read).await.expect("lines").into_inner().log_first_line, 0);
    test.close().await;
}

/// A search as Connect does it, by a connection of its own.
async fn by_itself(test: &TestApp, request: &SearchRequest) -> reqwest::Response {
    let message = prost::Message::encode_to_vec(request);
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let client = reqwest::Client::builder().http1_only().build().expect("a client");
    let sent = client
        .post(format!("{}/millrace.v1.LogService/Search", test.url))
        .bearer_auth(test.admin.as_deref().expect("a token"))
        .header("content-type", "application/connect+proto")
        .body([&[0][..], &length, &message].concat())
        .send();
    within("a search", sent).await.expect("an answer")
}

/// How many hits there are in the messages of an answer.
fn hits_in(body: &[u8]) -> usize {
    let (mut rest, mut hits) = (body, 0);
    while let [flags, a, b, c, d, more @ ..] = rest {
        let (message, next) = more.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        if *flags == 0 {
            let message: SearchResponse = prost::Message::decode(message).expect("a message");
            hits += message.hits.len();
        } else {
            assert_eq!(message, b"{}", "a clean end");
        }
        rest = next;
    }
    hits
}

#[tokio::test]
async fn who_does_not_read_stops_their_own_searches_and_takes_the_places_of_one_project() {
    let test = TestApp::with_tokens().await;
    let (mut agent, run, log) = printed(&test, &[]).await;
    let row = format!("x {}", "-".repeat(1_000));
    for from in (0..SLOW_ROWS).step_by(2_000) {
        let rows = vec![row.clone(); 2_000];
        let rows = millrace_bench::wire::runner_v1::UpdateLogRequest { index: from, rows, ..log_of(&run, &[]) };
        within("UpdateLog", agent.client.update_log(rows)).await.expect("stored");
    }
    ended(&mut agent, &run, SLOW_ROWS).await;
    let dense = SearchRequest { with_text: true, max_lines: 1_000_000, ..request(&log, "x") };
    let mut slow = Vec::new();
    for _ in 0..SEARCHES_PROJECT_MAX {
        slow.push(by_itself(&test, &dense).await);
    }
    // As long as somebody of another project takes for all of it.
    let token = test.token_for(Role::Read, &run.project).await;
    let mut others =
        millrace_bench::wire::millrace_v1::log_service_client::LogServiceClient::new(test.wire_with(Some(&token)));
    let mut stream = within("a search", others.search(dense.clone())).await.expect("a stream").into_inner();
    let mut found = 0;
    while let Some(message) = within("the search", stream.message()).await.expect("a message") {
        found += message.hits.len();
    }
    assert_eq!(found, SLOW_ROWS as usize);
    // Those that nobody reads have not come to their end.
    let refused = match test.logs().search(dense.clone()).await {
        Err(status) => status,
        Ok(stream) => within("a refusal", stream.into_inner().message()).await.expect_err("must be refused"),
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    let limit = format!("{SEARCHES_PROJECT_MAX} searches of one project are under way");
    assert!(refused.message().starts_with(&limit), "{refused:?}");
    // And lose nothing.
    let last = slow.pop().expect("a search");
    assert_eq!(hits_in(&within("the rest", last.bytes()).await.expect("all of it")), SLOW_ROWS as usize);
    assert_eq!(all(&test, SearchRequest { max_lines: 1, ..dense }).await.1.matching_lines, SLOW_ROWS as u64);
    drop(slow);
    test.close().await;
}
