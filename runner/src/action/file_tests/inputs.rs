//! Trees laid out, and those that must not be.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, SystemTime};

use buffa_types::google::protobuf::{Timestamp, UInt32Value};
use millrace_proto::reapi::NodeProperties;

use super::*;

#[tokio::test]
async fn a_tree_is_laid_out_with_bits_links_and_parents_of_outputs() {
    let room = Room::new().await;
    let inner = room.files(&[("deep", "deep"), ("empty", "")]);
    let mut tool = room.file("tool", "#!/bin/sh\n");
    tool.is_executable = true;
    let root = room.directory(&Directory {
        files: vec![room.file("plain", "plain"), tool],
        directories: vec![child("inner", &inner), child("same", &inner)],
        symlinks: vec![link("absolute", "/etc/passwd"), link("dangling", "../../nowhere"), link("to", "inner/deep")],
        ..Default::default()
    });
    let mut command = command(&["../made/by/out", "top", "inner/x/y"]);
    command.working_directory = "work/here".into();
    let laid = room.lay_for(root, &command, "a").await.expect("is laid out");
    let at = room.path("a");
    assert_eq!(read(&at.join("plain")), "plain");
    assert_eq!(read(&at.join("inner/deep")), "deep");
    assert_eq!(read(&at.join("same/empty")), "");
    assert_eq!(read(&at.join("to")), "deep");
    assert_eq!(std::fs::read_link(at.join("absolute")).unwrap().to_str(), Some("/etc/passwd"));
    assert_eq!(std::fs::read_link(at.join("dangling")).unwrap().to_str(), Some("../../nowhere"));
    let mode = |name: &str| std::fs::metadata(at.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("plain"), mode("tool")), (0o444, 0o555));
    for made in ["work/here", "work/made/by", "work/here/inner/x"] {
        assert!(at.join(made).is_dir(), "{made}");
    }
    assert!(!at.join("work/made/by/out").exists() && !at.join("work/here/top").exists());
    assert_eq!((laid.fetched_bytes, laid.cached_bytes), (5 + 10 + 4, 0));
    room.inputs.check_untouched(&laid).await.expect("nothing ran");
}

#[tokio::test]
async fn a_known_tree_costs_no_call_and_no_copy() {
    let room = Room::new().await;
    let root = room.files(&[("one", "1"), ("two", "22")]);
    let _first = room.lay(root, "a").await.expect("is laid out");
    let calls = room.server.all_calls();
    let second = room.lay(root, "b").await.expect("is laid out");
    assert_eq!(room.server.all_calls(), calls);
    assert_eq!((second.fetched_bytes, second.cached_bytes), (0, 3));
    let inode = |path: &str| std::fs::metadata(room.path(path)).unwrap().ino();
    assert_eq!(inode("a/two"), inode("b/two"));
}

#[tokio::test]
async fn every_digest_function() {
    for function in DigestFunction::ALL {
        let room = Room::with(function, CACHE_MAX_BYTES).await;
        let root = room.files(&[("a", "content")]);
        let _laid = room.lay(root, "out").await.expect("is laid out");
        assert_eq!(read(&room.path("out/a")), "content");
        let result = room.store(&command(&["a"])).await.expect("is stored");
        assert_eq!(result.output_files[0].digest.hash, Digest::of(function, b"content").hex());
    }
}

#[tokio::test]
async fn the_empty_tree_is_everywhere() {
    let room = Room::new().await;
    let laid = room.lay(Digest::empty(SHA256), "a").await.expect("is laid out");
    assert_eq!((laid.fetched_bytes, laid.cached_bytes), (0, 0));
    assert!(room.path("a").is_dir());
    assert_eq!(room.server.all_calls(), 0);
}

