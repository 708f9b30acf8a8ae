//! A run and the logs of its steps as they come, brought in order for a display: what a step says comes before the word
//! that it has ended. Knows nothing of how it is shown.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use connectrpc::ErrorCode;
use millrace_proto::millrace::v1::{CancelRunRequest, FollowData, Job, Run, State, Step, follow_request::Start};
use tokio::time::{Instant, sleep_until};
use tokio_stream::{StreamExt, StreamMap};

use super::{
    client::Server,
    exit::{CliError, Exit},
    interrupt::Interrupts,
    line::lines_of,
    progress::{Place, Progress},
    report::{LAST_LINES_MAX, Report},
    state::{is_final, known},
    tail::{LogTail, Reading, Tail},
    watch::{RunWatch, Watch},
};

/// How long after the end of the run, or of what last came of them, its logs are waited for.
const LOG_END_MAX: Duration = Duration::from_secs(15);

/// How long the log of a step that is over may hold back those of the steps after it in its job.
const HOLD_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether that time is over.
const HOLD_TICK: Duration = Duration::from_secs(1);

/// Which steps' logs to follow.
pub type Wanted = Box<dyn Fn(&Job, &Step) -> bool + Send>;

/// A run being shown.
pub struct Follow<'a> {
    server: &'a Server,
    progress: &'a mut dyn Progress,
    wanted: Wanted,
    /// What is wanted of the logs that are there at first; others have no lines from before.
    reading: Reading,
    run: Run,
    seen_run: bool,
    shown: HashMap<String, (State, String)>,
    logs: HashMap<String, StepLog>,
    tails: StreamMap<String, LogTail>,
    /// A log waits for the one before it in its job to end.
    held_back: bool,
    cancelling: bool,
}

/// What is kept of a step's log.
struct StepLog {
    place: Place,
    last: VecDeque<Vec<u8>>,
    /// Since when its step is known to be over.
    over_since: Option<Instant>,
    /// Nothing came and the log could not be had: one more try when the step is over.
    again: bool,
}

impl<'a> Follow<'a> {
    /// Prepares to show all of a run.
    pub fn new(server: &'a Server, run: Run, progress: &'a mut dyn Progress) -> Self {
        Self {
            server,
            progress,
            wanted: Box::new(|_, _| true),
            reading: Reading::Lines(Start::Offset(0)),
            run,
            seen_run: false,
            shown: HashMap::new(),
            logs: HashMap::new(),
            tails: StreamMap::new(),
            held_back: false,
            cancelling: false,
        }
    }

    /// Only some steps' logs.
    #[must_use]
    pub fn wanted(mut self, wanted: Wanted) -> Self {
        self.wanted = wanted;
        self
    }

    /// What is wanted of the logs.
    #[must_use]
    pub fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// Shows the run until it and its logs have ended. With `interrupts`, the first Ctrl-C cancels the run.
    pub async fn show(mut self, mut interrupts: Option<Interrupts>) -> Result<Report, CliError> {
        let mut watch = RunWatch::new(self.server, &self.run.id);
        let mut log_deadline = Instant::now();
        let mut tick = tokio::time::interval(HOLD_TICK);
        loop {
            let over = is_final(known(self.run.state)) && self.seen_run;
            if over && self.tails.is_empty() {
                break;
            }
            tokio::select! {
                Some(event) = watch.next(), if !over => self.watched(event)?,
                Some((log_id, tail)) = self.tails.next(), if !self.tails.is_empty() => self.said(&log_id, tail)?,
                () = first_of(&mut interrupts), if !self.cancelling && !over => self.cancel().await?,
                () = sleep_until(log_deadline), if over => {
                    self.give_up_logs()?;
                    break;
                }
                _ = tick.tick(), if self.held_back => {
                    self.open_logs();
                    self.announce()?;
                    continue;
                }
                else => break,
            }
            log_deadline = Instant::now() + LOG_END_MAX;
        }
        Ok(self.report())
    }

