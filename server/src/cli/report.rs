//! What is said when a run is over: how it ended, and for each step that failed its last lines and where to read on.

use std::collections::HashMap;

use millrace_proto::millrace::v1::{Job, Run, State, Step};
use serde_json::{Value, json};

use super::{
    client::{SERVER_DEFAULT, Server},
    exit::Exit,
    follow::exit_of,
    state::{between, human, known, paint, sign, word},
    text::clean,
};

/// How many lines of a failed step are shown again.
pub const LAST_LINES_MAX: usize = 20;
/// How many failed steps are shown with their lines; of others the command is.
const FAILED_SHOWN_MAX: usize = 3;

/// A run that is over.
pub struct Report {
    /// The run.
    pub run: Run,
    /// Its page.
    pub url: String,
    /// How the command ends.
    pub exit: Exit,
    failures: Vec<Failure>,
}

/// A step that failed, or a job that failed outside its steps.
struct Failure {
    title: String,
    why: String,
    last: Vec<Vec<u8>>,
    command: String,
}

impl Report {
    /// Of a run and the last lines of its logs by id.
    pub fn new(server: &Server, run: Run, last: HashMap<String, Vec<Vec<u8>>>) -> Self {
        let url = server.run_url(&run.id);
        let exit = exit_of(known(run.state));
        let mut last = last;
        let mut failures = Vec::new();
        for job in &run.jobs {
            let mut failed = job.steps.iter().filter(|step| is_failed(step)).peekable();
            if failed.peek().is_none() && known(job.state) == State::Failure {
                failures.push(Failure {
                    title: job.key.clone(),
                    why: job.message.clone(),
                    last: Vec::new(),
                    command: command(server, &run, job, None),
                });
            }
            for step in failed {
                failures.push(Failure {
                    title: format!("{} / {}", job.key, step.name),
                    why: why(step),
                    last: last.remove(&step.log_id).unwrap_or_default(),
                    command: command(server, &run, job, Some(step)),
                });
            }
        }
        Self { run, url, exit, failures }
    }

    /// The lines to print.
    pub fn lines(&self, colour: bool) -> Vec<String> {
        let mut out = Vec::new();
        for failure in self.failures.iter().take(FAILED_SHOWN_MAX) {
            out.push(String::new());
            out.push(paint(State::Failure, &failure.headline(), colour));
            if !failure.last.is_empty() {
                out.push(format!("the last {} lines:", failure.last.len()));
                out.extend(failure.last.iter().map(|line| format!("  {}", clean(line, colour))));
            }
            out.push(format!("the whole log: {}", failure.command));
        }
        if self.failures.len() > FAILED_SHOWN_MAX {
            out.push(String::new());
            out.push(format!("{} more failed:", self.failures.len() - FAILED_SHOWN_MAX));
        }
        for failure in self.failures.iter().skip(FAILED_SHOWN_MAX) {
            out.push(format!("  {}  {}", failure.headline(), failure.command));
        }
        out.push(String::new());
        let state = known(self.run.state);
        out.push(paint(state, &self.summary(state), colour));
        out.push(self.url.clone());
        out
    }

    /// The same for machines.
    pub fn json(&self) -> Value {
        let failures: Vec<_> = self
            .failures
            .iter()
            .map(|failure| {
                json!({
                    "title": failure.title,
                    "message": failure.why,
                    "lastLines": failure.last.iter().map(|line| clean(line, false)).collect::<Vec<_>>(),
                    "command": failure.command,
                })
            })
            .collect();
        json!({
            "event": "end",
            "id": self.run.id,
            "state": word(known(self.run.state)),
            "message": self.run.message,
            "exitCode": self.exit as u8,
            "url": self.url,
            "failures": failures,
        })
    }

    fn summary(&self, state: State) -> String {
        let run = &self.run;
        let mut text = format!("{} run #{} {}", sign(state), run.number, word(state));
        if run.attempt > 1 {
            text = format!("{} run #{} (attempt {}) {}", sign(state), run.number, run.attempt, word(state));
        }
        if !run.message.is_empty() {
            text = format!("{text}: {}", run.message);
        }
        let jobs = if run.jobs.len() == 1 { "1 job".to_owned() } else { format!("{} jobs", run.jobs.len()) };
        let time = between(run.created_at.as_option(), run.finished_at.as_option())
            .map_or_else(String::new, |duration| format!(", {}", human(duration)));
        format!("{text}  ({jobs}{time})")
    }
}

