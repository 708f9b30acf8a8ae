//! What clients call: Execute, and their operations afterwards.

use std::sync::Arc;

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::ActionResult;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::seen::Seen;
use super::watching::{Guard, Watch};
use super::{Execution, Shared, written};
use crate::actions::{Inline, Origin};
use crate::error::{Error, Result};
use crate::execution::ask::ExecuteAsk;
use crate::execution::request::{self, Request};
use crate::execution::response;
use crate::execution::state::{ExecutionState, OperationState, Stage, operation_name, parse_operation_id};
use crate::execution::store::OperationRecord;

/// How often the action cache is asked again because the action ended after it was asked.
const LOOK_AGAIN_MAX: usize = 3;
/// Why an operation ends when its client asks for that.
const CANCELLED: &str = "cancelled by the client";

/// Where an operation is found.
enum Place {
    /// Active: what was last published, and what will be.
    Live(watch::Receiver<Arc<Seen>>),
    /// Done.
    Done(Arc<Seen>),
}

impl Execution {
    /// Runs an action, or finds its result in the action cache, or joins the same action in flight. The operation is on
    /// the disk when this returns.
    pub async fn execute(&self, ask: ExecuteAsk) -> Result<Watch> {
        let shared = &self.shared;
        for _ in 0..LOOK_AGAIN_MAX {
            let successes = shared.desk().successes();
            if !ask.skip_cache_lookup {
                let origin = Origin { mnemonic: ask.metadata.mnemonic.clone(), target: ask.metadata.target.clone() };
                if let Some(result) = shared.actions.get(&ask.instance, &ask.action, &ask.inline, origin).await? {
                    return Ok(self.answer_cached(&ask, result).await);
                }
            }
            if let Some(watch) = self.join(&ask).await? {
                return Ok(watch);
            }
            let request = request::read(&shared.blobs, &ask, &shared.options, shared.clock.now_ms()).await?;
            let command = request.command_bytes.is_none().then_some(request.spec.command);
            shared.inputs.check(&ask.instance, request.input_root, command).await?;
            if let Some(watch) = self.submit(&ask, request, successes).await? {
                return Ok(watch);
            }
        }
        Err(Error::Unavailable("the action's results come and go; ask again".into()))
    }

    /// The operation as it is now, and as it will be.
    pub async fn wait(&self, instance: &InstanceName, operation: &str) -> Result<Watch> {
        let (id, number, place) = self.find(instance, operation).await?;
        let inline = Inline::default();
        match place {
            Place::Live(news) => {
                self.shared.desk().queue.watch(id, number);
                let guard = Guard::counted(&self.shared, id, number);
                let seen = Arc::clone(&news.borrow());
                Ok(Watch::new(guard, inline, seen, Some(news)).await)
            }
            Place::Done(seen) => {
                let guard = Guard::of_done(&self.shared, id, number);
                Ok(Watch::new(guard, inline, seen, None).await)
            }
        }
    }

    /// The operation as it is now.
    pub async fn get(&self, instance: &InstanceName, operation: &str) -> Result<OperationState> {
        let (_, number, place) = self.find(instance, operation).await?;
        let seen = match place {
            Place::Live(news) => Arc::clone(&news.borrow()),
            Place::Done(seen) => seen,
        };
        Ok(seen.operation_state(number, None))
    }

    /// Gives an operation up. The execution goes on if others wait for it. One that is done stays as it is.
    pub async fn cancel(&self, instance: &InstanceName, operation: &str) -> Result<()> {
        let (id, number, place) = self.find(instance, operation).await?;
        if matches!(place, Place::Live(_)) {
            self.shared.change(|desk, now| desk.queue.cancel_operation(id, number, CANCELLED, now)).await?;
        }
        Ok(())
    }

    /// Forgets an operation. That does not stop it, but nobody can watch it any more.
    pub async fn delete(&self, instance: &InstanceName, operation: &str) -> Result<()> {
        let (id, number, place) = self.find(instance, operation).await?;
        if matches!(place, Place::Live(_))
            && self.shared.change(|desk, _| desk.queue.forget_operation(id, number)).await?
        {
            return Ok(());
        }
        // Done, perhaps meanwhile. One operation of many is forgotten in memory; with the last one, so is all of it.
        let others = {
            let mut desk = self.shared.desk();
            let known = desk.remembered.get(id).cloned();
            let left = known.map(|seen| {
                let mut seen = (*seen).clone();
                if let Some(operation) = seen.operations.get_mut(number as usize) {
                    operation.deleted = true;
                }
                seen
            });
            match left {
                Some(seen) if seen.operations.iter().any(|operation| !operation.deleted) => {
                    desk.remembered.replace(id, Arc::new(seen));
                    true
                }
                _ => {
                    desk.remembered.forget(id);
                    false
                }
            }
        };
        if !others {
            self.shared.store.forget(id).await?;
        }
        Ok(())
    }

