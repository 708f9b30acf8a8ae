//! What the events of an invocation mean: a pure fold of events into the document that a person sees, the targets, and
//! what was printed. The same events always fold to the same. Knows no store, no log, and no clock.

mod bazel;
mod command_line;
mod files;
mod lifecycle;
mod metrics;
mod targets;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeSet, HashMap};

use buffa::{Message, MessageField};
use buffa_types::google::protobuf::Timestamp;
use millrace_proto::build_events as wire;
use millrace_proto::build_events::build_event::Event;
use millrace_proto::millrace::v1 as api;

use self::files::Sets;
pub use self::lifecycle::step_of;
use self::targets::TargetKey;
use self::text::cut;
use super::console;
use super::limits::{CONSOLE_MAX_BYTES, INVOCATION_TARGETS_MAX, KEYWORDS_MAX, TRUNCATED_MAX};
use super::publication::{StreamKey, component};
use super::store::{InvocationRow, TargetRow};

/// An invocation that is being told of.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    doc: api::Invocation,
    targets: HashMap<TargetKey, api::InvocationTarget>,
    /// Kinds of targets by label and aspect: they are told before the configuration is.
    kinds: HashMap<(String, String), targets::Kind>,
    changed: BTreeSet<TargetKey>,
    sets: Sets,
    created_ms: i64,
    updated_ms: i64,
    timeout_ms: i64,
    events_bytes: i64,
    printed_bytes: u64,
}

impl Fold {
    /// Of a stream's invocation, which nothing has been told of yet.
    pub fn new(stream: &StreamKey, now_ms: i64, timeout_ms: i64) -> Self {
        let doc = api::Invocation {
            id: stream.invocation_id.clone(),
            instance: stream.instance.as_str().to_owned(),
            build_id: stream.build_id.clone(),
            status: api::InvocationStatus::INVOCATION_STATUS_RUNNING.into(),
            started_at: time(now_ms),
            ..Default::default()
        };
        Self { doc, created_ms: now_ms, updated_ms: now_ms, timeout_ms, ..Self::default() }
    }

    /// Takes an event that takes so many bytes; gives back what it says was printed.
    pub fn apply(&mut self, component: i32, event: &wire::BuildEvent, bytes: usize, now_ms: i64) -> Vec<u8> {
        self.doc.events += 1;
        self.events_bytes += bytes as i64;
        self.updated_ms = now_ms;
        self.doc.updated_at = time(now_ms);
        self.back_again();
        let at = event.event_time.as_option().map_or(now_ms, timestamp_ms);
        let printed = match &event.event {
            Some(Event::BazelEvent(any)) => self.bazel(any),
            Some(Event::ConsoleOutput(output)) => lifecycle::console(output),
            // The other components' ends say nothing of the build's.
            Some(Event::ComponentStreamFinished(_)) if component != component::TOOL => Vec::new(),
            Some(other) => {
                self.lifecycle(other, at);
                Vec::new()
            }
            None => Vec::new(),
        };
        self.printed(printed)
    }

    /// Notes words to be told of.
    pub fn keywords(&mut self, words: &[String]) {
        for word in words {
            if self.doc.keywords.len() < KEYWORDS_MAX && !self.doc.keywords.contains(word) {
                self.doc.keywords.push(cut(word));
            }
        }
    }

    /// The publisher wants to be silent for so long.
    pub fn set_timeout(&mut self, timeout_ms: i64) {
        self.timeout_ms = timeout_ms;
    }

    /// Nothing came for too long: nothing more is awaited.
    pub fn disconnect(&mut self) {
        disconnect(&mut self.doc);
    }

    /// Whether nothing more is awaited.
    pub fn is_complete(&self) -> bool {
        self.doc.complete
    }

    /// So many bytes have been printed.
    pub fn printed_bytes(&self) -> u64 {
        self.printed_bytes
    }

    /// How many events there are, and of how many bytes.
    pub fn size(&self) -> (i64, i64) {
        (self.doc.events, self.events_bytes)
    }

    /// The start of the invocation has been told.
    pub fn is_announced(&self) -> bool {
        self.doc.attempt > 0 || self.doc.lifecycle.iter().any(|step| step.name == lifecycle::INVOCATION_STARTED)
    }

    /// What was told so far.
    pub fn document(&self) -> &api::Invocation {
        &self.doc
    }

    /// The build that this is an attempt of.
    pub fn build_id(&self) -> &str {
        &self.doc.build_id
    }

    /// The project.
    pub fn instance(&self) -> &str {
        &self.doc.instance
    }

