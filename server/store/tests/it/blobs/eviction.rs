//! The limit: it is hard, the least recently used goes, a lease is kept, and writers only fail when nothing may go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use millrace_engine::blobs::{BlobStore, Encoding};
use millrace_engine::error::Error;
use millrace_engine::testing::blob_store::{blob, instance, noise};
use millrace_store::blobs::disk::DiskBlobsOptions;
use tempfile::TempDir;

use super::{bytes_on_disk, get, get_entry, open, options, put, put_entry};

const LIMIT: u64 = 4 << 20;

fn tight() -> DiskBlobsOptions {
    DiskBlobsOptions { limit_bytes: LIMIT, pack_max_bytes: 128 << 10, ..options() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_under_full_load() {
    let folder = TempDir::new().unwrap();
    let store = Arc::new(open(folder.path(), tight()));
    let done = Arc::new(AtomicBool::new(false));
    let (root, watched) = (folder.path().to_owned(), done.clone());
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while !watched.load(Ordering::Relaxed) {
            most = most.max(bytes_on_disk(&root));
        }
        most
    });
    let writers = (0..16_u64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for step in 0..120_u64 {
                let seed = writer * 100_000 + step;
                let data = noise(seed, 1 + (seed * 7919 % 9000) as usize);
                let answers = BlobStore::put(&*store, &instance("main"), vec![blob(&data)]).await;
                assert!(matches!(answers[..], [Ok(())]), "{answers:?}, {:?}", store.usage());
                put_entry(&store, &format!("{}", seed % 500), data.slice(..data.len().min(3000))).await;
                // Some are used again, so that packs die in parts.
                let old =
                    noise(writer * 100_000 + step / 3, 1 + ((writer * 100_000 + step / 3) * 7919 % 9000) as usize);
                let found = get(&store, &blob(&old).digest).await;
                assert!(found.is_none_or(|found| found == old));
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let most = watch.join().unwrap();
    let usage = store.usage();
    assert!(most <= LIMIT, "{most} bytes on disk, {usage:?}");
    assert!(usage.evicted > 100 && usage.corrupt == 0, "{usage:?}");
    assert!(usage.stored_bytes + 1000 >= bytes_on_disk(folder.path()), "{usage:?}");
}

#[tokio::test]
async fn what_has_a_lease_stays_and_writers_are_told() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path(), tight());
    let mut leased = Vec::new();
    let refused = loop {
        let data = noise(leased.len() as u64, 4000);
        let answers = BlobStore::put(&store, &instance("main"), vec![blob(&data)]).await;
        match &answers[0] {
            Ok(()) => {}
            Err(Error::Exhausted(message)) => break message.clone(),
            Err(other) => panic!("{other}"),
        }
        leased.push(blob(&data).digest);
        assert!(store.missing(&instance("main"), &leased).await.unwrap().is_empty());
    };
    assert!(refused.contains(&format!("limit for blobs is {LIMIT} bytes")), "{refused}");
    assert!(leased.len() as u64 * 4000 > LIMIT * 3 / 4, "only {} bytes", leased.len() * 4000);
    let large = store.begin(&instance("main"), leased[0].function(), Encoding::Identity, Some(LIMIT)).await;
    assert!(matches!(large.map(|_| ()), Err(Error::Exhausted(_))));
    assert_eq!(store.usage().evicted, 0);
    for digest in &leased {
        assert!(get(&store, digest).await.is_some());
    }
    assert!(BlobStore::remove(&store, &instance("main"), &leased[0]).await.is_ok());
}

#[tokio::test]
async fn a_lease_ends() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path(), DiskBlobsOptions { lease_ms: 1, ..tight() });
    let mut digests = Vec::new();
    for seed in 0..3000 {
        digests.push(put(&store, &noise(seed, 4000)).await);
        let last = digests.len() - 1;
        assert!(store.missing(&instance("main"), &digests[last..]).await.unwrap().is_empty());
    }
    assert!(store.usage().evicted > 1000, "{:?}", store.usage());
}

#[tokio::test]
async fn an_old_value_never_comes_back() {
    let folder = TempDir::new().unwrap();
    let mut latest = vec![0_u64; 50];
    let mut step = 0;
    for _restart in 0..6 {
        let store =
            open(folder.path(), DiskBlobsOptions { limit_bytes: 1 << 20, pack_max_bytes: 32 << 10, ..options() });
        for (number, latest) in latest.iter().enumerate() {
            if let Some(value) = get_entry(&store, &number.to_string()).await {
                assert_eq!(value.slice(..20), format!("{latest:20}"), "entry {number}");
            }
        }
        for _ in 0..400 {
            step += 1;
            let number = (step * 7919 % 50) as usize;
            let value = Bytes::from(format!("{step:20}{}", "x".repeat((step * 31 % 3000) as usize)));
            put_entry(&store, &number.to_string(), value).await;
            latest[number] = step;
            // Blobs push the entries out.
            put(&store, &noise(step, 3000)).await;
        }
        assert!(store.usage().evicted > 100, "{:?}", store.usage());
    }
}

/// Tries until it is so; for what another thread, or a look at the disk that is half a second old, brings about.
pub async fn eventually(so: impl AsyncFn() -> bool) {
    for _ in 0..2000 {
        if so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("it never was so");
}
