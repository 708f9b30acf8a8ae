//! Takes publications, one at a time an invocation, and answers questions about what they told.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use buffa::Message;
use millrace_proto::build_events as wire;
use millrace_proto::build_events::build_event::Event;
use millrace_proto::millrace::v1 as api;
use tokio::sync::watch;

use super::console;
use super::fold::{Fold, disconnect, step_of, summary};
use super::limits::{
    EVENT_MAX_BYTES, INVOCATION_EVENTS_MAX, INVOCATION_EVENTS_MAX_BYTES, InvocationLimits, PUBLICATION_MAX_BYTES,
    PUBLICATION_MAX_EVENTS,
};
use super::live::{Attached, Live, LiveTable, State};
use super::publication::{Numbered, Publication, StreamKey, component};
use super::store::{
    EventPage, EventPosition, InvocationChange, InvocationFilter, InvocationRow, InvocationStore, StoredEvent,
    StoredStream, TargetFilter, TargetPage,
};
use super::told::{self, Before};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::logs::{LogError, LogId, LogRoom, MessageMasks};

/// How often what is old is looked for, in milliseconds.
const PRUNE_EVERY_MS: i64 = 60_000;
/// How often silent invocations are looked for, in milliseconds.
const SILENCE_EVERY_MS: i64 = 1_000;
/// So many invocations are ended or forgotten at a time.
const TICK_MAX: u32 = 100;
/// The longest a publisher may ask to be silent, in milliseconds.
const TIMEOUT_MAX_MS: i64 = 24 * 3_600_000;
/// What an event is, by the name of its type.
const EVENT_TYPE: &str = "google.devtools.build.v1.BuildEvent";
/// Build events of a build as such that a document shows.
const BUILD_STEPS_MAX: u32 = 10;

/// The invocations of a server.
pub struct Invocations {
    store: Arc<dyn InvocationStore>,
    logs: Arc<LogRoom>,
    clock: Arc<dyn Clock>,
    limits: InvocationLimits,
    live: LiveTable,
    masks: MessageMasks,
    opened_ms: i64,
    looked_ms: AtomicI64,
    pruned_ms: AtomicI64,
}

/// Tells when an invocation has changed.
pub struct Changes {
    _live: Arc<Live>,
    changes: watch::Receiver<u64>,
}

impl Invocations {
    /// Over a store, and a room for what builds print.
    pub fn new(
        store: Arc<dyn InvocationStore>,
        logs: Arc<LogRoom>,
        clock: Arc<dyn Clock>,
        limits: InvocationLimits,
    ) -> Self {
        let opened_ms = clock.now_ms();
        Self {
            store,
            logs,
            clock,
            limits,
            live: LiveTable::default(),
            masks: MessageMasks::default(),
            opened_ms,
            looked_ms: AtomicI64::new(0),
            pruned_ms: AtomicI64::new(0),
        }
    }

    /// Notes that a stream is open, for as long as the answer lives.
    pub fn attach(&self, stream: &StreamKey) -> Attached {
        Attached::to(self.live.get(&stream.invocation_id), Arc::clone(&self.clock))
    }

