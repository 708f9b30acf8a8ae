//! The cache of input files: bounded, shared, there again after a restart.

use std::sync::Arc;

use super::*;
use crate::action::file_cache::{FileCache, Key};

fn cached(room: &Room) -> Vec<String> {
    let entries = std::fs::read_dir(room.path("cache/files")).expect("is there");
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn incoming(room: &Room) -> usize {
    std::fs::read_dir(room.path("cache/incoming")).expect("is there").count()
}

#[tokio::test]
async fn what_was_used_last_stays_and_what_is_held_stays_anyway() {
    let room = Room::with(SHA256, 2_500).await;
    let one = |letter: &str| room.files(&[("f", &letter.repeat(1_000))]);
    let (a, b, c, d) = (one("a"), one("b"), one("c"), one("d"));
    let held = room.lay(a, "a").await.expect("is laid out");
    drop(room.lay(b, "b").await.expect("is laid out"));
    drop(room.lay(c, "c").await.expect("is laid out"));
    assert_eq!(cached(&room).len(), 2, "b went");
    drop(room.lay(d, "d").await.expect("is laid out"));
    let calls = room.server.all_calls();
    drop(room.lay(a, "a2").await.expect("is laid out"));
    assert_eq!(room.server.all_calls(), calls, "a was held");
    drop(held);
    drop(room.lay(b, "b2").await.expect("is laid out"));
    assert_eq!(cached(&room).len(), 2);
    // Held by running actions beyond the limit: nobody waits, and it goes back below when they end.
    let all: Vec<_> =
        futures::future::join_all([(a, "p"), (b, "q"), (c, "r"), (d, "s")].map(|(root, into)| room.lay(root, into)))
            .await
            .into_iter()
            .map(|laid| laid.expect("is laid out"))
            .collect();
    assert_eq!(cached(&room).len(), 4);
    for laid in &all {
        room.inputs.check_untouched(laid).await.expect("nothing ran");
    }
    drop(all);
    drop(room.lay(one("e"), "e").await.expect("is laid out"));
    assert_eq!(cached(&room).len(), 2);
    assert_eq!(read(&room.path("b/f")), "b".repeat(1_000), "what was laid out stays");
}

#[tokio::test]
async fn an_action_larger_than_the_cache_is_told_so() {
    let room = Room::with(SHA256, 2_500).await;
    let root = room.files(&[("a", &"a".repeat(2_000)), ("b", &"b".repeat(2_000))]);
    let error = room.lay(root, "a").await.unwrap_err();
    assert_eq!(error.to_string(), "4000 bytes of input files; this runner's cache has 2500");
    assert!(matches!(error, ActionError::Exhausted(_)));
}

#[tokio::test]
async fn a_restart_keeps_what_is_good() {
    let mut room = Room::new().await;
    let root = room.files(&[("a", "aaaa"), ("b", "bbbb"), ("c", "cccc")]);
    drop(room.lay(root, "1").await.expect("is laid out"));
    for clean in [true, false] {
        room.restart(clean).await;
        let laid = room.lay(root, &format!("clean-{clean}")).await.expect("is laid out");
        assert_eq!((laid.fetched_bytes, laid.cached_bytes), (0, 12), "clean: {clean}");
    }
    // While nothing looked: one file has grown, one has another time, and there is what is nobody's.
    let files = room.path("cache/files");
    let name = |content: &str| format!("sha256-{}-4", Digest::of(SHA256, content.as_bytes()).hex());
    let rewrite = |content: &str, new: &str| {
        std::fs::remove_file(files.join(name(content))).unwrap();
        std::fs::write(files.join(name(content)), new).unwrap();
    };
    rewrite("aaaa", "aaaaa");
    rewrite("bbbb", "bbbb");
    std::fs::write(files.join("something"), "else").unwrap();
    std::fs::create_dir(files.join("folder")).unwrap();
    std::fs::write(room.path("cache/incoming/7"), "half").unwrap();
    room.restart(true).await;
    assert_eq!((cached(&room), incoming(&room)), (vec![name("cccc")], 0));
    let laid = room.lay(root, "2").await.expect("is laid out");
    assert_eq!((laid.fetched_bytes, laid.cached_bytes), (8, 4));
    assert_eq!(read(&room.path("2/a")), "aaaa");
}

#[tokio::test]
async fn after_an_unclean_end_contents_are_looked_at() {
    let mut room = Room::new().await;
    let root = room.files(&[("a", "aaaa"), ("b", "bbbb")]);
    drop(room.lay(root, "1").await.expect("is laid out"));
    // As a power cut may leave it: all there but the content.
    let file = room.path("cache/files").join(format!("sha256-{}-4", Digest::of(SHA256, b"aaaa").hex()));
    std::fs::remove_file(room.path("1/a")).unwrap();
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&file, mode(0o644)).unwrap();
    std::fs::write(&file, "\0\0\0\0").unwrap();
    let times = std::fs::FileTimes::new().set_modified(crate::action::file_cache::input_time());
    std::fs::File::open(&file).unwrap().set_times(times).unwrap();
    std::fs::set_permissions(&file, mode(0o444)).unwrap();
    room.restart(false).await;
    let laid = room.lay(root, "2").await.expect("is laid out");
    assert_eq!((laid.fetched_bytes, laid.cached_bytes), (4, 4));
    assert_eq!(read(&room.path("2/a")), "aaaa");
}

