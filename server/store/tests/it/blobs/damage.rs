//! Files that are no longer what was written: nothing wrong is ever served, and all the rest is.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use millrace_engine::blobs::BlobStore;
use millrace_engine::testing::blob_store::{instance, noise};
use millrace_proto::digest::Digest;
use tempfile::TempDir;

use super::{get, get_entry, open, options, put, put_entry};

/// All files below a folder whose name ends so.
pub fn files(root: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

/// Ten blobs and two entries, of which the last blob has a file of its own.
async fn filled(root: &Path) -> Vec<(Digest, Bytes)> {
    let store = open(root, options());
    let mut all = Vec::new();
    for seed in 0..10 {
        let data = noise(seed, if seed == 9 { 600_000 } else { 300 });
        all.push((put(&store, &data).await, data));
    }
    put_entry(&store, "a", Bytes::from_static(b"value of a")).await;
    put_entry(&store, "b", Bytes::from_static(b"value of b")).await;
    all
}

/// What is there is right; how much is there. Asked twice, and after a start, it is the same.
async fn check(root: &Path, all: &[(Digest, Bytes)], what: &str) -> usize {
    let mut counts = Vec::new();
    for _start in 0..2 {
        let store = open(root, options());
        for _again in 0..2 {
            let mut count = 0;
            for (digest, data) in all {
                let found = get(&store, digest).await;
                assert!(found.is_none() || found.as_ref() == Some(data), "{what}: wrong bytes");
                count += usize::from(found.is_some());
                let missing = store.missing(&instance("main"), &[*digest]).await.unwrap();
                assert_eq!(missing.is_empty(), found.is_some(), "{what}: a blob that can't be read is not missing");
            }
            for name in ["a", "b"] {
                let found = get_entry(&store, name).await;
                assert!(found.is_none() || found == Some(format!("value of {name}").into()), "{what}: wrong value");
                count += usize::from(found.is_some());
            }
            counts.push(count);
        }
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{what}: {counts:?}");
    counts[0]
}

#[tokio::test]
async fn a_flipped_byte_costs_one_record_at_most() {
    for (ending, step) in [(".pack", 97), (".index", 17), ("uses", 5), ("-i", 40_009)] {
        let folder = TempDir::new().unwrap();
        let all = filled(folder.path()).await;
        let original = copy(folder.path());
        let path = files(folder.path(), ending).remove(0);
        let len = path.metadata().unwrap().len() as usize;
        for at in (0..len).step_by(step).chain([len - 1]) {
            restore(&original, folder.path());
            flip(&path, at);
            let left = check(folder.path(), &all, &format!("byte {at} of {}", path.display())).await;
            assert!(left >= 11, "byte {at} of {}: {left} left", path.display());
        }
    }
}

#[tokio::test]
async fn files_that_are_cut_or_gone() {
    for ending in [".pack", ".index", "uses", "-i"] {
        let folder = TempDir::new().unwrap();
        let all = filled(folder.path()).await;
        let original = copy(folder.path());
        let path = files(folder.path(), ending).remove(0);
        let len = path.metadata().unwrap().len();
        for to in [0, 1, 30, len / 2, len - 1] {
            restore(&original, folder.path());
            std::fs::File::options().write(true).open(&path).unwrap().set_len(to).unwrap();
            let left = check(folder.path(), &all, &format!("{} cut to {to}", path.display())).await;
            assert!(left >= if ending == ".pack" { 1 } else { 11 }, "{} cut to {to}: {left}", path.display());
        }
        restore(&original, folder.path());
        std::fs::remove_file(&path).unwrap();
        check(folder.path(), &all, &format!("{} gone", path.display())).await;
    }
}

#[tokio::test]
async fn damage_under_a_running_store_is_noticed() {
    let folder = TempDir::new().unwrap();
    let all = filled(folder.path()).await;
    let store = open(folder.path(), options());
    let pack = files(folder.path(), ".pack").remove(0);
    let large = files(folder.path(), "-i").remove(0);
    for path in [&pack, &large] {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"????", 100).unwrap();
    }
    let mut left = 0;
    for (digest, data) in &all {
        let found = get_or_error(&store, digest).await;
        assert!(found.is_none() || found.as_ref() == Some(data));
        left += usize::from(found.is_some());
        // The client heals it.
        assert_eq!(put(&store, data).await, *digest);
        assert_eq!(get(&store, digest).await.as_ref(), Some(data));
    }
    assert_eq!((left, store.usage().corrupt), (8, 2));
    drop(store);
    assert_eq!(check(folder.path(), &all, "healed").await, 12);
}

async fn get_or_error(store: &millrace_store::blobs::disk::DiskBlobs, digest: &Digest) -> Option<Bytes> {
    use millrace_engine::blobs::BlobSource;
    match store.open(&instance("main"), digest).await.unwrap()?.source {
        BlobSource::Whole(bytes) => Some(bytes),
        BlobSource::Pieces(pieces) => pieces.read_at(0, usize::MAX).await.ok(),
    }
}

type Files = Vec<(PathBuf, Vec<u8>)>;

fn copy(root: &Path) -> Files {
    files(root, "").into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn restore(original: &Files, root: &Path) {
    for path in files(root, "") {
        std::fs::remove_file(path).unwrap();
    }
    for (path, bytes) in original {
        std::fs::write(path, bytes).unwrap();
    }
}
