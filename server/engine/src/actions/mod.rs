//! Results of actions by the action's digest, file trees and chunks: what remote execution's clients do with a cache beyond
//! plain blobs. Knows no wire but the messages that are kept, no files, no HTTP.

pub mod activity;
mod cache;
mod chunking;
mod tree;

pub use cache::{ACTION_RESULT_MAX_BYTES, ActionCache, ActionCacheOptions, Inline, Origin};
pub use chunking::{CHUNK_AVERAGE_BYTES, CHUNK_MAX_BYTES, CHUNK_MIN_BYTES, Chunking};
pub use tree::{TreePage, Trees};
