//! Bazel's events. What is not understood is kept in the stored event, and counts.

use buffa::{Enumeration, Message};
use buffa_types::google::protobuf::Any;
use millrace_proto::build_event_stream as bes;
use millrace_proto::build_event_stream::build_event::Payload;
use millrace_proto::build_event_stream::build_event_id::Id;
use millrace_proto::millrace::v1 as api;

use super::text::{cut, cut_to};
use super::{Fold, files, time, timestamp_ms};
use crate::invocations::limits::{
    ABORTED_MAX, CONFIGURATIONS_MAX, FAILED_ACTIONS_MAX, PAIRS_MAX, TEXT_MAX_BYTES, WORDS_MAX,
};

/// What Bazel's events are in an Any.
const BUILD_EVENT: &str = "build_event_stream.BuildEvent";
/// Bazel's exit code when the user interrupts it.
const EXIT_INTERRUPTED: i32 = 8;

impl Fold {
    /// Takes one of Bazel's events; gives back what was printed.
    pub(super) fn bazel(&mut self, any: &Any) -> Vec<u8> {
        if any.type_url.rsplit('/').next() != Some(BUILD_EVENT) {
            return Vec::new();
        }
        let Ok(event) = bes::BuildEvent::decode_from_slice(&any.value) else {
            self.truncated("an event was not readable".into());
            return Vec::new();
        };
        let Some(payload) = &event.payload else { return Vec::new() };
        let id = event.id.as_option().and_then(|id| id.id.as_ref());
        match payload {
            // As others show it: what Bazel says, and then what it was asked to print.
            Payload::Progress(progress) => return [progress.stderr.as_bytes(), progress.stdout.as_bytes()].concat(),
            Payload::Started(started) => self.started(started),
            Payload::StructuredCommandLine(line) => self.command_line(line),
            Payload::OptionsParsed(options) => self.options(options),
            Payload::WorkspaceStatus(status) => self.workspace_status(status),
            Payload::BuildMetadata(metadata) => self.build_metadata(metadata),
            Payload::Configuration(configuration) => self.configuration(id, configuration),
            Payload::Expanded(_) => self.pattern(id),
            Payload::Configured(configured) => self.target_configured(id, configured, &event.children),
            Payload::NamedSetOfFiles(set) => {
                if let Some(Id::NamedSet(id)) = id {
                    self.named_set(&id.id, set);
                }
            }
            Payload::Completed(completed) => self.target_completed(id, completed),
            Payload::Action(action) => self.action(id, action),
            Payload::TestResult(result) => self.test_result(id, result),
            Payload::TestSummary(summary) => self.test_summary(id, summary),
            Payload::Aborted(aborted) => self.aborted(id, aborted),
            Payload::Finished(finished) => self.finished(finished),
            Payload::BuildMetrics(metrics) => self.metrics(metrics),
            Payload::BuildToolLogs(logs) => self.tool_logs(logs),
            // The same as the structured one, and with the client's whole environment.
            Payload::UnstructuredCommandLine(_)
            // Nothing that the document shows.
            | Payload::Fetch(_)
            | Payload::WorkspaceInfo(_)
            | Payload::ConvenienceSymlinksIdentified(_)
            | Payload::TestProgress(_)
            | Payload::TargetSummary(_)
            | Payload::ExecRequest(_) => {}
        }
        Vec::new()
    }

    fn started(&mut self, started: &bes::BuildStarted) {
        #[allow(deprecated)]
        let old = started.start_time_millis;
        let at = started.start_time.as_option().map_or(old, timestamp_ms);
        if at > 0 {
            self.doc.started_at = time(at);
        }
        self.doc.command = cut(&started.command);
        self.doc.workspace_directory = cut(&started.workspace_directory);
        self.doc.tool = cut(format!("bazel {}", started.build_tool_version).trim_end());
    }

    fn workspace_status(&mut self, status: &bes::WorkspaceStatus) {
        for item in &status.item {
            match item.key.as_str() {
                "BUILD_USER" => self.doc.user = cut(&item.value),
                "BUILD_HOST" => self.doc.host = cut(&item.value),
                _ => {}
            }
            let pair = pair(&item.key, &item.value);
            self.push(|doc| &mut doc.workspace_status, PAIRS_MAX, "workspace_status", pair);
        }
    }

    fn build_metadata(&mut self, metadata: &bes::BuildMetadata) {
        let mut pairs: Vec<_> = metadata.metadata.iter().collect();
        pairs.sort();
        for (key, value) in pairs {
            self.push(|doc| &mut doc.metadata, PAIRS_MAX, "metadata", pair(key, value));
        }
    }

    fn configuration(&mut self, id: Option<&Id>, configuration: &bes::Configuration) {
        let Some(Id::Configuration(id)) = id else { return };
        let shown = api::BuildConfiguration {
            id: cut(&id.id),
            mnemonic: cut(&configuration.mnemonic),
            platform: cut(&configuration.platform_name),
            cpu: cut(&configuration.cpu),
            tool: configuration.is_tool,
            ..Default::default()
        };
        self.push(|doc| &mut doc.configurations, CONFIGURATIONS_MAX, "configurations", shown);
    }

    fn pattern(&mut self, id: Option<&Id>) {
        if let Some(Id::Pattern(pattern) | Id::PatternSkipped(pattern)) = id {
            self.patterns(&pattern.pattern);
        }
    }