#[tokio::test]
async fn hostile_names_are_refused_and_nothing_is_written() {
    let room = Room::new().await;
    let empty = Digest::empty(SHA256);
    let good = || room.file("good", "x");
    for name in ["", ".", "..", "a/b", "../../escaped", "/escaped", "a\0b"] {
        let named = |directory: Directory| (name, directory);
        let file = Directory { files: vec![room.file(name, "x"), good()], ..Default::default() };
        let folder = Directory { directories: vec![child(name, &empty)], ..Default::default() };
        let symlink = Directory { symlinks: vec![link(name, "x")], ..Default::default() };
        for (name, directory) in [file, folder, symlink].map(named) {
            // Below a good top, so that the check is not that of the top alone.
            let inner = room.directory(&directory);
            let root = room.directory(&Directory { directories: vec![child("in", &inner)], ..Default::default() });
            let message = invalid(room.lay(root, "a").await);
            assert!(message.contains(&format!("{name:?}")), "{message}");
        }
    }
    assert!(!room.path("a").exists() && !room.path("escaped").exists());
}

#[tokio::test]
async fn duplicate_names_and_bad_nodes_are_refused() {
    let room = Room::new().await;
    let empty = Digest::empty(SHA256);
    let file = || room.file("twice", "x");
    let no_digest = FileNode { name: "none".into(), ..Default::default() };
    let mut short = file();
    short.digest.get_or_insert_default().hash = "abc".into();
    let mut negative = file();
    negative.digest.get_or_insert_default().size_bytes = -1;
    let directories = [
        Directory { files: vec![file(), file()], ..Default::default() },
        // What would be written through the symlink.
        Directory { files: vec![file()], symlinks: vec![link("twice", "/tmp")], ..Default::default() },
        Directory {
            directories: vec![child("twice", &empty)],
            symlinks: vec![link("twice", "/tmp")],
            ..Default::default()
        },
        Directory { files: vec![file()], directories: vec![child("twice", &empty)], ..Default::default() },
        Directory { files: vec![no_digest], ..Default::default() },
        Directory { files: vec![short], ..Default::default() },
        Directory { files: vec![negative], ..Default::default() },
        Directory { symlinks: vec![link("to", "")], ..Default::default() },
        Directory { symlinks: vec![link("to", "a\0b")], ..Default::default() },
        Directory { symlinks: vec![link("to", &"x".repeat(5_000))], ..Default::default() },
    ];
    for directory in directories {
        let message = invalid(room.lay(room.directory(&directory), "a").await);
        assert!(message.starts_with("input_root_digest: blobs/"), "{message}");
    }
    let garbage = room.blob(&b"\xff\xff\xff garbage"[..]);
    assert!(invalid(room.lay(garbage, "a").await).contains("not a Directory"));
    assert!(!room.path("a").exists());
}

#[tokio::test]
async fn exponential_sharing_is_counted_and_not_walked() {
    let room = Room::new().await;
    let mut root = room.files(&[("leaf", "x")]);
    for _ in 0..60 {
        let directories = vec![child("a", &root), child("b", &root), child("c", &root)];
        root = room.directory(&Directory { directories, ..Default::default() });
    }
    let message = invalid(room.lay(root, "a").await);
    assert!(message.contains("the limit is 1000000"), "{message}");
    assert_eq!(room.server.state().reads.len(), 61, "each message once");
    assert!(!room.path("a").exists());
    // What is shared and not too much is laid out as often as it appears.
    let mut root = room.files(&[("leaf", "x")]);
    for _ in 0..4 {
        root = room
            .directory(&Directory { directories: vec![child("a", &root), child("b", &root)], ..Default::default() });
    }
    let _laid = room.lay(root, "b").await.expect("is laid out");
    assert_eq!(read(&room.path("b/b/a/b/a/leaf")), "x");
}

