//! An event on its way into the log: a CloudEvent in its JSON format, all but its id, which the outbox gives.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

/// The most bytes of an event: it is one line of its log. One that would be longer is told without its data.
pub const EVENT_MAX_BYTES: usize = 32 * 1024;
/// Texts that people wrote are cut to so many bytes.
pub const EVENT_TEXT_MAX_BYTES: usize = 1_024;

const SPEC_VERSION: &str = "1.0";
const SOURCE: &str = "/millrace";
const CONTENT_TYPE: &str = "application/json";
/// What a record begins with; the id follows.
const BEGIN: &str = "{\"id\":\"";
/// What stands as it is in a part of a page's address.
const PAGE_PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "docs/events.md says what each is")]
pub enum EventKind {
    RunCreated,
    RunStarted,
    RunFinished,
    JobQueued,
    JobHeld,
    JobStarted,
    JobFinished,
    JobLost,
    StepStarted,
    StepFinished,
    RunnerRegistered,
    RunnerOnline,
    RunnerOffline,
    RunnerDraining,
    RunnerRemoved,
    ExecutionQueued,
    ExecutionStarted,
    ExecutionFinished,
    InvocationStarted,
    InvocationFinished,
    LogsRemoved,
    EventsLost,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::RunCreated,
        Self::RunStarted,
        Self::RunFinished,
        Self::JobQueued,
        Self::JobHeld,
        Self::JobStarted,
        Self::JobFinished,
        Self::JobLost,
        Self::StepStarted,
        Self::StepFinished,
        Self::RunnerRegistered,
        Self::RunnerOnline,
        Self::RunnerOffline,
        Self::RunnerDraining,
        Self::RunnerRemoved,
        Self::ExecutionQueued,
        Self::ExecutionStarted,
        Self::ExecutionFinished,
        Self::InvocationStarted,
        Self::InvocationFinished,
        Self::LogsRemoved,
        Self::EventsLost,
    ];

    /// The event's `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::RunCreated => "dev.millrace.run.created",
            Self::RunStarted => "dev.millrace.run.started",
            Self::RunFinished => "dev.millrace.run.finished",
            Self::JobQueued => "dev.millrace.job.queued",
            Self::JobHeld => "dev.millrace.job.held",
            Self::JobStarted => "dev.millrace.job.started",
            Self::JobFinished => "dev.millrace.job.finished",
            Self::JobLost => "dev.millrace.job.lost",
            Self::StepStarted => "dev.millrace.step.started",
            Self::StepFinished => "dev.millrace.step.finished",
            Self::RunnerRegistered => "dev.millrace.runner.registered",
            Self::RunnerOnline => "dev.millrace.runner.online",
            Self::RunnerOffline => "dev.millrace.runner.offline",
            Self::RunnerDraining => "dev.millrace.runner.draining",
            Self::RunnerRemoved => "dev.millrace.runner.removed",
            Self::ExecutionQueued => "dev.millrace.execution.queued",
            Self::ExecutionStarted => "dev.millrace.execution.started",
            Self::ExecutionFinished => "dev.millrace.execution.finished",
            Self::InvocationStarted => "dev.millrace.invocation.started",
            Self::InvocationFinished => "dev.millrace.invocation.finished",
            Self::LogsRemoved => "dev.millrace.logs.removed",
            Self::EventsLost => "dev.millrace.events.lost",
        }
    }
}

/// An event that has no id yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The project it is of; empty: of none, or of the instance without a name.
    pub project: String,
    /// Its JSON object without the brace that opens it, and without the id.
    pub body: String,
}

/// The event's attributes, but for its id.
#[derive(Serialize)]
struct Attributes<'a, D> {
    specversion: &'static str,
    source: &'static str,
    r#type: &'static str,
    subject: &'a str,
    time: &'a str,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    project: &'a str,
    data: D,
}

/// Stands for data that is too long.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeftOut {
    left_out_bytes: usize,
}

impl NewEvent {
    /// What happened, to what, when (Unix milliseconds), and what there is to say of it.
    pub fn new(kind: EventKind, project: &str, subject: &str, time_ms: i64, data: &impl Serialize) -> Self {
        let time = rfc3339(time_ms);
        let mut body = rendered(&attributes(kind, project, subject, &time, data));
        if body.len() > EVENT_MAX_BYTES {
            let left_out_bytes = body.len();
            body = rendered(&attributes(kind, project, subject, &time, LeftOut { left_out_bytes }));
        }
        Self { project: project.to_owned(), body }
    }

