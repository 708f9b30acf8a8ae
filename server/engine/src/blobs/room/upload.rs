//! Uploads by name, piece by piece. A second writer of the same name gets an upload of its own: which bytes are right is
//! decided by the digest, and the first to finish wins. Knows no messages.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

use super::BlobRoom;
use super::open_uploads::{OpenUploads, Progress, Ticket};
use super::sink::Sink;
use crate::blobs::store::Encoding;
use crate::error::{Error, Result};

/// What an upload is called. Several uploads may share a uuid: all of the name counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadName {
    /// Where the blob goes.
    pub instance: InstanceName,
    /// The client's name for the upload.
    pub uuid: String,
    /// What the decoded bytes hash to.
    pub digest: Digest,
    /// How the bytes come.
    pub encoding: Encoding,
}

/// What becomes of an upload.
// One for each upload, matched at once: a box would save nothing.
#[allow(clippy::large_enum_variant)]
pub enum UploadStart {
    /// The blob is here: nothing is to be sent.
    Exists,
    /// The bytes are awaited.
    Upload(Upload),
}

/// What becomes of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadStep {
    /// It was taken; more is awaited, or `finish`.
    More,
    /// Somebody else has completed the blob: the rest need not be sent, nor this finished.
    ExistsNow,
}

/// How far an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadStatus {
    /// The encoded bytes taken; the blob's size when it is complete.
    pub committed_size: u64,
    /// Whether the blob is here.
    pub complete: bool,
}

/// An upload. Dropped unfinished, it is kept for a while, for the client to go on with. Broken off in the middle of a
/// write, or after an error, it is not: then it begins again.
pub struct Upload {
    name: UploadName,
    uploads: Arc<OpenUploads>,
    id: u64,
    progress: Arc<Progress>,
    taken: u64,
    /// Away while it is written to, and after an error.
    sink: Option<Sink>,
}

impl BlobRoom {
    /// Begins an upload, or goes on with one that was left unfinished at `write_offset`. [`Error::Invalid`] when that is
    /// not where it was left; [`Error::Conflict`] when it is still being written.
    pub async fn upload(&self, name: UploadName, write_offset: u64) -> Result<UploadStart> {
        if self.has(&name.instance, &name.digest).await? {
            return Ok(UploadStart::Exists);
        }
        let (ticket, sink) = match self.uploads.resume(&name, write_offset)? {
            Some(resumed) => resumed,
            None => {
                let (function, size) = (name.digest.function(), Some(name.digest.size()));
                let sink = Sink::open(&self.store, &name.instance, function, name.encoding, size).await?;
                (self.uploads.enter(&name), sink)
            }
        };
        let (Ticket { id, progress }, uploads) = (ticket, Arc::clone(&self.uploads));
        let taken = progress.taken.load(Relaxed);
        Ok(UploadStart::Upload(Upload { name, uploads, id, progress, taken, sink: Some(sink) }))
    }

    /// How far an upload is. [`Error::NotFound`] when there is neither the upload nor the blob.
    pub async fn upload_status(&self, name: &UploadName) -> Result<UploadStatus> {
        if self.has(&name.instance, &name.digest).await? {
            return Ok(UploadStatus { committed_size: name.digest.size(), complete: true });
        }
        match self.uploads.taken(name) {
            Some(committed_size) => Ok(UploadStatus { committed_size, complete: false }),
            None => Err(Error::NotFound(format!("upload {} of blob {}", name.uuid, name.digest))),
        }
    }
}

impl Upload {
    /// How many encoded bytes were taken so far: the next offset.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes the next encoded bytes. `offset` must be [`Self::taken`]. After an error it takes no more.
    pub async fn write(&mut self, offset: u64, data: Bytes) -> Result<UploadStep> {
        if self.progress.complete.load(Relaxed) {
            return Ok(UploadStep::ExistsNow);
        }
        let mut sink = self.sink.take().ok_or_else(broken_off)?;
        let len = data.len() as u64;
        let written = match self.check(offset, len) {
            Ok(()) if len > 0 => sink.write(data).await,
            checked => checked,
        };
        if let Err(error) = written {
            // Nobody is to be told of bytes that can't be gone on with.
            self.uploads.leave(&self.name, self.id);
            return Err(error);
        }
        self.sink = Some(sink);
        self.taken += len;
        self.progress.taken.store(self.taken, Relaxed);
        Ok(UploadStep::More)
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        if offset != self.taken {
            return Err(Error::invalid("write_offset", format!("{offset}; {} bytes are taken", self.taken)));
        }
        let size = self.name.digest.size();
        if self.name.encoding == Encoding::Identity && self.taken + len > size {
            return Err(Error::invalid("data", format!("more than the {size} bytes of the digest")));
        }
        Ok(())
    }

    /// Lets go of it: the client broke the rules and need not come back.
    pub fn discard(mut self) {
        self.sink = None;
    }

    /// That was all: checks the bytes, makes them durable and visible. The number of encoded bytes.
    pub async fn finish(mut self) -> Result<u64> {
        let sink = self.sink.take().ok_or_else(broken_off)?;
        let (taken, digest) = (self.taken, self.name.digest);
        if self.name.encoding == Encoding::Identity && taken != digest.size() {
            let message = format!("finished after {taken} bytes; the digest says {}", digest.size());
            return Err(Error::invalid("finish_write", message));
        }
        sink.commit(digest).await?;
        self.uploads.completed(&self.name.instance, &digest);
        Ok(taken)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        match self.sink.take() {
            Some(sink) if self.taken > 0 && !self.progress.complete.load(Relaxed) => {
                self.uploads.park(&self.name, self.id, sink);
            }
            _ => self.uploads.leave(&self.name, self.id),
        }
    }
}

fn broken_off() -> Error {
    Error::Internal("an upload was written to after a write that failed or was broken off".into())
}
