//! Uploads by name, piece by piece.

use bytes::Bytes;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;

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

/// An upload. Dropped unfinished, it is kept for a while, for the client to go on with.
pub struct Upload {
    taken: u64,
}

impl Upload {
    /// How many encoded bytes were taken so far: the next offset.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes the next encoded bytes. `offset` must be [`Self::taken`].
    pub async fn write(&mut self, _offset: u64, _data: Bytes) -> Result<UploadStep> {
        Err(Error::Unavailable("uploading is being built".into()))
    }

    /// That was all: checks the bytes, makes them durable and visible. The number of encoded bytes.
    pub async fn finish(self) -> Result<u64> {
        Err(Error::Unavailable("uploading is being built".into()))
    }
}
