//! What runners call: they take actions and say how these stand.

use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::reapi::ExecuteResponse;
use millrace_proto::rpc::Code;
use uuid::Uuid;

use super::{Execution, Shared, written};
use crate::actions::Origin;
use crate::error::{Error, Result};
use crate::execution::queue::{Ending, Held, Word};
use crate::execution::request::REQUEST_MAX_BYTES;
use crate::execution::response;
use crate::execution::runner::{ActionClaim, ActionLease, ActionReported, ReportAnswer};
use crate::execution::spec::Spec;
use crate::execution::state::{Stream, stream_id};

/// How many executions whose Action or Command is gone one claim gets over.
const GONE_MAX: usize = 16;

impl Execution {
    /// Gives a runner the first action it may have. The lease is on the disk when this returns, and the same request
    /// gets the same action again.
    pub async fn claim(&self, claim: ActionClaim) -> Result<Option<ActionLease>> {
        for _ in 0..GONE_MAX {
            let claimed = self.shared.act(|desk, now| {
                desk.open()?;
                let Some(held) = desk.queue.claim(&claim, now) else { return Ok(None) };
                let entry = desk.queue.get(held.id).ok_or_else(|| Error::internal("a claimed execution is gone"))?;
                let (spec, epoch) = (Arc::clone(&entry.spec), entry.standing.epoch);
                Ok::<_, Error>(Some((held, spec, epoch, desk.carried.take(held.id), desk.ticket())))
            })?;
            let Some((held, spec, epoch, carried, ticket)) = claimed else { return Ok(None) };
            let (messages, stored) = futures::join!(self.shared.messages(&spec, carried), written(ticket));
            stored?;
            match messages? {
                Some((action, command)) => {
                    return Ok(Some(self.lease(held, &spec, epoch, action, command)));
                }
                None => self.gone(held.id, &claim.runner_uuid, epoch).await?,
            }
        }
        Ok(None)
    }

    /// What a claim would give: its priority, lower being more important, and since when it waits.
    pub fn peek(&self, claim: &ActionClaim) -> Option<(i32, i64)> {
        self.shared.desk().queue.peek(claim)
    }

    /// Takes a runner's word. An end is on the disk, and its result in the action cache, when this returns.
    pub async fn report(&self, mut report: ActionReported) -> Result<ReportAnswer> {
        let denied = || Error::Denied(format!("execution {} is not this runner's", report.execution_id));
        let id = Uuid::try_parse(&report.execution_id).map_err(|_| denied())?;
        let response = report.response.take();
        let heard = self.shared.act(|desk, now| desk.queue.heard(id, &word(&report), now));
        let answer = match heard {
            Ok(answer) => answer,
            Err(error) => return self.heard_before(id, &report, error).await,
        };
        let Some(response) = response else { return Ok(answer) };
        let ended = if report.give_back {
            self.give_back(id, &report, response).await
        } else {
            self.finish(id, &report, response, answer.cancelled).await
        };
        match ended {
            Ok(()) => Ok(ReportAnswer { ended: true, ..answer }),
            Err(error @ Error::Denied(_)) => self.heard_before(id, &report, error).await,
            Err(error) => Err(error),
        }
    }

    /// Whether a runner has an execution under that lease.
    pub fn holds(&self, execution_id: &str, runner_uuid: &str, epoch: u64) -> bool {
        let Ok(id) = Uuid::try_parse(execution_id) else { return false };
        self.shared.desk().queue.check_owner(id, Some(runner_uuid), Some(epoch)).is_ok()
    }

    /// A runner that didn't get the answer to its last word says it again: it is told the same.
    async fn heard_before(&self, id: Uuid, report: &ActionReported, error: Error) -> Result<ReportAnswer> {
        let (runner, epoch) = (report.runner_uuid.as_deref(), report.epoch);
        // Who does not say which lease it means can't mean one that is over.
        if epoch.is_none() {
            return Err(error);
        }
        if !self.shared.act(|desk, _| desk.ended_under(id, runner, epoch)) {
            let history = self.shared.in_history(id).await?;
            let theirs = history.is_some_and(|seen| {
                Some(seen.state.epoch) == epoch && runner.is_none_or(|runner| runner == seen.state.runner_uuid)
            });
            return if theirs { Ok(ReportAnswer { cancelled: false, ended: true }) } else { Err(error) };
        }
        // It may not be written yet.
        self.shared.change(|_, _| ()).await?;
        Ok(ReportAnswer { cancelled: false, ended: true })
    }