    /// The record: the whole event.
    pub fn record(&self, id: EventId) -> String {
        format!("{BEGIN}{id}\",{}", self.body)
    }
}

fn attributes<'a, D>(kind: EventKind, project: &'a str, subject: &'a str, time: &'a str, data: D) -> Attributes<'a, D> {
    Attributes {
        specversion: SPEC_VERSION,
        source: SOURCE,
        r#type: kind.name(),
        subject,
        time,
        datacontenttype: CONTENT_TYPE,
        project,
        data,
    }
}

/// Without the brace that opens it.
fn rendered(attributes: &impl Serialize) -> String {
    // Data is structs with names for keys: that can't fail.
    let mut body = serde_json::to_string(attributes).unwrap_or_default();
    if !body.is_empty() {
        body.remove(0);
    }
    body
}

/// The id of an event: its row in the outbox, and its place there. Ids go up in a log, and are never given twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// From 1.
    pub row: u64,
    /// From 0.
    pub place: u32,
}

impl EventId {
    /// The id of a record of the log; None: it is no event.
    pub fn of_record(record: &[u8]) -> Option<Self> {
        let rest = record.strip_prefix(BEGIN.as_bytes())?;
        let id = &rest[..memchr::memchr(b'"', rest)?];
        let (row, place) = std::str::from_utf8(id).ok()?.split_once('.')?;
        Some(Self { row: row.parse().ok()?, place: place.parse().ok()? })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.row, self.place)
    }
}

/// A time as events say it: RFC 3339, UTC, with milliseconds.
pub fn rfc3339(ms: i64) -> String {
    // Before the year -9999 and after 9999 there is nothing that happens.
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| rfc3339(0), |time| format!("{time:.3}"))
}

/// A text, cut to what an event says of it.
pub fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(EVENT_TEXT_MAX_BYTES)]
}

/// A part of a page's address, escaped.
pub fn page_part(part: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(part, PAGE_PART)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn is_a_cloud_event() {
        let event = NewEvent::new(EventKind::RunCreated, "a/b", "runs/1", 1_700_000_000_001, &json!({"x": "\n\"é"}));
        let record = event.record(EventId { row: 7, place: 2 });
        assert!(!record.contains('\n'), "one line");
        let read: Value = serde_json::from_str(&record).unwrap();
        let wanted = json!({
            "id": "7.2", "specversion": "1.0", "source": "/millrace", "type": "dev.millrace.run.created", "subject": "runs/1",
            "time": "2023-11-14T22:13:20.001Z", "datacontenttype": "application/json", "project": "a/b", "data": {"x": "\n\"é"},
        });
        assert_eq!(read, wanted);
        assert_eq!(EventId::of_record(record.as_bytes()), Some(EventId { row: 7, place: 2 }));
        let read: Value = serde_json::from_str(
            &NewEvent::new(EventKind::RunnerOnline, "", "runners/1", 0, &json!({})).record(EventId::default()),
        )
        .unwrap();
        assert!(read.get("project").is_none(), "an attribute without a value is left out: {read}");
        // RFC 3339 wants the fraction whether or not there is one to be told.
        assert_eq!(read["time"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_too_long_is_left_out() {
        let event = NewEvent::new(EventKind::RunCreated, "p", "runs/1", 0, &"x".repeat(EVENT_MAX_BYTES));
        assert!(event.body.len() < 500, "{}", event.body);
        let read: Value = serde_json::from_str(&event.record(EventId::default())).unwrap();
        assert!(read["data"]["leftOutBytes"].as_u64().unwrap() > EVENT_MAX_BYTES as u64);
        assert_eq!(short(&"é".repeat(EVENT_TEXT_MAX_BYTES)).len(), EVENT_TEXT_MAX_BYTES);
    }

    #[test]
    fn ids_go_there_and_back_and_other_records_have_none() {
        for record in ["", "{}", "{\"id\":\"7\"}", "{\"id\":\"x.1\"}", "{\"id\":\"1.2", "##[warning]full"] {
            assert_eq!(EventId::of_record(record.as_bytes()), None, "{record}");
        }
        assert!(EventId { row: 9, place: 10 } < EventId { row: 10, place: 0 });
    }

    #[test]
    fn types_differ() {
        let names: std::collections::HashSet<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), EventKind::ALL.len());
        assert!(names.iter().all(|name| name.starts_with("dev.millrace.")));
    }
}
