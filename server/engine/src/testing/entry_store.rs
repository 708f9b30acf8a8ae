//! What every [`EntryStore`] must do.

use std::sync::Arc;

use bytes::Bytes;

use super::blob_store::{instance, noise};
use crate::blobs::{ENTRY_MAX_BYTES, ENTRY_NAME_MAX_BYTES, EntryKey, EntryStore, Space};
use crate::error::Error;

/// Runs the suite; `open` makes an empty store with room for 64 MiB.
pub async fn run<F: Future<Output = Arc<dyn EntryStore>>>(open: impl Fn() -> F) {
    kept_replaced_and_removed(&*open().await).await;
    spaces_and_instances_are_apart(&*open().await).await;
    names_of_any_bytes(&*open().await).await;
    values_of_any_size(&*open().await).await;
    limits_are_named(&*open().await).await;
    many_writers(open().await).await;
}

const SPACES: [Space; 3] = [Space::Action, Space::Http, Space::Asset];

fn key(space: Space, name: &str, entry: impl Into<Bytes>) -> EntryKey {
    EntryKey { space, instance: instance(name), name: entry.into() }
}

async fn get(store: &dyn EntryStore, key: &EntryKey) -> Option<Bytes> {
    store.get(key).await.expect("gets")
}

async fn kept_replaced_and_removed(store: &dyn EntryStore) {
    let key = key(Space::Action, "main", "name");
    assert_eq!(get(store, &key).await, None);
    assert!(!store.remove(&key).await.expect("looks"));
    for value in ["one", "another, longer one", "", "x", "x"] {
        store.put(&key, Bytes::from(value)).await.expect("puts");
        assert_eq!(get(store, &key).await, Some(Bytes::from(value)), "the latest value is the one");
    }
    assert!(store.remove(&key).await.expect("removes"));
    assert_eq!(get(store, &key).await, None);
    assert!(!store.remove(&key).await.expect("looks"));
    store.put(&key, Bytes::from("again")).await.expect("puts");
    assert_eq!(get(store, &key).await, Some(Bytes::from("again")));
}

async fn spaces_and_instances_are_apart(store: &dyn EntryStore) {
    let keys: Vec<EntryKey> = ["", "main", "main/sub"]
        .into_iter()
        .flat_map(|name| SPACES.map(|space| key(space, name, "the same name")))
        .collect();
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(get(store, key).await, None);
        store.put(key, Bytes::from(at.to_string())).await.expect("puts");
    }
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(get(store, key).await, Some(Bytes::from(at.to_string())));
    }
    assert!(store.remove(&keys[4]).await.expect("removes"));
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(get(store, key).await.is_some(), at != 4);
    }
}

async fn names_of_any_bytes(store: &dyn EntryStore) {
    let all: Vec<u8> = (0..=255).collect();
    let names: [Bytes; 12] = [
        Bytes::new(),
        Bytes::from("."),
        Bytes::from(".."),
        Bytes::from("/"),
        Bytes::from("a/../b"),
        Bytes::from("a/b"),
        Bytes::from("\0"),
        Bytes::from("\0\0"),
        Bytes::from("%00 'quoted' \"too\""),
        Bytes::from_static(b"\xff\xfe no UTF-8"),
        Bytes::from(all),
        noise(1, ENTRY_NAME_MAX_BYTES),
    ];
    for (at, name) in names.iter().enumerate() {
        store.put(&key(Space::Http, "main", name.clone()), Bytes::from(at.to_string())).await.expect("puts");
    }
    for (at, name) in names.iter().enumerate() {
        let value = get(store, &key(Space::Http, "main", name.clone())).await;
        assert_eq!(value, Some(Bytes::from(at.to_string())), "{name:?}");
    }
}

async fn values_of_any_size(store: &dyn EntryStore) {
    for len in [0, 1, 1000, 70_000, 1_000_000, ENTRY_MAX_BYTES] {
        let key = key(Space::Asset, "main", format!("of {len} bytes"));
        store.put(&key, noise(len as u64, len)).await.expect("puts");
        assert!(get(store, &key).await == Some(noise(len as u64, len)), "{len}");
        store.put(&key, noise(1, 10)).await.expect("puts");
        assert_eq!(get(store, &key).await, Some(noise(1, 10)), "a small value in place of {len} bytes");
    }
}

async fn limits_are_named(store: &dyn EntryStore) {
    let long = key(Space::Http, "main", noise(1, ENTRY_NAME_MAX_BYTES + 1));
    let error = store.put(&long, Bytes::new()).await.expect_err("is too long");
    assert!(matches!(error, Error::Invalid { .. }) && error.to_string().contains("4096"), "{error}");
    let key = key(Space::Http, "main", "large");
    store.put(&key, Bytes::from("small")).await.expect("puts");
    let error = store.put(&key, noise(1, ENTRY_MAX_BYTES + 1)).await.expect_err("is too large");
    assert!(matches!(error, Error::Invalid { .. }) && error.to_string().contains("4194304"), "{error}");
    assert_eq!(get(store, &key).await, Some(Bytes::from("small")), "a refused value changes nothing");
}

async fn many_writers(store: Arc<dyn EntryStore>) {
    let writer = |writer: u64| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let own = key(Space::Action, "main", format!("of writer {writer}"));
            let shared = key(Space::Action, "main", "of all");
            for round in 0..20 {
                store.put(&own, Bytes::from(round.to_string())).await.expect("puts");
                store.put(&shared, Bytes::from("shared")).await.expect("puts");
                assert_eq!(get(&*store, &own).await, Some(Bytes::from(round.to_string())));
                assert_eq!(get(&*store, &shared).await, Some(Bytes::from("shared")));
            }
        })
    };
    for task in (0..16).map(writer).collect::<Vec<_>>() {
        task.await.expect("writes");
    }
}
