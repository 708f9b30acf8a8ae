//! Finds an asset that was pushed or fetched before, and that is still whole. Changes nothing but what counts as used.

use millrace_proto::digest::{Digest, DigestFunction};

use super::directory;
use super::downloader::Wanted;
use super::record::{AssetRecord, asset_key};
use crate::blobs::{BlobRoom, EntryStore};
use crate::error::Result;

/// An asset that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The URI that led to it.
    pub uri: String,
    /// The blob, or the root Directory.
    pub digest: Digest,
    /// Until when it is given out, if that is known.
    pub expire_ms: Option<i64>,
}

/// What a look takes.
pub(super) struct Lookup<'a> {
    pub room: &'a BlobRoom,
    pub entries: &'a dyn EntryStore,
    pub now_ms: i64,
}

impl Lookup<'_> {
    /// The asset behind the first of the URIs that has one. Where no function was named, the newest of any.
    pub async fn find(&self, wanted: &Wanted, named: bool, oldest_ms: Option<i64>) -> Result<Option<Found>> {
        let functions = if named { vec![wanted.function] } else { DigestFunction::ALL.to_vec() };
        for uri in &wanted.uris {
            let mut records = Vec::new();
            for function in &functions {
                let key = asset_key(&wanted.instance, wanted.kind, *function, uri, &wanted.qualifiers);
                let record = self.entries.get(&key).await?.and_then(|bytes| AssetRecord::decode(&bytes));
                records.extend(record.filter(|record| record.is_good(self.now_ms, oldest_ms)));
            }
            records.sort_by_key(|record| std::cmp::Reverse(record.since_ms));
            for record in records {
                if self.is_whole(wanted, &record).await? {
                    return Ok(Some(Found { uri: uri.clone(), digest: record.digest, expire_ms: record.expire_ms }));
                }
            }
        }
        Ok(None)
    }

    /// Whether all that the asset refers to is here; that is a use of it.
    async fn is_whole(&self, wanted: &Wanted, record: &AssetRecord) -> Result<bool> {
        let mut needed = record.blobs.clone();
        needed.push(record.digest);
        if !self.room.find_missing(&wanted.instance, &needed).await?.is_empty() {
            return Ok(false);
        }
        for root in &record.directories {
            if directory::closure(self.room, &wanted.instance, *root).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