    /// Without all actions published it is one that failed.
    fn action(&mut self, id: Option<&Id>, action: &bes::ActionExecuted) {
        if action.success {
            return;
        }
        let said = match id {
            Some(Id::ActionCompleted(said)) => Some(&**said),
            _ => None,
        };
        #[allow(deprecated)]
        let label = said.map_or(&action.label, |said| &said.label);
        let output = |file: Option<&bes::File>| file.map(files::file).map_or_else(Default::default, Into::into);
        let mut command_line = action.command_line.clone();
        command_line.truncate(WORDS_MAX);
        let shown = api::FailedAction {
            label: cut(label),
            mnemonic: cut(&action.r#type),
            exit_code: action.exit_code,
            message: action.failure_detail.as_option().map(|detail| cut(&detail.message)).unwrap_or_default(),
            primary_output: said.map(|said| cut(&said.primary_output)).unwrap_or_default(),
            command_line: command_line.iter().map(|word| cut_to(word, TEXT_MAX_BYTES)).collect(),
            stdout: output(action.stdout.as_option()),
            stderr: output(action.stderr.as_option()),
            ..Default::default()
        };
        self.push(|doc| &mut doc.failed_actions, FAILED_ACTIONS_MAX, "failed_actions", shown);
    }

    fn aborted(&mut self, id: Option<&Id>, aborted: &bes::Aborted) {
        self.pattern(id);
        self.target_aborted(id, aborted);
        let shown = api::AbortedEvent {
            subject: cut(&id.map(subject).unwrap_or_default()),
            reason: aborted.reason.as_known().map(|reason| reason.proto_name().to_owned()).unwrap_or_default(),
            description: cut(&aborted.description),
            ..Default::default()
        };
        self.push(|doc| &mut doc.aborted, ABORTED_MAX, "aborted", shown);
    }

    fn finished(&mut self, finished: &bes::BuildFinished) {
        use api::InvocationStatus::{
            INVOCATION_STATUS_FAILED, INVOCATION_STATUS_INTERRUPTED, INVOCATION_STATUS_SUCCEEDED,
        };
        #[allow(deprecated)]
        let (overall, old) = (finished.overall_success, finished.finish_time_millis);
        let exit = finished.exit_code.as_option();
        let code = exit.map_or(i32::from(!overall), |exit| exit.code);
        self.doc.exit_code = Some(code);
        self.doc.exit_code_name = exit.map(|exit| cut(&exit.name)).unwrap_or_default();
        let at = finished.finish_time.as_option().map_or(old, timestamp_ms);
        self.doc.finished_at = time(if at > 0 { at } else { self.updated_ms });
        self.doc.status = match code {
            0 => INVOCATION_STATUS_SUCCEEDED,
            EXIT_INTERRUPTED => INVOCATION_STATUS_INTERRUPTED,
            _ => INVOCATION_STATUS_FAILED,
        }
        .into();
        let detail = finished.failure_detail.as_option().map(|detail| cut(&detail.message)).unwrap_or_default();
        self.doc.message = if code == 0 || !detail.is_empty() { detail } else { self.why() };
    }

    /// What went wrong first, as far as the events say.
    fn why(&self) -> String {
        let doc = &self.doc;
        if let Some(action) = doc.failed_actions.first() {
            let what = if action.message.is_empty() { "an action failed" } else { &action.message };
            return if action.label.is_empty() { what.to_owned() } else { format!("{}: {what}", action.label) };
        }
        let tests = doc.tests.as_option().map_or(0, |tests| tests.failed + tests.timed_out + tests.other);
        if tests > 0 {
            return format!("{tests} {} not pass", if tests == 1 { "test did" } else { "tests did" });
        }
        match doc.aborted.first() {
            Some(aborted) if aborted.description.is_empty() => format!("{}: {}", aborted.subject, aborted.reason),
            Some(aborted) => aborted.description.clone(),
            None => doc.exit_code_name.clone(),
        }
    }
}

fn pair(key: &str, value: &str) -> api::KeyValue {
    api::KeyValue { key: cut(key), value: cut(value), ..Default::default() }
}

/// What an event is about, for people.
fn subject(id: &Id) -> String {
    match id {
        Id::TargetCompleted(id) => id.label.clone(),
        Id::TargetConfigured(id) => id.label.clone(),
        Id::ConfiguredLabel(id) => id.label.clone(),
        Id::UnconfiguredLabel(id) => id.label.clone(),
        Id::TestResult(id) => id.label.clone(),
        Id::TestSummary(id) => id.label.clone(),
        Id::TargetSummary(id) => id.label.clone(),
        Id::ActionCompleted(id) => id.label.clone(),
        Id::Pattern(id) | Id::PatternSkipped(id) => id.pattern.join(" "),
        Id::BuildFinished(_) => "the end of the build".into(),
        Id::BuildMetrics(_) => "figures".into(),
        Id::BuildToolLogs(_) => "logs of the build tool".into(),
        Id::WorkspaceStatus(_) => "workspace status".into(),
        Id::OptionsParsed(_) => "options".into(),
        Id::Configuration(_) => "a configuration".into(),
        Id::NamedSet(_) => "a set of files".into(),
        _ => "an event".into(),
    }
}
