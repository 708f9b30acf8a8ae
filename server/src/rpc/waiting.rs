//! Why a queued job waits, in words, where no runner that is there could ever take it. Said to readers only: the state
//! machine knows no runners.

use millrace_engine::error::Error;
use millrace_engine::runners::Runner;
use millrace_engine::scheduler::waiters::serves;
use millrace_engine::scheduler::{Run, State};

use crate::app::App;

/// Gives each queued job that nobody serves a message that says so.
pub async fn explain(app: &App, run: &mut Run) -> Result<(), Error> {
    if !run.jobs.iter().any(|job| job.state == State::Queued) {
        return Ok(());
    }
    let mut runners = app.runners.list().await?;
    runners.retain(|runner| app.runners.is_online(runner) && !runner.draining);
    for job in run.jobs.iter_mut().filter(|job| job.state == State::Queued) {
        if let Some(message) = unserved(&job.runs_on, &runners) {
            job.message = message;
        }
    }
    Ok(())
}

/// What to say of these labels; nothing when a runner has them all.
fn unserved(wanted: &[String], runners: &[Runner]) -> Option<String> {
    if runners.iter().any(|runner| serves(&runner.labels, wanted)) {
        return None;
    }
    let wanted = wanted.join(", ");
    let nearest = runners.first().map(|runner| format!("{} has {}", runner.name, runner.labels.join(", ")));
    Some(match nearest {
        None => format!("waits for a runner with the labels {wanted}: no runner is online"),
        Some(one) => format!(
            "waits for a runner with the labels {wanted}: none of the {} online has them all ({one})",
            runners.len()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_serves_is_explained() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let runner = Runner { name: "one".into(), labels: words(&["linux", "x64"]), ..Default::default() };
        let online = [runner];
        assert_eq!(unserved(&words(&["Linux"]), &online), None);
        let message = unserved(&words(&["ubuntu-latest"]), &online).unwrap_or_default();
        assert_eq!(
            message,
            "waits for a runner with the labels ubuntu-latest: none of the 1 online has them all (one has linux, x64)"
        );
        let message = unserved(&words(&["linux"]), &[]).unwrap_or_default();
        assert_eq!(message, "waits for a runner with the labels linux: no runner is online");
    }
}
