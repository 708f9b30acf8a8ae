//! Writes the log of one action: what its processes print, with workflow commands carried out and masks applied, and
//! what the runner itself has to say. Knows nothing of how rows travel.

use std::sync::Arc;

use super::lines::Line;
use super::mask::{Masks, NotMasked};
use super::now_ms;
use super::queue::{Budget, Queue, Row};
use super::upload::{Upload, UploadTarget};
use super::workflow_command::{self, WorkflowCommand};

/// Where a process printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// The log of one action.
pub struct LogWriter {
    queue: Arc<Queue>,
    masks: Arc<Masks>,
    /// The token that gives workflow commands back, while they are stopped.
    stopped: Option<String>,
    /// The stream whose line the last row leaves open.
    open: Option<Stream>,
}

impl LogWriter {
    /// Opens a log and starts its upload.
    pub fn open(target: UploadTarget, budget: Budget, masks: Arc<Masks>) -> (Self, Upload) {
        let queue = Arc::new(Queue::new(budget));
        let upload = Upload::start(target, Arc::clone(&queue));
        (Self { queue, masks, stopped: None, open: None }, upload)
    }

    /// The masks that apply.
    pub fn masks(&self) -> &Masks {
        &self.masks
    }

    /// A line that a process printed.
    pub async fn printed(&mut self, stream: Stream, line: Line) {
        match line {
            Line::Part(masked) => self.piece(&masked, stream, true).await,
            Line::End(masked) => self.piece(&masked, stream, false).await,
            Line::Whole(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                if text.trim_start().starts_with("::") && self.command(&text, stream).await {
                    return;
                }
                self.row(&text, stream).await;
            }
        }
    }

    /// Something that the runner says; each line is a row.
    pub async fn say(&mut self, text: &str) {
        for line in text.lines() {
            self.row(line, Stream::Out).await;
        }
    }

    /// An error that the runner found.
    pub async fn error(&mut self, text: &str) {
        self.annotate("error", text, Stream::Out).await;
    }

    /// A warning by the runner.
    pub async fn warning(&mut self, text: &str) {
        self.annotate("warning", text, Stream::Out).await;
    }

    /// Carries out the command in a line; false when it is none.
    async fn command(&mut self, line: &str, stream: Stream) -> bool {
        if let Some(token) = &self.stopped {
            if workflow_command::resumes(line, token) {
                self.stopped = None;
            }
            return false;
        }
        match workflow_command::parse(line) {
            None => return false,
            Some(WorkflowCommand::Group(title)) => self.annotate("group", &title, stream).await,
            Some(WorkflowCommand::EndGroup) => self.row("##[endgroup]", stream).await,
            Some(WorkflowCommand::Debug(text)) => self.annotate("debug", &text, stream).await,
            Some(WorkflowCommand::Annotation(level, annotation)) => {
                self.annotate(level.word(), &annotation.text(), stream).await;
            }
            Some(WorkflowCommand::AddMask(value)) => self.add_mask(&value, stream).await,
            Some(WorkflowCommand::StopCommands(token)) => {
                self.row(line, stream).await;
                self.stopped = Some(token);
            }
        }
        true
    }

    async fn add_mask(&mut self, value: &str, stream: Stream) {
        match self.masks.add(value) {
            Ok(()) => self.row("::add-mask::***", stream).await,
            Err(refused) => {
                if refused.as_it_is() {
                    self.row("::add-mask::***", stream).await;
                }
                self.warning(&not_masked(refused)).await;
            }
        }
    }

    async fn annotate(&mut self, word: &str, text: &str, stream: Stream) {
        let mut lines = text.split('\n');
        let first = lines.next().unwrap_or_default();
        self.row(&format!("##[{word}]{first}"), stream).await;
        for line in lines {
            self.row(line, stream).await;
        }
    }

    async fn row(&mut self, text: &str, stream: Stream) {
        let masked = self.masks.text(text);
        self.end_open_line().await;
        self.push(masked, stream, false).await;
    }

    /// A piece of a long line. What another stream prints meanwhile stands where it came, and the line is in two.
    async fn piece(&mut self, masked: &[u8], stream: Stream, goes_on: bool) {
        if self.open.is_some_and(|open| open != stream) {
            self.end_open_line().await;
        }
        self.open = goes_on.then_some(stream);
        self.push(String::from_utf8_lossy(masked).into_owned(), stream, goes_on).await;
    }

    async fn end_open_line(&mut self) {
        if let Some(open) = self.open.take() {
            self.push(String::new(), open, false).await;
        }
    }

    async fn push(&mut self, text: String, stream: Stream, goes_on: bool) {
        let stderr = stream == Stream::Error;
        self.queue.push(Row { text, time_ms: now_ms(), stderr, goes_on }).await;
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// What to say about a value that is not masked, or not wholly.
pub fn not_masked(refused: NotMasked) -> String {
    format!("a value to mask {refused}")
}
