//! `millrace.v1.LogService`.

#![allow(refining_impl_trait)]

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures::stream;
use millrace_engine::error::Error;
use millrace_engine::logs::{LogLines, LogPlace, LogTail, MarkKind, Start, TailEvent};
use millrace_proto::millrace::v1 as api;
use millrace_proto::millrace::v1::follow_request::Start as WireStart;
use millrace_proto::millrace::v1::follow_response::Event;

use super::follow::{Follow, Followed};
use super::log_room;
use super::log_search::Searching;
use super::status::status;
use super::until_stopping;
use crate::app::App;
use crate::auth::{self, Role};

/// How many lines an answer has when the request does not say.
const LINES_DEFAULT: u32 = 1_000;
/// The most lines of an answer.
const LINES_MAX: u32 = 100_000;
/// How many bytes an answer has when the request does not say.
const BYTES_DEFAULT: u32 = 1024 * 1024;
/// The most bytes of an answer.
const BYTES_MAX: u32 = 4 * 1024 * 1024;

/// The service.
pub struct LogDoor {
    app: Arc<App>,
}

impl LogDoor {
    /// Over an app.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl api::LogService for LogDoor {
    async fn get_log(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::GetLogRequest>,
    ) -> ServiceResult<api::GetLogResponse> {
        let caller = auth::require(&ctx, Role::Read)?;
        let follow = Follow::of(&self.app, &caller, request.log_id).await.map_err(status)?;
        let log = log(&follow).await.map_err(status)?;
        Response::ok(api::GetLogResponse { log: log.into(), ..Default::default() })
    }

    async fn read_lines(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::ReadLinesRequest>,
    ) -> ServiceResult<api::ReadLinesResponse> {
        let caller = auth::require(&ctx, Role::Read)?;
        let request = request.to_owned_message();
        let follow = Follow::of(&self.app, &caller, &request.log_id).await.map_err(status)?;
        Response::ok(read_lines(&self.app, &follow, &request).await.map_err(status)?)
    }

    async fn follow(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::FollowRequest>,
    ) -> ServiceResult<ServiceStream<api::FollowResponse>> {
        let caller = auth::require(&ctx, Role::Read)?;
        let request = request.to_owned_message();
        let follow = Follow::of(&self.app, &caller, &request.log_id).await.map_err(status)?;
        let start = match request.start {
            Some(WireStart::Offset(offset)) => Start::Offset(offset),
            Some(WireStart::LastLines(lines)) => Start::LastLines(lines),
            Some(WireStart::SinceMillis(millis)) => Start::Since(since(millis).map_err(status)?),
            None => Start::Offset(0),
        };
        let tail = follow.tail(start).await.map_err(status)?;
        let log = log(&follow).await.map_err(status)?;
        let hello = api::FollowHello { log: log.into(), offset: tail.place().offset, ..Default::default() };
        until_stopping(&self.app, events(follow, tail, hello))
    }

    async fn search(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::SearchRequest>,
    ) -> ServiceResult<ServiceStream<api::SearchResponse>> {
        let caller = auth::require(&ctx, Role::Read)?;
        let request = request.to_owned_message();
        let follow = Follow::of(&self.app, &caller, &request.log_id).await.map_err(status)?;
        let searching = Searching::begin(&self.app, &caller, follow, request).await.map_err(status)?;
        until_stopping(&self.app, searching.messages())
    }

    async fn get_log_room(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, api::GetLogRoomRequest>,
    ) -> ServiceResult<api::GetLogRoomResponse> {
        let caller = auth::require(&ctx, Role::Read)?;
        Response::ok(log_room::state(&self.app, &caller, &request.to_owned_message()).await.map_err(status)?)
    }
}