#[tokio::test]
async fn a_file_that_was_taken_away_is_fetched_again() {
    let room = Room::new().await;
    let root = room.files(&[("a", "aaaa"), ("b", "bbbb")]);
    drop(room.lay(root, "1").await.expect("is laid out"));
    for name in cached(&room) {
        std::fs::remove_file(room.path("cache/files").join(name)).unwrap();
    }
    let laid = room.lay(root, "2").await.expect("is laid out");
    assert_eq!(read(&room.path("2/b")), "bbbb");
    room.inputs.check_untouched(&laid).await.expect("nothing ran");
}

#[tokio::test]
async fn many_who_want_the_same_fetch_it_once() {
    let room = Room::new().await;
    let root = room.files(&[("a", "aaaa"), ("b", "bbbb")]);
    drop(room.lay(room.files(&[]), "warm").await.expect("is laid out"));
    let names: Vec<_> = (0..20).map(|number| format!("n{number}")).collect();
    room.server.set(|state| state.hold_reads = true);
    let laying = futures::future::join_all(names.iter().map(|name| room.lay(root, name)));
    let release = async {
        room.server.wait_for(|state| state.calls.get("batch_read").is_some_and(|calls| *calls >= 1)).await;
        room.server.set(|state| state.hold_reads = false);
    };
    let (laid, ()) = tokio::join!(laying, release);
    let fetched: u64 = laid.iter().map(|laid| laid.as_ref().expect("is laid out").fetched_bytes).sum();
    assert_eq!(fetched, 8, "once by all together");
    let file = Digest::of(SHA256, b"aaaa");
    assert_eq!(room.server.state().reads.iter().filter(|read| **read == file).count(), 1);
}

#[tokio::test]
async fn whoever_goes_takes_nothing_away_from_the_others() {
    let room = Room::new().await;
    let digest = room.blob("content");
    let key = Key { digest, executable: false };
    let cache = FileCache::open(&room.path("own"), CACHE_MAX_BYTES).await.expect("a cache");
    let instance = InstanceName::default();
    room.server.set(|state| state.hold_reads = true);
    let obtain = || {
        let (cache, cas, instance) = (Arc::clone(&cache), room.cas.clone(), instance.clone());
        tokio::spawn(async move { cache.obtain(&cas, &instance, &[key]).await })
    };
    let (first, second) = (obtain(), obtain());
    room.server.wait_for(|state| state.calls.get("batch_read") == Some(&1)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    room.server.set(|state| state.hold_reads = false);
    let pins = second.await.expect("runs").expect("has it");
    assert_eq!(pins.keys(), [key]);
    assert_eq!(room.server.calls("batch_read"), 1);
    // All go: the fetch is broken off, and whoever comes later begins anew.
    let other = Key { digest: room.blob("other"), executable: true };
    room.server.set(|state| state.hold_reads = true);
    let cancel = CancellationToken::new();
    let waiting = cancel.run_until_cancelled(cache.obtain(&room.cas, &instance, std::slice::from_ref(&other)));
    let leave = async {
        room.server.wait_for(|state| state.calls.get("batch_read") == Some(&2)).await;
        cancel.cancel();
    };
    let (left, ()) = tokio::join!(waiting, leave);
    assert!(left.is_none());
    room.server.set(|state| state.hold_reads = false);
    let pins = cache.obtain(&room.cas, &instance, &[other]).await.expect("has it");
    assert_eq!(pins.keys(), [other]);
}

#[tokio::test]
async fn one_file_that_is_missing_does_not_fail_those_who_want_another() {
    let room = Room::new().await;
    let here = Key { digest: room.blob("here"), executable: false };
    let gone = Key { digest: Digest::of(SHA256, b"gone"), executable: false };
    let cache = FileCache::open(&room.path("own"), CACHE_MAX_BYTES).await.expect("a cache");
    let instance = InstanceName::default();
    room.server.set(|state| state.hold_reads = true);
    let both = [here, gone];
    let two = cache.obtain(&room.cas, &instance, &both);
    let one = async {
        room.server.wait_for(|state| state.calls.get("batch_read") == Some(&1)).await;
        let one = cache.obtain(&room.cas, &instance, std::slice::from_ref(&here));
        let release = async { room.server.set(|state| state.hold_reads = false) };
        tokio::join!(one, release).0
    };
    let (two, one) = tokio::join!(two, one);
    assert_eq!(two.unwrap_err(), ActionError::Missing(vec![gone.digest]));
    assert_eq!(one.expect("has it").keys(), [here]);
}

#[tokio::test]
async fn a_cancelled_action_gets_no_inputs() {
    let room = Room::new().await;
    let root = room.files(&[("a", "aaaa")]);
    room.server.set(|state| state.hold_reads = true);
    let (instance, cancel, into) = (InstanceName::default(), CancellationToken::new(), room.path("a"));
    let command = Command::default();
    let laying = room.inputs.materialise(&instance, root, &command, &into, &cancel);
    let leave = async {
        room.server.wait_for(|state| state.calls.contains_key("batch_read")).await;
        cancel.cancel();
    };
    let (laid, ()) = tokio::join!(laying, leave);
    assert_eq!(laid.unwrap_err(), ActionError::Cancelled);
    assert!(!into.exists());
}
