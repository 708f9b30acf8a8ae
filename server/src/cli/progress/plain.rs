//! Append-only lines for files, pipes and CI: `job / step | text` for what a step says, `job / step = state` for what
//! becomes of it. Always whole lines.

use std::io;

use millrace_proto::millrace::v1::{FollowData, Job, Log, Run, State, Step};

use super::{Place, Progress, step_detail};
use crate::cli::{
    line::lines_of,
    output::{Output, say},
    report::Report,
    state::{between, human, is_final, paint, word},
    text::show,
};

/// The display.
pub struct Plain {
    output: Output,
    prefix: Option<(String, String)>,
}

impl Plain {
    /// Onto an output.
    pub fn new(output: Output) -> Self {
        Self { output, prefix: None }
    }

    /// "job / step | ", made once for as long as the same step speaks.
    fn prefix(&mut self, place: &Place) -> String {
        match &self.prefix {
            Some((log_id, prefix)) if *log_id == place.log_id => prefix.clone(),
            _ => {
                let prefix = format!("{place} | ");
                self.prefix = Some((place.log_id.clone(), prefix.clone()));
                prefix
            }
        }
    }
}

impl Progress for Plain {
    fn begin(&mut self, run: &Run, url: &str) -> io::Result<()> {
        self.output.line(&first_line(run, url))?;
        self.flush()
    }

    fn job(&mut self, job: &Job, state: State) -> io::Result<()> {
        // That a job waits for those it needs is no news.
        if state == State::Pending && job.message.is_empty() {
            return Ok(());
        }
        let colour = self.output.colour();
        self.output.line(&job_line(job, state, colour))
    }

    fn step(&mut self, job: &Job, step: &Step, state: State) -> io::Result<()> {
        // That a step runs is seen by what it says; one that was not begun has said nothing.
        if !is_final(state) || state == State::Skipped && job.steps.iter().all(|step| !step.started_at.is_set()) {
            return Ok(());
        }
        let colour = self.output.colour();
        self.output.line(&step_line(job, step, state, colour))
    }

    fn hello(&mut self, _place: &Place, _log: &Log) -> io::Result<()> {
        Ok(())
    }

    fn lines(&mut self, place: &Place, data: &FollowData) -> io::Result<()> {
        let prefix = self.prefix(place);
        let colour = self.output.colour();
        for line in lines_of(data) {
            self.output.bytes(prefix.as_bytes())?;
            self.output.line(&show(&line.bytes, colour))?;
        }
        self.flush()
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        self.flush()?;
        say(text);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn end(&mut self, report: &Report) -> io::Result<()> {
        for line in report.lines(self.output.colour()) {
            self.output.line(&line)?;
        }
        self.flush()
    }
}

/// The address of the run, its number and its id.
pub fn first_line(run: &Run, url: &str) -> String {
    format!("{url}  run #{} of {}, id {}", run.number, name_of(run), run.id)
}

fn name_of(run: &Run) -> &str {
    if run.name.is_empty() { &run.file_name } else { &run.name }
}

fn job_line(job: &Job, state: State, colour: bool) -> String {
    let mut text = format!("{} = {}", job.key, paint(state, word(state), colour));
    if state == State::Running && !job.runner_name.is_empty() {
        text = format!("{text} on {}", job.runner_name);
    }
    if let Some(time) = between(job.started_at.as_option(), job.finished_at.as_option()).filter(|_| is_final(state)) {
        text = format!("{text} ({})", human(time));
    }
    if !job.message.is_empty() {
        text = format!("{text}: {}", job.message);
    }
    text
}

fn step_line(job: &Job, step: &Step, state: State, colour: bool) -> String {
    let mut text = format!("{} / {} = {}", job.key, step.name, paint(state, word(state), colour));
    if let Some(time) = between(step.started_at.as_option(), step.finished_at.as_option()) {
        text = format!("{text} ({})", human(time));
    }
    let detail = step_detail(step);
    if detail.is_empty() { text } else { format!("{text}: {detail}") }
}

#[cfg(test)]
mod tests {
    use buffa_types::google::protobuf::Timestamp;

    use super::*;

    #[test]
    fn states_are_lines_of_their_own() {
        let step = Step {
            name: "Run tests".to_owned(),
            started_at: Timestamp::from_unix_secs(1).into(),
            finished_at: Timestamp::from_unix_secs(4).into(),
            exit_code: Some(101),
            forgiven: true,
            ..Default::default()
        };
        let job = Job {
            key: "test (a)".to_owned(),
            runner_name: "built-in".to_owned(),
            message: "no runner has the label gpu".to_owned(),
            ..Default::default()
        };
        assert_eq!(
            step_line(&job, &step, State::Failure, false),
            "test (a) / Run tests = failure (3.0 s): exit code 101, forgiven by continue-on-error"
        );
        assert_eq!(job_line(&job, State::Queued, false), "test (a) = queued: no runner has the label gpu");
        assert_eq!(
            job_line(&job, State::Running, false),
            "test (a) = running on built-in: no runner has the label gpu"
        );
    }

    #[test]
    fn the_first_line_has_address_and_id() {
        let run = Run { id: "019a".to_owned(), number: 3, file_name: "x.yml".to_owned(), ..Default::default() };
        assert_eq!(first_line(&run, "http://h/runs/019a"), "http://h/runs/019a  run #3 of x.yml, id 019a");
    }
}
