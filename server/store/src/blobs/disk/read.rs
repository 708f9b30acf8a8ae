//! Reads what is here: small things whole, large blobs by opening their file. What is not as it was written is dropped
//! for good, counted and not there.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use millrace_engine::blobs::{BlobSource, OpenBlob};
use millrace_engine::error::{Error, Result};

use super::fault::blob_error;
use super::fingerprint::Fingerprint;
use super::index::Use;
use super::large_read::{LargeReader, check, is_damage};
use super::record::{HEADER_BYTES, Header};
use super::shared::Shared;
use super::slab::Item;
use crate::positioned::read_up_to;

/// A file of its own that is not longer than this is read whole when it is opened.
const WHOLE_MAX_BYTES: u64 = 1024 * 1024;

impl Shared {
    /// Opens what has this name, if it is `wanted`; that is a use.
    pub async fn open(
        self: &Arc<Self>,
        fingerprint: Fingerprint,
        wanted: impl Fn(&Item) -> bool + Send,
    ) -> Result<Option<OpenBlob>> {
        loop {
            let (item, pack) = {
                let mut catalog = self.lock();
                let Some(item) = catalog.index.find(fingerprint, self.ticks.now(), Use::Plain, &wanted) else {
                    return Ok(None);
                };
                let pack = catalog.pack_file(&item);
                (item, pack)
            };
            let read = match pack {
                Some((file, offset)) => read_small(&file, offset, &item).await.map(BlobSource::Whole),
                None => self.read_large(item).await,
            };
            match read {
                Ok(source) => {
                    return Ok(Some(OpenBlob { encoding: item.encoding, stored_len: item.stored_len, source }));
                }
                Err(error) if is_damage(&error) => {
                    // It may have been moved or replaced in between: then there is something else to read.
                    if self.drop_corrupt(&item).await {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(blob_error("reading a blob", &error)),
            }
        }
    }

    /// Drops what can't be read, durably. False if it is not there any more.
    pub async fn drop_corrupt(&self, item: &Item) -> bool {
        {
            let mut catalog = self.lock();
            if catalog.remove(item.fingerprint, |found| found.place == item.place).is_none() {
                return false;
            }
            catalog.corrupt += 1;
        }
        tracing::warn!(name = %item.fingerprint, bytes = item.stored_len, "stored bytes are damaged: dropped");
        if let Err(error) = self.bury(item).await {
            tracing::warn!(name = %item.fingerprint, %error, "a damaged blob may be found again after a start");
        }
        true
    }

    /// Makes it durable that an item is gone.
    pub async fn bury(&self, item: &Item) -> Result<()> {
        self.unlink_later(Some(*item));
        if item.place.file().is_some() {
            let (large, item) = (self.large.clone(), *item);
            let synced = tokio::task::spawn_blocking(move || large.sync_shard(&item)).await;
            synced.map_err(Error::internal)?.map_err(|error| blob_error("removing a blob", &error))?;
        }
        self.write_gone(item).await
    }

    async fn read_large(self: &Arc<Self>, item: Item) -> io::Result<BlobSource> {
        let shared = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let (file, crcs) = shared.large.open_file(&item)?;
            if item.stored_len <= WHOLE_MAX_BYTES {
                let len = item.stored_len as usize;
                let bytes = read_up_to(&file, 0, len)?;
                check(&bytes, len, &crcs)?;
                return Ok(BlobSource::Whole(bytes.into()));
            }
            Ok(BlobSource::Pieces(Box::new(LargeReader::new(shared, item, file, crcs))))
        });
        read.await.unwrap_or_else(|fault| Err(io::Error::other(fault)))
    }
}

async fn read_small(file: &Arc<File>, offset: u32, item: &Item) -> io::Result<Bytes> {
    let len = HEADER_BYTES + item.stored_len as usize;
    let bytes = match read_now(file, offset, len) {
        Some(bytes) => bytes,
        None => {
            let file = file.clone();
            let read = tokio::task::spawn_blocking(move || read_up_to(&file, u64::from(offset), len));
            read.await.unwrap_or_else(|fault| Err(io::Error::other(fault)))?
        }
    };
    check_record(bytes, item)
}

/// The bytes of a record, if it is this item's.
pub fn check_record(bytes: Vec<u8>, item: &Item) -> io::Result<Bytes> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "the record is not what was written");
    let header = Header::decode(&bytes).ok_or_else(broken)?;
    let good = header.fingerprint == item.fingerprint
        && u64::from(header.stored_len) == item.stored_len
        && bytes.len() == HEADER_BYTES + item.stored_len as usize
        && crc32fast::hash(&bytes[HEADER_BYTES..]) == header.data_crc;
    if good { Ok(Bytes::from(bytes).slice(HEADER_BYTES..)) } else { Err(broken()) }
}

/// Reads without waiting for the disk; none if it is not in memory, or the system can't do that.
#[cfg(target_os = "linux")]
fn read_now(file: &File, offset: u32, len: usize) -> Option<Vec<u8>> {
    use rustix::io::ReadWriteFlags;
    let mut bytes = vec![0; len];
    let mut slices = [io::IoSliceMut::new(&mut bytes)];
    let read = rustix::io::preadv2(file, &mut slices, u64::from(offset), ReadWriteFlags::NOWAIT).ok()?;
    (read == len).then_some(bytes)
}

#[cfg(not(target_os = "linux"))]
fn read_now(_file: &File, _offset: u32, _len: usize) -> Option<Vec<u8>> {
    None
}
