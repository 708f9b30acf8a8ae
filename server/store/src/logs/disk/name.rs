//! Where a log's files are, and back from a file's name to the log's id.
//!
//! The logs of one run (the id up to its first dot) share one of 256 folders; where that part is a single letter it is a
//! kind and no run, and its logs are spread one by one. Ids differ by case and may be names that
//! Windows reserves, file names may not: `Ab` becomes `log-+ab`.

use std::io;
use std::path::{Path, PathBuf};

use millrace_engine::logs::{LogId, SURVEY_SHARDS, survey_shard};
use sha2::{Digest, Sha256};

/// How many folders the logs are spread over.
pub const SHARDS: u16 = SURVEY_SHARDS;

/// A longer name is replaced by its hash; the id stands in the file too.
const NAME_MAX_BYTES: usize = 200;

const PREFIX: &str = "log-";
const LINES: &str = ".lines";
const SEALED: &str = ".zst";
const UNFINISHED: &str = ".zst.tmp";

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
    segment_bytes: u64,
}

impl LogPath {
    /// Where this log is below `root`.
    pub fn new(root: &Path, id: &LogId, segment_bytes: u64) -> Self {
        Self { folder: root.join(shard_name(survey_shard(id))), name: file_name(id), segment_bytes }
    }

    /// How long a segment of a file is.
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// The folder it is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of its files; where that is made of segments, the first.
    pub fn part(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{}.{}", self.name, part.extension()))
    }

    /// A segment of one of its files.
    pub fn segment(&self, part: Part, number: u64) -> PathBuf {
        match number {
            0 => self.part(part),
            _ => self.folder.join(format!("{}~{number}.{}", self.name, part.extension())),
        }
    }

    /// The one file of a complete log.
    pub fn sealed(&self) -> PathBuf {
        self.folder.join(format!("{}{SEALED}", self.name))
    }

    /// That file while it is written.
    pub fn unfinished(&self) -> PathBuf {
        self.folder.join(format!("{}{UNFINISHED}", self.name))
    }

    /// All segments but the first ones, of all its files.
    pub fn later_segments(&self) -> io::Result<Vec<PathBuf>> {
        let prefix = format!("{}~", self.name);
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}

/// Removes a file; false if there is none.
pub fn remove_if_there(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The folder with this number.
pub fn shard_name(shard: u16) -> String {
    format!("{shard:02x}")
}

/// What the name of a file says.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    /// The file that says that there is this log, and which kind of file that is.
    Log(LogId, Kept),
    /// The same for a log with a long id: it stands in the file.
    LongId(Kept),
    /// What was left of a log that was being sealed.
    Unfinished,
    /// Something else.
    Other,
}

/// How a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As plain files, of which this is the one with the lines' words.
    Plain,
    /// As one compressed file.
    Sealed,
}

/// Reads a file's name.
pub fn read_name(file_name: &str) -> Named {
    let Some(name) = file_name.strip_prefix(PREFIX) else { return Named::Other };
    if name.ends_with(UNFINISHED) {
        return Named::Unfinished;
    }
    let (name, kept) = match (name.strip_suffix(LINES), name.strip_suffix(SEALED)) {
        (Some(name), _) => (name, Kept::Plain),
        (_, Some(name)) => (name, Kept::Sealed),
        _ => return Named::Other,
    };
    if name.contains('~') {
        return Named::Other;
    }
    if name.starts_with('=') {
        return Named::LongId(kept);
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
    LogId::parse(&id).map_or(Named::Other, |id| Named::Log(id, kept))
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
        for text in ["a", "Ab-C_9.x", "con", "...", "a.lines", "0191.0.1.2.3"] {
            let id = LogId::parse(text).unwrap();
            let name = file_name(&id);
            assert_eq!(name, name.to_lowercase());
            assert_eq!(read_name(&format!("{name}.lines")), Named::Log(id.clone(), Kept::Plain));
            assert_eq!(read_name(&format!("{name}.zst")), Named::Log(id, Kept::Sealed));
            assert_eq!(read_name(&format!("{name}.zst.tmp")), Named::Unfinished);
        }
        let long = file_name(&LogId::parse(&"L".repeat(200)).unwrap());
        assert_eq!((long.len(), read_name(&format!("{long}.lines"))), (69, Named::LongId(Kept::Plain)));
        assert_eq!(read_name(&format!("{long}~1.lines")), Named::Other);
        for other in ["log-a.text", "lines", "log-.lines", "log-a b.lines", "log-a~1.lines", "log-.zst"] {
            assert_eq!(read_name(other), Named::Other);
        }
    }

    #[test]
    fn logs_of_a_run_share_a_folder() {
        let path = |text: &str| LogPath::new(Path::new("r"), &LogId::parse(text).unwrap(), 8);
        assert_eq!(path("run.1").folder(), path("run.2.x").folder());
        assert_ne!(path("run.1").folder(), path("other.1").folder());
        assert_ne!(path("s.1.x").folder(), path("s.1.y").folder());
    }
}
