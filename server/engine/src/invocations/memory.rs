//! Invocations in memory, for the engine's own tests: the plainest store that keeps the promises of [`InvocationStore`]
//! but one (it forgets everything when it is dropped).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::publication::StreamKey;
use super::store::{
    EventPage, EventPosition, InvocationChange, InvocationFilter, InvocationRow, InvocationStore, StoredStream,
    TargetFilter, TargetPage, TargetRow,
};
use crate::error::{Error, Result};
use crate::events::NewEvent;

/// Invocations in memory.
#[derive(Debug, Default)]
pub struct MemoryInvocations {
    kept: Mutex<Kept>,
}

type TargetPlace = (i32, String, String, String);

#[derive(Debug, Default)]
struct Kept {
    rows: BTreeMap<String, InvocationRow>,
    streams: HashMap<StreamKey, (StoredStream, i64)>,
    /// By instance, build and place.
    events: BTreeMap<(String, String, EventPosition), Vec<u8>>,
    targets: BTreeMap<String, Vec<TargetRow>>,
    told: Vec<NewEvent>,
}

impl MemoryInvocations {
    /// What was told.
    pub fn told(&self) -> Vec<NewEvent> {
        self.lock().told.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(row: &TargetRow) -> TargetPlace {
    (row.rank, row.label.clone(), row.configuration.clone(), row.aspect.clone())
}

fn name(row: &TargetRow) -> (&str, &str, &str) {
    (&row.label, &row.configuration, &row.aspect)
}

#[async_trait]
impl InvocationStore for MemoryInvocations {
    async fn commit(&self, change: InvocationChange) -> Result<()> {
        let mut kept = self.lock();
        let stream = &change.stream;
        let last = kept.streams.get(stream).map_or(0, |(position, _)| position.last_sequence);
        if change.events.first().is_some_and(|first| first.sequence != last + 1) {
            return Err(Error::Conflict("the stream has not come as far, or further".into()));
        }
        let (instance, build) = (stream.instance.as_str().to_owned(), stream.build_id.clone());
        for event in change.events {
            let position = EventPosition {
                invocation_id: stream.invocation_id.clone(),
                component: stream.component,
                sequence: event.sequence,
            };
            kept.events.insert((instance.clone(), build.clone(), position), event.event);
        }
        kept.streams.insert(stream.clone(), (change.position, change.now_ms));
        let targets = kept.targets.entry(stream.invocation_id.clone()).or_default();
        for row in change.targets {
            targets.retain(|old| name(old) != name(&row));
            targets.push(row);
        }
        targets.sort_by_key(place);
        if let Some(row) = change.row {
            kept.rows.insert(row.id.clone(), row);
        }
        kept.told.extend(change.told);
        Ok(())
    }

    async fn update(&self, row: InvocationRow, told: Vec<NewEvent>) -> Result<()> {
        let mut kept = self.lock();
        if let Some(old) = kept.rows.get_mut(&row.id) {
            *old = row;
            kept.told.extend(told);
        }
        Ok(())
    }

    async fn invocation(&self, id: &str) -> Result<Option<InvocationRow>> {
        Ok(self.lock().rows.get(id).cloned())
    }

    async fn stream(&self, stream: &StreamKey) -> Result<StoredStream> {
        Ok(self.lock().streams.get(stream).map(|(position, _)| *position).unwrap_or_default())
    }

    async fn list_invocations(&self, filter: InvocationFilter) -> Result<Vec<InvocationRow>> {
        let kept = self.lock();
        let mut rows: Vec<_> = kept.rows.values().filter(|row| is_wanted(row, &filter)).cloned().collect();
        rows.sort_by(|one, other| (other.created_ms, &other.id).cmp(&(one.created_ms, &one.id)));
        if let Some(after) = &filter.after {
            rows.retain(|row| (row.created_ms, &row.id) < (after.created_ms, &after.id));
        }
        rows.truncate(filter.limit as usize);
        for row in &mut rows {
            row.document.clear();
        }
        Ok(rows)
    }

    async fn silent(&self, now_ms: i64, limit: u32) -> Result<Vec<String>> {
        let kept = self.lock();
        let mut silent: Vec<_> = kept.rows.values().collect();
        silent.retain(|row| !row.complete && row.updated_ms + row.timeout_ms <= now_ms);
        silent.sort_by_key(|row| row.updated_ms);
        Ok(silent.into_iter().map(|row| row.id.clone()).take(limit as usize).collect())
    }

    async fn targets(&self, id: &str, filter: TargetFilter) -> Result<TargetPage> {
        let kept = self.lock();
        let text = filter.text.to_ascii_lowercase();
        let mut targets: Vec<_> = kept.targets.get(id).cloned().unwrap_or_default();
        targets.retain(|row| {
            (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
                && row.label.to_ascii_lowercase().contains(&text)
                && (row.has_test || !filter.tests_only)
        });
        let total = targets.len() as i64;
        if let Some(after) = filter.after {
            let after = (after.rank, after.label, after.configuration, after.aspect);
            targets.retain(|row| place(row) > after);
        }
        targets.truncate(filter.limit as usize);
        Ok(TargetPage { targets, total })
    }

    async fn events(
        &self,
        instance: &str,
        build_id: &str,
        id: &str,
        after: EventPosition,
        limit: u32,
        max_bytes: usize,
    ) -> Result<EventPage> {
        let kept = self.lock();
        let mut bytes = 0;
        let events = kept.events.iter().filter(|((of, build, place), _)| {
            of == instance
                && build == build_id
                && (place.invocation_id.is_empty() || place.invocation_id == id)
                && *place > after
        });
        let events = events.take(limit as usize).take_while(|(_, event)| {
            let fits = bytes == 0 || bytes + event.len() <= max_bytes;
            bytes += event.len();
            fits
        });
        Ok(events.map(|((_, _, place), event)| (place.clone(), event.clone())).collect())
    }

    async fn outdated(&self, before_ms: i64, kept_max: u32, limit: u32) -> Result<Vec<String>> {
        let kept = self.lock();
        let mut rows: Vec<_> = kept.rows.values().collect();
        rows.sort_by(|one, other| (other.created_ms, &other.id).cmp(&(one.created_ms, &one.id)));
        let outdated =
            rows.iter().enumerate().filter(|(at, row)| *at >= kept_max as usize || row.updated_ms < before_ms);
        Ok(outdated.map(|(_, row)| row.id.clone()).take(limit as usize).collect())
    }

    async fn forget(&self, id: &str) -> Result<()> {
        let mut kept = self.lock();
        let Some(row) = kept.rows.remove(id) else { return Ok(()) };
        let alone = !kept.rows.values().any(|other| other.build_id == row.build_id && other.instance == row.instance);
        let goes = |instance: &str, build: &str, invocation: &str| {
            instance == row.instance && build == row.build_id && (invocation == id || alone && invocation.is_empty())
        };
        kept.events.retain(|(instance, build, place), _| !goes(instance, build, &place.invocation_id));
        kept.streams.retain(|stream, _| !goes(stream.instance.as_str(), &stream.build_id, &stream.invocation_id));
        kept.targets.remove(id);
        Ok(())
    }

    async fn forget_builds(&self, before_ms: i64) -> Result<()> {
        let mut kept = self.lock();
        let Kept { rows, streams, events, .. } = &mut *kept;
        let has_rows =
            |instance: &str, build: &str| rows.values().any(|row| row.instance == instance && row.build_id == build);
        streams.retain(|stream, (_, updated_ms)| {
            let goes = stream.invocation_id.is_empty()
                && *updated_ms < before_ms
                && !has_rows(stream.instance.as_str(), &stream.build_id);
            if goes {
                events.retain(|(instance, build, _), _| {
                    instance != stream.instance.as_str() || *build != stream.build_id
                });
            }
            !goes
        });
        Ok(())
    }
}

fn is_wanted(row: &InvocationRow, filter: &InvocationFilter) -> bool {
    filter.instance.as_ref().is_none_or(|instance| *instance == row.instance)
        && (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
        && (filter.user.is_empty() || filter.user == row.user)
        && row.search.contains(&filter.text)
}
