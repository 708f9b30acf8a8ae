//! File trees of Directory blobs, page by page.

use std::sync::Arc;

use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::Directory;

use crate::blobs::BlobRoom;
use crate::error::{Error, Result};

/// A part of a tree.
#[derive(Debug)]
pub struct TreePage {
    /// Parents before their children, each once in all pages together.
    pub directories: Vec<Directory>,
    /// Where the next part begins; empty: this was the last one.
    pub next_page_token: String,
}

/// Trees as pages.
pub struct Trees {
    #[expect(dead_code)]
    room: Arc<BlobRoom>,
}

impl Trees {
    /// Trees of the Directories in a room.
    pub fn new(room: Arc<BlobRoom>) -> Self {
        Self { room }
    }

    /// A part of the tree below `root`: its first, or that where a token says. `page_size` 0: as many as fit. What
    /// is not here is left out, but for the root: [`Error::NotFound`].
    pub async fn page(
        &self,
        _instance: &InstanceName,
        _root: &Digest,
        _page_size: i32,
        _page_token: &str,
    ) -> Result<TreePage> {
        Err(Error::Unavailable("trees are being built".into()))
    }
}
