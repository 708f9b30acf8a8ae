//! Checks of the runners: who is online, and whether they match what waits or what a workflow asks for.

use std::path::Path;

use connectrpc::ErrorCode;
use millrace_proto::{
    millrace::v1::{GetRunRequest, Job, ListRunnersRequest, ListRunsRequest, Runner, State, ValidateRequest},
    runner_v1::RunnerState,
};

use super::Check;
use crate::cli::{client::Server, exit::CliError, run::read_workflow, state::known};

/// How many unfinished runs are looked at for jobs that wait.
const RUNS_MAX: u32 = 20;

const ADD_FIX: &str = "add one: the Runners page has the commands for Linux, macOS and Windows, the README too";

/// At least one runner takes work.
pub async fn online(server: &Server) -> Check {
    let runners = match list(server).await {
        Ok(runners) => runners,
        Err(check) => return check,
    };
    let ready: Vec<_> = runners.iter().filter(|runner| takes_work(runner)).collect();
    let slots: u32 = ready.iter().map(|runner| runner.slots.max(1)).sum();
    if ready.is_empty() && runners.is_empty() {
        return Check::failed("runners", "there is none: no job will run", ADD_FIX);
    }
    if ready.is_empty() {
        let offline = runners.iter().filter(|runner| is_offline(runner)).count();
        return Check::failed(
            "runners",
            format!("none of {} takes work ({offline} offline, {} draining)", runners.len(), runners.len() - offline),
            "start millrace-runner on one of their machines, or end its drain on the Runners page",
        );
    }
    let names: Vec<_> = ready.iter().map(|runner| format!("{} ({}/{})", runner.name, runner.os, runner.arch)).collect();
    Check::fine("runners", format!("{} online, {slots} slots: {}", ready.len(), names.join(", ")))
}

/// Every job that waits, and every job of the workflow, has a runner that could take it.
pub async fn matching(server: &Server, workflow: Option<&Path>) -> Check {
    let runners = match list(server).await {
        Ok(runners) => runners,
        Err(mut check) => {
            check.name = "matching";
            return check;
        }
    };
    let jobs = match wanted(server, workflow).await {
        Ok(jobs) => jobs,
        Err(error) => return Check::failed("matching", error.message, error.next),
    };
    judge(&jobs, &runners)
}

fn judge(jobs: &[(String, Job)], runners: &[Runner]) -> Check {
    let without: Vec<_> = jobs.iter().filter(|(_, job)| !runners.iter().any(|runner| matches(runner, job))).collect();
    let Some((place, job)) = without.first() else {
        return Check::fine("matching", format!("{} jobs looked at; each has a runner that may take it", jobs.len()));
    };
    let more = if without.len() > 1 { format!(" (and {} more)", without.len() - 1) } else { String::new() };
    let mut labels: Vec<_> =
        runners.iter().filter(|runner| takes_work(runner)).flat_map(|r| &r.labels).cloned().collect();
    labels.sort();
    labels.dedup();
    Check::failed(
        "matching",
        format!("no runner online has all of [{}], which {place} asks for{more}", job.runs_on.join(", ")),
        format!(
            "start a runner with --labels {}, or change runs-on (there are: {})",
            job.runs_on.join(","),
            labels.join(", ")
        ),
    )
}

async fn list(server: &Server) -> Result<Vec<Runner>, Check> {
    match server.runners().list_runners(ListRunnersRequest::default()).await {
        Ok(answer) => Ok(answer.into_owned().runners),
        Err(error) if matches!(error.code, ErrorCode::PermissionDenied | ErrorCode::Unauthenticated) => {
            Err(Check::not_checked("runners", "the token may not list runners"))
        }
        Err(error) => Err(Check::failed("runners", error.message.unwrap_or_default(), "look at the server's own log")),
    }
}

async fn wanted(server: &Server, workflow: Option<&Path>) -> Result<Vec<(String, Job)>, CliError> {
    let mut wanted = Vec::new();
    if let Some(file) = workflow {
        let text = read_workflow(file)?;
        let request = ValidateRequest { workflow: text, file_name: file.display().to_string(), ..Default::default() };
        let answer = server.pipelines().validate(request).await.map_err(|error| server.explain(&error))?.into_owned();
        wanted.extend(answer.jobs.into_iter().map(|job| (format!("{} of {}", job.key, file.display()), job)));
    }
    let request = ListRunsRequest {
        page_size: RUNS_MAX,
        states: vec![State::Queued.into(), State::Running.into()],
        ..Default::default()
    };
    let runs = server.pipelines().list_runs(request).await.map_err(|error| server.explain(&error))?.into_owned().runs;
    for run in runs {
        let request = GetRunRequest { run_id: run.id, ..Default::default() };
        let answer = server.pipelines().get_run(request).await.map_err(|error| server.explain(&error))?.into_owned();
        let queued = answer.run.into_option().map(|run| run.jobs).unwrap_or_default().into_iter();
        let queued = queued.filter(|job| known(job.state) == State::Queued);
        wanted.extend(queued.map(|job| (format!("{} of run #{}", job.key, run.number), job)));
    }
    Ok(wanted)
}

fn is_offline(runner: &Runner) -> bool {
    matches!(
        runner.state.as_known(),
        Some(RunnerState::RUNNER_STATE_OFFLINE | RunnerState::RUNNER_STATE_UNSPECIFIED) | None
    )
}

fn takes_work(runner: &Runner) -> bool {
    !is_offline(runner) && !runner.draining
}

fn matches(runner: &Runner, job: &Job) -> bool {
    takes_work(runner)
        && job.runs_on.iter().all(|wanted| runner.labels.iter().any(|label| label.eq_ignore_ascii_case(wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    fn runner(labels: &[&str], state: RunnerState) -> Runner {
        Runner { labels: labels.iter().map(ToString::to_string).collect(), state: state.into(), ..Default::default() }
    }

    fn job(labels: &[&str]) -> (String, Job) {
        let runs_on = labels.iter().map(ToString::to_string).collect();
        ("build of run #1".to_owned(), Job { runs_on, ..Default::default() })
    }

    #[test]
    fn a_job_that_nobody_can_take_is_named_with_its_labels() {
        let runners = [
            runner(&["linux", "x64"], RunnerState::RUNNER_STATE_IDLE),
            runner(&["gpu"], RunnerState::RUNNER_STATE_OFFLINE),
        ];
        assert_eq!(judge(&[job(&["linux"]), job(&["Linux", "x64"])], &runners).verdict, Verdict::Fine);
        let check = judge(&[job(&["linux"]), job(&["gpu"])], &runners);
        assert_eq!(check.verdict, Verdict::Failed);
        assert!(check.found.contains("[gpu], which build of run #1 asks for"), "{}", check.found);
        assert!(check.fix.contains("--labels gpu") && check.fix.contains("linux, x64"), "{}", check.fix);
    }

    #[test]
    fn a_draining_runner_takes_nothing() {
        let mut draining = runner(&["linux"], RunnerState::RUNNER_STATE_IDLE);
        draining.draining = true;
        assert_eq!(judge(&[job(&["linux"])], &[draining]).verdict, Verdict::Failed);
    }
}
