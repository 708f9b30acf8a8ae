//! What an earlier run left: complete logs that are not sealed, sealed ones whose plain files are still there, and
//! files that were not finished.

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
}

/// Looks through all folders, until `stopped`. Files that were not finished are removed: only one thread writes such.
pub fn find(layout: &Layout, stopped: impl Fn() -> bool) -> io::Result<Found> {
    let mut found = Found::default();
    for shard in 0..SHARDS {
        if stopped() {
            break;
        }
        // Whether there are plain files and how often it is sealed.
        let mut logs: HashMap<LogId, (bool, u32)> = HashMap::new();
        for root in layout.roots() {
            look_into(&root.join(shard_name(shard)), &mut logs)?;
        }
        for (id, (plain, sealed)) in logs {
            match (plain, sealed) {
                (true, 0) if is_complete(layout, &id)? => found.complete.push(id),
                (true, 1..) => found.twice.push(id),
                _ => {}
            }
        }
    }
    Ok(found)
}

fn look_into(folder: &Path, logs: &mut HashMap<LogId, (bool, u32)>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (id, kept) = match read_name(&entry.file_name().to_string_lossy()) {
            Named::Log(id, kept) => (Some(id), kept),
            Named::LongId(kept) => (read_id(&entry.path(), kept)?, kept),
            Named::Unfinished => {
                remove_if_there(&entry.path())?;
                continue;
            }
            Named::Other => continue,
        };
        let Some(id) = id else { continue };
        let (plain, sealed) = logs.entry(id).or_default();
        match kept {
            Kept::Plain => *plain = true,
            Kept::Sealed => *sealed += 1,
        }
    }
    Ok(())
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
