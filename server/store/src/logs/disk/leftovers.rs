//! What an earlier run left: complete logs that are not sealed, ones that are there as plain files and sealed, and files
//! that were not finished.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use millrace_engine::logs::LogId;

use super::header::{self, HEADER_BYTES};
use super::layout::Layout;
use super::name::{Kept, Named, SHARDS, read_name, remove_if_there, shard_name};
use super::survey::read_id;
use crate::positioned::read_up_to;

/// What was found.
#[derive(Default)]
pub struct Found {
    /// Complete logs that are only there as plain files.
    pub complete: Vec<LogId>,
    /// Logs that are there in more than one way.
    pub twice: Vec<LogId>,
    /// Parts of the store that could not be looked through, or not all of it.
    pub unread: Vec<u16>,
}

/// All parts of the store.
pub fn all_shards() -> Vec<u16> {
    (0..SHARDS).collect()
}

/// Looks through these parts, until `stopped`; what can't be read keeps it from nothing else. Files that were not finished
/// are removed where logs are sealed: only the caller's thread writes such there.
pub fn find(layout: &Layout, shards: Vec<u16>, stopped: impl Fn() -> bool) -> Found {
    let mut search = Search { layout, shard: 0, found: Found::default() };
    for shard in shards {
        if stopped() {
            break;
        }
        search.shard = shard;
        search.look();
    }
    search.found
}

/// Removes files that were not finished. As far as it can: they do no harm but for the space they take.
pub fn remove_unfinished(root: &Path, stopped: impl Fn() -> bool) {
    for shard in 0..SHARDS {
        if stopped() {
            return;
        }
        let folder = root.join(shard_name(shard));
        let removed = std::fs::read_dir(&folder)
            .and_then(|entries| entries.into_iter().try_for_each(|entry| remove_if_unfinished(&entry?).map(|_| ())));
        if let Err(error) = removed {
            tracing::warn!(folder = %folder.display(), %error, "logs that were not copied to their end could not be removed");
        }
    }
}

fn remove_if_unfinished(entry: &std::fs::DirEntry) -> io::Result<bool> {
    let unfinished = read_name(&entry.file_name().to_string_lossy()) == Named::Unfinished;
    if unfinished { remove_if_there(&entry.path()) } else { Ok(false) }
}

struct Search<'a> {
    layout: &'a Layout,
    shard: u16,
    found: Found,
}

impl Search<'_> {
    fn look(&mut self) {
        // Whether there are plain files and how often it is sealed.
        let mut logs: HashMap<LogId, (bool, u32)> = HashMap::new();
        for root in self.layout.roots() {
            let folder = root.join(shard_name(self.shard));
            match std::fs::read_dir(&folder) {
                Ok(entries) => {
                    for entry in entries {
                        let seen = entry.and_then(|entry| self.see(&entry, root, &mut logs));
                        seen.unwrap_or_else(|error| self.unread(&folder, &error));
                    }
                }
                Err(error) => self.unread(&folder, &error),
            }
        }
        for (id, (plain, sealed)) in logs {
            match (plain, sealed) {
                (true, 0) => match is_complete(self.layout, &id) {
                    Ok(true) => self.found.complete.push(id),
                    Ok(false) => {}
                    Err(error) => self.unread(self.layout.path(&id).folder(), &error),
                },
                (true, 1..) => self.found.twice.push(id),
                _ => {}
            }
        }
    }

    fn see(&self, entry: &std::fs::DirEntry, root: &Path, logs: &mut HashMap<LogId, (bool, u32)>) -> io::Result<()> {
        let (id, kept) = match read_name(&entry.file_name().to_string_lossy()) {
            Named::Log(id, kept) => (Some(id), kept),
            Named::LongId(kept) => (read_id(&entry.path(), kept)?, kept),
            // In the archive another thread may be at it.
            Named::Unfinished if root == self.layout.root => return remove_if_there(&entry.path()).map(|_| ()),
            Named::Unfinished | Named::Other => return Ok(()),
        };
        let Some(id) = id else { return Ok(()) };
        let (plain, sealed) = logs.entry(id).or_default();
        match kept {
            Kept::Plain => *plain = true,
            Kept::Sealed => *sealed += 1,
        }
        Ok(())
    }

    fn unread(&mut self, folder: &Path, error: &io::Error) {
        tracing::warn!(folder = %folder.display(), %error, "logs that are not sealed yet could not be looked for, trying again");
        if self.found.unread.last() != Some(&self.shard) {
            self.found.unread.push(self.shard);
        }
    }
}

fn is_complete(layout: &Layout, id: &LogId) -> io::Result<bool> {
    match File::open(layout.path(id).part(super::name::Part::Lines)) {
        Ok(file) => {
            Ok(header::decode(&read_up_to(&file, 0, HEADER_BYTES as usize)?).is_some_and(|header| header.head.complete))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
