//! Listings: what is active and what has ended, newest first, page by page. A token names the last that was given.

use std::sync::Arc;

use uuid::Uuid;

use super::Execution;
use super::clients::is_of;
use super::seen::Seen;
use crate::error::{Error, Result};
use crate::execution::queue::Entry;
use crate::execution::state::{
    ExecutionQuery, ExecutionState, OperationQuery, OperationState, Page, Stage, parse_operation_id,
};
use crate::execution::store::FinishedQuery;

/// How many a page has when nothing is said.
pub const PAGE_DEFAULT: usize = 50;
/// How many a page has at most.
pub const PAGE_MAX: usize = 500;

impl Execution {
    /// Executions: those in flight, and the finished ones that are kept.
    pub async fn executions(&self, query: ExecutionQuery) -> Result<Page<ExecutionState>> {
        let limit = page_size(query.page_size);
        let before = match query.page_token.as_str() {
            "" => None,
            token => Some(Uuid::try_parse(token).map_err(|_| bad_token())?),
        };
        let found = self.newest(&query, before, limit + 1).await?;
        let more = found.len() > limit;
        let items: Vec<ExecutionState> = found.into_iter().take(limit).map(|seen| seen.state.clone()).collect();
        let next_page_token =
            if more { items.last().map(|last| last.id.clone()).unwrap_or_default() } else { String::new() };
        Ok(Page { items, next_page_token })
    }

    /// Operations: of executions in flight, and of the finished ones that are kept.
    pub async fn list(&self, query: OperationQuery) -> Result<Page<OperationState>> {
        let limit = page_size(query.page_size);
        let after = match query.page_token.as_str() {
            "" => None,
            token => Some(parse_operation_id(token).ok_or_else(bad_token)?),
        };
        // The execution of the last operation may have more.
        let mut before = after.map(|(id, _)| Uuid::from_u128(id.as_u128().saturating_add(1)));
        let of = ExecutionQuery {
            instance: query.instance.clone(),
            action_hash: query.action_hash.clone(),
            invocation_id: query.invocation_id.clone(),
            stages: Vec::new(),
            page_size: 0,
            page_token: String::new(),
        };
        let mut items: Vec<OperationState> = Vec::new();
        loop {
            let found = self.newest(&of, before, limit + 1).await?;
            let last = found.len() <= limit;
            before = found.last().map(|seen| seen.id);
            for seen in &found {
                for operation in seen.operations.iter().filter(|operation| !operation.deleted) {
                    if after.is_some_and(|(id, number)| id == seen.id && operation.number <= number) {
                        continue;
                    }
                    let state = seen.operation_state(operation.number, None);
                    if !fits(&query, &state) {
                        continue;
                    }
                    if items.len() == limit {
                        let next_page_token = items.last().map(|item| item.id.clone()).unwrap_or_default();
                        return Ok(Page { items, next_page_token });
                    }
                    items.push(state);
                }
            }
            if last {
                return Ok(Page { items, next_page_token: String::new() });
            }
        }
    }

    /// Executions before an id that a query asks for, newest first.
    async fn newest(&self, query: &ExecutionQuery, before: Option<Uuid>, limit: usize) -> Result<Vec<Arc<Seen>>> {
        let mut found = self.active(query, before, limit);
        if !query.stages.is_empty() && !query.stages.contains(&Stage::Done) {
            return Ok(found);
        }
        let records = self
            .shared
            .store
            .list(FinishedQuery {
                before,
                instance: query.instance.as_ref().map(ToString::to_string),
                action_hash: query.action_hash.clone(),
                invocation_id: query.invocation_id.clone(),
                limit: limit as u32,
            })
            .await?;
        found.extend(records.iter().map(|record| Arc::new(Seen::of_record(record))));
        found.sort_by_key(|seen| std::cmp::Reverse(seen.id));
        // One that ended in between is in both.
        found.dedup_by_key(|seen| seen.id);
        found.truncate(limit);
        Ok(found)
    }

    fn active(&self, query: &ExecutionQuery, before: Option<Uuid>, limit: usize) -> Vec<Arc<Seen>> {
        let asked = |entry: &&Entry| {
            let spec = &entry.spec;
            query.instance.as_ref().is_none_or(|instance| *instance == spec.instance)
                && (query.invocation_id.is_empty() || query.invocation_id == spec.invocation_id)
                && (query.stages.is_empty() || query.stages.contains(&entry.stage))
                && is_of(&spec.action, &query.action_hash)
        };
        let desk = self.shared.desk();
        let published = |entry: &Entry| desk.live.get(&entry.id).map(|sender| Arc::clone(&sender.borrow()));
        desk.queue.newest(before).filter(asked).filter_map(published).take(limit).collect()
    }
}

fn fits(query: &OperationQuery, state: &OperationState) -> bool {
    query.done.is_none_or(|done| done == state.response.is_some())
        && (query.stages.is_empty() || query.stages.contains(&state.stage))
}

fn page_size(asked: usize) -> usize {
    if asked == 0 { PAGE_DEFAULT } else { asked.min(PAGE_MAX) }
}

fn bad_token() -> Error {
    Error::invalid("page_token", "not a token of an earlier page of this listing")
}
