//! Results of actions by the action's digest, file trees and chunks: what remote execution's clients do with a cache beyond
//! plain blobs. Knows no wire but the messages that are kept, no files, no HTTP.

pub mod activity;
mod cache;
mod chunking;
mod closures;
mod directory;
mod executed;
mod inline;
mod outputs;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

pub use cache::{ACTION_RESULT_MAX_BYTES, ActionCache, ActionCacheOptions, Origin};
pub use chunking::{CHUNK_AVERAGE_BYTES, CHUNK_MAX_BYTES, CHUNK_MIN_BYTES, Chunking};
pub use closures::{CLOSURES_MAX_BYTES, TREE_MESSAGE_MAX_BYTES};
pub use directory::{BadDirectory, Children};
pub use inline::{INLINE_MAX_BYTES, Inline};
pub use tree::{TreePage, TreePages, Trees};
pub use walk::{Found, TREE_DEPTH_MAX, TREE_DIRECTORIES_MAX, TREE_MAX_BYTES, TREE_NODES_MAX, Walk};
