//! Outputs found, described and stored, and those that are refused.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use millrace_proto::reapi::Tree;
use millrace_proto::reapi::command::OutputDirectoryFormat;

use super::*;

fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().expect("is below a folder")).expect("a folder");
    std::fs::write(path, content).expect("is written");
}

fn digest(of: &millrace_proto::reapi::Digest) -> Digest {
    Digest::parse(SHA256, &of.hash, of.size_bytes).expect("a digest")
}

fn tree(room: &Room, result: &ActionResult, at: usize) -> Tree {
    let content = room.server.get(&digest(&result.output_directories[at].tree_digest)).expect("the Tree is stored");
    Tree::decode_from_slice(&content).expect("a Tree")
}

#[tokio::test]
async fn every_kind_of_output() {
    let room = Room::new().await;
    let out = room.path("out");
    write(&out.join("w/plain"), "plain");
    write(&out.join("w/tool"), "tool");
    std::fs::set_permissions(out.join("w/tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
    write(&out.join("up"), "up");
    write(&out.join("w/dir/sub/x"), "x");
    symlink("plain", out.join("w/to-file")).unwrap();
    symlink("dir", out.join("w/to-dir")).unwrap();
    symlink("/no/such", out.join("w/to-nowhere")).unwrap();
    let paths = [
        "plain",
        "tool",
        "../up",
        "dir",
        "to-file",
        "to-dir",
        "to-nowhere",
        "missing",
        "missing/x",
        "plain/x",
        "plain",
    ];
    let command = Command { working_directory: "w".into(), ..command(&paths) };
    let result = room.store(&command).await.expect("are stored");
    let files: Vec<_> = result.output_files.iter().map(|file| (&*file.path, file.is_executable)).collect();
    assert_eq!(files, [("plain", false), ("tool", true), ("../up", false)]);
    for file in &result.output_files {
        assert!(room.server.get(&digest(&file.digest)).is_some(), "{} is stored", file.path);
        assert!(file.contents.is_empty());
    }
    let links: Vec<_> = result.output_symlinks.iter().map(|link| (&*link.path, &*link.target)).collect();
    assert_eq!(links, [("to-file", "plain"), ("to-dir", "dir"), ("to-nowhere", "/no/such")]);
    let older: Vec<_> = result.output_file_symlinks.iter().map(|link| &*link.path).collect();
    assert_eq!(older, ["to-file", "to-nowhere"]);
    assert_eq!(result.output_directory_symlinks[0].path, "to-dir");
    assert_eq!(result.output_directories.len(), 1);
    assert_eq!(result.output_directories[0].path, "dir");
    assert!(!result.output_directories[0].root_directory_digest.is_set());
    assert_eq!(room.server.all_calls(), 1, "all of it in one call");
}

#[tokio::test]
async fn trees_are_sorted_shared_once_and_always_the_same() {
    let room = Room::new().await;
    let out = room.path("out");
    for name in ["z", "a", "m"] {
        write(&out.join("t").join(name).join("same/f"), "content");
    }
    write(&out.join("t/b"), "b");
    write(&out.join("t/A"), "A");
    symlink("../../..", out.join("t/link")).unwrap();
    symlink("b", out.join("t/also")).unwrap();
    std::fs::create_dir(out.join("t/empty")).unwrap();
    let result = room.store(&command(&["t"])).await.expect("is stored");
    assert!(result.output_directories[0].is_topologically_sorted);
    let found = tree(&room, &result, 0);
    let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let root = &found.root;
    assert_eq!(root.files.iter().map(|file| file.name.clone()).collect::<Vec<_>>(), names(vec!["A", "b"]));
    assert_eq!(
        root.directories.iter().map(|folder| folder.name.clone()).collect::<Vec<_>>(),
        names(vec!["a", "empty", "m", "z"])
    );
    let links: Vec<_> = root.symlinks.iter().map(|link| (&*link.name, &*link.target)).collect();
    assert_eq!(links, [("also", "b"), ("link", "../../..")]);
    assert_eq!(found.children.len(), 3, "one of three alike, what is in it, and the empty one");
    let seen: Vec<_> = found.children.iter().map(|child| Digest::of(SHA256, &child.encode_to_vec())).collect();
    for (at, child) in found.children.iter().enumerate() {
        for inner in &child.directories {
            assert!(seen[at + 1..].contains(&digest(&inner.digest)), "parents stand before what is in them");
        }
    }
    // Made in another order.
    std::fs::rename(&out, room.path("before")).unwrap();
    std::fs::create_dir_all(out.join("t/empty")).unwrap();
    symlink("b", out.join("t/also")).unwrap();
    write(&out.join("t/A"), "A");
    for name in ["m", "z", "a"] {
        write(&out.join("t").join(name).join("same/f"), "content");
    }
    symlink("../../..", out.join("t/link")).unwrap();
    write(&out.join("t/b"), "b");
    let again = room.store(&command(&["t"])).await.expect("is stored");
    assert_eq!(again.output_directories, result.output_directories);
}

#[tokio::test]
async fn directories_as_blobs_and_the_root_as_an_output() {
    let room = Room::new().await;
    write(&room.path("out/d/e/f"), "f");
    for format in [OutputDirectoryFormat::DIRECTORY_ONLY, OutputDirectoryFormat::TREE_AND_DIRECTORY] {
        let command = Command { output_directory_format: format.into(), ..command(&[""]) };
        let result = room.store(&command).await.expect("is stored");
        let directory = &result.output_directories[0];
        assert_eq!(directory.path, "");
        assert_eq!(directory.tree_digest.is_set(), format == OutputDirectoryFormat::TREE_AND_DIRECTORY);
        let mut at = digest(&directory.root_directory_digest);
        for name in ["d", "e"] {
            let content = room.server.get(&at).expect("each Directory is stored");
            let message = Directory::decode_from_slice(&content).expect("a Directory");
            assert_eq!(message.directories[0].name, name);
            at = digest(&message.directories[0].digest);
        }
        // It can be laid out again.
        let laid = room.lay(digest(&directory.root_directory_digest), &format!("{format:?}")).await;
        drop(laid.expect("is laid out"));
        assert_eq!(read(&room.path(&format!("{format:?}/d/e/f"))), "f");
    }
}

#[tokio::test]
async fn the_older_fields_say_what_a_dangling_link_is() {
    let room = Room::new().await;
    write(&room.path("out/file"), "f");
    symlink("gone", room.path("out/df")).unwrap();
    symlink("gone", room.path("out/dd")).unwrap();
    let older = Command {
        output_files: vec!["file".into(), "df".into()],
        output_directories: vec!["dd".into()],
        ..Default::default()
    };
    let result = room.store(&older).await.expect("are stored");
    assert_eq!(result.output_files.len(), 1);
    assert_eq!((&*result.output_file_symlinks[0].path, &*result.output_directory_symlinks[0].path), ("df", "dd"));
    assert_eq!(result.output_symlinks.len(), 2);
}

#[tokio::test]
async fn what_is_no_file_is_refused_by_its_path() {
    let room = Room::new().await;
    let out = room.path("out/d");
    std::fs::create_dir_all(&out).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(out.join("pipe")).status().expect("mkfifo runs");
    assert!(pipe.success());
    for (asked, path) in [("d/pipe", "d/pipe"), ("d", "d/pipe")] {
        let error = room.store(&command(&[asked])).await.unwrap_err();
        assert!(matches!(&error, ActionError::OutputRefused { path: found, .. } if found == path), "{error:?}");
        assert!(error.to_string().contains("it is a pipe"), "{error}");
    }
    std::fs::remove_file(out.join("pipe")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(out.join("socket")).expect("a socket");
    let error = room.store(&command(&["d"])).await.unwrap_err();
    assert!(error.to_string().contains("d/socket: it is a socket"), "{error}");
    std::fs::remove_file(out.join("socket")).unwrap();
    let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"a\xff");
    std::fs::write(out.join(bytes), "x").unwrap();
    let error = room.store(&command(&["d"])).await.unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
    assert_eq!(room.server.all_calls(), 0);
}

#[tokio::test]
async fn outputs_are_found_beneath_the_root_only() {
    let room = Room::new().await;
    write(&room.path("secret/file"), "secret");
    write(&room.path("out/inner/file"), "fine");
    symlink("../secret", room.path("out/up")).unwrap();
    symlink(room.path("secret"), room.path("out/absolute")).unwrap();
    symlink("inner", room.path("out/in")).unwrap();
    for bad in ["up/file", "absolute/file", "up", "absolute"] {
        match room.store(&command(&[bad])).await {
            // The link itself is kept as it is; nothing behind it is.
            Ok(result) if !bad.contains('/') => {
                assert!(result.output_files.is_empty() && result.output_directories.is_empty());
                assert_eq!(result.output_symlinks.len(), 1);
            }
            Err(ActionError::OutputRefused { path, message }) => {
                assert_eq!(path, bad);
                assert!(message.contains("leads out of the input root"), "{message}");
            }
            other => panic!("{bad}: {other:?}"),
        }
    }
    let result = room.store(&command(&["in/file"])).await.expect("is stored");
    assert_eq!(digest(&result.output_files[0].digest), Digest::of(SHA256, b"fine"));
    assert_eq!(room.server.get(&Digest::of(SHA256, b"secret")), None);
    assert!(invalid(room.store(&command(&["../secret/file"])).await).contains("leads out of the input root"));
    assert!(invalid(room.store(&command(&["/etc/passwd"])).await).contains("has to be relative"));
}

#[tokio::test]
async fn nothing_costs_no_call_and_much_is_asked_for_first() {
    let room = Room::new().await;
    std::fs::create_dir_all(room.path("out")).unwrap();
    write(&room.path("out/empty"), "");
    let result = room.store(&command(&["empty", "gone"])).await.expect("is stored");
    assert_eq!(digest(&result.output_files[0].digest), Digest::empty(SHA256));
    assert_eq!(room.server.all_calls(), 0);
    let big = vec![9; 6_000_000];
    write(&room.path("out/big"), &big);
    write(&room.path("out/known"), vec![7; 2_000_000]);
    room.blob(vec![7; 2_000_000]);
    write(&room.path("out/small"), "small");
    let result = room.store(&command(&["big", "known", "small"])).await.expect("are stored");
    assert!(room.server.get(&digest(&result.output_files[0].digest)).is_some_and(|content| content == big));
    let calls = room.server.state().calls.clone();
    assert_eq!(calls, [("find_missing", 1), ("write", 1), ("batch_update", 1)].into());
}

#[tokio::test]
async fn an_output_that_changes_on_its_way_is_told() {
    let room = Room::new().await;
    let path = room.path("out/big");
    write(&path, vec![1; 3_000_000]);
    room.server.set(|state| state.away = usize::MAX);
    let change = async {
        room.server.wait_for(|state| state.calls.contains_key("find_missing")).await;
        std::fs::write(&path, vec![2; 3_000_000]).unwrap();
        room.server.set(|state| state.away = 0);
    };
    let wanted = command(&["big"]);
    let (stored, ()) = tokio::join!(room.store(&wanted), change);
    assert_eq!(stored.unwrap_err(), ActionError::OutputChanged { path: "big".into() });
    assert_eq!(room.server.get(&Digest::of(SHA256, &vec![1; 3_000_000])), None);
}

#[tokio::test]
async fn what_was_printed_is_in_the_result_or_in_the_cas() {
    let room = Room::new().await;
    let result = room.store_printed(&Command::default(), b"hello", b"").await.expect("is stored");
    assert_eq!((&result.stdout_raw[..], result.stdout_digest.is_set()), (&b"hello"[..], false));
    assert!(result.stderr_raw.is_empty() && !result.stderr_digest.is_set());
    assert_eq!(room.server.all_calls(), 0);
    let (much, more) = (vec![b'm'; 10_000], vec![b'x'; 3_000_000]);
    let result = room.store_printed(&Command::default(), &much, &more).await.expect("is stored");
    assert!(result.stdout_raw.is_empty() && result.stderr_raw.is_empty());
    assert_eq!(room.server.get(&digest(&result.stdout_digest)).as_deref(), Some(&much[..]));
    assert_eq!(room.server.get(&digest(&result.stderr_digest)).as_deref(), Some(&more[..]));
}

#[tokio::test]
async fn node_properties_are_there_when_asked_for() {
    let room = Room::new().await;
    let file = room.path("out/d/f");
    write(&file, "f");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::new(1_000, 7);
    std::fs::File::open(&file).unwrap().set_times(std::fs::FileTimes::new().set_modified(time)).unwrap();
    let plain = room.store(&command(&["d/f"])).await.expect("is stored");
    assert!(!plain.output_files[0].node_properties.is_set());
    let asked = vec!["mtime".into(), "unix_mode".into(), "something".into()];
    let command = Command { output_node_properties: asked, ..command(&["d/f", "d"]) };
    let result = room.store(&command).await.expect("is stored");
    let found = tree(&room, &result, 0);
    for properties in [&result.output_files[0].node_properties, &found.root.files[0].node_properties] {
        assert_eq!((properties.mtime.seconds, properties.mtime.nanos), (1_000, 7));
        assert_eq!(properties.unix_mode.value, 0o640);
    }
    assert!(found.root.node_properties.mtime.is_set());
}
