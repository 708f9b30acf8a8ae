//! Which logs there are, how far they have come and what they cost, by the names and heads of their files.

use std::collections::{BinaryHeap, HashSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use millrace_engine::logs::{LogError, LogId, LogSummary};

use super::fault::log_error;
use super::header::{self, HEADER_BYTES};
use super::layout::Layout;
use super::name::{Kept, Named, SHARDS, read_name, shard_name};
use super::on_disk::is_plain;
use super::open_logs::OpenLogs;
use super::sealed::{FrameCache, SealedLog};
use crate::positioned::read_up_to;

/// As [`millrace_engine::logs::LogStore::survey`].
pub fn survey(layout: &Layout, open: &Arc<OpenLogs>, shard: u16) -> Result<Vec<LogSummary>, LogError> {
    if shard >= SHARDS {
        return Err(LogError::invalid("shard", format!("{shard} is not among the {SHARDS} there are")));
    }
    // Files that are not mended may be of logs that were removed.
    drop(open.steady()?);
    let ids = ids_of_shard(layout, shard).map_err(|error| log_error("listing logs", &error))?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        // What is complete does not change any more: it need not push others out of the logs that are open.
        if open.peek(&id).is_none()
            && let Some(log) = sealed(layout, open, &id)
        {
            found.push(LogSummary { head: log.head(), stored_bytes: log.bytes(), compressed: true, id });
            continue;
        }
        let log = open.get(&id);
        match log.look().and_then(|()| Ok((log.head()?, log.stored()?))) {
            Ok((head, (stored_bytes, compressed))) => found.push(LogSummary { id, head, stored_bytes, compressed }),
            // It was removed meanwhile.
            Err(LogError::NotFound(_)) => {}
            Err(error @ LogError::Corrupt { .. }) => tracing::error!(log = %id, %error, "a log can't be opened"),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The log's sealed file, if it can be read and there is nothing else of the log.
fn sealed(layout: &Layout, open: &OpenLogs, id: &LogId) -> Option<SealedLog> {
    if is_plain(&layout.path(id)).unwrap_or(true) {
        return None;
    }
    let mut paths = [Some(layout.path(id)), layout.archived(id)].into_iter().flatten();
    paths.find_map(|path| SealedLog::open(&path.sealed(), open.frames()).ok().flatten())
}

/// The first `limit` ids after `after`. Reads all names, keeps only those.
pub fn list(layout: &Layout, after: Option<&LogId>, limit: usize) -> io::Result<Vec<LogId>> {
    let mut first = BinaryHeap::new();
    for shard in 0..SHARDS {
        for id in ids_of_shard(layout, shard)? {
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

/// The id that stands in a file; none if the file is gone, or nothing can be read there.
pub fn read_id(path: &Path, kept: Kept) -> io::Result<Option<LogId>> {
    if kept == Kept::Sealed {
        return match SealedLog::open(path, &Arc::new(FrameCache::default())) {
            Ok(log) => Ok(log.map(|log| log.id().clone())),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            Err(error) => Err(error),
        };
    }
    match File::open(path) {
        Ok(file) => Ok(header::decode(&read_up_to(&file, 0, HEADER_BYTES as usize)?).map(|header| header.id)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn ids_of_shard(layout: &Layout, shard: u16) -> io::Result<HashSet<LogId>> {
    let mut ids = HashSet::new();
    // First where logs come from: one that is moved while this looks is seen at least once.
    for root in layout.roots() {
        for entry in std::fs::read_dir(root.join(shard_name(shard)))? {
            let entry = entry?;
            match read_name(&entry.file_name().to_string_lossy()) {
                Named::Log(id, _) => ids.extend([id]),
                Named::LongId(kept) => ids.extend(read_id(&entry.path(), kept)?),
                Named::Unfinished | Named::Other => {}
            }
        }
    }
    Ok(ids)
}
