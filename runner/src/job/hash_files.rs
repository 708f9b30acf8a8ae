//! hashFiles() over a workspace: SHA-256 over the SHA-256 of each matching file, in the order of their paths. Knows
//! nothing of expressions.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use millrace_proto::expression::HashFiles;
use sha2::{Digest, Sha256};
use tokio::runtime::{Handle, RuntimeFlavor};

/// The most files that one call may match.
pub const HASH_FILES_MAX: usize = 100_000;
const READ_BYTES: usize = 64 * 1024;

/// The files of a workspace.
pub struct WorkspaceFiles<'w> {
    /// Where they are.
    pub workspace: &'w Path,
}

impl HashFiles for WorkspaceFiles<'_> {
    fn hash_files(&self, patterns: &[String]) -> Result<String, String> {
        // Hashing takes long; heartbeats must go on meanwhile.
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| hash(self.workspace, patterns)),
            _ => hash(self.workspace, patterns),
        }
    }
}

struct Pattern {
    wanted: bool,
    itself: GlobMatcher,
    below: GlobMatcher,
}

fn hash(workspace: &Path, patterns: &[String]) -> Result<String, String> {
    let lines = patterns.iter().flat_map(|pattern| pattern.lines()).map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let patterns = lines.map(|line| pattern(workspace, line)).collect::<Result<Vec<_>, _>>()?;
    let files = matching(workspace, &patterns)?;
    if files.is_empty() {
        return Ok(String::new());
    }
    let mut all = Sha256::new();
    for file in files {
        all.update(hash_one(&file).map_err(|error| format!("{}: {error}", file.display()))?);
    }
    Ok(all.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn pattern(workspace: &Path, line: &str) -> Result<Pattern, String> {
    let (wanted, text) = line.strip_prefix('!').map_or((true, line), |rest| (false, rest.trim()));
    let root = workspace.to_string_lossy();
    let text = text.strip_prefix(root.as_ref()).map_or(text, |rest| rest.trim_start_matches(['/', '\\']));
    let text = text.strip_prefix("./").unwrap_or(text).trim_end_matches('/');
    let glob = |text: &str| {
        let glob = GlobBuilder::new(text).literal_separator(true).build();
        glob.map(|glob| glob.compile_matcher()).map_err(|error| format!("`{line}`: {}", error.kind()))
    };
    // A folder stands for all in it.
    Ok(Pattern { wanted, itself: glob(text)?, below: glob(&format!("{text}/**"))? })
}

fn matching(workspace: &Path, patterns: &[Pattern]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(workspace).sort_by_file_name().into_iter().flatten() {
        let Ok(relative) = entry.path().strip_prefix(workspace) else { continue };
        let last = patterns.iter().rfind(|one| one.itself.is_match(relative) || one.below.is_match(relative));
        if entry.file_type().is_file() && last.is_some_and(|one| one.wanted) {
            if files.len() >= HASH_FILES_MAX {
                return Err(format!("more than {HASH_FILES_MAX} files match"));
            }
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn hash_one(path: &Path) -> std::io::Result<[u8; 32]> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_on_github() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("a.lock", "1"), ("sub/b.lock", "2"), ("sub/deep/c.txt", "3")] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("has one")).expect("makes");
            std::fs::write(path, text).expect("writes");
        }
        let hash = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
            hash(folder.path(), &patterns).expect("hashes")
        };
        assert_eq!(hash(&["nothing"]), "");
        let one = Sha256::digest(Sha256::digest(b"1"));
        assert_eq!(hash(&["*.lock"]), one.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert_eq!(hash(&["**/*.lock", "!sub"]), hash(&["*.lock"]));
        assert_eq!(hash(&["**/*.lock"]), hash(&["a.lock", "sub/b.lock"]));
        assert_eq!(hash(&["sub"]), hash(&["sub/**"]));
        assert_ne!(hash(&["sub"]), hash(&["**/*.lock"]));
    }
}
