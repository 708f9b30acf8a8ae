//! What is told of invocations. Pure; the store writes it with their rows.

use millrace_proto::millrace::v1 as api;
use serde::Serialize;

use super::fold::timestamp_ms;
use crate::events::{EventKind, NewEvent, page_part, rfc3339, short};

/// What was so of an invocation before something came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    /// Nothing had come.
    pub new: bool,
    /// Nothing more was awaited.
    pub complete: bool,
}

/// What is new of an invocation, in order.
pub(super) fn changes(before: Before, doc: &api::Invocation, now_ms: i64) -> Vec<NewEvent> {
    let mut events = Vec::new();
    if before.new {
        events.push(event(EventKind::InvocationStarted, doc, now_ms));
    }
    if doc.complete && !before.complete {
        events.push(event(EventKind::InvocationFinished, doc, now_ms));
    }
    events
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InvocationData<'a> {
    invocation_id: &'a str,
    build_id: &'a str,
    instance: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    command: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    tool: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "str::is_empty")]
    exit_code_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    log_id: &'a str,
    page: String,
}

fn event(kind: EventKind, doc: &api::Invocation, now_ms: i64) -> NewEvent {
    let started = doc.started_at.as_option().map(timestamp_ms);
    let finished = doc.finished_at.as_option().map(timestamp_ms);
    let data = InvocationData {
        invocation_id: short(&doc.id),
        build_id: short(&doc.build_id),
        instance: &doc.instance,
        state: word(doc),
        message: short(&doc.message),
        command: short(&doc.command),
        tool: short(&doc.tool),
        user: short(&doc.user),
        host: short(&doc.host),
        exit_code: doc.exit_code,
        exit_code_name: short(&doc.exit_code_name),
        started_at: started.map(rfc3339),
        finished_at: finished.map(rfc3339),
        duration_ms: started.zip(finished).map(|(started, finished)| (finished - started).max(0)),
        log_id: &doc.log_id,
        page: format!("/invocations/{}", page_part(&doc.id)),
    };
    NewEvent::new(kind, &doc.instance, &format!("invocations/{}", doc.id), now_ms, &data)
}

fn word(doc: &api::Invocation) -> &'static str {
    use api::InvocationStatus::{
        INVOCATION_STATUS_DISCONNECTED, INVOCATION_STATUS_FAILED, INVOCATION_STATUS_INTERRUPTED,
        INVOCATION_STATUS_SUCCEEDED,
    };
    match doc.status.as_known() {
        Some(INVOCATION_STATUS_SUCCEEDED) => "success",
        Some(INVOCATION_STATUS_FAILED) => "failure",
        Some(INVOCATION_STATUS_INTERRUPTED) => "interrupted",
        Some(INVOCATION_STATUS_DISCONNECTED) => "disconnected",
        _ => "running",
    }
}
