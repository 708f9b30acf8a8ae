//! What the database's errors mean to the engine.

use millrace_engine::error::{Error, Result};

use super::dialect::code;

/// Says what was being done when the database failed.
pub trait During<T> {
    /// `what` completes "can't ...".
    fn during(self, what: &str) -> Result<T>;
}

impl<T> During<T> for std::result::Result<T, sqlx::Error> {
    fn during(self, what: &str) -> Result<T> {
        self.map_err(|error| meaning(&error, what))
    }
}

impl<T> During<T> for serde_json::Result<T> {
    fn during(self, what: &str) -> Result<T> {
        self.map_err(|error| Error::Internal(format!("can't {what}: {error}")))
    }
}

/// The engine's error for one of the database.
fn meaning(error: &sqlx::Error, what: &str) -> Error {
    match error {
        sqlx::Error::Database(cause) => match code_of(cause.as_ref()) {
            Some(code::FULL | code::SHARED_FILE_FULL) => {
                Error::Exhausted(format!("can't {what}: the disk of the database is full"))
            }
            Some(code::BUSY | code::LOCKED) => {
                Error::Unavailable(format!("can't {what}: another process holds the database"))
            }
            _ => Error::Internal(format!("can't {what}: {cause}")),
        },
        sqlx::Error::PoolTimedOut => Error::Unavailable(format!("can't {what}: all reading connections are in use")),
        sqlx::Error::PoolClosed => Error::Unavailable(format!("can't {what}: the database is closed")),
        _ => Error::Internal(format!("can't {what}: {error}")),
    }
}

/// Whether a row with the same key is there already.
pub fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// The code without its extension, unless that changes what it means here.
fn code_of(error: &dyn sqlx::error::DatabaseError) -> Option<u32> {
    let code: u32 = error.code()?.parse().ok()?;
    Some(if code == code::SHARED_FILE_FULL { code } else { code & code::PRIMARY_MASK })
}
