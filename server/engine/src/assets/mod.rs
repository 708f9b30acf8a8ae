//! Assets: what a URI and some qualifiers stand for, pushed by a client or brought in from elsewhere. Knows no wire, no
//! HTTP and no archive format.

mod directory;
mod downloader;
mod flights;
mod integrity;
mod landing;
mod links;
mod lookup;
mod qualifiers;
mod record;
mod service;
#[cfg(test)]
mod tests;
mod tree;
#[cfg(test)]
mod tree_tests;

pub use downloader::{Brought, Downloader, Fault, Upstream, Violation, Wanted};
pub use integrity::{Integrity, IntegrityCheck};
pub use landing::{Landing, TreeLanding};
pub use lookup::Found;
pub use qualifiers::{CHECKSUM, Qualifiers};
pub use record::AssetKind;
pub use service::{Assets, FUNCTION_DEFAULT, Fetch, FetchError, Push, URI_MAX_BYTES, URIS_MAX};
pub use tree::{TREE_DEPTH_MAX, TREE_ENTRIES_MAX, Tree, TreeBuilder, TreeError};
