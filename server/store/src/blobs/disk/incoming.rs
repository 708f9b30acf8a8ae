//! A blob on its way in, of whatever size: gathered in memory as long as it is small, then written to a file of its own
//! by another thread while the next bytes come.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use millrace_engine::blobs::{BlobWrite, Encoding};
use millrace_engine::error::{Error, Result};
use millrace_proto::digest::Digest;
use tokio::task::JoinHandle;

use super::catalog::record_disk_bytes;
use super::fault::blob_error;
use super::fingerprint::{BlobNames, Fingerprint};
use super::index::Use;
use super::large::large_disk_bytes;
use super::large_write::LargeWriter;
use super::record::{Kind, Record};
use super::shared::Shared;
use super::slab::{Item, Place};
use super::space::Reservation;

/// So much is handed to the writing thread at a time.
const WRITE_BYTES: u64 = 1024 * 1024;
/// Space is taken in steps of this, when nobody said how large the blob is.
const GROW_BYTES: u64 = 4 * 1024 * 1024;

/// A blob on its way in.
pub struct Incoming {
    shared: Arc<Shared>,
    names: BlobNames,
    encoding: Encoding,
    /// Goes before its space is given back.
    file: Option<Spill>,
    reservation: Reservation,
    /// What has come and is not handed on yet.
    pieces: Vec<Bytes>,
    pieces_len: u64,
    len: u64,
}

/// The file, once there is one.
struct Spill {
    number: u64,
    /// The last write. None after one failed: then the blob can't be completed.
    writing: Option<JoinHandle<Result<LargeWriter>>>,
}

impl Incoming {
    /// Begins one; `size` is its decoded size, where that is known.
    pub async fn begin(shared: Arc<Shared>, names: BlobNames, encoding: Encoding, size: Option<u64>) -> Result<Self> {
        let expected = size.unwrap_or(0);
        let reservation = shared.space.reserve(disk_bytes(&shared, expected)).await?;
        let (pieces, pieces_len, len, file) = (Vec::new(), 0, 0, None);
        Ok(Self { shared, names, encoding, file, reservation, pieces, pieces_len, len })
    }

    /// Waits until nothing is being written, then hands on what has come.
    async fn hand_on(&mut self) -> Result<()> {
        let (number, writer) = match &mut self.file {
            None => (self.shared.large.number(), None),
            Some(spill) => {
                let writing = spill.writing.take();
                let writing = writing.ok_or_else(|| Error::internal("an earlier write of this blob failed"))?;
                (spill.number, Some(joined(writing.await)?))
            }
        };
        let (shared, pieces) = (self.shared.clone(), std::mem::take(&mut self.pieces));
        self.pieces_len = 0;
        let writing = tokio::task::spawn_blocking(move || {
            let write = || {
                let mut writer = match writer {
                    Some(writer) => writer,
                    None => LargeWriter::create(&shared.large, number)?,
                };
                writer.write(&pieces)?;
                Ok(writer)
            };
            write().map_err(|error| blob_error("writing a blob", &error))
        });
        self.file = Some(Spill { number, writing: Some(writing) });
        Ok(())
    }

    async fn keep_large(mut self, fingerprint: Fingerprint, size: u64) -> Result<()> {
        self.hand_on().await?;
        let Some(Spill { number, writing: Some(writing) }) = self.file.take() else {
            return Err(Error::internal("a blob without a file"));
        };
        let writer = joined(writing.await)?;
        let (stored_len, encoding) = (self.len, self.encoding);
        let item = Item { fingerprint, place: Place::large(number), stored_len, size, encoding, entry: false };
        let (shared, reservation) = (self.shared, self.reservation);
        // What has begun goes on when the caller goes away, so that the file and the catalog agree.
        let kept = tokio::task::spawn_blocking(move || {
            writer.keep(&shared.large, &item).map_err(|error| blob_error("keeping a blob", &error))?;
            reservation.settle(large_disk_bytes(stored_len));
            let before = {
                let mut catalog = shared.lock();
                match catalog.index.get(fingerprint) {
                    Some(known) if known.size == size => Some(item),
                    _ => catalog.insert(item, shared.ticks.now()),
                }
            };
            shared.unlink_later(before);
            Ok(())
        });
        joined(kept.await)
    }
}

#[async_trait]
impl BlobWrite for Incoming {
    async fn write(&mut self, data: Bytes) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let need = disk_bytes(&self.shared, self.len + data.len() as u64);
        if need > self.reservation.bytes() {
            let step = if self.len > self.shared.small_max_bytes { GROW_BYTES } else { 0 };
            self.reservation.grow((need - self.reservation.bytes()).max(step)).await?;
        }
        self.len += data.len() as u64;
        self.pieces_len += data.len() as u64;
        self.pieces.push(data);
        if self.len > self.shared.small_max_bytes && self.pieces_len >= WRITE_BYTES {
            self.hand_on().await?;
        }
        Ok(())
    }

    fn digest(&mut self) -> Option<Digest> {
        None
    }

    async fn commit(self: Box<Self>, digest: Digest) -> Result<()> {
        if self.encoding == Encoding::Identity && self.len != digest.size() {
            let message = format!("{} in the digest, but {} bytes came", digest.size(), self.len);
            return Err(Error::invalid("size_bytes", message));
        }
        let fingerprint = self.names.of(digest.hash());
        let now = self.shared.ticks.now();
        if self.shared.lock().index.find(fingerprint, now, Use::Lease, |item| item.size == digest.size()).is_some() {
            return Ok(());
        }
        if self.len > self.shared.small_max_bytes {
            return self.keep_large(fingerprint, digest.size()).await;
        }
        let Self { shared, encoding, reservation, pieces, .. } = *self;
        let record = Record::new(Kind::Blob, fingerprint, encoding, digest.size(), joined_pieces(pieces));
        shared.put(vec![record], reservation).await
    }
}

/// What a blob with so many encoded bytes takes.
fn disk_bytes(shared: &Shared, len: u64) -> u64 {
    if len > shared.small_max_bytes { large_disk_bytes(len) } else { record_disk_bytes(len) }
}

fn joined_pieces(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.remove(0);
    }
    let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in &pieces {
        all.extend_from_slice(piece);
    }
    all.freeze()
}

fn joined<T>(result: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    result.unwrap_or_else(|fault| Err(Error::internal(format!("writing a blob failed: {fault}"))))
}
