//! The store as a place for blobs.

use async_trait::async_trait;
use futures::future::join_all;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use millrace_engine::blobs::{BlobStore, BlobUsage, BlobWrite, Encoding, NewBlob, OpenBlob};
use millrace_engine::error::{Error, Result};
use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::instance_name::InstanceName;

use super::catalog::record_disk_bytes;
use super::fault::Fault;
use super::fingerprint::{BlobNames, Fingerprint};
use super::incoming::Incoming;
use super::index::Use;
use super::record::{Kind, Record};
use super::{DiskBlobs, same_for_all};

/// So many names are looked up in one hold of the catalog's lock.
const NAMES_LOCKED_MAX: usize = 4_096;

#[async_trait]
impl BlobStore for DiskBlobs {
    async fn missing(&self, instance: &InstanceName, digests: &[Digest]) -> Result<Vec<Digest>> {
        let names = self.names(instance, digests);
        let mut missing: Vec<u32> = Vec::new();
        let parts = names.chunks(NAMES_LOCKED_MAX).zip(digests.chunks(NAMES_LOCKED_MAX));
        for (part, (names, digests)) in parts.enumerate() {
            if part > 0 {
                tokio::task::yield_now().await;
            }
            let mut catalog = self.shared.lock();
            let now = self.shared.ticks.now();
            for (at, (name, digest)) in (part * NAMES_LOCKED_MAX..).zip(names.iter().zip(digests)) {
                if catalog.index.find(*name, now, Use::Lease, |item| item.size == digest.size()).is_none() {
                    missing.push(at as u32);
                }
            }
        }
        // Names are hashes already.
        let mut seen = HashTable::with_capacity(missing.len());
        let mut once = Vec::with_capacity(missing.len());
        for at in missing {
            let same = |other: &u32| digests[*other as usize] == digests[at as usize];
            if let Entry::Vacant(place) = seen.entry(names[at as usize].0, same, |other| names[*other as usize].0) {
                place.insert(at);
                once.push(digests[at as usize]);
            }
        }
        Ok(once)
    }

    async fn find(&self, instance: &InstanceName, function: DigestFunction, hash: &[u8]) -> Result<Option<Digest>> {
        let name = self.shared.key.blobs(instance, function).of(hash);
        let size = self.shared.lock().index.get(name).map(|item| item.size);
        size.map(|size| Digest::new(function, hash, size).map_err(Error::internal)).transpose()
    }

    async fn open(&self, instance: &InstanceName, digest: &Digest) -> Result<Option<OpenBlob>> {
        let name = self.name(instance, digest);
        let size = digest.size();
        self.shared.open(name, move |item| item.size == size).await
    }

    async fn put(&self, instance: &InstanceName, blobs: Vec<NewBlob>) -> Vec<Result<()>> {
        let count = blobs.len();
        let mut answers: Vec<Option<Result<()>>> = Vec::with_capacity(count);
        let (mut small, mut large) = (Vec::new(), Vec::new());
        let digests: Vec<Digest> = blobs.iter().map(|blob| blob.digest).collect();
        let names = self.names(instance, &digests);
        {
            let mut catalog = self.shared.lock();
            let now = self.shared.ticks.now();
            answers.extend(names.iter().zip(&digests).map(|(name, digest)| {
                catalog.index.find(*name, now, Use::Lease, |item| item.size == digest.size()).map(|_| Ok(()))
            }));
        }
        for (at, (blob, name)) in blobs.into_iter().zip(names).enumerate() {
            if answers[at].is_some() {
                continue;
            }
            if let Err(error) = check_size(&blob) {
                answers[at] = Some(Err(error));
            } else if blob.data.len() as u64 > self.shared.small_max_bytes {
                large.push((at, blob));
            } else {
                let record = Record::new(Kind::Blob, name, blob.encoding, blob.digest.size(), blob.data);
                small.push((at, record));
            }
        }
        let large = large.into_iter().map(|(at, blob)| async move { (at, self.put_large(instance, blob).await) });
        let (places, records): (Vec<usize>, Vec<Record>) = small.into_iter().unzip();
        let (small, large) = futures::join!(self.put_small(records), join_all(large));
        for (at, answer) in places.into_iter().zip(small).chain(large) {
            answers[at] = Some(answer);
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(Fault::ended().into()))).collect()
    }

    async fn begin(
        &self,
        instance: &InstanceName,
        function: DigestFunction,
        encoding: Encoding,
        size: Option<u64>,
    ) -> Result<Box<dyn BlobWrite>> {
        let names = self.shared.key.blobs(instance, function);
        Ok(Box::new(Incoming::begin(self.shared.clone(), names, encoding, size).await?))
    }

    async fn remove(&self, instance: &InstanceName, digest: &Digest) -> Result<bool> {
        let name = self.name(instance, digest);
        let Some(item) = self.shared.lock().index.get(name).filter(|item| item.size == digest.size()).copied() else {
            return Ok(false);
        };
        self.remove_item(&item).await
    }

    fn usage(&self) -> BlobUsage {
        let stored_bytes = self.shared.space.used();
        let catalog = self.shared.lock();
        BlobUsage {
            blobs: catalog.index.len() as u64 - catalog.entries,
            entries: catalog.entries,
            stored_bytes,
            limit_bytes: self.limit_bytes,
            evicted: catalog.evicted,
            evicted_bytes: catalog.evicted_bytes,
            corrupt: catalog.corrupt,
        }
    }
}

impl DiskBlobs {
    fn name(&self, instance: &InstanceName, digest: &Digest) -> Fingerprint {
        self.shared.key.blobs(instance, digest.function()).of(digest.hash())
    }

    /// The names of many; they mostly have one function.
    fn names(&self, instance: &InstanceName, digests: &[Digest]) -> Vec<Fingerprint> {
        let mut of: Option<(DigestFunction, BlobNames)> = None;
        let name = |digest: &Digest| {
            let function = digest.function();
            match &of {
                Some((known, names)) if *known == function => names.of(digest.hash()),
                _ => of.insert((function, self.shared.key.blobs(instance, function))).1.of(digest.hash()),
            }
        };
        digests.iter().map(name).collect()
    }

    async fn put_small(&self, records: Vec<Record>) -> Vec<Result<()>> {
        let count = records.len();
        if count == 0 {
            return Vec::new();
        }
        let bytes = records.iter().map(|record| record_disk_bytes(record.data.len() as u64)).sum();
        match self.shared.space.reserve(bytes).await {
            Ok(reservation) => same_for_all(count, &self.shared.put(records, reservation).await),
            Err(error) => same_for_all(count, &Err(error)),
        }
    }

    async fn put_large(&self, instance: &InstanceName, blob: NewBlob) -> Result<()> {
        let names = self.shared.key.blobs(instance, blob.digest.function());
        let len = blob.data.len() as u64;
        let mut incoming = Box::new(Incoming::begin(self.shared.clone(), names, blob.encoding, Some(len)).await?);
        incoming.write(blob.data).await?;
        incoming.commit(blob.digest).await
    }
}

fn check_size(blob: &NewBlob) -> Result<()> {
    if blob.encoding == Encoding::Identity && blob.data.len() as u64 != blob.digest.size() {
        let message = format!("{} in the digest, but {} bytes came", blob.digest.size(), blob.data.len());
        return Err(Error::invalid("size_bytes", message));
    }
    Ok(())
}
