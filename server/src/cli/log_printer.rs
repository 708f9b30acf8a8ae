//! The lines of one or many logs as `millrace logs` shows them: headers where there is more than one, then the lines in
//! the form that was asked for. Knows nothing of how they are fetched.

use std::{collections::HashMap, fmt::Write, io};

use clap::Args;
use millrace_proto::millrace::v1::{FollowData, Job, Log, Run, SearchHit, State, Step};

use super::{
    line::{Line, lines_of, printed_bytes},
    output::{Output, say},
    progress::{Place, Progress, line_event},
    report::Report,
    state::{utc, word},
    text::show,
};

/// How lines are to look.
#[derive(Args, Clone, Debug, Default)]
pub struct LineArgs {
    /// The bytes as they were printed, escape sequences and all; no headers
    #[arg(long, conflicts_with_all = ["json", "grep", "timestamps", "line_number"])]
    pub raw: bool,
    /// A JSON object a line
    #[arg(long, conflicts_with_all = ["timestamps", "line_number"])]
    pub json: bool,
    /// The time of each line (UTC)
    #[arg(long)]
    pub timestamps: bool,
    /// The number of each line in its log, from 1
    #[arg(long)]
    pub line_number: bool,
}

/// The printer.
pub struct LogPrinter {
    output: Output,
    form: LineArgs,
    /// Whose lines came last; a header stands where this changes.
    headers: bool,
    current: Option<String>,
    /// Where each log begins to be shown, when that is not its beginning.
    skipped: HashMap<String, u64>,
    found: bool,
}

impl LogPrinter {
    /// Onto standard output. Without `headers` the lines stand alone.
    pub fn new(form: LineArgs, headers: bool) -> Self {
        let headers = headers && !form.raw && !form.json;
        Self { output: Output::stdout(), form, headers, current: None, skipped: HashMap::new(), found: false }
    }

    /// A step that has nothing to show, and why.
    pub fn empty(&mut self, job: &Job, step: &Step, state: State) -> io::Result<()> {
        if self.headers {
            self.current = None;
            self.output.line(&format!("==> {} / {} <== ({})", job.key, step.name, word(state)))?;
        }
        Ok(())
    }

    /// What is to be shown of a log begins here: its header, if headers are shown.
    pub fn header(&mut self, place: &Place, first_line: u64) -> io::Result<()> {
        if !self.headers || self.current.as_ref() == Some(&place.log_id) {
            return Ok(());
        }
        self.current = Some(place.log_id.clone());
        let left_out = if first_line == 0 { String::new() } else { format!(" (from line {})", first_line + 1) };
        self.output.line(&format!("==> {place} <=={left_out}"))
    }

    /// Whether a line was found.
    pub fn has_found(&self) -> bool {
        self.found
    }

    fn line(&mut self, place: &Place, line: &Line<'_>) -> io::Result<()> {
        if self.form.json {
            return self.output.json(&line_event(place, line));
        }
        let mut text = String::new();
        // Writing to a string can't fail.
        if self.form.line_number {
            _ = write!(text, "{}:", line.number + 1);
        }
        if self.form.timestamps {
            _ = write!(text, "{}  ", utc(line.time_millis));
        }
        text.push_str(&show(&line.bytes, self.output.colour()));
        self.output.line(&text)
    }

    fn hit(&mut self, place: &Place, hit: &SearchHit) -> io::Result<()> {
        let line = Line {
            number: hit.line,
            time_millis: hit.time_millis,
            stderr: hit.stderr,
            continued: false,
            bytes: (&hit.text[..]).into(),
        };
        if self.form.json {
            let mut event = line_event(place, &line);
            event["columns"] = hit.columns.as_chunks::<2>().0.iter().map(|pair| pair.to_vec()).collect();
            if hit.text_cut {
                event["cut"] = true.into();
            }
            return self.output.json(&event);
        }
        self.line(place, &line)?;
        if hit.text_cut {
            let (number, length) = (hit.line + 1, hit.text.len());
            self.note(&format!("{place}: line {number} is longer than the {length} bytes that are shown of it"))?;
        }
        Ok(())
    }
}

impl Progress for LogPrinter {
    fn begin(&mut self, _run: &Run, _url: &str) -> io::Result<()> {
        Ok(())
    }

    fn job(&mut self, _job: &Job, _state: State) -> io::Result<()> {
        Ok(())
    }

    fn step(&mut self, job: &Job, step: &Step, state: State) -> io::Result<()> {
        if state == State::Skipped { self.empty(job, step, state) } else { Ok(()) }
    }

    fn hello(&mut self, _place: &Place, _log: &Log) -> io::Result<()> {
        Ok(())
    }

    fn lines(&mut self, place: &Place, data: &FollowData) -> io::Result<()> {
        let first = *self.skipped.entry(place.log_id.clone()).or_insert(data.first_line);
        if self.form.raw {
            self.output.bytes(&printed_bytes(data))?;
            return self.output.flush();
        }
        self.header(place, first)?;
        for line in lines_of(data) {
            self.line(place, &line)?;
        }
        self.output.flush()
    }

    fn found(&mut self, place: &Place, hits: &[SearchHit]) -> io::Result<()> {
        self.found |= !hits.is_empty();
        if !hits.is_empty() {
            self.header(place, 0)?;
        }
        for hit in hits {
            self.hit(place, hit)?;
        }
        self.output.flush()
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        self.output.flush()?;
        say(text);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn end(&mut self, _report: &Report) -> io::Result<()> {
        self.output.flush()
    }
}