    async fn answer_cached(&self, ask: &ExecuteAsk, result: ActionResult) -> Watch {
        let (id, shared) = (Uuid::now_v7(), &self.shared);
        let now = shared.clock.now_ms();
        let state = ExecutionState {
            id: id.to_string(),
            instance: ask.instance.clone(),
            action: Some(ask.action),
            stage: Stage::Done,
            priority: ask.priority,
            operations: vec![operation_name(&ask.instance, &id.to_string())],
            invocation_id: ask.metadata.invocation_id.clone(),
            queued_ms: now,
            finished_ms: Some(now),
            exit_code: Some(result.exit_code),
            response: Some(Arc::new(response::cached(result))),
            ..Default::default()
        };
        let operations = vec![OperationRecord { priority: ask.priority, ..Default::default() }];
        let seen = Arc::new(Seen { id, action: ask.action, state, operations, cached: true });
        {
            let mut desk = shared.desk();
            desk.cached.count(now);
            desk.remembered.put(id, Arc::clone(&seen), now);
        }
        Watch::new(Guard::of_done(shared, id, 0), Inline::default(), seen, None).await
    }

    /// Joins the same action in flight, if there is one.
    async fn join(&self, ask: &ExecuteAsk) -> Result<Option<Watch>> {
        let joined = self.shared.act(|desk, now| {
            desk.open()?;
            let Some(id) = desk.queue.mergeable(&ask.instance, &ask.action) else { return Ok(None) };
            let number = desk.queue.join(id, ask.priority, now)?;
            Ok::<_, Error>(Some((id, number, desk.ticket())))
        })?;
        let Some((id, number, ticket)) = joined else { return Ok(None) };
        self.begin(id, number, ticket, &ask.inline).await.map(Some)
    }

    /// Queues a new execution, or joins one that came meanwhile. None: it ended meanwhile, and the action cache has it.
    async fn submit(&self, ask: &ExecuteAsk, request: Request, successes: u64) -> Result<Option<Watch>> {
        let Request { spec, action_bytes, command_bytes, .. } = request;
        let id = Uuid::now_v7();
        let submitted = self.shared.act(|desk, now| {
            desk.open()?;
            if !spec.do_not_cache {
                if let Some(id) = desk.queue.mergeable(&ask.instance, &ask.action) {
                    let number = desk.queue.join(id, ask.priority, now)?;
                    return Ok(Some((id, number, desk.ticket())));
                }
                if !ask.skip_cache_lookup && desk.succeeded_since(&ask.instance, &ask.action, successes) {
                    return Ok(None);
                }
            }
            desk.queue.submit(id, spec, ask.priority, now)?;
            if let Some(command) = command_bytes {
                desk.carried.put(id, action_bytes, command);
            }
            Ok::<_, Error>(Some((id, 0, desk.ticket())))
        })?;
        let Some((id, number, ticket)) = submitted else { return Ok(None) };
        self.begin(id, number, ticket, &ask.inline).await.map(Some)
    }

    /// Waits until an operation is on the disk, and watches it.
    async fn begin(
        &self,
        id: Uuid,
        number: u32,
        ticket: oneshot::Receiver<Result<()>>,
        inline: &Inline,
    ) -> Result<Watch> {
        let shared = &self.shared;
        // First of all: should the client leave while this waits, it is one that left.
        let guard = Guard::counted(shared, id, number);
        written(ticket).await?;
        let place = shared.place(id).ok_or_else(|| Error::internal("an execution vanished while it was written"))?;
        Ok(match place {
            Place::Live(news) => {
                let seen = Arc::clone(&news.borrow());
                Watch::new(guard, inline.clone(), seen, Some(news)).await
            }
            Place::Done(seen) => Watch::new(guard, inline.clone(), seen, None).await,
        })
    }

    /// The operation, unless it is another instance's or was forgotten.
    async fn find(&self, instance: &InstanceName, operation: &str) -> Result<(Uuid, u32, Place)> {
        let not_found = || Error::NotFound(format!("operation {}", operation_name(instance, operation)));
        let (id, number) = parse_operation_id(operation).ok_or_else(not_found)?;
        let place = match self.shared.place(id) {
            Some(place) => place,
            None => Place::Done(self.shared.in_history(id).await?.ok_or_else(not_found)?),
        };
        let there = {
            let seen = match &place {
                Place::Live(news) => Arc::clone(&news.borrow()),
                Place::Done(seen) => Arc::clone(seen),
            };
            seen.state.instance == *instance && seen.operation(number).is_some()
        };
        if there { Ok((id, number, place)) } else { Err(not_found()) }
    }
}

impl Shared {
    fn place(&self, id: Uuid) -> Option<Place> {
        let desk = self.desk();
        let live = desk.live.get(&id).map(|sender| Place::Live(sender.subscribe()));
        live.or_else(|| desk.remembered.get(id).map(|seen| Place::Done(Arc::clone(seen))))
    }

    /// A finished execution that the store has.
    pub(super) async fn in_history(&self, id: Uuid) -> Result<Option<Arc<Seen>>> {
        Ok(self.store.finished(id).await?.map(|record| Arc::new(Seen::of_record(&record))))
    }

    /// An execution as it was last published, wherever it is.
    pub(super) async fn seen(&self, id: Uuid) -> Result<Option<Arc<Seen>>> {
        match self.place(id) {
            Some(Place::Live(news)) => Ok(Some(Arc::clone(&news.borrow()))),
            Some(Place::Done(seen)) => Ok(Some(seen).filter(|seen| !seen.cached)),
            None => self.in_history(id).await,
        }
    }
}

/// Whether a digest's hash is this one; an empty text is any.
pub(super) fn is_of(action: &Digest, hash: &str) -> bool {
    hash.is_empty() || action.hex() == hash
}
