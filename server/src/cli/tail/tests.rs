//! Of the position alone, and of a tail against a log service that cuts its streams.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{ConnectRpcService, RequestContext, Response, Router, ServiceRequest, ServiceResult, ServiceStream};
use futures::StreamExt;
use millrace_proto::millrace::v1::{
    FollowEnd, FollowGap, FollowHello, FollowResponse, GetLogRequest, GetLogResponse, GetLogRoomRequest,
    GetLogRoomResponse, LogService, ReadLinesRequest, ReadLinesResponse, SearchRequest, SearchResponse,
};
use tokio::net::TcpListener;

use super::*;
use crate::cli::client::ServerArgs;

fn data(offset: u64, first_line: u64, text: &str) -> FollowData {
    let lines = text.matches('\n').count();
    FollowData {
        offset,
        first_line,
        data: text.as_bytes().to_vec().into(),
        line_meta: (0..lines).flat_map(|at| ((first_line + at as u64) << 16).to_le_bytes()).collect::<Vec<_>>().into(),
        ..Default::default()
    }
}

fn texts(tails: Vec<Tail>) -> Vec<String> {
    tails
        .into_iter()
        .map(|tail| match tail {
            Tail::Lines(data) => String::from_utf8_lossy(&data.data).into_owned(),
            Tail::Gap { bytes, .. } => format!("gap {bytes}"),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn resumes_at_the_byte_it_came_to() {
    let mut position = Position::at(Start::Offset(0));
    assert_eq!(texts(position.data(data(0, 0, "one\ntwo\n"))), ["one\ntwo\n"]);
    assert_eq!(position.request(), Start::Offset(8));
}

#[test]
fn the_last_lines_are_asked_for_until_some_came() {
    let mut position = Position::at(Start::LastLines(2));
    assert_eq!(position.request(), Start::LastLines(2));
    position.data(data(100, 9, "x\n"));
    assert_eq!(position.request(), Start::Offset(102));
}

#[test]
fn only_what_is_new_begins_at_the_end_even_when_nothing_comes() {
    let mut position = Position::at(Start::LastLines(0));
    position.hello(Log { size_bytes: 50, ..Default::default() });
    assert_eq!(position.request(), Start::Offset(50));
    position.hello(Log { size_bytes: 80, ..Default::default() });
    assert_eq!(position.request(), Start::Offset(50), "what came while away is not skipped");
}

#[test]
fn what_came_before_is_not_shown_twice() {
    let mut position = Position::at(Start::Offset(0));
    position.data(data(0, 0, "one\ntwo\n"));
    let tails = position.data(data(4, 1, "two\nthree\n"));
    let Some(Tail::Lines(new)) = tails.first() else { panic!("{tails:?}") };
    assert_eq!((&new.data[..], new.first_line, new.offset), (&b"three\n"[..], 2, 8));
    assert_eq!(new.line_meta[..], (2_u64 << 16).to_le_bytes());
    assert!(position.data(data(8, 2, "three\n")).is_empty());
}

#[test]
fn a_hole_is_told_whoever_notices_it() {
    let mut position = Position::at(Start::Offset(0));
    assert_eq!(texts(position.gap(10, "retention".to_owned())), ["gap 10"]);
    assert_eq!(texts(position.data(data(10, 2, "a\n"))), ["a\n"]);
    assert_eq!(texts(position.data(data(20, 5, "b\n"))), ["gap 8", "b\n"]);
}

/// What a fake log service does with one connection: what it says, and the error it breaks with, if it does.
type Script = (Vec<Event>, Option<ConnectError>);

/// Answers the connections with one script after the other and remembers where each began.
struct FakeLogs {
    scripts: std::sync::Mutex<std::vec::IntoIter<Script>>,
    starts: std::sync::Mutex<Vec<Option<Start>>>,
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

    async fn search(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, SearchRequest>,
    ) -> ServiceResult<ServiceStream<SearchResponse>> {
        Err(ConnectError::unimplemented("search"))
    }

    async fn get_log_room(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, GetLogRoomRequest>,
    ) -> ServiceResult<GetLogRoomResponse> {
        Err(ConnectError::unimplemented("get_log_room"))
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

/// Follows a log over scripts; what the tail said, and where its connections began.
async fn followed(scripts: Vec<Script>) -> (Vec<String>, Vec<Option<Start>>) {
    let fake = Arc::new(FakeLogs { scripts: scripts.into_iter().into(), starts: std::sync::Mutex::default() });
    let router = Router::new().add_service::<FakeLogs, _>(Arc::clone(&fake));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback_service(ConnectRpcService::new(router));
    #[expect(clippy::disallowed_methods, reason = "a fake on loopback needs no timeouts")]
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let server = Server::new(&ServerArgs { server: url, token: None, ca_cert: None }).unwrap();
    let said = LogTail::new(&server, "log", Start::Offset(0)).collect::<Vec<_>>().await;
    serving.abort();
    let starts = fake.starts.lock().unwrap().clone();
    (texts(said.into_iter().filter(|tail| !matches!(tail, Tail::Hello(_))).collect()), starts)
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
