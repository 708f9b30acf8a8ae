//! The pieces of sealed logs that were read last, for a server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

/// All pieces together take no more memory than this.
const FRAME_CACHE_MAX_BYTES: usize = 32 * 1024 * 1024;

/// A log's number and a piece of it.
type Key = (u64, usize);

/// A piece of a log: whole lines and their words.
pub struct Piece {
    /// The lines.
    pub text: Vec<u8>,
    /// Their words.
    pub words: Vec<u8>,
}

impl Piece {
    fn bytes(&self) -> usize {
        self.text.len() + self.words.len()
    }
}

/// Pieces by the number of their log and their place in it.
pub struct FrameCache {
    /// Held for a look-up, and to choose what goes.
    state: Mutex<State>,
    numbers: AtomicU64,
}

struct State {
    pieces: LruCache<Key, Arc<Piece>>,
    bytes: usize,
}

impl Default for FrameCache {
    fn default() -> Self {
        let state = State { pieces: LruCache::unbounded(), bytes: 0 };
        Self { state: Mutex::new(state), numbers: AtomicU64::new(0) }
    }
}

impl FrameCache {
    /// A number that no other log has.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A piece that is remembered.
    pub fn get(&self, key: Key) -> Option<Arc<Piece>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).pieces.get(&key).cloned()
    }

    /// Remembers a piece, and forgets those that were not read for the longest time.
    pub fn put(&self, key: Key, piece: &Arc<Piece>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if piece.bytes() > FRAME_CACHE_MAX_BYTES {
            return;
        }
        state.bytes += piece.bytes();
        if let Some(replaced) = state.pieces.put(key, piece.clone()) {
            state.bytes -= replaced.bytes();
        }
        while state.bytes > FRAME_CACHE_MAX_BYTES
            && let Some((_, oldest)) = state.pieces.pop_lru()
        {
            state.bytes -= oldest.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_no_more_than_its_share() {
        let cache = FrameCache::default();
        let piece = |bytes| Arc::new(Piece { text: vec![0; bytes], words: Vec::new() });
        for number in 0..20 {
            cache.put((0, number), &piece(10 << 20));
            cache.put((0, number), &piece(10 << 20));
            cache.get((0, 0));
        }
        assert!(cache.get((0, 0)).is_some() && cache.get((0, 19)).is_some() && cache.get((0, 10)).is_none());
        assert_eq!(cache.state.lock().unwrap().bytes, 30 << 20);
        cache.put((1, 0), &piece(33 << 20));
        assert!(cache.get((1, 0)).is_none() && cache.get((0, 0)).is_some());
    }
}
