//! Where logs are: the folder of those that are written, and the archive if there is one.

use std::path::{Path, PathBuf};

use millrace_engine::logs::LogId;

use super::name::LogPath;

/// The folders of a store, and how long a segment of a log's files is in them. The length must not change.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The folder of all logs but the archived ones.
    pub root: PathBuf,
    /// The folder of archived logs.
    pub archive: Option<PathBuf>,
    /// A log's text, words and index are cut into files of this length.
    pub file_segment_bytes: u64,
}

impl Layout {
    /// Where this log's files are.
    pub fn path(&self, id: &LogId) -> LogPath {
        LogPath::new(&self.root, id, self.file_segment_bytes)
    }

    /// Where it is when it is archived.
    pub fn archived(&self, id: &LogId) -> Option<LogPath> {
        Some(LogPath::new(self.archive.as_deref()?, id, self.file_segment_bytes))
    }

    /// The folders: the main one, and then the archive.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        [Some(self.root.as_path()), self.archive.as_deref()].into_iter().flatten()
    }
}
