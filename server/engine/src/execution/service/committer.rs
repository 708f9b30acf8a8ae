//! The one task that writes: what has gathered while the last transaction ran goes into the next one, whole. What it wrote
//! is published, and those who waited for it are answered.

use std::sync::Arc;

use buffa::Message;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::Shared;
use super::desk::{Desk, Finishing};
use super::seen::Seen;
use crate::error::{Error, Result};
use crate::execution::queue::{Noted, Touch};
use crate::execution::response;
use crate::execution::store::{ActiveRecord, Change, FinishedRecord};
use crate::execution::told::{self, End, Telling};

/// How many changes one transaction takes at most: bounds how long the first of them waits for the last.
pub const COMMIT_CHANGES_MAX: usize = 4_096;

/// What one transaction writes.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    /// What is published once that is written.
    seen: Vec<Seen>,
    /// Those that end with it.
    finishing: Vec<Finishing>,
    /// What may be to be told of those that go on.
    telling: Vec<Telling>,
    /// What is noted as written: whether it was inserted.
    noted: Vec<(Uuid, bool)>,
    tickets: Vec<oneshot::Sender<Result<()>>>,
}

/// Writes until the desk is closed and there is nothing more to write.
pub async fn run(shared: Arc<Shared>) {
    loop {
        shared.work.notified().await;
        loop {
            let (mut batch, closed) = {
                let mut desk = shared.desk();
                (take(&mut desk), desk.closed)
            };
            if batch.is_empty() {
                if closed {
                    return stop(&shared);
                }
                break;
            }
            let changes = batch.complete();
            let written = if changes.is_empty() { Ok(()) } else { shared.store.commit(changes).await };
            let failed = written.is_err();
            settle(&shared, batch, &written);
            if failed {
                // What was not written stays to be written: with the next thing that happens, a tick at the latest.
                if closed {
                    return stop(&shared);
                }
                break;
            }
        }
    }
}

/// From here on those who wait are told at once that nothing is written.
fn stop(shared: &Shared) {
    let mut desk = shared.desk();
    desk.stopped = true;
    desk.tickets.clear();
}

impl Batch {
    fn is_empty(&self) -> bool {
        // What is to be told comes with a change.
        self.seen.is_empty() && self.finishing.is_empty() && self.changes.is_empty() && self.tickets.is_empty()
    }

    /// The changes, those of finished executions and what is told made here: they are encoded without the lock.
    fn complete(&mut self) -> Vec<Change> {
        let mut changes = std::mem::take(&mut self.changes);
        let mut events: Vec<_> = self.telling.iter().flat_map(told::changes).collect();
        for Finishing { ended, response } in &self.finishing {
            events.extend(told::changes(&Telling {
                id: ended.entry.id,
                spec: Arc::clone(&ended.entry.spec),
                standing: ended.entry.standing.clone(),
                told: ended.entry.told,
                end: Some(End { at_ms: ended.at_ms, response: Arc::clone(response) }),
            }));
            changes.push(Change::Finish(Box::new(FinishedRecord {
                id: ended.entry.id,
                spec: (*ended.entry.spec).clone(),
                standing: ended.entry.standing.clone(),
                finished_ms: ended.at_ms,
                status_code: response::code(response),
                response: response.encode_to_vec().into(),
            })));
        }
        if !events.is_empty() {
            changes.push(Change::Tell(events));
        }
        changes
    }
}

/// Takes what there is, if the desk has not more than one transaction takes: then the rest, and those who wait, follow in
/// the next.
fn take(desk: &mut Desk) -> Batch {
    let mut batch = Batch { telling: std::mem::take(&mut desk.untold), ..Batch::default() };
    let ending = desk.ending.len().min(COMMIT_CHANGES_MAX);
    batch.finishing.extend(desk.ending.drain(..ending));
    let touched = desk.touched.len().min(COMMIT_CHANGES_MAX - ending);
    let taken: Vec<Uuid> = desk.touched.drain(..touched).collect();
    for id in taken {
        // It may have ended meanwhile.
        let Some(Noted { entry, touch, stored, told }) = desk.queue.noted(id) else { continue };
        if touch == Touch::Kept {
            let (spec, standing) = (Arc::clone(&entry.spec), entry.standing.clone());
            batch.telling.push(Telling { id, spec, standing, told, end: None });
        }
        match (touch, stored) {
            (Touch::Kept, false) => {
                let record = ActiveRecord { id, spec: (*entry.spec).clone(), standing: entry.standing.clone() };
                batch.changes.push(Change::Insert(Box::new(record)));
                batch.noted.push((id, true));
            }
            (Touch::Kept, true) => {
                batch.changes.push(Change::Update(id, Box::new(entry.standing.clone())));
                batch.noted.push((id, false));
            }
            // What the store does not have is not published.
            (Touch::Seen, false) | (Touch::None, _) => continue,
            (Touch::Seen, true) => {}
        }
        if let Some(entry) = desk.queue.get(id) {
            batch.seen.push(Seen::of_active(entry, &desk.queue));
        }
    }
    if desk.ending.is_empty() && desk.touched.is_empty() {
        batch.tickets = std::mem::take(&mut desk.tickets);
    }
    batch
}

fn settle(shared: &Shared, batch: Batch, written: &Result<()>) {
    let Batch { seen, finishing, noted, tickets, telling, .. } = batch;
    let mut published = Vec::new();
    match written {
        Ok(()) => {
            let ended: Vec<Seen> =
                finishing.iter().map(|one| Seen::of_ended(&one.ended, Arc::clone(&one.response))).collect();
            publish(&mut shared.desk(), seen, ended, &mut published);
            shared.changes.send_modify(|version| *version += 1);
        }
        Err(error) => {
            tracing::error!(%error, changes = noted.len() + finishing.len(), "transitions of executions were not written");
            let mut desk = shared.desk();
            for (id, inserted) in noted {
                desk.queue.not_stored(id, inserted);
            }
            desk.ending.extend(finishing);
            desk.untold = telling;
            // Nothing was decided: there are no offers.
            desk.gather();
        }
    }
    // Without the lock: who is woken takes it.
    for (sender, seen) in published {
        sender.send_replace(seen);
    }
    for ticket in tickets {
        // Who waited may have gone.
        let _ = ticket.send(written.as_ref().copied().map_err(Error::retold));
    }
}

/// Notes what is public now, and has it sent.
fn publish(
    desk: &mut Desk,
    seen: Vec<Seen>,
    ended: Vec<Seen>,
    published: &mut Vec<(watch::Sender<Arc<Seen>>, Arc<Seen>)>,
) {
    for seen in seen {
        let (id, seen) = (seen.id, Arc::new(seen));
        match desk.live.get(&id) {
            Some(sender) => published.push((sender.clone(), seen)),
            None => {
                desk.live.insert(id, watch::Sender::new(seen));
            }
        }
    }
    for seen in ended {
        let (id, seen) = (seen.id, Arc::new(seen));
        desk.unwritten.remove(&id);
        desk.remembered.put(id, Arc::clone(&seen), seen.state.finished_ms.unwrap_or_default());
        if let Some(sender) = desk.live.remove(&id) {
            published.push((sender, seen));
        }
    }
}