impl Failure {
    fn headline(&self) -> String {
        let colon = if self.why.is_empty() { "" } else { ": " };
        format!("{} {} failed{colon}{}", sign(State::Failure), self.title, self.why)
    }
}

fn is_failed(step: &Step) -> bool {
    known(step.state) == State::Failure && !step.forgiven
}

fn why(step: &Step) -> String {
    match step.exit_code {
        _ if !step.message.is_empty() => step.message.clone(),
        Some(code) => format!("exit code {code}"),
        None => String::new(),
    }
}

/// The command that shows the log, for pasting into a shell as it is.
fn command(server: &Server, run: &Run, job: &Job, step: Option<&Step>) -> String {
    let place = step.map_or_else(String::new, |step| format!("/{}", step.index + 1));
    let target = quoted(&format!("{}/{}{place}", run.id, job.key));
    let server =
        if server.url() == SERVER_DEFAULT { String::new() } else { format!(" --server {}", quoted(server.url())) };
    format!("millrace logs {target}{server}")
}

/// As one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use buffa_types::google::protobuf::Timestamp;

    use super::*;
    use crate::cli::client::ServerArgs;

    fn server(url: &str) -> Server {
        Server::new(&ServerArgs { server: url.to_owned(), token: None, ca_cert: None }).unwrap()
    }

    fn failed_run(failed_steps: u32) -> Run {
        let steps = (0..failed_steps).map(|index| Step {
            index,
            name: format!("step{index}"),
            state: State::Failure.into(),
            exit_code: Some(3),
            log_id: format!("log{index}"),
            ..Default::default()
        });
        Run {
            id: "r1".to_owned(),
            number: 4,
            state: State::Failure.into(),
            created_at: Timestamp::from_unix_secs(10).into(),
            finished_at: Timestamp::from_unix_secs(12).into(),
            jobs: vec![Job {
                key: "test (a b)".to_owned(),
                state: State::Failure.into(),
                steps: steps.collect(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn a_failure_shows_its_lines_and_where_to_read_on() {
        let last = HashMap::from([("log0".to_owned(), vec![b"one\n".to_vec(), b"\x1b[31mtwo\x1b[0m\n".to_vec()])]);
        let report = Report::new(&server("http://ci:9000"), failed_run(1), last);
        assert_eq!(report.exit, Exit::RunFailed);
        assert_eq!(
            report.lines(false),
            [
                "",
                "✗ test (a b) / step0 failed: exit code 3",
                "the last 2 lines:",
                "  one",
                "  two",
                "the whole log: millrace logs 'r1/test (a b)/1' --server http://ci:9000",
                "",
                "✗ run #4 failure  (1 job, 2.0 s)",
                "http://ci:9000/runs/r1",
            ]
        );
    }

    #[test]
    fn many_failures_are_counted_and_all_are_named() {
        let report = Report::new(&server(SERVER_DEFAULT), failed_run(5), HashMap::new());
        let lines = report.lines(false);
        assert!(lines.contains(&"2 more failed:".to_owned()), "{lines:#?}");
        assert!(lines.iter().any(|line| line.ends_with("millrace logs 'r1/test (a b)/5'")), "{lines:#?}");
    }

    #[test]
    fn a_job_may_fail_outside_its_steps() {
        let mut run = failed_run(0);
        run.jobs[0].message = "the runner was lost 3 times".to_owned();
        let lines = Report::new(&server(SERVER_DEFAULT), run, HashMap::new()).lines(false);
        assert_eq!(lines[1], "✗ test (a b) failed: the runner was lost 3 times");
    }

    #[test]
    fn forgiven_failures_are_none() {
        let mut run = failed_run(1);
        run.state = State::Success.into();
        run.jobs[0].state = State::Success.into();
        run.jobs[0].steps[0].forgiven = true;
        let report = Report::new(&server(SERVER_DEFAULT), run, HashMap::new());
        assert_eq!((report.exit, report.lines(false).len()), (Exit::Success, 3));
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("a/b-1"), "a/b-1");
        assert_eq!(quoted("it's (a)"), r"'it'\''s (a)'");
        assert_eq!(quoted(""), "''");
    }
}
