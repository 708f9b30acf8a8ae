//! Reads the file of a large blob piece by piece; every block is checked before any of it is handed out. The next piece
//! is read while this one is on its way.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use millrace_engine::blobs::BlobRead;
use millrace_engine::error::{Error, Result};
use tokio::task::JoinHandle;

use super::fault::blob_error;
use super::large::BLOCK_BYTES;
use super::shared::Shared;
use super::slab::Item;
use crate::positioned::read_up_to;

/// So much is read at a time.
const PIECE_BYTES: u64 = 4 * BLOCK_BYTES as u64;

/// An open large blob.
pub struct LargeReader {
    shared: Arc<Shared>,
    blocks: Arc<Blocks>,
    /// Held for a few instructions.
    state: Mutex<State>,
}

struct Blocks {
    item: Item,
    file: File,
    crcs: Vec<u32>,
}

#[derive(Default)]
struct State {
    piece: Piece,
    ahead: Option<(u64, JoinHandle<io::Result<Bytes>>)>,
}

#[derive(Clone, Default)]
struct Piece {
    offset: u64,
    bytes: Bytes,
}

impl LargeReader {
    /// Over a file that is open.
    pub fn new(shared: Arc<Shared>, item: Item, file: File, crcs: Vec<u32>) -> Self {
        Self { shared, blocks: Arc::new(Blocks { item, file, crcs }), state: Mutex::default() }
    }

    /// The piece that begins there.
    async fn piece(&self, offset: u64) -> Result<Piece> {
        let ahead = self.lock().ahead.take().filter(|(at, _)| *at == offset);
        let reading = match ahead {
            Some((_, reading)) => reading,
            None => self.begin(offset),
        };
        let read = reading.await.unwrap_or_else(|fault| Err(io::Error::other(fault)));
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.failed(&error).await),
        };
        let next = offset + bytes.len() as u64;
        let piece = Piece { offset, bytes };
        let ahead = (next < self.blocks.item.stored_len).then(|| (next, self.begin(next)));
        let mut state = self.lock();
        (state.piece, state.ahead) = (piece.clone(), ahead);
        Ok(piece)
    }

    fn begin(&self, offset: u64) -> JoinHandle<io::Result<Bytes>> {
        let blocks = self.blocks.clone();
        tokio::task::spawn_blocking(move || blocks.read(offset))
    }

    async fn failed(&self, error: &io::Error) -> Error {
        if is_damage(error) {
            self.shared.drop_corrupt(&self.blocks.item).await;
        }
        blob_error("reading a blob", error)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BlobRead for LargeReader {
    async fn read_at(&self, offset: u64, max: usize) -> Result<Bytes> {
        if offset >= self.blocks.item.stored_len || max == 0 {
            return Ok(Bytes::new());
        }
        let piece = self.lock().piece.clone();
        let holds = offset >= piece.offset && offset - piece.offset < piece.bytes.len() as u64;
        let piece = if holds { piece } else { self.piece(offset - offset % BLOCK_BYTES as u64).await? };
        let from = (offset - piece.offset) as usize;
        Ok(piece.bytes.slice(from..piece.bytes.len().min(from.saturating_add(max))))
    }
}

impl Blocks {
    fn read(&self, offset: u64) -> io::Result<Bytes> {
        let len = (self.item.stored_len - offset).min(PIECE_BYTES) as usize;
        let bytes = read_up_to(&self.file, offset, len)?;
        check(&bytes, len, &self.crcs[(offset / BLOCK_BYTES as u64) as usize..])?;
        Ok(bytes.into())
    }
}

/// Whether these are all of the bytes, and each block of them has its crc.
pub fn check(bytes: &[u8], len: usize, crcs: &[u32]) -> io::Result<()> {
    if bytes.len() != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.chunks(BLOCK_BYTES).zip(crcs).any(|(block, crc)| crc32fast::hash(block) != *crc) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the bytes are not what was written"));
    }
    Ok(())
}

/// Whether the bytes are lost, and not only out of reach for now.
pub fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound)
}