    /// Stores events; when this returns they are durable. Those that were stored before are left out. `Precondition` when
    /// one is missing before the first.
    pub async fn publish(&self, mut publication: Publication) -> Result<()> {
        self.mask(&mut publication)?;
        if publication.stream.invocation_id.is_empty() {
            return self.publish_build(publication).await;
        }
        let live = self.live.get(&publication.stream.invocation_id);
        let mut turn = live.turn.lock().await;
        // Put back when all is well: a failure, or a caller who goes away, leaves what is to be read from the store.
        let mut state = match turn.take() {
            Some(state) => state,
            None => Box::new(self.load(&publication.stream).await?),
        };
        check_place(&state.fold, &publication.stream)?;
        match self.store_events(&mut state, publication).await {
            Ok(()) => {
                *turn = Some(state);
                drop(turn);
                live.changed();
                Ok(())
            }
            // Nothing of it was folded.
            Err(error @ Error::Precondition(_)) => {
                *turn = Some(state);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Covers what is masked in logs in all that is stored and shown of events: command lines, variables, what was printed.
    fn mask(&self, publication: &mut Publication) -> Result<()> {
        let Some(set) = self.logs.masks().current().filter(|set| !set.is_empty()) else { return Ok(()) };
        for Numbered { event, .. } in &mut publication.events {
            let mut bytes = event.encode_to_vec();
            if self.masks.cover(&set, EVENT_TYPE, &mut bytes) {
                *event = wire::BuildEvent::decode_from_slice(&bytes).map_err(Error::internal)?;
            }
        }
        for keyword in &mut publication.keywords {
            if set.is_in(keyword.as_bytes()) {
                "*".repeat(keyword.len()).clone_into(keyword);
            }
        }
        Ok(())
    }

    async fn store_events(&self, state: &mut State, publication: Publication) -> Result<()> {
        let Publication { stream, events, keywords, check_preceding, timeout_ms } = publication;
        let position = match state.positions.get(&stream) {
            Some(position) => *position,
            None => self.store.stream(&stream).await?,
        };
        state.positions.insert(stream.clone(), position);
        let Some(events) = fresh(events, position)? else { return Ok(()) };
        if check_preceding {
            self.check_preceding(&stream, &events[0], state.fold.is_announced()).await?;
        }
        let now_ms = self.clock.now_ms();
        let fold = &mut state.fold;
        let before = Before { new: fold.size().0 == 0, complete: fold.is_complete() };
        let printed_before = fold.printed_bytes();
        let mut printed = Vec::new();
        let mut stored = Vec::with_capacity(events.len());
        let mut position = position;
        fold.keywords(&keywords);
        if let Some(timeout_ms) = timeout_ms {
            fold.set_timeout(timeout_ms.clamp(self.limits.disconnected_after_ms, TIMEOUT_MAX_MS));
        }
        for Numbered { sequence, event } in &events {
            let bytes = encoded(event)?;
            printed.extend(fold.apply(stream.component, event, bytes.len(), now_ms));
            position.last_sequence = *sequence;
            position.finished |= matches!(event.event, Some(Event::ComponentStreamFinished(_)));
            stored.push(StoredEvent { sequence: *sequence, event: bytes });
        }
        check_size(fold)?;
        self.print(fold, &stream.invocation_id, printed_before, printed).await?;
        let change = InvocationChange {
            stream: stream.clone(),
            position,
            events: stored,
            now_ms,
            targets: fold.take_changed(),
            row: Some(fold.row()),
            told: told::changes(before, fold.document(), now_ms),
        };
        self.store.commit(change).await?;
        state.positions.insert(stream, position);
        Ok(())
    }

    /// Into the log; what it does not take is noted, and the build goes on being told.
    async fn print(&self, fold: &mut Fold, id: &str, offset: u64, printed: Vec<u8>) -> Result<()> {
        if fold.printed_bytes() == 0 || (printed.is_empty() && !fold.is_complete()) {
            return Ok(());
        }
        let log = LogId::parse(&console::log_id(id))?;
        match self.logs.append_bytes(&log, offset, printed.into(), fold.is_complete()).await {
            Ok(_) => Ok(()),
            Err(error @ (LogError::Io(_) | LogError::Corrupt { .. } | LogError::Stale(_))) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, invocation = id, "what a build printed is not kept");
                fold.lost_print(&error.to_string());
                Ok(())
            }
        }
    }

    /// Events of a build as such.
    async fn publish_build(&self, publication: Publication) -> Result<()> {
        let Publication { stream, events, check_preceding, .. } = publication;
        let position = self.store.stream(&stream).await?;
        let Some(events) = fresh(events, position)? else { return Ok(()) };
        if check_preceding {
            self.check_preceding(&stream, &events[0], false).await?;
        }
        let mut position = position;
        let mut stored = Vec::with_capacity(events.len());
        for Numbered { sequence, event } in &events {
            position.last_sequence = *sequence;
            stored.push(StoredEvent { sequence: *sequence, event: encoded(event)? });
        }
        let now_ms = self.clock.now_ms();
        let (targets, told) = (Vec::new(), Vec::new());
        let change = InvocationChange { stream, position, events: stored, now_ms, row: None, targets, told };
        self.store.commit(change).await
    }

    /// Whether what must come before an event has come.
    async fn check_preceding(&self, stream: &StreamKey, first: &Numbered, announced: bool) -> Result<()> {
        let missing = match &first.event.event {
            Some(Event::BuildEnqueued(_)) => None,
            Some(Event::InvocationAttemptStarted(_) | Event::BuildFinished(_)) => {
                let build =
                    StreamKey { invocation_id: String::new(), component: component::CONTROLLER, ..stream.clone() };
                (self.store.stream(&build).await?.last_sequence == 0).then_some("BuildEnqueued")
            }
            Some(Event::InvocationAttemptFinished(_)) => (!announced).then_some("InvocationAttemptStarted"),
            _ => (first.sequence == 1 && !announced).then_some("InvocationAttemptStarted"),
        };
        missing.map_or(Ok(()), |missing| {
            let message = format!("check_preceding_lifecycle_events_present: {missing} has not come");
            Err(Error::Precondition(message))
        })
    }

    /// What was told so far, folded again from the events.
    async fn load(&self, stream: &StreamKey) -> Result<State> {
        let positions = HashMap::new();
        let id = &stream.invocation_id;
        let Some(row) = self.store.invocation(id).await? else {
            let fold = Fold::new(stream, self.clock.now_ms(), self.limits.disconnected_after_ms);
            return Ok(State { fold, positions });
        };
        if row.instance != stream.instance.as_str() {
            return Err(not_found(id));
        }
        let own = StreamKey { build_id: row.build_id.clone(), ..stream.clone() };
        let mut fold = Fold::new(&own, row.created_ms, row.timeout_ms);
        let mut after = EventPosition { invocation_id: id.clone(), component: 0, sequence: 0 };
        loop {
            let (limit, bytes) = (PUBLICATION_MAX_EVENTS as u32, PUBLICATION_MAX_BYTES);
            let page = self.store.events(&row.instance, &row.build_id, id, after.clone(), limit, bytes).await?;
            let Some((last, _)) = page.last() else { break };
            after = last.clone();
            for (position, bytes) in &page {
                let event = wire::BuildEvent::decode_from_slice(bytes).map_err(Error::internal)?;
                fold.apply(position.component, &event, bytes.len(), row.updated_ms);
            }
        }
        // All of it is in the store already.
        fold.take_changed();
        Ok(State { fold, positions })
    }

    /// An invocation, if it is of this project; None: of any.
    pub async fn get(&self, project: Option<&str>, id: &str) -> Result<api::Invocation> {
        let row = self.row(project, id).await?;
        let mut doc = api::Invocation::decode_from_slice(&row.document).map_err(Error::internal)?;
        let begin = EventPosition::default();
        let of_build = self.store.events(&row.instance, &row.build_id, id, begin, BUILD_STEPS_MAX, EVENT_MAX_BYTES);
        for (place, bytes) in of_build.await? {
            if place.invocation_id.is_empty() {
                let event = wire::BuildEvent::decode_from_slice(&bytes).map_err(Error::internal)?;
                doc.lifecycle.extend(step_of(&event));
            }
        }
        doc.lifecycle.sort_by_key(|step| step.time.as_option().map(|time| (time.seconds, time.nanos)));
        Ok(doc)
    }

    /// An invocation's row, if it is of this project; None: of any.
    pub async fn row(&self, project: Option<&str>, id: &str) -> Result<InvocationRow> {
        match self.store.invocation(id).await? {
            Some(row) if project.is_none_or(|project| project == row.instance) => Ok(row),
            _ => Err(not_found(id)),
        }
    }

    /// Invocations, newest first, without their whole documents.
    pub async fn list(&self, filter: InvocationFilter) -> Result<Vec<InvocationRow>> {
        self.store.list_invocations(filter).await
    }

    /// Targets of an invocation that was found.
    pub async fn targets(&self, id: &str, filter: TargetFilter) -> Result<TargetPage> {
        self.store.targets(id, filter).await
    }

    /// Events of an invocation that was found.
    pub async fn events(
        &self,
        row: &InvocationRow,
        after: EventPosition,
        limit: u32,
        max_bytes: usize,
    ) -> Result<EventPage> {
        self.store.events(&row.instance, &row.build_id, &row.id, after, limit, max_bytes).await
    }

    /// Changes of an invocation from now on.
    pub fn changes(&self, id: &str) -> Changes {
        let live = self.live.get(id);
        let changes = live.changes.subscribe();
        Changes { _live: live, changes }
    }

    /// The invocation whose console a log is, if it is of this project; `NotFound` if it is an invocation's and not
    /// theirs; None: the log is of something else.
    pub async fn of_log(&self, project: Option<&str>, log: &LogId) -> Result<Option<InvocationRow>> {
        match console::invocation_of(log) {
            None => Ok(None),
            Some(id) => match self.row(project, id).await {
                Err(Error::NotFound(_)) => Err(Error::NotFound(format!("log {log}"))),
                other => other.map(Some),
            },
        }
    }

    /// How many invocations are being published or watched.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// Ends what has been silent for too long, and forgets what is old. To be called every now and then.
    pub async fn tick(&self) -> Result<()> {
        let now_ms = self.clock.now_ms();
        if is_due(&self.looked_ms, now_ms, SILENCE_EVERY_MS) {
            for id in self.store.silent(now_ms, TICK_MAX).await? {
                self.end_silent(&id, now_ms).await?;
            }
            self.live.tidy(|live| {
                live.turn.try_lock().is_ok_and(|state| state.as_ref().is_some_and(|state| !state.fold.is_complete()))
            });
        }
        if is_due(&self.pruned_ms, now_ms, PRUNE_EVERY_MS) {
            self.prune(now_ms - self.limits.kept_ms).await?;
        }
        Ok(())
    }

    /// Forgets what is old, or too much.
    async fn prune(&self, before_ms: i64) -> Result<()> {
        for id in self.store.outdated(before_ms, self.limits.kept_max, TICK_MAX).await? {
            self.store.forget(&id).await?;
            match self.logs.delete(&LogId::parse(&console::log_id(&id))?).await {
                Ok(()) | Err(LogError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.store.forget_builds(before_ms).await
    }

    async fn end_silent(&self, id: &str, now_ms: i64) -> Result<()> {
        let live = self.live.get(id);
        let Ok(mut turn) = live.turn.try_lock() else { return Ok(()) };
        let Some(mut row) = self.store.invocation(id).await? else { return Ok(()) };
        // A publisher that comes back after the server did has its time, too.
        let Some(closed_ms) = live.silent_since() else { return Ok(()) };
        let since = row.updated_ms.max(closed_ms).max(self.opened_ms);
        if row.complete || since + row.timeout_ms > now_ms {
            return Ok(());
        }
        let mut doc = api::Invocation::decode_from_slice(&row.document).map_err(Error::internal)?;
        let before = Before { new: false, complete: row.complete };
        disconnect(&mut doc);
        row.status = doc.status.to_i32();
        row.complete = true;
        row.summary = summary(&doc).encode_to_vec();
        row.document = doc.encode_to_vec();
        if let Some(state) = turn.as_mut() {
            state.fold.disconnect();
        }
        if !doc.log_id.is_empty() {
            self.logs.close(&LogId::parse(&doc.log_id)?).await?;
        }
        self.store.update(row, told::changes(before, &doc, now_ms)).await?;
        drop(turn);
        live.changed();
        Ok(())
    }
}

impl Changes {
    /// Comes back after the next change.
    pub async fn next(&mut self) {
        // The sender is kept alive by `_live`.
        let _ = self.changes.changed().await;
    }
}

fn not_found(id: &str) -> Error {
    Error::NotFound(format!("invocation {id}"))
}

fn is_due(last: &AtomicI64, now_ms: i64, every_ms: i64) -> bool {
    let due = now_ms - last.load(Ordering::Relaxed) >= every_ms;
    if due {
        last.store(now_ms, Ordering::Relaxed);
    }
    due
}

/// An id is of one project and one build.
fn check_place(fold: &Fold, stream: &StreamKey) -> Result<()> {
    if fold.instance() != stream.instance.as_str() {
        return Err(not_found(&stream.invocation_id));
    }
    if fold.build_id() != stream.build_id {
        let message = format!("stream_id.build_id: invocation {} is of another build", stream.invocation_id);
        return Err(Error::Precondition(message));
    }
    Ok(())
}

/// The events that were not stored before; None: all were.
fn fresh(mut events: Vec<Numbered>, position: StoredStream) -> Result<Option<Vec<Numbered>>> {
    events.retain(|event| event.sequence > position.last_sequence);
    let Some(first) = events.first() else { return Ok(None) };
    let expected = position.last_sequence + 1;
    if position.finished {
        let message =
            format!("sequence_number: {} comes after the stream's end, {}", first.sequence, position.last_sequence);
        return Err(Error::Precondition(message));
    }
    let gap = (expected..).zip(&events).find(|(expected, event)| *expected != event.sequence);
    match gap {
        None => Ok(Some(events)),
        Some((expected, event)) => Err(Error::Precondition(format!(
            "sequence_number: {} came, {expected} is expected; send again from the first event that was not acknowledged",
            event.sequence
        ))),
    }
}

fn encoded(event: &wire::BuildEvent) -> Result<Vec<u8>> {
    let bytes = event.encode_to_vec();
    if bytes.len() > EVENT_MAX_BYTES {
        let message = format!("has {} bytes; {EVENT_MAX_BYTES} are allowed", bytes.len());
        return Err(Error::invalid("ordered_build_event.event", message));
    }
    Ok(bytes)
}

fn check_size(fold: &Fold) -> Result<()> {
    let (events, bytes) = fold.size();
    if events > INVOCATION_EVENTS_MAX {
        return Err(Error::Exhausted(format!("an invocation may have {INVOCATION_EVENTS_MAX} events")));
    }
    if bytes > INVOCATION_EVENTS_MAX_BYTES {
        let message = format!("the events of an invocation may have {INVOCATION_EVENTS_MAX_BYTES} bytes together");
        return Err(Error::Exhausted(message));
    }
    Ok(())
}
