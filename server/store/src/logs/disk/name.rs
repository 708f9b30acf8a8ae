//! Where a log's files are, and back from a file's name to the log's id.
//!
//! The logs of one run (the id up to its first dot) share one of 256 folders; where that part is a single letter it is a
//! kind and no run, and its logs are spread one by one. Ids differ by case and may be names that
//! Windows reserves, file names may not: `Ab` becomes `log-+ab`.

use std::path::{Path, PathBuf};

use millrace_engine::logs::{LogId, SURVEY_SHARDS, survey_shard};
use sha2::{Digest, Sha256};

/// How many folders the logs are spread over.
pub const SHARDS: u16 = SURVEY_SHARDS;

/// A longer name is replaced by its hash; the id stands in the file too.
const NAME_MAX_BYTES: usize = 200;

const PREFIX: &str = "log-";

/// What a file of a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The bytes.
    Text,
    /// The head and a word for each line.
    Lines,
    /// Where each 256th line begins.
    Index,
    /// The marks.
    Marks,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Text, Self::Lines, Self::Index, Self::Marks];

    fn extension(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Lines => "lines",
            Self::Index => "index",
            Self::Marks => "marks",
        }
    }
}

/// The place of a log: a path without extension.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogPath {
    folder: PathBuf,
    name: String,
}

impl LogPath {
    /// Where this log is below `root`.
    pub fn new(root: &Path, id: &LogId) -> Self {
        Self { folder: root.join(shard_name(survey_shard(id))), name: file_name(id) }
    }

    /// The folder it is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of its files.
    pub fn part(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{}.{}", self.name, part.extension()))
    }
}

/// The folder with this number.
pub fn shard_name(shard: u16) -> String {
    format!("{shard:02x}")
}

/// What the name of a file says.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    /// The lines of this log.
    Lines(LogId),
    /// The lines of a log with a long id: it stands in the file.
    LinesOfLongId,
    /// Something else.
    Other,
}

/// Reads a file's name.
pub fn read_name(file_name: &str) -> Named {
    let Some(name) = file_name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(".lines")) else {
        return Named::Other;
    };
    if name.starts_with('=') {
        return Named::LinesOfLongId;
    }
    let mut id = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '+' {
            upper = true;
        } else {
            id.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        }
    }
    LogId::parse(&id).map_or(Named::Other, Named::Lines)
}

fn file_name(id: &LogId) -> String {
    let mut name = String::from(PREFIX);
    for c in id.as_str().chars() {
        if c.is_ascii_uppercase() {
            name.push('+');
        }
        name.push(c.to_ascii_lowercase());
    }
    if name.len() > NAME_MAX_BYTES {
        let hash = Sha256::digest(id.as_str());
        return hash.iter().fold(format!("{PREFIX}="), |name, byte| format!("{name}{byte:02x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for text in ["a", "Ab-C_9.x", "con", "..", "a.lines", "0191.0.1.2.3"] {
            let id = LogId::parse(text).unwrap();
            let name = file_name(&id);
            assert_eq!(name, name.to_lowercase());
            assert_eq!(read_name(&format!("{name}.lines")), Named::Lines(id));
        }
        let long = file_name(&LogId::parse(&"L".repeat(200)).unwrap());
        assert_eq!((long.len(), read_name(&format!("{long}.lines"))), (69, Named::LinesOfLongId));
        for other in ["log-a.text", "lines", "log-.lines", "log-a b.lines"] {
            assert_eq!(read_name(other), Named::Other);
        }
    }

    #[test]
    fn logs_of_a_run_share_a_folder() {
        let path = |text: &str| LogPath::new(Path::new("r"), &LogId::parse(text).unwrap());
        assert_eq!(path("run.1").folder(), path("run.2.x").folder());
        assert_ne!(path("run.1").folder(), path("other.1").folder());
        assert_ne!(path("s.1.x").folder(), path("s.1.y").folder());
    }
}
