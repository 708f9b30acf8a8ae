//! `LogService.GetLogRoom`: what logs take, the named logs, and how long all is kept.

use std::collections::BTreeSet;

use millrace_engine::error::{Error, Result};
use millrace_engine::logs::LogError;
use millrace_engine::logs::project::ProjectHash;
use millrace_engine::logs::records::NamedLog;
use millrace_engine::logs::retention::{LogKind, LogSweep, Retention};
use millrace_engine::logs::{LogId, LogRoom};
use millrace_proto::millrace::v1 as api;

use super::log::limit;
use crate::app::App;
use crate::auth::Caller;

/// How many named logs an answer has when the request does not say.
const NAMED_LOGS_DEFAULT: u32 = 1_000;
/// The most named logs of an answer.
const NAMED_LOGS_MAX: u32 = 10_000;
/// So many ids are read at a time.
const LIST_LOGS: usize = 1_000;

/// The state of the log room, of what a caller may see.
pub async fn state(app: &App, caller: &Caller, request: &api::GetLogRoomRequest) -> Result<api::GetLogRoomResponse> {
    let project = caller.project().map(ProjectHash::of);
    let most = limit("page_size", request.page_size, NAMED_LOGS_DEFAULT, NAMED_LOGS_MAX)? as usize;
    let after = page_token(&request.page_token)?;
    let (named_logs, next_page_token) = named_logs(&app.logs, project, after, most).await?;
    let reaper = &app.log_keeping.reaper;
    let usage = reaper.usage();
    let usage = LogKind::ALL.map(|kind| {
        let of = usage.of(kind, project);
        api::LogUsage {
            kind: wire_kind(kind).into(),
            logs: of.logs,
            size_bytes: of.size_bytes,
            stored_bytes: of.stored_bytes,
            ..Default::default()
        }
    });
    Ok(api::GetLogRoomResponse {
        usage: usage.into(),
        named_logs,
        next_page_token,
        retention: retention(reaper.retention()).into(),
        // What happened to the whole server's logs is told to who may see them all.
        last_sweep: last_sweep(reaper.last_sweep(), project.is_none()).into(),
        log_max_bytes: app.logs.limits().log_max_bytes,
        ..Default::default()
    })
}

fn wire_kind(kind: LogKind) -> api::log_usage::Kind {
    match kind {
        LogKind::Job => api::log_usage::Kind::KIND_JOB,
        LogKind::Stream => api::log_usage::Kind::KIND_STREAM,
        LogKind::Build => api::log_usage::Kind::KIND_BUILD,
        LogKind::Records => api::log_usage::Kind::KIND_RECORDS,
    }
}

fn retention(retention: &Retention) -> api::LogRetention {
    // Rounded up: 0 is without limit.
    let seconds = |ms: u64| ms.div_ceil(1_000);
    api::LogRetention {
        age_seconds: seconds(retention.age_ms),
        count: retention.count,
        size_bytes: retention.max_bytes,
        named_log_bytes: retention.records_max_bytes,
        named_log_age_seconds: seconds(retention.records_age_ms),
        abandoned_seconds: seconds(retention.abandoned_ms),
        ..Default::default()
    }
}

fn last_sweep(sweep: Option<LogSweep>, whole: bool) -> api::LogSweep {
    let sweep = sweep.unwrap_or_default();
    let ended = api::LogSweep {
        ended_millis: sweep.ended_ms,
        took_millis: sweep.ended_ms - sweep.started_ms,
        ..Default::default()
    };
    if !whole {
        return ended;
    }
    api::LogSweep {
        removed_for_age: sweep.removed_for_age + sweep.removed_forgotten,
        removed_for_count: sweep.removed_for_count,
        removed_for_size: sweep.removed_for_size,
        removed_records: sweep.removed_records,
        ended_logs: sweep.ended_logs,
        freed_bytes: sweep.freed_bytes,
        ..ended
    }
}

/// A named log by its place among others: logs of several projects may have the same name.
type Place = (String, LogId);

fn place_of(id: LogId) -> Option<Place> {
    NamedLog::of_log(&id).map(|log| (log.name().to_owned(), id))
}

/// What a page goes on after. Its token is the id of the last log of the page before.
fn page_token(token: &str) -> Result<Option<Place>> {
    if token.is_empty() {
        return Ok(None);
    }
    let place = LogId::parse(token).ok().and_then(place_of);
    place.map(Some).ok_or_else(|| Error::invalid("page_token", "is not from an earlier answer"))
}

/// A page of the named logs of a project, or of all, by name; and the token of the next page.
async fn named_logs(
    room: &LogRoom,
    project: Option<ProjectHash>,
    after: Option<Place>,
    most: usize,
) -> Result<(Vec<api::NamedLog>, String)> {
    let mut places = places(room, project, after, most + 1).await?;
    let more = places.len() > most;
    places.truncate(most);
    let next = places.last().filter(|_| more).map(|(_, id)| id.to_string());
    let mut named = Vec::with_capacity(places.len());
    for (name, id) in places {
        match room.head(&id).await {
            Ok(head) => named.push(api::NamedLog {
                name,
                log_id: id.to_string(),
                first_record: head.first.row,
                next_record: head.rows,
                size_bytes: head.bytes - head.first.offset,
                last_millis: head.last_ms,
                read_only: NamedLog::of_log(&id).is_some_and(|log| log.is_read_only()),
                ..Default::default()
            }),
            Err(LogError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((named, next.unwrap_or_default()))
}

/// The first so many after a place, by name. Only so many are kept in memory, however many there are.
async fn places(room: &LogRoom, project: Option<ProjectHash>, after: Option<Place>, most: usize) -> Result<Vec<Place>> {
    let prefix = NamedLog::id_prefix(project);
    let mut at = LogId::parse(prefix.trim_end_matches('.'))?;
    if let (Some(_), Some((_, id))) = (project, &after) {
        // The ids of one project come in the order of its names.
        at = at.max(id.clone());
    }
    let mut places = BTreeSet::new();
    loop {
        let ids = room.list(Some(&at), LIST_LOGS).await?;
        // Ids come in their order: there may be others before the first one, none after the last one.
        let past = ids.last().is_none_or(|last| {
            at = last.clone();
            !last.as_str().starts_with(&prefix) && last.as_str() > prefix.as_str()
        });
        let own = ids.iter().filter(|id| id.as_str().starts_with(&prefix)).cloned().filter_map(place_of);
        for place in own.filter(|place| after.as_ref().is_none_or(|after| place > after)) {
            places.insert(place);
            if places.len() > most {
                places.pop_last();
            }
        }
        if past || ids.len() < LIST_LOGS || project.is_some() && places.len() == most {
            return Ok(places.into_iter().collect());
        }
    }
}
