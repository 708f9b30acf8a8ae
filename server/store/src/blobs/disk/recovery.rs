//! Brings the store to where it was: all packs in their order, by their indexes where those are whole, then the large
//! files, then the order of use.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::catalog::{Catalog, Pack, record_disk_bytes};
use super::index::Index;
use super::large::{LargeFiles, large_disk_bytes};
use super::pack::{PACK_HEAD_BYTES, PackWriter, pack_path};
use super::pack_index::{INDEX_FOOT_BYTES, IndexWriter, index_path, read_index};
use super::record::{HEADER_BYTES, Header, Kind};
use super::scan::scan_pack;
use super::slab::{Item, Place};
use super::uses::{Uses, uses_disk_bytes};

/// The headers of a pack with their offsets.
type Headers = Vec<(u32, Header)>;

/// What was found.
pub struct Recovered {
    /// All that is here.
    pub catalog: Catalog,
    /// The bytes on disk.
    pub used: u64,
    /// The pack to go on with.
    pub active: Option<PackWriter>,
    /// The number of the next pack.
    pub next_pack: u32,
    /// The time that follows all uses so far.
    pub now: u32,
}

/// Reads everything below `root`. A pack that is not longer than `resume_max` and was not completed is gone on with.
pub fn recover(root: &Path, packs: &Path, large: &LargeFiles, lease: u32, resume_max: u64) -> io::Result<Recovered> {
    let mut catalog = Catalog::new(Index::new(lease));
    let numbers = pack_numbers(packs)?;
    let uses = Uses::read(root);
    let mut since_uses = Vec::new();
    let mut active = None;
    for number in &numbers {
        let newest = numbers.last() == Some(number);
        let (headers, writer) = open_pack(packs, *number, if newest { resume_max } else { 0 })?;
        add_pack(&mut catalog, packs, *number, &headers, writer.is_none())?;
        active = writer;
        let since = |offset: u32| uses.as_ref().is_none_or(|uses| Place::in_pack(*number, offset) >= uses.until);
        since_uses.extend(headers.iter().filter(|(at, _)| since(*at)).map(|(_, header)| header.fingerprint.0));
    }
    let mut used: u64 = catalog.packs.values().map(|pack| pack.disk_bytes).sum();
    for item in large.list()? {
        if let Some(before) = catalog.insert(item, 0).filter(|before| before.place.file().is_some()) {
            used -= large.remove(&before);
        }
        used += large_disk_bytes(item.stored_len);
    }
    // Never a number that the order of use knows: what is written there now would look older than it.
    let until = uses.as_ref().and_then(|uses| uses.until.pack()).map_or(0, |(pack, _)| pack);
    let next_pack = numbers.last().copied().unwrap_or(0).max(until) + 1;
    let now = in_order(&mut catalog, uses.as_ref(), &since_uses);
    used += uses_disk_bytes(uses.map_or(0, |uses| uses.names.len() as u64));
    Ok(Recovered { catalog, used, active, next_pack, now })
}

/// Brings the items into their order of use: those that the order names, then those that came after it. Each gets a
/// time of its own. What stands in a pack though it had been evicted when the order was written down is dropped.
fn in_order(catalog: &mut Catalog, uses: Option<&Uses>, since: &[u64]) -> u32 {
    let mut now = 0;
    let mut touch = |index: &mut Index, name: u64| {
        now += 1;
        index.touch_half(name, now);
    };
    if let Some(uses) = uses {
        uses.names.iter().for_each(|name| touch(&mut catalog.index, *name));
    }
    let (mut evicted, mut large) = (Vec::new(), Vec::new());
    let mut number = 0;
    while let Some(piece) = catalog.index.piece(number) {
        for (item, _) in piece.filter(|(_, used_at)| *used_at == 0) {
            if item.place.file().is_some() {
                large.push((item.place, item.fingerprint.0));
            } else if uses.is_some_and(|uses| item.place < uses.until) {
                evicted.push(item.fingerprint);
            }
        }
        number += 1;
    }
    for name in evicted {
        catalog.remove(name, |_| true);
    }
    large.sort_unstable();
    let large = large.iter().map(|(_, name)| *name);
    since.iter().copied().chain(large).for_each(|name| touch(&mut catalog.index, name));
    now + 1
}

/// The headers of a pack; and the pack for writing, if it can be gone on with.
fn open_pack(packs: &Path, number: u32, resume_max: u64) -> io::Result<(Headers, Option<PackWriter>)> {
    if let Some((headers, _)) = read_index(packs, number, PACK_HEAD_BYTES) {
        return Ok((headers, None));
    }
    let (headers, end) = scan_pack(packs, number)?;
    // A hole in the middle would shift what the index says: then there is none.
    let whole = headers.iter().map(|(_, header)| header.record_len()).sum::<u64>() + PACK_HEAD_BYTES == end;
    let cut = OpenOptions::new().write(true).open(pack_path(packs, number)).and_then(|file| {
        file.set_len(end.max(PACK_HEAD_BYTES))?;
        file.sync_data()
    });
    if let Err(error) = cut {
        tracing::warn!(pack = number, %error, "the end of a pack could not be cut off");
        return Ok((headers, None));
    }
    if !whole {
        tracing::warn!(pack = number, "a pack is damaged: what could be read of it is kept");
        let _none = std::fs::remove_file(index_path(packs, number));
        return Ok((headers, None));
    }
    let mut index = IndexWriter::create(packs, number);
    index.add(&headers.iter().map(|(_, header)| header.encode()).collect::<Vec<_>>());
    if end <= resume_max {
        return Ok((headers, Some(PackWriter::appending(packs, number, end, index)?)));
    }
    index.finish(end);
    Ok((headers, None))
}

fn add_pack(
    catalog: &mut Catalog,
    packs: &Path,
    number: u32,
    headers: &[(u32, Header)],
    sealed: bool,
) -> io::Result<()> {
    let file = File::open(pack_path(packs, number))?;
    let len = file.metadata()?.len();
    let disk_bytes = len + INDEX_FOOT_BYTES + (headers.len() * HEADER_BYTES) as u64;
    let pack = Pack { file: Arc::new(file), len, disk_bytes, live_bytes: 0, gone_bytes: 0, sealed };
    catalog.packs.insert(number, pack);
    catalog.index.reserve(headers.len());
    for (offset, header) in headers {
        let place = Place::in_pack(number, *offset);
        if header.kind == Kind::Gone {
            catalog.remove(header.fingerprint, |_| true);
            if let Some(pack) = catalog.packs.get_mut(&number) {
                pack.gone_bytes += record_disk_bytes(0);
            }
        } else if u64::from(*offset) + header.record_len() <= len {
            let (fingerprint, stored_len) = (header.fingerprint, u64::from(header.stored_len));
            let entry = header.kind == Kind::Entry;
            catalog.insert(
                Item { fingerprint, place, stored_len, size: header.size, encoding: header.encoding, entry },
                0,
            );
        }
    }
    Ok(())
}

/// The numbers of all packs, the oldest first. Indexes without a pack are removed.
fn pack_numbers(packs: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(packs)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| u32::from_str_radix(&stem.to_string_lossy(), 16).ok());
        let Some(number) = number else { continue };
        if path.extension().is_some_and(|extension| extension == "pack") {
            numbers.push(number);
        } else if !pack_path(packs, number).exists() {
            std::fs::remove_file(path)?;
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