#[tokio::test]
async fn depth_is_bounded_also_where_it_is_shared() {
    let room = Room::new().await;
    let mut root = room.files(&[("leaf", "x")]);
    for _ in 0..250 {
        root = room.directory(&Directory { directories: vec![child("d", &root)], ..Default::default() });
    }
    let message = invalid(room.lay(root, "a").await);
    assert!(message.contains("the limit is 200"), "{message}");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let room = Room::new().await;
    let gone = Digest::of(SHA256, b"gone");
    let other = Digest::of(SHA256, b"another");
    assert_eq!(room.lay(gone, "a").await.unwrap_err(), ActionError::Missing(vec![gone]));
    let root = room.directory(&Directory {
        files: vec![room.file("here", "here")],
        directories: vec![child("one", &gone), child("two", &other)],
        ..Default::default()
    });
    let error = room.lay(root, "a").await.unwrap_err();
    let ActionError::Missing(mut missing) = error.clone() else { panic!("{error:?}") };
    missing.sort_unstable();
    let mut expected = vec![gone, other];
    expected.sort_unstable();
    assert_eq!(missing, expected);
    let lost = FileNode { name: "lost".into(), digest: wire(&gone).into(), ..Default::default() };
    let root = room.directory(&Directory { files: vec![room.file("here", "here"), lost], ..Default::default() });
    let error = room.lay(root, "a").await.unwrap_err();
    assert_eq!(error, ActionError::Missing(vec![gone]));
    let status = error.status();
    assert_eq!(status.code, millrace_proto::rpc::Code::FAILED_PRECONDITION as i32);
    let failure = millrace_proto::rpc::PreconditionFailure::decode_from_slice(&status.details[0].value).unwrap();
    assert_eq!(failure.violations[0].r#type, "MISSING");
    assert_eq!(failure.violations[0].subject, format!("blobs/{}/4", gone.hex()));
}

#[tokio::test]
async fn node_properties_are_the_files_own() {
    let room = Room::new().await;
    let time = |seconds| Timestamp { seconds, nanos: 500, ..Default::default() };
    let properties = |seconds, mode: Option<u32>| NodeProperties {
        mtime: time(seconds).into(),
        unix_mode: mode.map(|value| UInt32Value { value, ..Default::default() }).into(),
        ..Default::default()
    };
    let mut special = room.file("special", "same");
    special.node_properties = properties(1_234_567_890, Some(0o640)).into();
    let mut ancient = link("ancient", "plain");
    ancient.node_properties = properties(-5, None).into();
    let inner =
        room.directory(&Directory { node_properties: properties(77, Some(0o750)).into(), ..Default::default() });
    let root = room.directory(&Directory {
        files: vec![room.file("plain", "same"), special],
        directories: vec![child("inner", &inner)],
        symlinks: vec![ancient],
        ..Default::default()
    });
    let _laid = room.lay_for(root, &command(&["inner/made/out"]), "a").await.expect("is laid out");
    let look = |name: &str| std::fs::symlink_metadata(room.path("a").join(name)).unwrap();
    let since = |seconds, nanos| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    assert_eq!(look("special").modified().unwrap(), since(1_234_567_890, 500));
    assert_eq!(look("special").mode() & 0o7777, 0o640);
    assert_eq!(look("inner").modified().unwrap(), since(77, 500), "also after its child was made");
    assert_eq!(look("inner").mode() & 0o7777, 0o750);
    assert_eq!((look("ancient").mtime(), look("ancient").mtime_nsec()), (-5, 500));
    assert_eq!(look("plain").mode() & 0o7777, 0o444);
    assert_eq!(look("plain").modified().unwrap(), crate::action::file_cache::input_time());
}

#[tokio::test]
async fn parents_of_outputs_are_made_beneath_the_root_only() {
    let room = Room::new().await;
    let inner = room.files(&[("x", "x")]);
    let root = room.directory(&Directory {
        files: vec![room.file("file", "x")],
        directories: vec![child("inner", &inner)],
        symlinks: vec![link("in", "inner"), link("up", "../elsewhere"), link("out", "/tmp")],
        ..Default::default()
    });
    std::fs::create_dir(room.path("elsewhere")).unwrap();
    for bad in ["up/made/out", "out/made-by-a-test/out", "file/made/out"] {
        let message = invalid(room.lay_for(root, &command(&[bad]), "a").await);
        assert!(message.contains("cannot be made"), "{message}");
        std::fs::remove_dir_all(room.path("a")).unwrap();
    }
    assert_eq!(std::fs::read_dir(room.path("elsewhere")).unwrap().count(), 0);
    assert!(!std::path::Path::new("/tmp/made-by-a-test").exists());
    let _laid = room.lay_for(root, &command(&["in/made/out"]), "a").await.expect("is laid out");
    assert!(room.path("a/inner/made").is_dir());
    let bad = Command { working_directory: "../x".into(), ..Default::default() };
    assert!(invalid(room.lay_for(root, &bad, "b").await).starts_with("command.working_directory"));
}

#[tokio::test]
async fn a_changed_input_fails_the_action_and_leaves_the_cache() {
    let room = Room::new().await;
    let inner = room.files(&[("shared", "original")]);
    let root = room.directory(&Directory { directories: vec![child("in", &inner)], ..Default::default() });
    let laid = room.lay(root, "a").await.expect("is laid out");
    let shared = room.path("a/in/shared");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&shared, "modified").unwrap();
    let error = room.inputs.check_untouched(&laid).await.unwrap_err();
    assert_eq!(error, ActionError::InputModified { path: "in/shared".into() });
    assert!(error.to_string().starts_with("in/shared: "), "{error}");
    drop(laid);
    let again = room.lay(root, "b").await.expect("is laid out");
    assert_eq!(read(&room.path("b/in/shared")), "original");
    assert_eq!(again.fetched_bytes, 8);
    room.inputs.check_untouched(&again).await.expect("nothing ran");
}