    fn watched(&mut self, event: Watch) -> Result<(), CliError> {
        match event {
            Watch::Run(run) => {
                self.run = *run;
                self.open_logs();
                self.seen_run = true;
                self.announce()?;
            }
            Watch::Away(why) => {
                self.progress
                    .note(&format!("the connection to the server broke ({why}); trying again, the run goes on"))?;
            }
            Watch::Back => self.progress.note("connected again")?,
            Watch::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Follows the logs of steps that have begun, in each job one after the other, and forgets those of executions that
    /// were given up.
    fn open_logs(&mut self) {
        let reading = if self.seen_run { self.reading.of_later_log() } else { self.reading.clone() };
        let mut present = HashSet::new();
        self.held_back = false;
        for job in &self.run.jobs {
            let mut held = false;
            for step in job.steps.iter().filter(|step| has_log(step) && (self.wanted)(job, step)) {
                present.insert(step.log_id.clone());
                let over = is_final(known(step.state));
                if let Some(log) = self.logs.get_mut(&step.log_id) {
                    if self.tails.contains_key(&step.log_id) {
                        held |= log.holds(over);
                        continue;
                    }
                    if !(over && log.again) {
                        continue;
                    }
                }
                if held {
                    self.held_back = true;
                    continue;
                }
                let log = self.logs.entry(step.log_id.clone()).or_insert_with(|| StepLog::new(job, step));
                log.again = false;
                self.tails.insert(step.log_id.clone(), reading.start(self.server, &step.log_id, true));
                held = true;
            }
        }
        let gone: Vec<_> = self.tails.keys().filter(|log_id| !present.contains(*log_id)).cloned().collect();
        for log_id in gone {
            self.tails.remove(&log_id);
        }
    }

    fn said(&mut self, log_id: &str, tail: Tail) -> Result<(), CliError> {
        let Some(log) = self.logs.get_mut(log_id) else {
            return Ok(());
        };
        match tail {
            Tail::Hello(hello) => self.progress.hello(&log.place, &hello)?,
            Tail::Lines(data) => {
                log.keep(&data);
                self.progress.lines(&log.place, &data)?;
            }
            Tail::Found(hits) => self.progress.found(&log.place, &hits)?,
            Tail::Gap { bytes, reason } => {
                let text = format!("{}: {bytes} bytes of the log are gone: {reason}", log.place);
                self.progress.note(&text)?;
            }
            // The watch breaks with it and says so.
            Tail::Away(_) => {}
            Tail::End => {
                self.tails.remove(log_id);
                self.open_logs();
                self.announce()?;
            }
            Tail::Failed(error) => {
                self.tails.remove(log_id);
                if !log.retry_later(&self.run, log_id) {
                    let text = format!("{}: the log can't be had: {}", log.place, error.message);
                    self.progress.note(&text)?;
                }
                self.open_logs();
                self.announce()?;
            }
        }
        Ok(())
    }

    /// Tells the display of each job and step that changed. One whose log still comes has not ended yet.
    fn announce(&mut self) -> Result<(), CliError> {
        for job in &self.run.jobs {
            let mut open = false;
            for step in job.steps.iter().filter(|step| (self.wanted)(job, step)) {
                let unread = has_log(step) && !self.logs.contains_key(&step.log_id);
                let waits = unread || self.tails.contains_key(&step.log_id);
                open |= waits;
                let state = known(step.state);
                let state = if waits && is_final(state) { State::Running } else { state };
                let key = format!("{}/{}", job.key, step.index);
                if changed(&mut self.shown, key, state, "") {
                    self.progress.step(job, step, state)?;
                }
            }
            let state = known(job.state);
            if !(open && is_final(state)) && changed(&mut self.shown, job.key.clone(), state, &job.message) {
                self.progress.job(job, state)?;
            }
        }
        self.progress.flush()?;
        Ok(())
    }

    async fn cancel(&mut self) -> Result<(), CliError> {
        self.cancelling = true;
        self.progress.note("cancelling the run; Ctrl-C again leaves at once")?;
        let request = CancelRunRequest { run_id: self.run.id.clone(), ..Default::default() };
        match self.server.pipelines().cancel_run(request).await {
            // Already over: what it came to is told as always.
            Err(error) if error.code != ErrorCode::FailedPrecondition => {
                let why = self.server.explain(&error).message;
                self.progress.note(&format!("cancelling failed: {why}; the run goes on"))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn give_up_logs(&mut self) -> Result<(), CliError> {
        let open: Vec<_> = self.tails.keys().filter_map(|id| self.logs.get(id)).map(|log| log.place.clone()).collect();
        self.tails.clear();
        self.held_back = false;
        for place in open {
            self.progress
                .note(&format!("{place}: the end of the log did not come within {} s", LOG_END_MAX.as_secs()))?;
        }
        self.announce()
    }

    fn report(self) -> Report {
        let last = self.logs.into_iter().map(|(log_id, log)| (log_id, log.last.into())).collect();
        Report::new(self.server, self.run, last)
    }
}

impl StepLog {
    fn new(job: &Job, step: &Step) -> Self {
        Self { place: Place::of(job, step), last: VecDeque::new(), over_since: None, again: false }
    }

    /// Whether what comes after it in its job has to wait for it. A log whose end does not come holds for a while only.
    fn holds(&mut self, over: bool) -> bool {
        !over || self.over_since.get_or_insert_with(Instant::now).elapsed() < HOLD_MAX
    }

    fn keep(&mut self, data: &FollowData) {
        for line in lines_of(data) {
            if self.last.len() == LAST_LINES_MAX {
                self.last.pop_front();
            }
            self.last.push_back(line.bytes.into_owned());
        }
    }

    /// A log that is not there yet may be there when its step is over; asked for once.
    fn retry_later(&mut self, run: &Run, log_id: &str) -> bool {
        let mut steps = run.jobs.iter().flat_map(|job| &job.steps);
        let running = steps.any(|step| step.log_id == log_id && !is_final(known(step.state)));
        self.again = running && self.last.is_empty();
        self.again
    }
}

/// The exit code for what became of a run.
pub fn exit_of(state: State) -> Exit {
    match state {
        State::Success | State::Skipped => Exit::Success,
        State::Failure => Exit::RunFailed,
        State::Cancelled => Exit::Cancelled,
        State::Unspecified | State::Pending | State::Held | State::Queued | State::Running => Exit::Internal,
    }
}

async fn first_of(interrupts: &mut Option<Interrupts>) {
    match interrupts {
        Some(interrupts) => interrupts.first().await,
        None => std::future::pending().await,
    }
}

fn changed(shown: &mut HashMap<String, (State, String)>, key: String, state: State, message: &str) -> bool {
    let now = (state, message.to_owned());
    shown.insert(key, now.clone()).as_ref() != Some(&now)
}

/// Whether a step has begun and so has a log.
pub fn has_log(step: &Step) -> bool {
    let begun = match known(step.state) {
        State::Running | State::Success | State::Failure => true,
        State::Cancelled => step.started_at.is_set(),
        State::Unspecified | State::Pending | State::Held | State::Queued | State::Skipped => false,
    };
    begun && !step.log_id.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_by_what_became_of_the_run() {
        assert_eq!(exit_of(State::Success), Exit::Success);
        assert_eq!(exit_of(State::Failure), Exit::RunFailed);
        assert_eq!(exit_of(State::Cancelled), Exit::Cancelled);
        assert_eq!(exit_of(State::Skipped), Exit::Success);
    }

    #[test]
    fn a_change_is_told_once() {
        let mut shown = HashMap::new();
        assert!(changed(&mut shown, "a".into(), State::Queued, ""));
        assert!(!changed(&mut shown, "a".into(), State::Queued, ""));
        assert!(changed(&mut shown, "a".into(), State::Queued, "no runner has the labels"));
        assert!(changed(&mut shown, "a".into(), State::Running, "no runner has the labels"));
    }

    #[test]
    fn only_steps_that_began_have_logs() {
        let step =
            |state: State, log_id: &str| Step { state: state.into(), log_id: log_id.into(), ..Default::default() };
        assert!(has_log(&step(State::Running, "x")));
        assert!(has_log(&step(State::Failure, "x")));
        assert!(!has_log(&step(State::Running, "")));
        assert!(!has_log(&step(State::Skipped, "x")));
        assert!(!has_log(&step(State::Cancelled, "x")), "cancelled before it began");
    }
}
