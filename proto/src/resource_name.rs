//! The names that ByteStream reads and writes by, parsed once into what they mean, and written again the one way they
//! are written. Knows nothing of which blobs and logs there are.
//!
//! - `{instance}/blobs/{digest}` and `{instance}/compressed-blobs/{compressor}/{digest}` to read a blob,
//! - `{instance}/uploads/{uuid}/` and then either of these to write one; what follows the digest is ignored,
//! - `{parent}/logstreams/{id}` to read a log, and the same with `/{write_token}` to write it.
//!
//! An empty instance drops its slash; names that keep it are read all the same.

mod compressor;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use compressor::Compressor;

use crate::{
    digest::{Digest, DigestError},
    instance_name::{InstanceName, InstanceNameError},
};

/// The longest name, with what is ignored at its end.
pub const RESOURCE_NAME_MAX_BYTES: usize = 8192;
/// The longest id of an upload or a log, and the longest write token.
pub const RESOURCE_ID_MAX_BYTES: usize = 256;
/// How much of a name its error shows.
pub const RESOURCE_NAME_SHOWN_MAX_BYTES: usize = 200;

/// What ByteStream.Read is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReadName {
    /// A blob.
    Blob {
        /// The instance.
        instance: InstanceName,
        /// Of the content as it is when it isn't compressed.
        digest: Digest,
        /// How the content is to be sent.
        compressor: Compressor,
    },
    /// A log.
    Log {
        /// Where it belongs.
        parent: InstanceName,
        /// Which one.
        id: String,
    },
}

/// What ByteStream.Write and QueryWriteStatus are about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WriteName {
    /// A blob.
    Blob {
        /// The instance.
        instance: InstanceName,
        /// Which upload; the client's choice, and not always a UUID. Uploads of different digests may share one.
        uuid: String,
        /// Of the content as it is when it isn't compressed.
        digest: Digest,
        /// How the content is sent.
        compressor: Compressor,
    },
    /// A log.
    Log {
        /// Where it belongs.
        parent: InstanceName,
        /// Which one.
        id: String,
        /// Proves that the writer got the name from CreateLogStream.
        token: WriteToken,
    },
}

/// The secret in a log's write name. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WriteToken(String);

/// A name that means nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resource_name {shown:?}: {reason}")]
pub struct ResourceNameError {
    /// The name, cut to [`RESOURCE_NAME_SHOWN_MAX_BYTES`] and without a secret.
    pub shown: String,
    /// What is wrong with it.
    #[source]
    pub reason: ResourceNameReason,
}

/// Why a name means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceNameReason {
    /// Too long.
    #[error("{0} bytes; the limit is {RESOURCE_NAME_MAX_BYTES}")]
    TooLong(usize),
    /// None of the shapes of a name to read by.
    #[error(
        "expected {{instance}}/blobs/{{hash}}/{{size}}, \
         {{instance}}/compressed-blobs/{{compressor}}/{{hash}}/{{size}} or {{parent}}/logstreams/{{id}}"
    )]
    NoReadName,
    /// None of the shapes of a name to write by.
    #[error(
        "expected {{instance}}/uploads/{{uuid}}/blobs/{{hash}}/{{size}}, \
         {{instance}}/uploads/{{uuid}}/compressed-blobs/{{compressor}}/{{hash}}/{{size}} or \
         {{parent}}/logstreams/{{id}}/{{write_token}}"
    )]
    NoWriteName,
    /// Read was given the name that Write takes.
    #[error("the write name of a log; it is read by {{parent}}/logstreams/{{id}}")]
    LogWriteName,
    /// Write was given the name that Read takes.
    #[error("the read name of a log; it is written by the write_resource_name that CreateLogStream answered")]
    LogReadName,
    /// What stands before the keyword.
    #[error(transparent)]
    Instance(#[from] InstanceNameError),
    /// Hash or function.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Something else than a count of bytes.
    #[error("size: expected decimal digits without a sign or leading zeros, at most {max}", max = i64::MAX)]
    Size,
    /// A name of no compressor.
    #[error("compressor: expected zstd, deflate or brotli")]
    Compressor,
    /// An empty or overlong id, or one with control characters.
    #[error("{0}: expected 1 to {RESOURCE_ID_MAX_BYTES} bytes without control characters")]
    Id(&'static str),
}

impl ReadName {
    /// Reads the name of a Read request.
    pub fn parse(name: &str) -> Result<Self, ResourceNameError> {
        parse::read(name)
    }
}

impl WriteName {
    /// Reads the name of a Write or QueryWriteStatus request.
    pub fn parse(name: &str) -> Result<Self, ResourceNameError> {
        parse::write(name)
    }
}

impl WriteToken {
    /// Any text; a name is checked when it is parsed.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReadName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob { instance, digest, compressor } => {
                write_instance(out, instance)?;
                write_content(out, *compressor, digest)
            }
            Self::Log { parent, id } => {
                write_instance(out, parent)?;
                write!(out, "logstreams/{id}")
            }
        }
    }
}

/// The write name of a log comes out with its secret.
impl fmt::Display for WriteName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob { instance, uuid, digest, compressor } => {
                write_instance(out, instance)?;
                write!(out, "uploads/{uuid}/")?;
                write_content(out, *compressor, digest)
            }
            Self::Log { parent, id, token } => {
                write_instance(out, parent)?;
                write!(out, "logstreams/{id}/{}", token.reveal())
            }
        }
    }
}

impl fmt::Debug for WriteToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("WriteToken(***)")
    }
}

fn write_instance(out: &mut fmt::Formatter<'_>, instance: &InstanceName) -> fmt::Result {
    if instance.is_empty() { Ok(()) } else { write!(out, "{instance}/") }
}

fn write_content(out: &mut fmt::Formatter<'_>, compressor: Compressor, digest: &Digest) -> fmt::Result {
    match compressor {
        Compressor::Identity => write!(out, "blobs/{digest}"),
        other => write!(out, "compressed-blobs/{}/{digest}", other.path_segment()),
    }
}
