//! For people at a terminal: a line for each step that runs, with a spinner, its time and what it said last; a finished
//! step leaves one line behind. Redrawn in place by indicatif.

use std::{collections::HashMap, io, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use millrace_proto::millrace::v1::{FollowData, Job, Log, Run, State, Step};

use super::{Place, Progress, plain::first_line, step_detail};
use crate::cli::{
    line::lines_of,
    output::Output,
    report::Report,
    state::{between, human, is_final, paint, sign, word},
    text::clean,
};

/// How often the spinners turn.
const TICK: Duration = Duration::from_millis(120);

/// The display.
pub struct Tty {
    bars: MultiProgress,
    /// By job and step.
    running: HashMap<(String, u32), ProgressBar>,
    /// By job: those that wait and say what for.
    waiting: HashMap<String, ProgressBar>,
    output: Output,
}

impl Tty {
    /// Onto the terminal.
    pub fn new() -> Self {
        let bars = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::stdout());
        Self { bars, running: HashMap::new(), waiting: HashMap::new(), output: Output::stdout() }
    }

    fn print(&self, text: &str) -> io::Result<()> {
        self.bars.println(text)
    }

    fn wait(&mut self, job: &Job, state: State) {
        let bar = self.waiting.entry(job.key.clone()).or_insert_with(|| {
            let bar = ProgressBar::new_spinner().with_style(style("{prefix} {wide_msg}"));
            self.bars.add(bar)
        });
        bar.set_prefix(sign(state));
        let why = if job.message.is_empty() { String::new() } else { format!(": {}", job.message) };
        bar.set_message(format!("{} {}{why}", job.key, word(state)));
    }
}

impl Progress for Tty {
    fn begin(&mut self, run: &Run, url: &str) -> io::Result<()> {
        self.output.line(&first_line(run, url))?;
        self.output.flush()
    }

    fn job(&mut self, job: &Job, state: State) -> io::Result<()> {
        match state {
            State::Queued | State::Held => self.wait(job, state),
            State::Unspecified | State::Pending => {}
            State::Running | State::Success | State::Failure | State::Cancelled | State::Skipped => {
                if let Some(bar) = self.waiting.remove(&job.key) {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
                // What became of the steps was told; a job that had none says it here.
                if is_final(state) && job.steps.iter().all(|step| !step.started_at.is_set()) {
                    let why = if job.message.is_empty() { String::new() } else { format!(": {}", job.message) };
                    let text = format!("{} {} {}{why}", sign(state), job.key, word(state));
                    self.print(&paint(state, &text, self.output.colour()))?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, job: &Job, step: &Step, state: State) -> io::Result<()> {
        let key = (job.key.clone(), step.index);
        if state == State::Running {
            let bar = self.running.entry(key).or_insert_with(|| {
                let bar = ProgressBar::new_spinner().with_style(style("{spinner} {prefix}  {elapsed}  {wide_msg}"));
                let bar = self.bars.add(bar);
                bar.enable_steady_tick(TICK);
                bar
            });
            bar.set_prefix(format!("{} / {}", job.key, step.name));
            return Ok(());
        }
        if let Some(bar) = self.running.remove(&key) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        if !step.started_at.is_set() || !is_final(state) {
            return Ok(());
        }
        let mut text = format!("{} {} / {}", sign(state), job.key, step.name);
        if let Some(time) = between(step.started_at.as_option(), step.finished_at.as_option()) {
            text = format!("{text}  {}", human(time));
        }
        let detail = step_detail(step);
        if !detail.is_empty() {
            text = format!("{text}  {detail}");
        }
        self.print(&paint(state, &text, self.output.colour()))
    }

    fn hello(&mut self, _place: &Place, _log: &Log) -> io::Result<()> {
        Ok(())
    }

    fn lines(&mut self, place: &Place, data: &FollowData) -> io::Result<()> {
        let last = lines_of(data).map(|line| clean(&line.bytes, false)).filter(|text| !text.trim().is_empty()).last();
        if let (Some(text), Some(bar)) = (last, self.running.get(&(place.job.clone(), place.index))) {
            bar.set_message(text);
        }
        Ok(())
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        self.print(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self, report: &Report) -> io::Result<()> {
        for (_, bar) in self.running.drain() {
            bar.finish_and_clear();
        }
        for (_, bar) in self.waiting.drain() {
            bar.finish_and_clear();
        }
        self.bars.clear()?;
        for line in report.lines(self.output.colour()) {
            self.output.line(&line)?;
        }
        self.output.flush()
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a wrong one would show at the first run.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_right() {
        for template in ["{prefix} {wide_msg}", "{spinner} {prefix}  {elapsed}  {wide_msg}"] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
