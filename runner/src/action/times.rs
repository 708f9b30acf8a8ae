//! When an action was at which stage, as its client will see it. Knows nothing of what the stages do.

use std::time::{Instant, SystemTime};

use buffa_types::google::protobuf::{Duration as WireDuration, Timestamp};
use millrace_proto::reapi::ExecutedActionMetadata;

/// The moments of one action.
pub struct Times {
    queued_ms: i64,
    // The clock may be set while an action runs: moments are counted from the first one.
    begun: SystemTime,
    counted_from: Instant,
    input_fetch_end: Option<Instant>,
    execution: Option<(Instant, Option<Instant>)>,
    upload_start: Option<Instant>,
}

impl Times {
    /// Begins with the inputs.
    pub fn begin(queued_ms: i64) -> Self {
        Self {
            queued_ms,
            begun: SystemTime::now(),
            counted_from: Instant::now(),
            input_fetch_end: None,
            execution: None,
            upload_start: None,
        }
    }

    /// The inputs are there.
    pub fn inputs_are_there(&mut self) {
        self.input_fetch_end = Some(Instant::now());
    }

    /// The command starts.
    pub fn command_starts(&mut self) {
        self.execution = Some((Instant::now(), None));
    }

    /// The command has ended; how long it ran.
    pub fn command_has_ended(&mut self) -> std::time::Duration {
        let now = Instant::now();
        let started = self.execution.map_or(now, |(started, _)| started);
        self.execution = Some((started, Some(now)));
        self.upload_start = Some(now);
        now - started
    }

    /// All of it, the work having ended now.
    pub fn metadata(&self, worker: &str) -> ExecutedActionMetadata {
        let at = |moment: Instant| -> Timestamp { (self.begun + (moment - self.counted_from)).into() };
        let now = Instant::now();
        let ran = self.execution.and_then(|(started, ended)| Some(ended? - started));
        let ran = ran.map(|ran| WireDuration {
            seconds: ran.as_secs().cast_signed(),
            nanos: ran.subsec_nanos().cast_signed(),
            ..Default::default()
        });
        let queued = Timestamp::from_unix(
            self.queued_ms.div_euclid(1_000),
            (self.queued_ms.rem_euclid(1_000) * 1_000_000) as i32,
        );
        ExecutedActionMetadata {
            worker: worker.to_owned(),
            queued_timestamp: (self.queued_ms > 0).then_some(queued).into(),
            worker_start_timestamp: at(self.counted_from).into(),
            worker_completed_timestamp: at(now).into(),
            input_fetch_start_timestamp: at(self.counted_from).into(),
            input_fetch_completed_timestamp: self.input_fetch_end.map(at).into(),
            execution_start_timestamp: self.execution.map(|(started, _)| at(started)).into(),
            execution_completed_timestamp: self.execution.and_then(|(_, ended)| ended).map(at).into(),
            virtual_execution_duration: ran.into(),
            output_upload_start_timestamp: self.upload_start.map(at).into(),
            output_upload_completed_timestamp: self.upload_start.map(|_| at(now)).into(),
            ..Default::default()
        }
    }
}
