//! One run and all that becomes of it, whatever happens to the connection. Knows nothing of logs or of how it is shown.

use std::time::Instant;

use connectrpc::ConnectError;
use millrace_proto::millrace::v1::{Run, WatchRunRequest};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use super::{
    client::Server,
    exit::CliError,
    harmless::harmless,
    retry::{Backoff, SILENCE_MAX, may_pass},
    state::{is_final, known},
};

/// How many changes may wait to be shown.
const WATCH_QUEUE_MAX: usize = 8;

/// What there is to know.
#[derive(Debug)]
pub enum Watch {
    /// The run as it is now.
    Run(Box<Run>),
    /// The connection broke; it is being made again.
    Away(String),
    /// It stands again.
    Back,
    /// Last: the run can't be watched.
    Failed(CliError),
}

/// A run being watched; ends when dropped.
pub struct RunWatch {
    receiver: mpsc::Receiver<Watch>,
    task: JoinHandle<()>,
}

impl RunWatch {
    /// Begins to watch a run.
    pub fn new(server: &Server, run_id: &str) -> Self {
        let (sender, receiver) = mpsc::channel(WATCH_QUEUE_MAX);
        Self { receiver, task: tokio::spawn(watch(server.clone(), run_id.to_owned(), sender)) }
    }

    /// What comes next; nothing after a run in its final state.
    pub async fn next(&mut self) -> Option<Watch> {
        self.receiver.recv().await
    }
}

impl Drop for RunWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(server: Server, run_id: String, sender: mpsc::Sender<Watch>) {
    let mut backoff = Backoff::default();
    loop {
        let Err(error) = stream(&server, &run_id, &sender, &mut backoff).await else {
            return;
        };
        let first = !backoff.is_away();
        let wait = if may_pass(&error) { backoff.failed(Instant::now()) } else { None };
        let Some(wait) = wait else {
            _ = sender.send(Watch::Failed(server.explain(&error))).await;
            return;
        };
        if first {
            let why = error.message.unwrap_or_else(|| error.code.as_str().to_owned());
            _ = sender.send(Watch::Away(why)).await;
        }
        tokio::time::sleep(wait).await;
    }
}

/// Ends well when the run is final or nobody listens any more.
async fn stream(
    server: &Server,
    run_id: &str,
    sender: &mpsc::Sender<Watch>,
    backoff: &mut Backoff,
) -> Result<(), ConnectError> {
    let silence = |_| ConnectError::unavailable(format!("the server said nothing for {} s", SILENCE_MAX.as_secs()));
    let client = server.pipelines();
    let request = WatchRunRequest { run_id: run_id.to_owned(), ..Default::default() };
    let mut stream = timeout(SILENCE_MAX, client.watch_run(request)).await.map_err(silence)??;
    loop {
        let message = timeout(SILENCE_MAX, stream.message()).await.map_err(silence)??;
        let message = message.ok_or_else(|| ConnectError::unavailable("the server ended the stream"))?;
        let run = message.to_owned_message().run.into_option().map(harmless);
        if backoff.is_away() {
            backoff.reset();
            if sender.send(Watch::Back).await.is_err() {
                return Ok(());
            }
        }
        let Some(run) = run else { continue };
        let last = is_final(known(run.state));
        if sender.send(Watch::Run(Box::new(run))).await.is_err() || last {
            return Ok(());
        }
    }
}
