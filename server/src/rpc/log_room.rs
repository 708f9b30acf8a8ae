//! `LogService.GetLogRoom`: what logs take, the named logs, and how long all is kept.

use millrace_engine::error::Result;
use millrace_engine::logs::LogError;
use millrace_engine::logs::project::ProjectHash;
use millrace_engine::logs::records::NamedLog;
use millrace_engine::logs::retention::{LogKind, LogSweep, Retention};
use millrace_engine::logs::{LogId, LogRoom};
use millrace_proto::millrace::v1 as api;

use crate::app::App;
use crate::auth::Caller;

/// The most named logs of an answer.
const NAMED_LOGS_MAX: usize = 10_000;
/// So many ids are read at a time.
const LIST_LOGS: usize = 1_000;

/// The state of the log room, of what a caller may see.
pub async fn state(app: &App, caller: &Caller) -> Result<api::GetLogRoomResponse> {
    let project = caller.project().map(ProjectHash::of);
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
        named_logs: named_logs(&app.logs, project).await?,
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

/// The named logs of a project, or of all; by name.
async fn named_logs(room: &LogRoom, project: Option<ProjectHash>) -> Result<Vec<api::NamedLog>> {
    let prefix = NamedLog::id_prefix(project);
    let mut after = Some(LogId::parse(prefix.trim_end_matches('.'))?);
    let mut named = Vec::new();
    'list: loop {
        let ids = room.list(after.as_ref(), LIST_LOGS).await?;
        after = ids.last().cloned();
        for id in &ids {
            if !id.as_str().starts_with(&prefix) {
                // Ids come in their order: there may be others before the first one, none after the last one.
                if id.as_str() > prefix.as_str() {
                    break 'list;
                }
                continue;
            }
            let Some(log) = NamedLog::of_log(id) else { continue };
            match room.head(id).await {
                Ok(head) => named.push(api::NamedLog {
                    name: log.name().to_owned(),
                    log_id: id.to_string(),
                    first_record: head.first.row,
                    next_record: head.rows,
                    size_bytes: head.bytes - head.first.offset,
                    last_millis: head.last_ms,
                    read_only: log.is_read_only(),
                    ..Default::default()
                }),
                Err(LogError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if ids.len() < LIST_LOGS || named.len() >= NAMED_LOGS_MAX {
            break;
        }
    }
    named.truncate(NAMED_LOGS_MAX);
    named.sort_by(|a, b| (&a.name, &a.log_id).cmp(&(&b.name, &b.log_id)));
    Ok(named)
}
