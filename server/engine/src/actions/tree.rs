//! File trees of Directory blobs, page by page. Nothing is remembered between pages: a token says how many Directories
//! went out and which one was the last, and the walk goes there again.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use buffa::Message;
use millrace_proto::digest::Digest;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::reapi::Directory;

use super::walk::{Found, Walk};
use crate::blobs::BlobRoom;
use crate::error::{Error, Result};

/// How many bytes of a message a Directory takes at most besides its own: a tag and a length.
const DIRECTORY_OVERHEAD_BYTES: usize = 8;
/// What is said of each of the two hashes in a token, in bytes.
const TOKEN_HASH_BYTES: usize = 8;
/// A token before it is made text: how many, the root, the last one.
const TOKEN_BYTES: usize = 4 + 2 * TOKEN_HASH_BYTES;

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
    room: Arc<BlobRoom>,
}

impl Trees {
    /// Trees of the Directories in a room.
    pub fn new(room: Arc<BlobRoom>) -> Self {
        Self { room }
    }

    /// One part of the tree below `root`: its first, or that where a token says. For more than one, [`Self::pages`]
    /// walks the tree only once.
    pub async fn page(
        &self,
        instance: &InstanceName,
        root: &Digest,
        page_size: i32,
        page_token: &str,
    ) -> Result<TreePage> {
        let mut pages = self.pages(instance, root, page_size, page_token).await?;
        let end = TreePage { directories: Vec::new(), next_page_token: String::new() };
        Ok(pages.next().await?.unwrap_or(end))
    }

    /// All parts of the tree below `root` from its first on, or from where a token says. `page_size` 0: as many
    /// Directories as fit in a message. What is not here is left out, but for the root: [`Error::NotFound`].
    pub async fn pages(
        &self,
        instance: &InstanceName,
        root: &Digest,
        page_size: i32,
        page_token: &str,
    ) -> Result<TreePages> {
        let page_size = match usize::try_from(page_size) {
            Ok(0) => usize::MAX,
            Ok(size) => size,
            Err(_) => return Err(Error::invalid("page_size", format!("{page_size} is negative"))),
        };
        let token = if page_token.is_empty() { None } else { Some(Token::parse(page_token, root)?) };
        let mut pages = TreePages {
            walk: Walk::from(Arc::clone(&self.room), instance.clone(), *root),
            ready: VecDeque::new(),
            root: *root,
            page_size,
            page_max_bytes: usize::try_from(self.room.limits().batch_max_bytes).unwrap_or(usize::MAX),
            sent: 0,
        };
        pages.fill().await?;
        if let Some(token) = token {
            pages.skip(&token).await?;
        }
        Ok(pages)
    }
}

/// The pages of a tree, one after the other.
pub struct TreePages {
    walk: Walk,
    ready: VecDeque<Found>,
    root: Digest,
    page_size: usize,
    page_max_bytes: usize,
    sent: u32,
}

impl TreePages {
    /// The next page; None: the last one had no token.
    pub async fn next(&mut self) -> Result<Option<TreePage>> {
        let (mut directories, mut bytes, mut last) = (Vec::new(), 0, None);
        while let Some(found) = self.ready.front()
            && directories.len() < self.page_size
        {
            bytes += found.bytes.len() + DIRECTORY_OVERHEAD_BYTES;
            if bytes > self.page_max_bytes && !directories.is_empty() {
                break;
            }
            // Fields that are not known here stay in the message.
            let decoded = Directory::decode(&mut found.bytes.clone());
            directories.push(decoded.map_err(|error| Error::invalid("root_digest", error.to_string()))?);
            last = self.ready.pop_front().map(|found| found.digest);
            self.sent += 1;
            self.fill().await?;
        }
        let Some(last) = last else { return Ok(None) };
        let next_page_token =
            if self.ready.is_empty() { String::new() } else { Token::at(self.sent, &self.root, &last).to_text() };
        Ok(Some(TreePage { directories, next_page_token }))
    }

    /// Has a Directory ready, if there is one more.
    async fn fill(&mut self) -> Result<()> {
        if self.ready.is_empty() {
            self.ready = self.walk.next().await?.into();
        }
        Ok(())
    }

    async fn skip(&mut self, token: &Token) -> Result<()> {
        while self.sent < token.sent {
            let Some(found) = self.ready.pop_front() else { return Err(changed()) };
            self.sent += 1;
            if self.sent == token.sent && *token != Token::at(self.sent, &self.root, &found.digest) {
                return Err(changed());
            }
            self.fill().await?;
        }
        Ok(())
    }
}

fn changed() -> Error {
    Error::invalid("page_token", "what is here of the tree has changed since; begin anew")
}

/// Where a page ended.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    sent: u32,
    root: [u8; TOKEN_HASH_BYTES],
    last: [u8; TOKEN_HASH_BYTES],
}

impl Token {
    fn at(sent: u32, root: &Digest, last: &Digest) -> Self {
        let begin = |digest: &Digest| {
            let mut bytes = [0; TOKEN_HASH_BYTES];
            bytes.copy_from_slice(&digest.hash()[..TOKEN_HASH_BYTES]);
            bytes
        };
        Self { sent, root: begin(root), last: begin(last) }
    }

    fn to_text(&self) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.extend_from_slice(&self.sent.to_be_bytes());
        bytes.extend_from_slice(&self.root);
        bytes.extend_from_slice(&self.last);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn parse(text: &str, root: &Digest) -> Result<Self> {
        let invalid = || Error::invalid("page_token", "not a token that GetTree gave for this tree");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        let (sent, hashes) = bytes.split_first_chunk::<4>().ok_or_else(invalid)?;
        let (first, rest) = hashes.split_first_chunk::<TOKEN_HASH_BYTES>().ok_or_else(invalid)?;
        let token =
            Self { sent: u32::from_be_bytes(*sent), root: *first, last: rest.try_into().map_err(|_| invalid())? };
        let here = Self::at(token.sent, root, root);
        if token.sent == 0 || token.root != here.root { Err(invalid()) } else { Ok(token) }
    }
}
