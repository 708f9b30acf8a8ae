//! The embedded store: one SQLite file. One connection writes and commits in groups (`writer`), a pool of read-only
//! connections reads. Knows nothing of what a transition means: it runs the engine's inside its transaction.

mod activity;
mod dialect;
mod error;
mod executions;
mod invocations;
mod outbox;
mod queue;
mod runners;
mod runs;
mod tokens;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use millrace_engine::error::{Error, Result};
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Notify;

use self::error::During;
use self::writer::Writer;

/// How many connections read at the same time.
pub const READ_CONNECTIONS_MAX: u32 = 8;
/// How long a read waits for a connection before it is refused.
const READ_WAIT: Duration = Duration::from_secs(10);

/// The changes of the tables, in order; those a file has not seen are made when it is opened.
static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Runs, runners and tokens in one SQLite file. A clone is another handle on the same store.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    readers: SqlitePool,
    writer: Writer,
    /// Wakes who takes events out of the outbox.
    news: Arc<Notify>,
}

impl SqliteStore {
    /// Opens the file at `path`, which is made if it is not there (with its folder, readable by its owner only), and
    /// brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self> {
        let owned = path.to_owned();
        tokio::task::spawn_blocking(move || create_file(&owned))
            .await
            .map_err(Error::internal)?
            .map_err(|error| Error::Internal(format!("can't make {}: {error}", path.display())))?;
        let options = dialect::writing(path);
        let mut connection = SqliteConnection::connect_with(&options).await.during("open the database")?;
        migrate(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READ_CONNECTIONS_MAX)
            .acquire_timeout(READ_WAIT)
            .test_before_acquire(false)
            .connect_with(dialect::reading(path))
            .await
            .during("open the database for reading")?;
        Ok(Self {
            inner: Arc::new(Inner { readers, writer: Writer::start(connection, options), news: Arc::default() }),
        })
    }

    /// Whether the store reads and can write.
    pub async fn ping(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(self.readers()).await.during("read")?;
        self.write("ping", move |connection| {
            Box::pin(async move { sqlx::query("SELECT 1").execute(connection).await.during("read").map(|_| ()) })
        })
        .await
    }

    /// Finishes what has been asked for, then closes the file. Later calls are `Unavailable`.
    pub async fn close(&self) {
        // The writer last: the last connection that may write folds the write-ahead log into the file.
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// A transaction has told something, or not.
    fn told(&self, something: bool) {
        if something {
            self.inner.news.notify_one();
        }
    }

    fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }

    /// Runs `work` in a transaction; when this returns `Ok`, what it changed is on the disk. The work may await
    /// nothing but SQL: everybody who writes waits for it.
    async fn write<T, F>(&self, what: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        self.inner.writer.run(what, work).await
    }
}

/// One transaction for all, so that two processes that open a file at the same time do not both change it.
async fn migrate(connection: &mut SqliteConnection) -> Result<()> {
    let mut transaction = connection.begin_with(dialect::BEGIN).await.during("begin the migration")?;
    MIGRATIONS
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|error| Error::Internal(format!("can't bring the database's tables up to date: {error}")))?;
    transaction.commit().await.during("commit the migration")
}

/// Makes the file and its folder. A file that is there is not opened: closing it again would take away the locks that
/// this process has on it.
fn create_file(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned);
    std::fs::create_dir_all(&folder)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => sync_folder(&folder),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the other systems' twin can fail")]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}