async fn read_lines(
    app: &App,
    follow: &Follow,
    request: &api::ReadLinesRequest,
) -> Result<api::ReadLinesResponse, Error> {
    let max_lines = limit("max_lines", request.max_lines, LINES_DEFAULT, LINES_MAX)?;
    let max_bytes = limit("max_bytes", request.max_bytes, BYTES_DEFAULT, BYTES_MAX)? as usize;
    let head = follow.stat().await?.head;
    let lines = if head.lines == 0 {
        LogLines::default()
    } else if request.last_lines > 0 {
        app.logs.last_lines(&follow.id, request.last_lines.min(u64::from(max_lines)), max_bytes).await?
    } else {
        app.logs.read_lines(&follow.id, request.first_line.min(head.lines), u64::from(max_lines), max_bytes).await?
    };
    let mut response = api::ReadLinesResponse {
        first_line: lines.place.line,
        offset: lines.place.offset,
        lines: lines.lines() as u32,
        total_lines: head.lines.max(lines.end().line),
        complete: head.complete,
        log_first_line: head.first.line,
        ..Default::default()
    };
    if request.text {
        let text = String::from_utf8_lossy(&lines.data);
        response.rows = text.split_terminator('\n').map(ToOwned::to_owned).collect();
    } else {
        response.data = lines.data;
        response.line_meta = lines.words;
    }
    Ok(response)
}

/// How many are asked for; 0: the default.
pub fn limit(field: &'static str, asked: u32, default: u32, most: u32) -> Result<u32, Error> {
    match asked {
        0 => Ok(default),
        _ if asked > most => Err(Error::invalid(field, format!("{asked} is more than {most}"))),
        _ => Ok(asked),
    }
}

/// A time from which on lines are asked for.
pub fn since(millis: i64) -> Result<i64, Error> {
    if millis < 0 {
        return Err(Error::invalid("since_millis", format!("{millis} is before 1970")));
    }
    Ok(millis)
}

/// A log as it is now.
async fn log(follow: &Follow) -> Result<api::Log, Error> {
    let stat = follow.stat().await?;
    let (stored_bytes, compressed) = follow.stored().await?;
    let mark = |kind| match kind {
        MarkKind::Group => api::log_mark::Kind::KIND_GROUP,
        MarkKind::EndGroup => api::log_mark::Kind::KIND_ENDGROUP,
        MarkKind::Error => api::log_mark::Kind::KIND_ERROR,
        MarkKind::Warning => api::log_mark::Kind::KIND_WARNING,
        MarkKind::Notice => api::log_mark::Kind::KIND_NOTICE,
    };
    let marks = stat.marks.iter();
    Ok(api::Log {
        id: follow.id.as_str().to_owned(),
        size_bytes: stat.head.bytes,
        lines: stat.head.lines,
        complete: stat.head.complete,
        marks: marks
            .map(|one| api::LogMark { kind: mark(one.kind).into(), line: one.line, ..Default::default() })
            .collect(),
        marks_truncated: stat.marks_truncated,
        first_line: stat.head.first.line,
        first_offset: stat.head.first.offset,
        stored_bytes,
        compressed,
        ..Default::default()
    })
}

/// Hello, then lines as they come, then the end.
fn events(
    follow: Follow,
    tail: LogTail,
    hello: api::FollowHello,
) -> impl futures::Stream<Item = Result<api::FollowResponse, ConnectError>> + Send + 'static {
    let first: Option<Event> = Some(hello.into());
    stream::unfold(Some((follow, tail, first)), |state| async move {
        let (follow, mut tail, first) = state?;
        if let Some(event) = first {
            return Some((Ok(response(event)), Some((follow, tail, None))));
        }
        let event = match follow.next(&mut tail).await {
            Ok(Followed::Event(TailEvent::Data(lines))) => data(lines),
            Ok(Followed::Event(TailEvent::Gap(place))) => gap(place),
            Ok(Followed::Event(TailEvent::End(head))) => {
                let end = api::FollowEnd { size_bytes: head.bytes, lines: head.lines, ..Default::default() };
                return Some((Ok(response(end.into())), None));
            }
            Ok(Followed::Quiet) => api::FollowHeartbeat { size_bytes: tail.head().bytes, ..Default::default() }.into(),
            Err(error) => return Some((Err(status(error)), None)),
        };
        Some((Ok(response(event)), Some((follow, tail, None))))
    })
}

fn data(lines: LogLines) -> Event {
    api::FollowData {
        offset: lines.place.offset,
        first_line: lines.place.line,
        data: lines.data,
        line_meta: lines.words,
        ..Default::default()
    }
    .into()
}

fn gap(place: LogPlace) -> Event {
    let reason = "retention has removed what was before".to_owned();
    api::FollowGap { offset: place.offset, first_line: place.line, reason, ..Default::default() }.into()
}

fn response(event: Event) -> api::FollowResponse {
    api::FollowResponse { event: Some(event), ..Default::default() }
}
