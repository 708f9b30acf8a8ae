//! What only SQLite says: how connections are set up, how a transaction begins, its error numbers. All other SQL in
//! these files is meant to be taken by PostgreSQL as it is.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// Takes the lock for writing at once: a transaction that begins by reading and wants to write later fails when
/// another one has written in between, whatever the busy timeout says.
pub const BEGIN: &str = "BEGIN IMMEDIATE";
/// The transaction is on the disk.
pub const COMMIT: &str = "COMMIT";
/// A part of a transaction that can be taken back alone.
pub const SAVEPOINT: &str = "SAVEPOINT request";
/// Keeps the part.
pub const RELEASE: &str = "RELEASE SAVEPOINT request";
/// Takes the part back; the savepoint itself stays.
pub const ROLLBACK_TO: &str = "ROLLBACK TO SAVEPOINT request";

/// How long SQLite waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A write-ahead log that has grown beyond this is cut when it has been folded in.
const WAL_KEPT_MAX_BYTES: &str = "67108864";
/// SQLite's page cache of a connection, in KiB (its sign is SQLite's way to say so).
const CACHE_KIB: &str = "-16384";

/// SQLite's result codes.
pub mod code {
    /// Another connection has the lock.
    pub const BUSY: u32 = 5;
    /// Another connection of the same cache has the lock.
    pub const LOCKED: u32 = 6;
    /// The disk is full.
    pub const FULL: u32 = 13;
    /// The disk has no space for the file that the connections share; the one code here with its extension.
    pub const SHARED_FILE_FULL: u32 = 4874;
    /// The bits of a code that are not its extension.
    pub const PRIMARY_MASK: u32 = 0xff;
}

/// The connection that writes.
pub fn writing(path: &Path) -> SqliteConnectOptions {
    common(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", WAL_KEPT_MAX_BYTES)
}

/// A connection that reads.
pub fn reading(path: &Path) -> SqliteConnectOptions {
    common(path).read_only(true)
}

fn common(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", CACHE_KIB)
        .disable_statement_logging()
}
