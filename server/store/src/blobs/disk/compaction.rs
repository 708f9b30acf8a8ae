//! Empties a pack: what lives in it is written once more, at the end of the newest pack, then its files go.

use super::catalog::{Pack, record_disk_bytes};
use super::committer::Change;
use super::pack::{PACK_HEAD_BYTES, pack_path};
use super::pack_index::{index_path, read_index};
use super::read::check_record;
use super::record::{HEADER_BYTES, Header, Kind, Record};
use super::scan::scan_pack;
use super::slab::Item;
use super::sweeper::Sweeper;
use crate::positioned::{read_up_to, sync_folder};

/// So much is moved at a time: those who write in between wait that much longer.
const MOVE_BYTES: u64 = 1024 * 1024;

impl Sweeper {
    /// Empties the pack with the most to gain, if one part in `share` of it is dead. False if there is none.
    pub(super) fn empty_a_pack(&self, share: u64) -> bool {
        let Some(number) = self.best_pack(share) else { return false };
        let mut items = self.living_in(number);
        // In the order of the file.
        items.sort_unstable_by_key(|item| item.place);
        let mut rest = &items[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take_while(|item| {
                let before = bytes;
                bytes += record_disk_bytes(item.stored_len);
                before == 0 || bytes <= MOVE_BYTES
            });
            let (now, later) = rest.split_at(count.count());
            if !self.move_items(number, now) {
                return false;
            }
            rest = later;
        }
        self.move_gone(number) && self.remove_pack(number)
    }

    fn best_pack(&self, share: u64) -> Option<u32> {
        let catalog = self.shared.lock();
        let oldest = catalog.packs.keys().next().copied();
        let dead = |number: u32, pack: &Pack| {
            let gone = if Some(number) == oldest { 0 } else { pack.gone_bytes };
            pack.disk_bytes.saturating_sub(pack.live_bytes + gone)
        };
        let sealed = catalog.packs.iter().filter(|(_, pack)| pack.sealed);
        let worth = sealed.filter(|(number, pack)| dead(**number, pack) * share >= pack.disk_bytes);
        // Of equals the oldest: what it says is gone can be forgotten then.
        let best = worth
            .max_by_key(|(number, pack)| (dead(**number, pack) * 1024 / pack.disk_bytes.max(1), u32::MAX - **number));
        best.map(|(number, _)| *number)
    }

    fn living_in(&self, number: u32) -> Vec<Item> {
        let mut items = Vec::new();
        let mut piece = 0;
        while let Some(()) = {
            let catalog = self.shared.lock();
            catalog.index.piece(piece).map(|piece| {
                let here = piece.map(|(item, _)| *item);
                items.extend(here.filter(|item| item.place.pack().is_some_and(|(pack, _)| pack == number)));
            })
        } {
            piece += 1;
        }
        items
    }

    /// Moves these, as far as they are still there. False if that can't be done now.
    fn move_items(&self, number: u32, items: &[Item]) -> bool {
        let Some(file) = self.shared.lock().packs.get(&number).map(|pack| pack.file.clone()) else { return false };
        let mut changes = Vec::with_capacity(items.len());
        for item in items {
            let Some((_, offset)) = item.place.pack() else { continue };
            let read = read_up_to(&file, u64::from(offset), HEADER_BYTES + item.stored_len as usize);
            let data = match read.and_then(|bytes| check_record(bytes, item)) {
                Ok(data) => data,
                Err(error) if super::large_read::is_damage(&error) => {
                    self.drop_damaged(item);
                    changes.push(Change { record: Record::gone(item.fingerprint), item: None });
                    continue;
                }
                Err(error) => {
                    tracing::warn!(pack = number, %error, "a pack could not be read");
                    return false;
                }
            };
            let kind = if item.entry { Kind::Entry } else { Kind::Blob };
            let record = Record::new(kind, item.fingerprint, item.encoding, item.size, data);
            changes.push(Change { record, item: Some(*item) });
        }
        self.write(changes)
    }

    /// Moves the word that something is gone, as long as an older pack may still have it.
    fn move_gone(&self, number: u32) -> bool {
        let needed = {
            let catalog = self.shared.lock();
            catalog.packs.keys().next() != Some(&number)
                && catalog.packs.get(&number).is_some_and(|pack| pack.gone_bytes > 0)
        };
        if !needed {
            return true;
        }
        let headers: Vec<(u32, Header)> = match read_index(&self.packs, number, PACK_HEAD_BYTES) {
            Some((headers, _)) => headers,
            None => match scan_pack(&self.packs, number) {
                Ok((headers, _)) => headers,
                Err(error) => {
                    tracing::warn!(pack = number, %error, "a pack could not be read");
                    return false;
                }
            },
        };
        let gone = headers.iter().filter(|(_, header)| header.kind == Kind::Gone);
        let changes: Vec<Change> =
            gone.map(|(_, header)| Change { record: Record::gone(header.fingerprint), item: None }).collect();
        self.write(changes)
    }

    fn write(&self, changes: Vec<Change>) -> bool {
        let bytes = changes.iter().map(|change| record_disk_bytes(change.record.data.len() as u64)).sum();
        let Some(reservation) = self.shared.space.reserve_to_sweep(bytes) else { return false };
        match self.shared.change_blocking(changes, reservation) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(?error, "a pack could not be emptied");
                false
            }
        }
    }

    fn drop_damaged(&self, item: &Item) {
        let mut catalog = self.shared.lock();
        if catalog.remove(item.fingerprint, |found| found.place == item.place).is_some() {
            catalog.corrupt += 1;
        }
    }

    /// Removes an empty pack, durably: what it said may be forgotten elsewhere now.
    fn remove_pack(&self, number: u32) -> bool {
        let disk_bytes = {
            let mut catalog = self.shared.lock();
            if catalog.packs.get(&number).is_none_or(|pack| pack.live_bytes > 0) {
                return false;
            }
            catalog.packs.remove(&number).map_or(0, |pack| pack.disk_bytes)
        };
        // The index first: a pack without one is read, an index without a pack is nothing.
        let removed = std::fs::remove_file(index_path(&self.packs, number))
            .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
            .and_then(|()| std::fs::remove_file(pack_path(&self.packs, number)))
            .and_then(|()| sync_folder(&self.packs));
        match removed {
            Ok(()) => self.shared.space.remove(disk_bytes),
            Err(error) => tracing::warn!(pack = number, %error, "a pack could not be removed; the next start finds it"),
        }
        true
    }
}
