//! What goes together: the logs of one run, of one build, one stream. Found from the logs' ids alone.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::LogKind;
use crate::invocations::console;
use crate::logs::project::ProjectHash;
use crate::logs::records::NamedLog;
use crate::logs::streams::StreamId;
use crate::logs::{LogId, LogSummary};

/// What a log is of, by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogOf {
    /// The run with this id: the id up to its first dot.
    Run(String),
    /// The build with this invocation id.
    Build(String),
    /// A stream of bytes.
    Stream(StreamId),
    /// A named log of records.
    Records(NamedLog),
}

impl LogOf {
    /// What this log is of.
    pub fn log(id: &LogId) -> Self {
        if let Some(stream) = StreamId::of_log(id) {
            return Self::Stream(stream);
        }
        if let Some(named) = NamedLog::of_log(id) {
            return Self::Records(named);
        }
        if let Some(build) = console::invocation_of(id) {
            return Self::Build(build.to_owned());
        }
        let run = id.as_str().split_once('.').map_or(id.as_str(), |(run, _)| run);
        Self::Run(run.to_owned())
    }

    /// Its kind.
    pub fn kind(&self) -> LogKind {
        match self {
            Self::Run(_) => LogKind::Job,
            Self::Build(_) => LogKind::Build,
            Self::Stream(_) => LogKind::Stream,
            Self::Records(_) => LogKind::Records,
        }
    }

    /// Its name, for people: the id of the run, build or stream, or the log's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Run(id) | Self::Build(id) => id,
            Self::Stream(stream) => stream.id(),
            Self::Records(named) => named.name(),
        }
    }

    /// The project, where the id says it.
    pub fn project(&self) -> Option<ProjectHash> {
        match self {
            Self::Run(_) | Self::Build(_) => None,
            Self::Stream(stream) => Some(stream.project()),
            Self::Records(named) => Some(named.project()),
        }
    }

    /// When it was made, where the id has the time in it; Unix milliseconds.
    pub fn made_ms(&self) -> Option<i64> {
        let name = self.name();
        let id = name.split_once('.').map_or(name, |(id, _)| id);
        let (seconds, nanos) = Uuid::try_parse(id).ok()?.get_timestamp()?.to_unix();
        i64::try_from(seconds * 1_000 + u64::from(nanos) / 1_000_000).ok()
    }
}

/// The logs that go together.
#[derive(Clone, Debug)]
pub struct LogUnit {
    /// What they are of.
    pub of: LogOf,
    /// They.
    pub logs: Vec<LogSummary>,
}

impl LogUnit {
    /// The units that logs of one part of the store make, in the order of their ids.
    pub fn gather(logs: Vec<LogSummary>) -> Vec<Self> {
        let mut units: BTreeMap<(LogKind, String), Self> = BTreeMap::new();
        for log in logs {
            let of = LogOf::log(&log.id);
            let key = match &of {
                LogOf::Run(id) | LogOf::Build(id) => id.clone(),
                LogOf::Stream(_) | LogOf::Records(_) => log.id.as_str().to_owned(),
            };
            units.entry((of.kind(), key)).or_insert_with(|| Self { of, logs: Vec::new() }).logs.push(log);
        }
        units.into_values().collect()
    }

    /// What they take on the disk.
    pub fn stored_bytes(&self) -> u64 {
        self.logs.iter().map(|log| log.stored_bytes).sum()
    }

    /// The time of the last line of all, or else when it was made; Unix milliseconds, 0 if neither is known.
    pub fn last_ms(&self) -> i64 {
        let lines = self.logs.iter().map(|log| log.head.last_ms).max().unwrap_or_default();
        lines.max(self.of.made_ms().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str) -> LogOf {
        LogOf::log(&LogId::parse(id).unwrap())
    }

    #[test]
    fn an_id_says_what_its_log_is_of() {
        for (id, kind, name, project) in [
            ("run1.0.1.0.1.2", LogKind::Job, "run1", None),
            ("alone", LogKind::Job, "alone", None),
            ("b.build-1", LogKind::Build, "build-1", None),
            ("b.with.dots", LogKind::Build, "with.dots", None),
            ("s.e3b0c44298fc1c14.x.1.stdout", LogKind::Stream, "x.1.stdout", Some("")),
            ("r.e3b0c44298fc1c14.events", LogKind::Records, "events", Some("")),
            ("s.short.x", LogKind::Job, "s", None),
        ] {
            let of = of(id);
            assert_eq!((of.kind(), of.name(), of.project()), (kind, name, project.map(ProjectHash::of)), "{id}");
        }
    }

    #[test]
    fn the_time_is_in_the_id_of_what_was_made_by_us() {
        let made = |id: &str| of(&format!("s.e3b0c44298fc1c14.{id}")).made_ms();
        assert_eq!(made("018bcfe5-6800-7000-8000-000000000000"), Some(1_700_000_000_000));
        assert_eq!(made("018bcfe5-6800-7000-8000-000000000000.1.stdout"), Some(1_700_000_000_000));
        assert_eq!(made("7f2c1f58-6a53-4c5f-9d5b-d3a9a5ad1b0f"), None, "a random one");
        assert_eq!(made("x"), None);
    }
}
