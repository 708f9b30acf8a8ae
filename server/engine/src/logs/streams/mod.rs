//! Streams of bytes over the log room: one side writes, many read while it grows, and what comes out is what went in.
//!
//! A log keeps lines, a stream keeps bytes. What was written is cut into lines; one whose end is not the writer's (it is
//! not here yet, or too far away) gets an end of the room's own and the flag [`super::flags::JOINED`], and byte readers
//! leave that end out. So the viewer, `tail` and readers of bytes share one log.
//!
//! Nobody keeps a table of streams: the name to write by holds a code over the stream that only this server can make.
//! This module knows no RPC, and not who may read.

mod append;
mod fallback;
mod id;
mod lines;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Arc, OnceLock};

use hmac::{Hmac, KeyInit, Mac};
use millrace_proto::instance_name::InstanceName;
use sha2::Sha256;

use super::{LogId, LogRoom};
use crate::error::{Error, Result};

use fallback::Filling;
pub use fallback::{FillGuard, StreamContent, StreamFallback, StreamState};
pub use id::{STREAM_ID_MAX_BYTES, StreamId};
pub use tail::ByteTail;
pub use writer::{STREAM_HOLD_MS, StreamWriter};

/// The bytes of the code in a write name; hex in the name.
const TOKEN_BYTES: usize = 16;

/// The streams of a server. Cheap to clone.
#[derive(Clone)]
pub struct LogStreams {
    inner: Arc<Inner>,
}

struct Inner {
    room: LogRoom,
    key: [u8; 32],
    fallback: OnceLock<Arc<dyn StreamFallback>>,
    filling: Filling,
}

/// The names of a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamNames {
    /// To read by: `{parent}/logstreams/{id}`.
    pub name: String,
    /// To write by: the same with a secret. Not shown by `Debug`.
    pub write_name: String,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStatus {
    /// So many bytes are durable.
    pub committed: u64,
    /// Nothing comes any more.
    pub complete: bool,
}

impl LogStreams {
    /// Over a log room. Whoever has the key can write to any stream.
    pub fn new(room: LogRoom, key: [u8; 32]) -> Self {
        let inner = Inner { room, key, fallback: OnceLock::new(), filling: Filling::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Whom to ask about streams that have no log, or one that stands still. The first one counts.
    pub fn set_fallback(&self, fallback: Arc<dyn StreamFallback>) {
        // A second one would be a fault of the composition; the first goes on.
        let _ = self.inner.fallback.set(fallback);
    }

    /// Makes a stream: from now on it can be read.
    pub async fn create(&self, parent: &InstanceName) -> Result<StreamNames> {
        // With its time in it: retention finds out how old a stream is that nobody has written to.
        let id = uuid::Uuid::now_v7().to_string();
        self.inner.room.create(StreamId::new(parent, &id)?.log()).await?;
        Ok(self.names(parent, &id))
    }

    /// The names of a stream; its log is made by the first write.
    pub fn names(&self, parent: &InstanceName, id: &str) -> StreamNames {
        let slash = if parent.is_empty() { "" } else { "/" };
        let name = format!("{}{slash}logstreams/{id}", parent.as_str());
        let code = self.inner.code(parent, id).finalize().into_bytes();
        let token: String = code[..TOKEN_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        let write_name = format!("{name}/{token}");
        StreamNames { name, write_name }
    }

    /// The log of a stream.
    pub fn log_id(parent: &InstanceName, id: &str) -> Result<LogId> {
        Ok(StreamId::new(parent, id)?.log().clone())
    }

    /// A writer, for who has the secret of the write name. Without it there is no such stream.
    pub fn writer(&self, parent: &InstanceName, id: &str, token: &str) -> Result<StreamWriter> {
        let stream = self.writable(parent, id, token)?;
        Ok(StreamWriter::new(self.inner.room.clone(), stream.log().clone()))
    }

    /// How far a stream has come, for its writer.
    pub async fn status(&self, parent: &InstanceName, id: &str, token: &str) -> Result<StreamStatus> {
        let stream = self.writable(parent, id, token)?;
        match self.inner.room.head(stream.log()).await {
            Ok(head) => Ok(StreamStatus { committed: head.written_bytes(), complete: head.complete }),
            Err(super::LogError::NotFound(_)) => Ok(StreamStatus::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads from a byte on, and goes on until the stream ends or `limit` bytes were read. A byte that is not there yet is
    /// waited for.
    pub async fn tail(&self, parent: &InstanceName, id: &str, offset: u64, limit: Option<u64>) -> Result<ByteTail> {
        let stream = StreamId::new(parent, id).map_err(|_| not_found(id))?;
        ByteTail::open(self, stream, offset, limit).await
    }

    /// Ends a stream whose writer is gone. Twice is fine; a stream without a log gets none.
    pub async fn end(&self, parent: &InstanceName, id: &str) -> Result<()> {
        let stream = StreamId::new(parent, id)?;
        match self.inner.room.head(stream.log()).await {
            Ok(head) if head.complete => Ok(()),
            Ok(_) => Ok(self.inner.room.close(stream.log()).await.map(|_| ())?),
            Err(super::LogError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a stream. One that is not there is removed already.
    pub async fn remove(&self, parent: &InstanceName, id: &str) -> Result<()> {
        match self.inner.room.delete(StreamId::new(parent, id)?.log()).await {
            Ok(()) | Err(super::LogError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn writable(&self, parent: &InstanceName, id: &str, token: &str) -> Result<StreamId> {
        // The same answer whether there is such a stream or not.
        let stream = StreamId::new(parent, id).map_err(|_| not_found(id))?;
        let mut code = [0; TOKEN_BYTES];
        let good = decode_hex(token, &mut code) && self.inner.code(parent, id).verify_truncated_left(&code).is_ok();
        if good { Ok(stream) } else { Err(not_found(id)) }
    }
}

impl Inner {
    fn code(&self, parent: &InstanceName, id: &str) -> Hmac<Sha256> {
        let mut code =
            Hmac::<Sha256>::new_from_slice(&self.key).unwrap_or_else(|_| unreachable!("any length is a key"));
        code.update(b"millrace log stream\0");
        // An instance has no NUL, so no two streams look alike.
        code.update(parent.as_str().as_bytes());
        code.update(b"\0");
        code.update(id.as_bytes());
        code
    }
}

impl std::fmt::Debug for StreamNames {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("StreamNames").field("name", &self.name).finish_non_exhaustive()
    }
}

fn not_found(id: &str) -> Error {
    Error::NotFound(format!("log stream {id}"))
}

/// Lower-case hex of exactly this many bytes.
fn decode_hex(text: &str, into: &mut [u8]) -> bool {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    text.len() == 2 * into.len()
        && into.iter_mut().zip(text.as_chunks::<2>().0).all(|(byte, [high, low])| {
            digit(*high).zip(digit(*low)).map(|(high, low)| *byte = high << 4 | low).is_some()
        })
}
