//! The one connection that writes. Requests queue; what is there is run in one transaction, each in a savepoint of its
//! own, and one commit (one fsync) answers them all. Knows nothing of what they write.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use millrace_engine::error::{Error, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::dialect;
use super::error::During;

/// How many requests one commit takes at most: bounds how long the first of them waits for the last.
pub const WRITE_BATCH_MAX: usize = 128;
/// How many requests wait; who comes then waits for a place.
pub const WRITE_QUEUE_MAX: usize = 1024;
/// How long a request waits for a place in the queue before it is refused.
const WRITE_QUEUE_WAIT: Duration = Duration::from_secs(10);

/// A handle on the task that owns the connection.
pub struct Writer {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Work(Box<dyn Request>),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the task. `options` open the connection anew after a failure.
    pub fn start(connection: SqliteConnection, options: SqliteConnectOptions) -> Self {
        let (queue, requests) = mpsc::channel(WRITE_QUEUE_MAX);
        tokio::spawn(write(Line { connection: Some(connection), options }, requests));
        Self { queue }
    }

    /// Runs `work` in a transaction and gives back what it gave, once that is committed. When it fails, nothing it did
    /// stays. Work whose caller has gone before its turn is not done.
    pub async fn run<T, F>(&self, what: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let request = Pending { what, work: Some(work), outcome: None, reply };
        match self.queue.send_timeout(Message::Work(Box::new(request)), WRITE_QUEUE_WAIT).await {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(closed(what))),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(closed(what)),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                Err(Error::Unavailable(format!("can't {what}: {WRITE_QUEUE_MAX} requests are waiting to be written")))
            }
        }
    }

    /// Does what is queued, then closes the connection.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        // An error of either means that it is closed already.
        if self.queue.send(Message::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }
}

fn closed(what: &str) -> Error {
    Error::Unavailable(format!("can't {what}: the database is closed"))
}

async fn write(mut line: Line, mut queue: mpsc::Receiver<Message>) {
    let mut messages = Vec::with_capacity(WRITE_BATCH_MAX);
    let mut closing = Vec::new();
    while queue.recv_many(&mut messages, WRITE_BATCH_MAX).await > 0 {
        let mut batch: Vec<Box<dyn Request>> = Vec::with_capacity(messages.len());
        for message in messages.drain(..) {
            match message {
                Message::Work(request) if !request.is_abandoned() => batch.push(request),
                Message::Work(_) => {}
                Message::Close(done) => {
                    queue.close();
                    closing.push(done);
                }
            }
        }
        if !batch.is_empty() {
            let committed = line.commit(&mut batch).await;
            for request in batch {
                request.answer(committed.as_ref().err());
            }
        }
    }
    line.hang_up().await;
    for done in closing {
        // Who asked may have gone.
        let _ = done.send(());
    }
}

/// The connection, and how to get it back.
struct Line {
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
}

impl Line {
    /// Runs the requests and commits. After an error nothing of any of them stays.
    async fn commit(&mut self, batch: &mut [Box<dyn Request>]) -> Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await.during("open the database again")?,
        };
        let committed = transact(&mut connection, batch).await;
        match &committed {
            Ok(()) => self.connection = Some(connection),
            Err(error) => {
                tracing::error!(%error, requests = batch.len(), "a transaction failed; its requests are refused");
                // Where such a connection stands is not known, so it is not used again; closing it takes back what
                // it had not committed.
                if let Err(error) = connection.close().await {
                    tracing::warn!(%error, "a failed connection could not be closed cleanly");
                }
            }
        }
        committed
    }

    async fn hang_up(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database could not be closed cleanly");
        }
    }
}

async fn transact(connection: &mut SqliteConnection, batch: &mut [Box<dyn Request>]) -> Result<()> {
    execute(connection, dialect::BEGIN).await?;
    for request in batch {
        execute(connection, dialect::SAVEPOINT).await?;
        if !request.run(connection).await
            && let Err(error) = execute(connection, dialect::ROLLBACK_TO).await
        {
            // SQLite has taken back the whole transaction (a full disk, for one): all are refused, for that cause.
            return Err(request.failure().map_or(error, Error::retold));
        }
        execute(connection, dialect::RELEASE).await?;
    }
    execute(connection, dialect::COMMIT).await
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) -> Result<()> {
    sqlx::query(statement).execute(connection).await.during("write to the database").map(|_| ())
}

/// A request whose types are forgotten.
trait Request: Send {
    /// Does the work; whether it is to stay.
    fn run<'r>(&'r mut self, connection: &'r mut SqliteConnection) -> BoxFuture<'r, bool>;

    /// Tells the caller, after the commit or its failure.
    fn answer(self: Box<Self>, failed: Option<&Error>);

    /// Why the work is not to stay.
    fn failure(&self) -> Option<&Error>;

    /// Nobody waits for the answer.
    fn is_abandoned(&self) -> bool;
}

struct Pending<T, F> {
    what: &'static str,
    work: Option<F>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Request for Pending<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
{
    fn run<'r>(&'r mut self, connection: &'r mut SqliteConnection) -> BoxFuture<'r, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            // A bug in one request must not take the store from all others.
            let outcome = AssertUnwindSafe(async { work(connection).await })
                .catch_unwind()
                .await
                .unwrap_or_else(|_| Err(Error::Internal(format!("can't {}: a bug (it panicked)", self.what))));
            let stays = outcome.is_ok();
            self.outcome = Some(outcome);
            stays
        })
    }

    fn failure(&self) -> Option<&Error> {
        self.outcome.as_ref()?.as_ref().err()
    }

    fn answer(self: Box<Self>, failed: Option<&Error>) {
        let outcome = match (failed, self.outcome) {
            (None, Some(outcome)) => outcome,
            (Some(error), _) => Err(error.retold()),
            (None, None) => Err(closed(self.what)),
        };
        // Who asked may have gone.
        let _ = self.reply.send(outcome);
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}
