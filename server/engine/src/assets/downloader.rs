//! What brings in what is not here yet. The engine says what is wanted and where it goes; how a URI is reached is
//! another's business.

use async_trait::async_trait;
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::landing::Landing;
use super::qualifiers::Qualifiers;
use super::record::AssetKind;
use crate::error::Error;

/// Brings in assets from elsewhere.
#[async_trait]
pub trait Downloader: Send + Sync + 'static {
    /// Looks at a request before anything is dialled: all qualifiers must be understood, and their values make sense.
    fn check(&self, wanted: &Wanted) -> Result<(), Vec<Violation>>;

    /// Whether this URI could be dialled.
    fn reaches(&self, uri: &str) -> bool;

    /// Brings in what is at one of the URIs, having checked it against the qualifiers.
    async fn bring(&self, wanted: &Wanted, uri: usize, landing: &Landing) -> Result<Brought, Fault>;
}

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// For which instance.
    pub instance: InstanceName,
    /// A blob or a directory.
    pub kind: AssetKind,
    /// By which function its digest is to be.
    pub function: DigestFunction,
    /// Where it may be, all the same content.
    pub uris: Vec<String>,
    /// What else is said about it.
    pub qualifiers: Qualifiers,
}

/// What was brought in.
#[derive(Clone, Debug)]
pub struct Brought {
    /// The blob, or the root Directory.
    pub digest: Digest,
    /// All other blobs that belong to it.
    pub with: Vec<Digest>,
}

/// A field of a request that can't be what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name on the wire.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// Why nothing was brought in.
#[derive(Debug)]
pub enum Fault {
    /// The other side's, or the content's.
    Upstream(Upstream, String),
    /// Ours.
    Ours(Error),
}

/// What kind of fault of the other side's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// It has no such thing.
    NotFound,
    /// It may not be asked, or does not tell.
    Denied,
    /// The content is not what it should be.
    Aborted,
    /// It is too much.
    Exhausted,
    /// It takes too long.
    Deadline,
    /// It does not answer now.
    Unavailable,
}

impl Fault {
    /// A fault of the other side's.
    pub fn upstream(kind: Upstream, message: impl Into<String>) -> Self {
        Self::Upstream(kind, message.into())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}
