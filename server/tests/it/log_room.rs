//! `LogService.GetLogRoom` in pages, and the fields of all log services that can not be what they are, each by its name.

use std::collections::BTreeSet;

use bytes::Bytes;
use millrace_bench::wire::millrace_v1::log_service_client::LogServiceClient;
use millrace_bench::wire::millrace_v1::{GetLogRoomRequest, GetLogRoomResponse, NamedLog as Named};
use millrace_engine::logs::records::NamedLog;
use millrace_server::auth::Role;
use serde_json::{Value, json};
use tonic::Code;

use crate::app::{TestApp, Wire, within};

async fn page(logs: &mut LogServiceClient<Wire>, page_size: u32, page_token: &str) -> GetLogRoomResponse {
    let request = GetLogRoomRequest { page_size, page_token: page_token.into() };
    within("the room", logs.get_log_room(request)).await.expect("a page").into_inner()
}

/// All pages, one after the other.
async fn pages(logs: &mut LogServiceClient<Wire>, page_size: u32) -> Vec<Vec<Named>> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = page(logs, page_size, &token).await;
        assert!(page.log_max_bytes > 0 && page.named_logs.len() <= page_size as usize);
        all.push(page.named_logs);
        token = page.next_page_token;
        if token.is_empty() {
            return all;
        }
    }
}

fn names(logs: &[Named]) -> Vec<&str> {
    logs.iter().map(|log| log.name.as_str()).filter(|name| *name != "events").collect()
}

#[tokio::test]
async fn named_logs_come_in_pages_and_none_is_left_out() {
    let test = TestApp::with_tokens().await;
    for (project, name) in [("a", "x"), ("b", "x"), ("a", "m"), ("b", "a"), ("b", "z"), ("", "m"), ("a", "b")] {
        let log = NamedLog::new(project, name).expect("a name");
        test.app.logs.append_records(log.log(), vec![Bytes::from_static(b"record")]).await.expect("taken");
    }
    let mut all = test.logs();
    let whole = pages(&mut all, 1_000).await;
    assert_eq!(whole.len(), 1);
    assert_eq!(names(&whole[0]), ["a", "b", "m", "m", "x", "x", "z"]);
    for size in 1..=8 {
        let parts = pages(&mut all, size).await;
        assert!(parts[..parts.len() - 1].iter().all(|part| part.len() == size as usize), "full but for the last");
        assert_eq!(parts.concat(), whole[0], "pages of {size}");
    }
    let ids: BTreeSet<&str> = whole[0].iter().map(|log| log.log_id.as_str()).collect();
    assert_eq!(ids.len(), whole[0].len());
    // Whoever has a token of one project sees its logs, with whatever page token.
    let token = test.token_for(Role::Read, "b").await;
    let mut theirs = LogServiceClient::new(test.wire_with(Some(&token)));
    for size in 1..=4 {
        assert_eq!(names(&pages(&mut theirs, size).await.concat()), ["a", "x", "z"], "pages of {size}");
    }
    let foreign = NamedLog::new("a", "x").expect("a name").log().to_string();
    let seen = page(&mut theirs, 10, &foreign).await;
    assert!(names(&seen.named_logs).iter().all(|name| ["a", "x", "z"].contains(name)), "{seen:?}");
    // A log that went is not in the way of those after it.
    let first = page(&mut all, 2, "").await;
    let gone = NamedLog::new("b", "a").expect("a name");
    test.app.logs.delete(gone.log()).await.expect("removed");
    let rest = page(&mut all, 100, &first.next_page_token).await;
    assert_eq!(names(&rest.named_logs), ["m", "m", "x", "x", "z"]);
    for (page_size, page_token, words) in [
        (10_001, "", "page_size: 10001 is more than 10000"),
        (1, "x", "page_token: is not from an earlier answer"),
        (1, "r.x/../y", "page_token: is not from an earlier answer"),
    ] {
        let request = GetLogRoomRequest { page_size, page_token: page_token.into() };
        let refused = all.get_log_room(request).await.expect_err("refused");
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, words));
    }
    test.close().await;
}

/// A call in JSON: a stream's message and its error come in frames.
async fn refused(test: &TestApp, method: &str, streams: bool, message: &Value) -> Value {
    let message = message.to_string();
    let (kind, body) = if streams {
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        ("application/connect+json", [&[0][..], &length, message.as_bytes()].concat())
    } else {
        ("application/json", message.clone().into_bytes())
    };
    let sent = reqwest::Client::new().post(format!("{}/{method}", test.url)).header("content-type", kind).body(body);
    let answer = within(method, sent.send()).await.expect("an answer");
    let body = within(method, answer.bytes()).await.expect("a body");
    let told: Value = serde_json::from_slice(if streams { &body[5..] } else { &body }).expect("JSON");
    if streams { told["error"].clone() } else { told }
}

#[tokio::test]
async fn fields_that_can_not_be_are_named_with_their_limit() {
    let test = TestApp::open().await;
    let log = NamedLog::new("", "some").expect("a name").log().to_string();
    test.app
        .logs
        .append_records(NamedLog::new("", "some").expect("a name").log(), vec![Bytes::from_static(b"record")])
        .await
        .expect("taken");
    let (service, records) = ("millrace.v1.LogService", "log.v1.Log");
    let record_dots = "log: an id is \"..\"; something else than one or two dots is to be there";
    let dots = "log_id: is \"..\"; something else than one or two dots is to be there";
    for (service, method, streams, message, words) in [
        (service, "GetLog", false, json!({ "logId": ".." }), dots),
        (service, "ReadLines", false, json!({ "logId": ".." }), dots),
        (service, "Follow", true, json!({ "logId": ".." }), dots),
        (service, "Search", true, json!({ "logId": "..", "pattern": "x" }), dots),
        (records, "Consume", false, json!({ "log": ".." }), record_dots),
        (records, "ConsumeStream", true, json!({ "log": ".." }), record_dots),
        (
            service,
            "ReadLines",
            false,
            json!({ "logId": log, "maxLines": 100_001 }),
            "max_lines: 100001 is more than 100000",
        ),
        (
            service,
            "ReadLines",
            false,
            json!({ "logId": log, "maxBytes": 4_194_305 }),
            "max_bytes: 4194305 is more than 4194304",
        ),
        (service, "Follow", true, json!({ "logId": log, "sinceMillis": -5 }), "since_millis: -5 is before 1970"),
        (
            service,
            "Follow",
            true,
            json!({ "logId": log, "offset": 3 }),
            "offset: 3 is not where a line begins, and not the end of the log, 7",
        ),
        (
            service,
            "Search",
            true,
            json!({ "logId": log, "pattern": "x", "sinceMillis": -1 }),
            "since_millis: -1 is before 1970",
        ),
        (
            service,
            "Search",
            true,
            json!({ "logId": log, "pattern": "x", "maxLines": 1_000_001 }),
            "max_lines: 1000001 is more than 1000000",
        ),
        (service, "GetLogRoom", false, json!({ "pageSize": 10_001 }), "page_size: 10001 is more than 10000"),
        (records, "Produce", false, json!({ "log": "some" }), "record: is missing"),
    ] {
        let told = refused(&test, &format!("{service}/{method}"), streams, &message).await;
        assert_eq!(
            (told["code"].as_str(), told["message"].as_str()),
            (Some("invalid_argument"), Some(words)),
            "{message}"
        );
        assert_eq!(told["details"][0]["type"], "google.rpc.BadRequest", "{message}");
    }
    test.close().await;
}
