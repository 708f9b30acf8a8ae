//! Targets, their tests, and how many of them ended how.

use buffa::{Enumeration, Message, MessageField};
use millrace_proto::build_event_stream as bes;
use millrace_proto::build_event_stream::aborted::AbortReason;
use millrace_proto::build_event_stream::build_event_id::Id;
use millrace_proto::build_event_stream::{BuildEventId, TestSize, TestStatus};
use millrace_proto::millrace::v1 as api;
use millrace_proto::millrace::v1::TargetStatus::{
    self, TARGET_STATUS_BUILT, TARGET_STATUS_FAILED, TARGET_STATUS_FAILED_TO_BUILD, TARGET_STATUS_FLAKY,
    TARGET_STATUS_INCOMPLETE, TARGET_STATUS_PASSED, TARGET_STATUS_PENDING, TARGET_STATUS_SKIPPED,
    TARGET_STATUS_TIMED_OUT, TARGET_STATUS_UNSPECIFIED,
};

use super::metrics::duration_ms;
use super::text::cut;
use super::{Fold, TargetRow, files, time, timestamp_ms};
use crate::invocations::limits::{ATTEMPT_OUTPUTS_MAX, ATTEMPTS_MAX, INVOCATION_TARGETS_MAX, TAGS_MAX};

/// Names a target within an invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetKey {
    label: String,
    configuration: String,
    aspect: String,
}

/// What is told of a target before its configuration is.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    name: String,
    test_size: String,
    tags: Vec<String>,
}

/// A target as it is kept.
pub fn row(target: &api::InvocationTarget) -> TargetRow {
    let failed = matches!(
        target.status.as_known(),
        Some(TARGET_STATUS_FAILED_TO_BUILD | TARGET_STATUS_FAILED | TARGET_STATUS_TIMED_OUT | TARGET_STATUS_INCOMPLETE)
    );
    TargetRow {
        label: target.label.clone(),
        configuration: target.configuration.clone(),
        aspect: target.aspect.clone(),
        rank: i32::from(!failed),
        status: target.status.to_i32(),
        has_test: target.test.is_set(),
        document: target.encode_to_vec(),
    }
}

impl Fold {
    pub(super) fn target_configured(
        &mut self,
        id: Option<&Id>,
        configured: &bes::TargetConfigured,
        children: &[BuildEventId],
    ) {
        let Some(Id::TargetConfigured(id)) = id else { return };
        let size = configured.test_size.as_known().filter(|size| *size != TestSize::UNKNOWN);
        let kind = Kind {
            name: cut(&configured.target_kind),
            test_size: size.map(|size| size.proto_name().to_owned()).unwrap_or_default(),
            tags: configured.tag.iter().take(TAGS_MAX).map(|tag| cut(tag)).collect(),
        };
        if self.may_list_more_targets() {
            self.kinds.insert((id.label.clone(), id.aspect.clone()), kind);
        }
        for child in children {
            if let Some(Id::TargetCompleted(target)) = &child.id {
                self.change(key_of(target), None, |_| {});
            }
        }
    }

    pub(super) fn target_completed(&mut self, id: Option<&Id>, completed: &bes::TargetComplete) {
        let Some(Id::TargetCompleted(id)) = id else { return };
        let (outputs, total) = self.outputs(completed);
        let message = completed.failure_detail.as_option().map(|detail| cut(&detail.message)).unwrap_or_default();
        let status = if completed.success { TARGET_STATUS_BUILT } else { TARGET_STATUS_FAILED_TO_BUILD };
        self.change(key_of(id), Some(TARGET_STATUS_PENDING), |target| {
            // A test's result says more.
            if !is_tested(target) {
                target.status = status.into();
            }
            target.message = message;
            target.outputs = outputs;
            target.outputs_total = total;
            if target.tags.is_empty() {
                target.tags = completed.tag.iter().take(TAGS_MAX).map(|tag| cut(tag)).collect();
            }
        });
    }

