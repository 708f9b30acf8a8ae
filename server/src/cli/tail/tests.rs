//! A tail against a log service that cuts its streams.

#![allow(refining_impl_trait)]

use std::sync::{Arc, Mutex};

use connectrpc::{ConnectRpcService, RequestContext, Response, Router, ServiceRequest, ServiceResult, ServiceStream};
use futures::StreamExt;
use millrace_proto::millrace::v1::{
    FollowEnd, FollowGap, FollowHello, FollowResponse, GetLogRequest, GetLogResponse, GetLogRoomRequest,
    GetLogRoomResponse, LogService, ReadLinesRequest, ReadLinesResponse, SearchRequest, SearchResponse,
};
use tokio::net::TcpListener;

use super::*;
use crate::cli::client::ServerArgs;
use crate::cli::position::tests::{data, texts};

/// What a fake log service does with one connection: what it says, and the error it breaks with, if it does.
type Script = (Vec<Event>, Option<ConnectError>);

/// Answers the connections with one script after the other and remembers where each began.
#[derive(Default)]
struct FakeLogs {
    scripts: Mutex<std::vec::IntoIter<Script>>,
    starts: Mutex<Vec<Option<Start>>>,
    found: Mutex<std::vec::IntoIter<Vec<Result<SearchResponse, ConnectError>>>>,
    /// The first line of each search.
    searches: Mutex<Vec<u64>>,
}

impl LogService for FakeLogs {
    async fn get_log(&self, _: RequestContext, _: ServiceRequest<'_, GetLogRequest>) -> ServiceResult<GetLogResponse> {
        Err(ConnectError::unimplemented("get_log"))
    }

    async fn read_lines(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, ReadLinesRequest>,
    ) -> ServiceResult<ReadLinesResponse> {
        Err(ConnectError::unimplemented("read_lines"))
    }

    async fn search(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, SearchRequest>,
    ) -> ServiceResult<ServiceStream<SearchResponse>> {
        let request = request.to_owned_message();
        self.searches.lock().unwrap().push(request.first_line);
        let answers = self.found.lock().unwrap().next().ok_or_else(|| ConnectError::not_found("no such log"))?;
        Response::stream_ok(futures::stream::iter(answers))
    }

    async fn get_log_room(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, GetLogRoomRequest>,
    ) -> ServiceResult<GetLogRoomResponse> {
        Err(ConnectError::unimplemented("get_log_room"))
    }

    async fn follow(
        &self,
        _: RequestContext,
        request: ServiceRequest<'_, FollowRequest>,
    ) -> ServiceResult<ServiceStream<FollowResponse>> {
        self.starts.lock().unwrap().push(request.to_owned_message().start);
        let script = self.scripts.lock().unwrap().next();
        let (events, error) = script.ok_or_else(|| ConnectError::not_found("no such log"))?;
        let messages = events.into_iter().map(|event| Ok(FollowResponse { event: Some(event), ..Default::default() }));
        Response::stream_ok(futures::stream::iter(messages.chain(error.map(Err)).collect::<Vec<_>>()))
    }
}

fn hello(size_bytes: u64) -> Event {
    FollowHello { log: Log { size_bytes, ..Default::default() }.into(), ..Default::default() }.into()
}

fn lines(offset: u64, first_line: u64, text: &str) -> Event {
    data(offset, first_line, text).into()
}

fn end() -> Event {
    FollowEnd::default().into()
}

/// All that a reader of the fake says.
async fn said(fake: &Arc<FakeLogs>, reading: Reading, follow: bool) -> Vec<String> {
    let router = Router::new().add_service::<FakeLogs, _>(Arc::clone(fake));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback_service(ConnectRpcService::new(router));
    #[expect(clippy::disallowed_methods, reason = "a fake on loopback needs no timeouts")]
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let server = Server::new(&ServerArgs { server: url, token: None, ca_cert: None }).unwrap();
    let said = reading.start(&server, "log", follow).collect::<Vec<_>>().await;
    serving.abort();
    texts(said.into_iter().filter(|tail| !matches!(tail, Tail::Hello(_))).collect())
}