#[tokio::test]
async fn what_does_not_touch_the_content_is_no_change() {
    let room = Room::new().await;
    let root = room.files(&[("moded", "1"), ("replaced", "2"), ("removed", "3")]);
    let laid = room.lay(root, "a").await.expect("is laid out");
    std::fs::set_permissions(room.path("a/moded"), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(room.path("a/new"), "other").unwrap();
    std::fs::rename(room.path("a/new"), room.path("a/replaced")).unwrap();
    std::fs::remove_file(room.path("a/removed")).unwrap();
    room.inputs.check_untouched(&laid).await.expect("the contents are as they were");
    let calls = room.server.all_calls();
    let _again = room.lay(root, "b").await.expect("is laid out");
    assert_eq!(room.server.all_calls(), calls);
    assert_eq!(std::fs::metadata(room.path("b/moded")).unwrap().mode() & 0o7777, 0o444);
    assert_eq!(read(&room.path("b/replaced")), "2");
    // The mode and the time were put back, the content was not.
    let laid = room.lay(root, "c").await.expect("is laid out");
    let file = room.path("c/moded");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&file, "x").unwrap();
    let times = std::fs::FileTimes::new().set_modified(crate::action::file_cache::input_time());
    std::fs::File::open(&file).unwrap().set_times(times).unwrap();
    let error = room.inputs.check_untouched(&laid).await.unwrap_err();
    assert_eq!(error, ActionError::InputModified { path: "moded".into() });
}

#[tokio::test]
async fn files_on_another_file_system_are_copied() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    let room = Room::new().await;
    let root = room.files(&[("a", "content")]);
    let into = elsewhere.path().join("root");
    let (instance, command, cancel) = (InstanceName::default(), Command::default(), CancellationToken::new());
    let lay = room.inputs.materialise(&instance, root, &command, &into, &cancel);
    let laid = lay.await.expect("is laid out");
    let metadata = std::fs::metadata(into.join("a")).unwrap();
    assert_eq!((metadata.mode() & 0o7777, read(&into.join("a"))), (0o444, "content".to_owned()));
    assert_eq!(metadata.modified().unwrap(), crate::action::file_cache::input_time());
    room.inputs.check_untouched(&laid).await.expect("nothing ran");
}