    pub(super) fn target_aborted(&mut self, id: Option<&Id>, aborted: &bes::Aborted) {
        let Some(Id::TargetCompleted(id)) = id else { return };
        let status = match aborted.reason.as_known() {
            Some(AbortReason::ANALYSIS_FAILURE | AbortReason::LOADING_FAILURE) => TARGET_STATUS_FAILED_TO_BUILD,
            _ => TARGET_STATUS_SKIPPED,
        };
        self.change(key_of(id), Some(TARGET_STATUS_PENDING), |target| {
            target.status = status.into();
            target.message = cut(&aborted.description);
        });
    }

    pub(super) fn test_result(&mut self, id: Option<&Id>, result: &bes::TestResult) {
        let Some(Id::TestResult(id)) = id else { return };
        #[allow(deprecated)]
        let (start, took) = (result.test_attempt_start_millis_epoch, result.test_attempt_duration_millis);
        let start = result.test_attempt_start.as_option().map_or(start, timestamp_ms);
        let execution = result.execution_info.as_option();
        let attempt = api::TestAttempt {
            run: id.run,
            shard: id.shard,
            attempt: id.attempt,
            status: test_status(result.status.as_known()).into(),
            message: cut(&result.status_details),
            started_at: if start > 0 { time(start) } else { MessageField::default() },
            duration_ms: result.test_attempt_duration.as_option().map_or(took, duration_ms),
            cached_locally: result.cached_locally,
            cached_remotely: execution.is_some_and(|execution| execution.cached_remotely),
            strategy: execution.map(|execution| cut(&execution.strategy)).unwrap_or_default(),
            exit_code: execution.map_or(0, |execution| execution.exit_code),
            outputs: result.test_action_output.iter().take(ATTEMPT_OUTPUTS_MAX).map(files::file).collect(),
            ..Default::default()
        };
        self.change(test_key(&id.label, id.configuration.as_option()), Some(TARGET_STATUS_BUILT), |target| {
            let attempts = &mut target.test.get_or_insert_default().attempts;
            let place = |one: &api::TestAttempt| (one.run, one.shard, one.attempt);
            match attempts.binary_search_by_key(&place(&attempt), place) {
                Ok(at) => attempts[at] = attempt,
                Err(at) if attempts.len() < ATTEMPTS_MAX => attempts.insert(at, attempt),
                Err(_) => {}
            }
        });
    }

    pub(super) fn test_summary(&mut self, id: Option<&Id>, summary: &bes::TestSummary) {
        let Some(Id::TestSummary(id)) = id else { return };
        #[allow(deprecated)]
        let (first, last, took) =
            (summary.first_start_time_millis, summary.last_stop_time_millis, summary.total_run_duration_millis);
        let first = summary.first_start_time.as_option().map_or(first, timestamp_ms);
        let last = summary.last_stop_time.as_option().map_or(last, timestamp_ms);
        let status = match summary.overall_status.as_known() {
            Some(TestStatus::FAILED_TO_BUILD) => TARGET_STATUS_FAILED_TO_BUILD,
            other => test_status(other),
        };
        self.change(test_key(&id.label, id.configuration.as_option()), Some(TARGET_STATUS_BUILT), |target| {
            target.status = status.into();
            let test = target.test.get_or_insert_default();
            test.runs = summary.run_count.max(1);
            test.shards = summary.shard_count;
            test.cached = summary.total_num_cached;
            test.duration_ms = summary.total_run_duration.as_option().map_or(took, duration_ms);
            test.started_at = if first > 0 { time(first) } else { MessageField::default() };
            test.finished_at = if last > 0 { time(last) } else { MessageField::default() };
        });
    }

