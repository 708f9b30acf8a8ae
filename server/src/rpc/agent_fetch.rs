//! Gives an agent its next task: a job of a pipeline or an action of remote execution, whichever it wants.

use millrace_engine::error::Error;
use millrace_engine::runners::Runner;
use millrace_engine::scheduler::{Poll, Task, Wants};
use millrace_proto::runner_v1 as wire;

use super::agent_actions;
use crate::app::App;

/// The longest request id, in bytes.
const REQUEST_ID_MAX_BYTES: usize = 200;

/// Waits for a task, as long as the request and the server allow.
pub async fn fetch(
    app: &App,
    runner: &Runner,
    request: &wire::FetchTaskRequest,
) -> Result<wire::FetchTaskResponse, Error> {
    if request.request_id.len() > REQUEST_ID_MAX_BYTES {
        return Err(Error::invalid("request_id", format!("is longer than {REQUEST_ID_MAX_BYTES} bytes")));
    }
    app.runners.seen(&runner.uuid).await?;
    let wants = if app.execution_config.enabled { agent_actions::wants(request.wants) } else { Wants::Jobs };
    let draining = runner.draining || request.draining;
    let poll = Poll {
        runner,
        // Nothing new; but a task that was given under this id and whose answer was lost is given again.
        labels: if draining {
            &[]
        } else if request.labels.is_empty() {
            &runner.labels
        } else {
            &request.labels
        },
        properties: runner.properties.clone(),
        wants,
        request_id: &request.request_id,
        wait_ms: match (draining, request.wait_ms) {
            (true, _) => 0,
            (false, 0) => i64::MAX,
            (false, wait_ms) => i64::from(wait_ms),
        },
        draining,
    };
    let task = tokio::select! {
        task = app.dispatch.fetch(poll) => task?,
        () = app.stopping(), if !draining => return Ok(nothing("the server is stopping; ask again")),
    };
    Ok(match task {
        Some(task) => answer(app, task),
        None if draining => nothing("the runner is draining"),
        None => nothing("no task"),
    })
}

fn answer(app: &App, task: Task) -> wire::FetchTaskResponse {
    match task {
        Task::Job(fetched) => wire::FetchTaskResponse {
            success: true,
            content: fetched.content,
            clean: fetched.clean,
            ..Default::default()
        },
        Task::Action(lease) => wire::FetchTaskResponse {
            success: true,
            action: agent_actions::task(*lease, &app.streams).into(),
            ..Default::default()
        },
    }
}

fn nothing(why: &str) -> wire::FetchTaskResponse {
    wire::FetchTaskResponse { message: why.to_owned(), ..Default::default() }
}
