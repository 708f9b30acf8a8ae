//! Which logs there are, how far they have come and what they cost, by the names and sizes of their files.

use std::collections::BinaryHeap;
use std::fs::File;
use std::io;
use std::path::Path;

use millrace_engine::logs::{LogError, LogId, LogSummary};

use super::fault::log_error;
use super::header::{self, HEADER_BYTES};
use super::name::{LogPath, Named, Part, SHARDS, read_name, shard_name};
use super::open_logs::OpenLogs;
use crate::positioned::read_up_to;

/// As [`millrace_engine::logs::LogStore::survey`].
pub fn survey(root: &Path, open: &OpenLogs, shard: u16) -> Result<Vec<LogSummary>, LogError> {
    if shard >= SHARDS {
        return Err(LogError::invalid("shard", format!("{shard} is not among the {SHARDS} there are")));
    }
    let ids = ids_of_shard(root, shard).map_err(|error| log_error("listing logs", &error))?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let log = open.get(&id);
        log.look()?;
        // It may have been removed meanwhile.
        let Ok(head) = log.head() else { continue };
        let (stored_bytes, compressed) = stored(root, &id)?;
        found.push(LogSummary { id, head, stored_bytes, compressed });
    }
    Ok(found)
}

/// As [`millrace_engine::logs::LogStore::stored`]; nothing if there is no such log.
pub fn stored(root: &Path, id: &LogId) -> Result<(u64, bool), LogError> {
    let path = LogPath::new(root, id);
    let sizes = Part::ALL.into_iter().map(|part| match std::fs::metadata(path.part(part)) {
        Ok(file) => Ok(file.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(log_error(&format!("looking at log {id}"), &error)),
    });
    Ok((sizes.sum::<Result<u64, LogError>>()?, false))
}

/// The first `limit` ids after `after`. Reads all names, keeps only those.
pub fn list(root: &Path, after: Option<&LogId>, limit: usize) -> io::Result<Vec<LogId>> {
    let mut first = BinaryHeap::new();
    for shard in 0..SHARDS {
        for id in ids_of_shard(root, shard)? {
            if after.is_none_or(|after| id > *after) {
                first.push(id);
                if first.len() > limit {
                    first.pop();
                }
            }
        }
    }
    Ok(first.into_sorted_vec())
}

/// The id that stands in a `lines` file; none if the file is gone, or nothing can be read there.
fn read_id(path: &Path) -> io::Result<Option<LogId>> {
    match File::open(path) {
        Ok(file) => Ok(header::decode(&read_up_to(&file, 0, HEADER_BYTES as usize)?).map(|header| header.id)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn ids_of_shard(root: &Path, shard: u16) -> io::Result<Vec<LogId>> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(root.join(shard_name(shard)))? {
        let entry = entry?;
        match read_name(&entry.file_name().to_string_lossy()) {
            Named::Lines(id) => ids.push(id),
            Named::LinesOfLongId => ids.extend(read_id(&entry.path())?),
            Named::Other => {}
        }
    }
    Ok(ids)
}