/// Follows a log over scripts; what the tail said, and where its connections began.
async fn followed(scripts: Vec<Script>) -> (Vec<String>, Vec<Option<Start>>) {
    let fake = Arc::new(FakeLogs { scripts: Mutex::new(scripts.into_iter()), ..FakeLogs::default() });
    let said = said(&fake, Reading::Lines(Start::Offset(0)), true).await;
    let starts = fake.starts.lock().unwrap().clone();
    (said, starts)
}

#[tokio::test]
async fn a_cut_stream_goes_on_where_it_was_cut() {
    let (said, starts) = followed(vec![
        (vec![hello(8), lines(0, 0, "one\ntwo\n")], Some(ConnectError::unavailable("stopping"))),
        (vec![hello(8), lines(8, 2, "three\n")], None),
        (vec![hello(14), lines(14, 3, "four\n"), end()], None),
    ])
    .await;
    let lines: Vec<_> = said.iter().filter(|said| !said.starts_with("Away")).collect();
    assert_eq!(lines, ["one\ntwo\n", "three\n", "four\n", "End"]);
    assert_eq!(starts, [Some(Start::Offset(0)), Some(Start::Offset(8)), Some(Start::Offset(14))]);
}

#[tokio::test]
async fn a_break_is_told_once_and_a_hole_with_its_size() {
    let gap = FollowGap { offset: 100, reason: "retention".to_owned(), ..Default::default() };
    let (said, _) = followed(vec![
        (vec![], Some(ConnectError::unavailable("one"))),
        (vec![], Some(ConnectError::unavailable("two"))),
        (vec![hello(104), gap.into(), lines(100, 30, "new\n"), end()], None),
    ])
    .await;
    assert_eq!(said, ["Away(\"one\")", "gap 100", "new\n", "End"]);
}

#[tokio::test]
async fn a_log_that_is_not_there_is_not_asked_for_again() {
    let (said, starts) = followed(Vec::new()).await;
    assert_eq!(starts.len(), 1);
    assert!(said.len() == 1 && said[0].contains("no such log"), "{said:?}");
}

#[tokio::test]
async fn what_is_there_by_now_has_an_end() {
    let begins_at =
        |offset| FollowHello { log: Log { size_bytes: 8, ..Default::default() }.into(), offset, ..Default::default() };
    for (begin, script, expected) in [
        (0, vec![lines(0, 0, "one\ntwo\n")], vec!["one\ntwo\n", "End"]),
        (8, vec![], vec!["End"]),
        (4, vec![lines(4, 1, "two\n")], vec!["two\n", "End"]),
    ] {
        let script = [vec![begins_at(begin).into()], script].concat();
        let scripts = Mutex::new(vec![(script, None)].into_iter());
        let fake = Arc::new(FakeLogs { scripts, ..FakeLogs::default() });
        assert_eq!(said(&fake, Reading::Lines(Start::SinceMillis(5)), false).await, expected);
    }
}

#[tokio::test]
async fn a_search_goes_on_after_the_last_line_that_came() {
    let answer = |lines: &[u64], truncated, done| {
        let hit = |line: &u64| SearchHit { line: *line, ..Default::default() };
        Ok(SearchResponse { hits: lines.iter().map(hit).collect(), truncated, done, ..Default::default() })
    };
    let found = vec![
        vec![answer(&[3, 5], false, false), Err(ConnectError::unavailable("stopping"))],
        vec![answer(&[], false, false), answer(&[8], true, false), answer(&[], true, true)],
        vec![answer(&[9], false, false), answer(&[11], false, true)],
    ];
    let fake = Arc::new(FakeLogs { found: Mutex::new(found.into_iter()), ..FakeLogs::default() });
    let said = said(&fake, Reading::Found(Search::default()), false).await;
    assert_eq!(said, ["found 3 5", "Away(\"stopping\")", "found 8", "found 9", "found 11", "End"]);
    assert_eq!(*fake.searches.lock().unwrap(), [0, 6, 9]);
}