    /// Changes a target, and the counts with it. Of one that is not listed any more only the counts change; `was` says how
    /// it was counted then: None is not at all.
    fn change(&mut self, key: TargetKey, was: Option<TargetStatus>, change: impl FnOnce(&mut api::InvocationTarget)) {
        let known = self.targets.contains_key(&key);
        if !known && !self.may_list_more_targets() {
            self.truncated(format!("targets: the first {INVOCATION_TARGETS_MAX} are listed"));
            let mut unlisted = api::InvocationTarget::default();
            if let Some(was) = was {
                unlisted.status = was.into();
                self.count(&unlisted, -1);
            }
            unlisted.status = TARGET_STATUS_PENDING.into();
            change(&mut unlisted);
            self.count(&unlisted, 1);
            return;
        }
        let mut target = match self.targets.remove(&key) {
            Some(target) => {
                self.count(&target, -1);
                target
            }
            None => api::InvocationTarget {
                label: key.label.clone(),
                configuration: key.configuration.clone(),
                aspect: key.aspect.clone(),
                status: TARGET_STATUS_PENDING.into(),
                ..Default::default()
            },
        };
        if target.kind.is_empty()
            && let Some(kind) = self.kinds.get(&(key.label.clone(), key.aspect.clone()))
        {
            target.kind.clone_from(&kind.name);
            target.test_size.clone_from(&kind.test_size);
            target.tags.clone_from(&kind.tags);
        }
        change(&mut target);
        self.count(&target, 1);
        self.targets.insert(key.clone(), target);
        self.changed.insert(key);
    }

    fn count(&mut self, target: &api::InvocationTarget, by: i64) {
        let status = target.status.as_known().unwrap_or_default();
        let counts = self.doc.targets.get_or_insert_default();
        counts.configured += by;
        match status {
            TARGET_STATUS_PENDING | TARGET_STATUS_UNSPECIFIED => {}
            TARGET_STATUS_FAILED_TO_BUILD => counts.failed += by,
            TARGET_STATUS_SKIPPED => counts.skipped += by,
            _ => counts.built += by,
        }
        let Some(test) = target.test.as_option().filter(|test| test.runs > 0) else { return };
        let counts = self.doc.tests.get_or_insert_default();
        counts.total += by;
        match status {
            TARGET_STATUS_PASSED => counts.passed += by,
            TARGET_STATUS_FLAKY => counts.flaky += by,
            TARGET_STATUS_FAILED => counts.failed += by,
            TARGET_STATUS_TIMED_OUT => counts.timed_out += by,
            _ => counts.other += by,
        }
        let remotely = !test.attempts.is_empty() && test.attempts.iter().all(|attempt| attempt.cached_remotely);
        if remotely || test.cached > 0 && test.cached as usize >= test.attempts.len() {
            counts.cached += by;
        }
    }
}

fn is_tested(target: &api::InvocationTarget) -> bool {
    target.test.as_option().is_some_and(|test| test.runs > 0)
}

fn key_of(id: &bes::build_event_id::TargetCompletedId) -> TargetKey {
    let configuration = id.configuration.as_option().map(|configuration| cut(&configuration.id)).unwrap_or_default();
    TargetKey { label: cut(&id.label), configuration, aspect: cut(&id.aspect) }
}

fn test_key(label: &str, configuration: Option<&bes::build_event_id::ConfigurationId>) -> TargetKey {
    let configuration = configuration.map(|configuration| cut(&configuration.id)).unwrap_or_default();
    TargetKey { label: cut(label), configuration, aspect: String::new() }
}

fn test_status(status: Option<TestStatus>) -> TargetStatus {
    match status {
        Some(TestStatus::PASSED) => TARGET_STATUS_PASSED,
        Some(TestStatus::FLAKY) => TARGET_STATUS_FLAKY,
        Some(TestStatus::TIMEOUT) => TARGET_STATUS_TIMED_OUT,
        Some(TestStatus::FAILED | TestStatus::REMOTE_FAILURE) => TARGET_STATUS_FAILED,
        Some(TestStatus::FAILED_TO_BUILD) => TARGET_STATUS_FAILED_TO_BUILD,
        Some(TestStatus::NO_STATUS | TestStatus::INCOMPLETE | TestStatus::TOOL_HALTED_BEFORE_TESTING) | None => {
            TARGET_STATUS_INCOMPLETE
        }
    }
}