    async fn give_back(&self, id: Uuid, report: &ActionReported, response: ExecuteResponse) -> Result<()> {
        let ending = Ending::Reported(Arc::new(match response::code(&response) {
            0 => response::failed(Code::UNAVAILABLE, "no runner could run the action, and the last did not say why"),
            _ => response,
        }));
        self.shared.change(|desk, now| desk.queue.give_back(id, &word(report), ending, now)).await?
    }

    async fn finish(
        &self,
        id: Uuid,
        report: &ActionReported,
        response: ExecuteResponse,
        cancelled: bool,
    ) -> Result<()> {
        let (spec, runner_name, why) = {
            let desk = self.shared.desk();
            let entry = desk.queue.check_owner(id, report.runner_uuid.as_deref(), report.epoch)?;
            let name = entry.standing.lease.as_ref().map(|lease| lease.runner_name.clone()).unwrap_or_default();
            (Arc::clone(&entry.spec), name, entry.standing.cancelled.clone())
        };
        let mut response = response::reported(response, &runner_name, spec.queued_ms);
        let ending = if cancelled && response::code(&response) != 0 {
            Ending::Failed(Code::CANCELLED, why.unwrap_or_default())
        } else {
            self.keep(&spec, &mut response).await;
            Ending::Reported(Arc::new(response))
        };
        self.shared.change(|desk, now| desk.queue.finish(id, &word(report), ending, now)).await?
    }

    /// Stores a success in the action cache, and contents that came with any result as blobs. What can't be kept does not
    /// keep the result from those who wait for it; one that is wrong does.
    async fn keep(&self, spec: &Spec, response: &mut ExecuteResponse) {
        let Some(result) = response.result.as_option() else { return };
        let actions = &self.shared.actions;
        let kept = if response::is_success(response) && !spec.do_not_cache {
            let origin = Origin { mnemonic: spec.mnemonic.clone(), target: spec.target.clone() };
            actions.update(&spec.instance, &spec.action, result.clone(), origin).await.map(drop)
        } else {
            actions.keep_contents(&spec.instance, &spec.action, result).await
        };
        match kept {
            Ok(()) => response::without_contents(response),
            Err(error @ Error::Invalid { .. }) => {
                let message = format!("the runner's result can't be used: {error}");
                *response = response::failed(Code::INTERNAL, &message);
            }
            Err(error) => {
                tracing::warn!(instance = %spec.instance, action = %spec.action, %error, "a result was not cached");
            }
        }
    }

    fn lease(&self, held: Held, spec: &Spec, epoch: u64, action: Bytes, command: Bytes) -> ActionLease {
        let id = held.id.to_string();
        ActionLease {
            stdout_stream_id: stream_id(&id, epoch, Stream::Stdout),
            stderr_stream_id: stream_id(&id, epoch, Stream::Stderr),
            execution_id: id,
            epoch,
            lease_ms: self.shared.options.lease_ms,
            instance: spec.instance.clone(),
            action: spec.action,
            action_bytes: action,
            command_bytes: command,
            properties: spec.properties.clone(),
            timeout_ms: spec.timeout_ms,
            queued_ms: spec.queued_ms,
            invocation_id: spec.invocation_id.clone(),
            label: if spec.target.is_empty() { spec.mnemonic.clone() } else { spec.target.clone() },
            repeated: held.repeated,
        }
    }

    /// Its Action or Command has left the cache while it waited: it can't be run.
    async fn gone(&self, id: Uuid, runner: &str, epoch: u64) -> Result<()> {
        let word = Word { runner_uuid: Some(runner), epoch: Some(epoch), ..Default::default() };
        let message = "the Action or its Command has left the cache while the action was queued";
        let ending = Ending::Failed(Code::FAILED_PRECONDITION, message.into());
        self.shared.change(|desk, now| desk.queue.finish(id, &word, ending, now)).await?
    }
}

impl Shared {
    /// Action and Command of an execution; None: they are not here any more.
    async fn messages(&self, spec: &Spec, carried: Option<(Bytes, Bytes)>) -> Result<Option<(Bytes, Bytes)>> {
        if carried.is_some() {
            return Ok(carried);
        }
        let mut read = Vec::with_capacity(2);
        for digest in [&spec.action, &spec.command] {
            match self.blobs.whole(&spec.instance, digest, REQUEST_MAX_BYTES).await {
                Ok(bytes) => read.push(bytes),
                Err(Error::NotFound(_)) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let command = read.pop().unwrap_or_default();
        Ok(Some((read.pop().unwrap_or_default(), command)))
    }
}

fn word(report: &ActionReported) -> Word<'_> {
    Word {
        runner_uuid: report.runner_uuid.as_deref(),
        epoch: report.epoch,
        stage: report.stage,
        input_fetched_bytes: report.input_fetched_bytes,
        input_cached_bytes: report.input_cached_bytes,
    }
}
