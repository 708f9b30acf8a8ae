//! Lifecycle events: the build was asked for, an attempt began, it ended.

use buffa::Enumeration;
use millrace_proto::build_events as wire;
use millrace_proto::build_events::build_event::console_output::Output;
use millrace_proto::build_events::build_event::{ConsoleOutput, Event};
use millrace_proto::build_events::build_status::Result as Ended;
use millrace_proto::millrace::v1 as api;

use super::text::cut;
use super::{Fold, time, timestamp_ms};
use crate::invocations::limits::LIFECYCLE_MAX;

/// The name of an attempt's begin.
pub const INVOCATION_STARTED: &str = "invocation started";
/// The name of a build's begin.
pub const BUILD_ENQUEUED: &str = "build enqueued";

impl Fold {
    pub(super) fn lifecycle(&mut self, event: &Event, at_ms: i64) {
        match event {
            Event::InvocationAttemptStarted(started) => self.doc.attempt = started.attempt_number,
            Event::InvocationAttemptFinished(finished) => {
                if let Some(status) = finished.invocation_status.as_option() {
                    self.ended(status, at_ms);
                }
            }
            Event::ComponentStreamFinished(_) => self.doc.complete = true,
            _ => {}
        }
        if let Some(step) = step(event, at_ms) {
            self.push(|doc| &mut doc.lifecycle, LIFECYCLE_MAX, "lifecycle", step);
        }
    }

    /// The attempt ended; what the build tool itself said of its end counts more.
    fn ended(&mut self, status: &wire::BuildStatus, at_ms: i64) {
        use api::InvocationStatus::{
            INVOCATION_STATUS_FAILED, INVOCATION_STATUS_INTERRUPTED, INVOCATION_STATUS_RUNNING,
            INVOCATION_STATUS_SUCCEEDED,
        };
        self.doc.complete = true;
        if self.doc.status != INVOCATION_STATUS_RUNNING {
            return;
        }
        self.doc.status = match status.result.as_known() {
            Some(Ended::COMMAND_SUCCEEDED) => INVOCATION_STATUS_SUCCEEDED,
            Some(Ended::CANCELLED) => INVOCATION_STATUS_INTERRUPTED,
            _ => INVOCATION_STATUS_FAILED,
        }
        .into();
        self.doc.exit_code = status.build_tool_exit_code.as_option().map(|code| code.value);
        self.doc.message = cut(&status.error_message);
        self.doc.finished_at = time(at_ms);
    }
}

/// What an event says as a step; none: it is none.
pub fn step(event: &Event, at_ms: i64) -> Option<api::LifecycleStep> {
    let result = |status: Option<&wire::BuildStatus>| {
        status
            .and_then(|status| status.result.as_known())
            .map(|result| result.proto_name().to_owned())
            .unwrap_or_default()
    };
    let (name, result) = match event {
        Event::BuildEnqueued(_) => (BUILD_ENQUEUED, String::new()),
        Event::InvocationAttemptStarted(_) => (INVOCATION_STARTED, String::new()),
        Event::InvocationAttemptFinished(finished) => {
            ("invocation finished", result(finished.invocation_status.as_option()))
        }
        Event::BuildFinished(finished) => ("build finished", result(finished.status.as_option())),
        _ => return None,
    };
    Some(api::LifecycleStep { name: name.into(), time: time(at_ms), result, ..Default::default() })
}

/// The step that a build's own event is.
pub fn step_of(event: &wire::BuildEvent) -> Option<api::LifecycleStep> {
    step(event.event.as_ref()?, event.event_time.as_option().map_or(0, timestamp_ms))
}

/// What was printed.
pub fn console(output: &ConsoleOutput) -> Vec<u8> {
    match &output.output {
        Some(Output::TextOutput(text)) => text.clone().into_bytes(),
        Some(Output::BinaryOutput(bytes)) => bytes.clone(),
        None => Vec::new(),
    }
}
