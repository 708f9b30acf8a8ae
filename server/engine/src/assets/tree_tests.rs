//! Trees that are not to be trusted.

use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::reapi;

use super::tree::{TREE_DEPTH_MAX, TreeBuilder};

fn blob(text: &str) -> Digest {
    Digest::of(DigestFunction::Sha256, text.as_bytes())
}

fn put(tree: &mut TreeBuilder, path: &str) -> Result<(), String> {
    tree.file(path, blob(path), false).map_err(|error| error.0)
}

#[test]
fn directories_are_sorted_and_equal_ones_are_one() {
    use buffa::Message;
    let mut tree = TreeBuilder::default();
    for path in ["./z", "b//x", "a/x", "a/é", "a/B"] {
        tree.file(path, blob("same"), path == "./z").unwrap();
    }
    for path in ["b/é", "b/B"] {
        tree.hard_link(path, "a/x").unwrap();
    }
    tree.symlink("l", "a/../z").unwrap();
    tree.folder("empty/").unwrap();
    let (root, messages, files) = tree.finish("").unwrap().directories(DigestFunction::Sha256);
    assert_eq!((messages.len(), files), (3, vec![blob("same")]));
    let decode = |digest: &Digest| reapi::Directory::decode_from_slice(&messages[digest]).unwrap();
    let top = decode(&root);
    let names: Vec<_> = top.directories.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "empty"]);
    assert_eq!(top.directories[0].digest, top.directories[1].digest);
    assert_eq!(top.directories[2].digest.hash, Digest::empty(DigestFunction::Sha256).hex());
    assert!(top.files[0].is_executable && top.symlinks[0].target == "a/../z");
    let a = &top.directories[0].digest;
    let a = decode(&Digest::parse(DigestFunction::Sha256, &a.hash, a.size_bytes).unwrap());
    assert_eq!(a.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["B", "x", "é"]);
}

#[test]
fn entries_stay_below_the_root() {
    let mut tree = TreeBuilder::default();
    let long = "x".repeat(256);
    for path in ["/etc/passwd", "../x", "a/../../x", "a/..", "", ".", "./", "a\0b", &long] {
        assert!(put(&mut tree, path).is_err(), "{path:?}");
    }
    put(&mut tree, "file").unwrap();
    tree.symlink("link", "folder").unwrap();
    tree.folder("folder").unwrap();
    for path in ["file/x", "link/x", "folder"] {
        assert!(put(&mut tree, path).is_err(), "{path}");
    }
    assert!(put(&mut tree, "link/x").unwrap_err().contains("goes through the symbolic link"));
    for target in ["nothing", "folder", "../x", "/etc/passwd"] {
        assert!(tree.hard_link("hard", target).is_err(), "{target}");
    }
    let deep = "d/".repeat(TREE_DEPTH_MAX);
    put(&mut tree, &(deep.clone() + "x")).unwrap();
    assert!(put(&mut tree, &(deep + "d/x")).is_err());
}

#[test]
fn links_lead_nowhere_outside() {
    let check = |links: &[(&str, &str)], below: &str| {
        let mut tree = TreeBuilder::default();
        put(&mut tree, "a/b/c/file").unwrap();
        for (path, target) in links {
            tree.symlink(path, target).unwrap();
        }
        tree.finish(below).map(|_| ()).map_err(|error| error.0)
    };
    for links in [
        &[("l", "a/b")][..],
        &[("a/l", "../x")],
        &[("l", "nothing/there")],
        &[("l", "l")],
        &[("l", "m"), ("m", "l/x")],
        &[("a/b/l", "../..")],
        &[("a/b/up", "../.."), ("m", "a/b/up/a")],
    ] {
        check(links, "").unwrap_or_else(|error| panic!("{links:?}: {error}"));
    }
    for links in [
        &[("l", "/etc/passwd")][..],
        &[("l", "..")],
        &[("a/l", "../../x")],
        &[("a/b/l", "./../../../etc")],
        // Looks fine as text, but leads out when the first link is followed.
        &[("a/b/up", "../.."), ("m", "a/b/up/../x")],
        &[("l", "a/m/../../.."), ("a/m", "b")],
    ] {
        assert!(check(links, "").unwrap_err().contains("leads out of the tree"), "{links:?}");
    }
    assert!(check(&[("a/l", "../x")], "a").is_err());
    check(&[("l", "..")], "a").unwrap();
    assert!(check(&[], "a/nothing").unwrap_err().contains("there is no directory"));
    assert!(check(&[], "a/b/c/file").is_err());
    assert!(check(&[], "../a").is_err());
}

#[test]
fn a_later_file_takes_the_place_of_an_earlier_one() {
    let mut tree = TreeBuilder::default();
    tree.file("x", blob("old"), false).unwrap();
    tree.symlink("x", "y").unwrap();
    tree.file("x", blob("new"), true).unwrap();
    let (_, _, files) = tree.finish("").unwrap().directories(DigestFunction::Sha256);
    assert_eq!(files, [blob("new")]);
}