    /// The targets that have changed since this was asked last.
    pub fn take_changed(&mut self) -> Vec<TargetRow> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|key| self.targets.get(&key).map(targets::row)).collect()
    }

    /// The invocation as it is now.
    pub fn row(&self) -> InvocationRow {
        let doc = &self.doc;
        let search = [doc.id.as_str(), &doc.command, &doc.patterns.join(" "), &doc.user, &doc.host];
        InvocationRow {
            id: doc.id.clone(),
            instance: doc.instance.clone(),
            build_id: doc.build_id.clone(),
            status: doc.status.to_i32(),
            complete: doc.complete,
            created_ms: self.created_ms,
            updated_ms: self.updated_ms,
            timeout_ms: self.timeout_ms,
            user: doc.user.to_lowercase(),
            search: search.join("\n").to_lowercase(),
            events_bytes: self.events_bytes,
            summary: summary(doc).encode_to_vec(),
            document: doc.encode_to_vec(),
        }
    }

    /// What came after a silence ends it.
    fn back_again(&mut self) {
        if self.doc.status == api::InvocationStatus::INVOCATION_STATUS_DISCONNECTED {
            self.doc.status = api::InvocationStatus::INVOCATION_STATUS_RUNNING.into();
            self.doc.message.clear();
            self.doc.complete = false;
        }
    }

    fn printed(&mut self, mut printed: Vec<u8>) -> Vec<u8> {
        if printed.is_empty() {
            return printed;
        }
        let room = usize::try_from(CONSOLE_MAX_BYTES - self.printed_bytes).unwrap_or(usize::MAX);
        if printed.len() > room {
            printed.truncate(room);
            self.truncated(format!("what was printed: the first {CONSOLE_MAX_BYTES} bytes are kept"));
        }
        self.printed_bytes += printed.len() as u64;
        self.doc.log_id = console::log_id(&self.doc.id);
        printed
    }

    /// Some of what was printed could not be kept.
    pub fn lost_print(&mut self, why: &str) {
        self.truncated(format!("what was printed: some is missing ({why})"));
    }

    /// Notes that something was left out.
    fn truncated(&mut self, note: String) {
        if self.doc.truncated.len() < TRUNCATED_MAX && !self.doc.truncated.contains(&note) {
            self.doc.truncated.push(note);
        }
    }

    /// Puts one more into a list of the document, if there is room.
    fn push<T>(&mut self, list: impl FnOnce(&mut api::Invocation) -> &mut Vec<T>, most: usize, what: &str, item: T) {
        let list = list(&mut self.doc);
        if list.len() < most {
            list.push(item);
        } else {
            self.truncated(format!("{what}: the first {most} are shown"));
        }
    }

    fn may_list_more_targets(&self) -> bool {
        self.targets.len() < INVOCATION_TARGETS_MAX
    }
}

/// Nothing came for too long.
pub fn disconnect(doc: &mut api::Invocation) {
    doc.complete = true;
    if doc.status == api::InvocationStatus::INVOCATION_STATUS_RUNNING {
        doc.status = api::InvocationStatus::INVOCATION_STATUS_DISCONNECTED.into();
        doc.message = "its events stopped coming: the build tool, or its connection, is gone".into();
    }
}

/// The document as lists show it.
pub fn summary(doc: &api::Invocation) -> api::Invocation {
    let mut short = doc.clone();
    short.command_line.clear();
    short.canonical_command_line.clear();
    short.explicit_options.clear();
    short.workspace_status.clear();
    short.metadata.clear();
    short.configurations.clear();
    short.failed_actions.clear();
    short.aborted.clear();
    short.mnemonics.clear();
    short.tool_logs.clear();
    short.lifecycle.clear();
    short.truncated.clear();
    short.keywords.clear();
    if let Some(timing) = short.timing.as_option_mut() {
        timing.critical_path.clear();
    }
    short
}

fn time<P: buffa::ProtoBox<Timestamp>>(ms: i64) -> MessageField<Timestamp, P> {
    MessageField::some(Timestamp {
        seconds: ms.div_euclid(1_000),
        nanos: (ms.rem_euclid(1_000) * 1_000_000) as i32,
        ..Default::default()
    })
}

/// What lies beyond the years of a calendar is brought back into them.
pub fn timestamp_ms(time: &Timestamp) -> i64 {
    const FAR_SECONDS: i64 = 253_402_300_799;
    time.seconds.clamp(0, FAR_SECONDS) * 1_000 + i64::from(time.nanos.clamp(0, 999_999_999)) / 1_000_000
}
