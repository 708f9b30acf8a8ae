//! BuildGrid's command `bgd`, over grpcio: folders and files go up and come down byte for byte, action results too.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::tool::{Said, command, installed, said, succeeded};
use crate::app::TestApp;

/// More than one batch can carry: it goes and comes by ByteStream, in many messages.
const LARGE_BYTES: usize = 9_000_001;
const SMALL_FILES: usize = 300;

/// One group of `bgd` commands against one server and instance.
struct Bgd<'a> {
    test: &'a TestApp,
    instance: &'static str,
}

impl Bgd<'_> {
    fn command(&self, group: &str, arguments: &[&str]) -> tokio::process::Command {
        let mut bgd = command(&installed("python/bin/bgd"));
        bgd.args([group, "--remote", &self.test.url, "--instance-name", self.instance]).args(arguments);
        bgd.current_dir(self.test.scratch());
        bgd
    }

    async fn run(&self, group: &str, arguments: &[&str]) -> String {
        let said = succeeded(&mut self.command(group, arguments)).await;
        assert!(!said.all().contains("Error"), "{}", said.all());
        said.out
    }

    async fn refused(&self, group: &str, arguments: &[&str]) -> Said {
        said(&mut self.command(group, arguments)).await
    }
}

/// The digest that `bgd` printed for a path.
fn pushed(out: &str, path: &str) -> String {
    let start = format!("Success: Pushed path=[{path}] with digest=[");
    let line =
        out.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{path} is not in {out}"));
    line.trim_end_matches(']').to_owned()
}

/// Bytes that neither repeat nor compress much.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn make_tree(root: &Path) {
    let deep = root.join("a/b/c/d/e");
    std::fs::create_dir_all(&deep).expect("folders");
    std::fs::create_dir_all(root.join("nothing here")).expect("a folder");
    std::fs::create_dir_all(root.join("many")).expect("a folder");
    std::fs::write(root.join("empty"), "").expect("written");
    std::fs::write(root.join("large.bin"), noise(LARGE_BYTES, 1)).expect("written");
    std::fs::write(root.join("ümlaut and space.txt"), "text").expect("written");
    std::fs::write(deep.join("deep.txt"), "the same").expect("written");
    std::fs::write(root.join("a/twice.txt"), "the same").expect("written");
    let script = root.join("a/run.sh");
    std::fs::write(&script, "#!/bin/sh\n").expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("executable");
    for number in 0..SMALL_FILES {
        std::fs::write(root.join(format!("many/{number}.bin")), noise(number * 37, number as u64)).expect("written");
    }
}

/// For each path below: whether it is executable, and its bytes; none for a folder.
fn read_tree(folder: &Path, root: &Path, found: &mut BTreeMap<PathBuf, Option<(bool, Vec<u8>)>>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.strip_prefix(root).expect("below").to_owned();
        if entry.is_dir() {
            found.insert(name, None);
            read_tree(&entry, root, found);
        } else {
            let executable = std::fs::metadata(&entry).expect("metadata").permissions().mode() & 0o100 != 0;
            found.insert(name, Some((executable, std::fs::read(&entry).expect("readable"))));
        }
    }
}

#[tokio::test]
async fn bgd_moves_folders_byte_for_byte() {
    let test = TestApp::open().await;
    let bgd = Bgd { test: &test, instance: "team/app" };
    let (up, down) = (test.scratch().join("up"), test.scratch().join("down"));
    make_tree(&up);
    let up_path = up.to_str().expect("UTF-8");
    let out = bgd.run("cas", &["upload-dir", "--verify", up_path]).await;
    let root = pushed(&out, up_path);
    // A second time nothing is new, and that is no error.
    let again = bgd.run("cas", &["upload-dir", "--verify", up_path]).await;
    assert_eq!(pushed(&again, up_path), root);
    bgd.run("cas", &["download-dir", "--verify", &root, down.to_str().expect("UTF-8")]).await;
    let (mut sent, mut received) = (BTreeMap::new(), BTreeMap::new());
    read_tree(&up, &up, &mut sent);
    read_tree(&down, &down, &mut received);
    assert_eq!(sent.len(), SMALL_FILES + 7 + 6);
    let names = |tree: &BTreeMap<PathBuf, _>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&sent), names(&received));
    assert!(sent == received, "other bytes or other permissions came back");
    // Another instance has none of it.
    let elsewhere = Bgd { test: &test, instance: "team/other" };
    let missing = elsewhere.refused("cas", &["download-file", &root, "other"]).await;
    assert!(missing.err.contains("not found"), "{}", missing.all());
    test.close().await;
}

#[tokio::test]
async fn bgd_moves_files_byte_for_byte() {
    let test = TestApp::open().await;
    let bgd = Bgd { test: &test, instance: "" };
    let files = [
        ("small", noise(1, 2)),
        ("medium", noise(100_000, 3)),
        ("large", noise(LARGE_BYTES, 4)),
        ("empty", Vec::new()),
    ];
    let mut upload = vec!["upload-file", "--verify"];
    for (name, bytes) in &files {
        std::fs::write(test.scratch().join(name), bytes).expect("written");
        upload.push(name);
    }
    let out = bgd.run("cas", &upload).await;
    let mut download = vec!["download-file".to_owned(), "--verify".to_owned()];
    for (name, bytes) in &files {
        let digest = pushed(&out, name);
        assert_eq!(digest.rsplit_once('/').expect("a size").1, bytes.len().to_string());
        download.extend([digest, format!("{name}.down")]);
    }
    bgd.run("cas", &download.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (name, bytes) in &files {
        let received = std::fs::read(test.scratch().join(format!("{name}.down"))).expect("downloaded");
        assert!(&received == bytes, "other bytes came back for {name}");
    }
    test.close().await;
}

#[tokio::test]
async fn bgd_knows_what_the_server_can_and_keeps_action_results() {
    let test = TestApp::open().await;
    let bgd = Bgd { test: &test, instance: "team/app" };
    let capabilities: Value = serde_json::from_str(&bgd.run("capabilities", &[]).await).expect("JSON");
    let cache = &capabilities["cacheCapabilities"];
    let words = |value: &Value| serde_json::from_value::<Vec<String>>(value.clone()).expect("words");
    for wanted in ["SHA256", "SHA384", "SHA512", "SHA1", "BLAKE3"] {
        assert!(words(&cache["digestFunctions"]).iter().any(|word| word == wanted), "{wanted}: {capabilities}");
    }
    assert!(!words(&cache["digestFunctions"]).iter().any(|word| word == "MD5"), "off by default: {capabilities}");
    for field in ["supportedCompressors", "supportedBatchUpdateCompressors"] {
        assert!(words(&cache[field]).iter().any(|word| word == "ZSTD"), "{field}: {capabilities}");
    }
    assert_eq!(cache["actionCacheUpdateCapabilities"]["updateEnabled"], true, "{capabilities}");
    let batch: u64 = cache["maxBatchTotalSizeBytes"].as_str().and_then(|text| text.parse().ok()).expect("a number");
    assert!((1 << 20..4 << 20).contains(&batch), "{capabilities}");
    assert_eq!(capabilities["lowApiVersion"]["major"], 2, "{capabilities}");
    assert_eq!(capabilities["highApiVersion"]["major"], 2, "{capabilities}");

    // An ActionResult with an exit code and a stdout of its own, as bytes on the wire: fields 4 and 5.
    let result = [&[0x20, 7, 0x2a, 5][..], b"hello"].concat();
    std::fs::write(test.scratch().join("result"), result).expect("written");
    std::fs::write(test.scratch().join("action"), "any bytes").expect("written");
    let out = bgd.run("cas", &["upload-file", "result", "action"]).await;
    let (result, action) = (pushed(&out, "result"), pushed(&out, "action"));
    let miss = bgd.refused("actioncache", &["get", &action]).await;
    assert!(miss.out.contains("Miss"), "{}", miss.all());
    bgd.run("actioncache", &["update", &action, &result]).await;
    let hit = bgd.run("actioncache", &["get", &action]).await;
    assert!(hit.starts_with("Hit"), "{hit}");
    let hit: Value = serde_json::from_str(&bgd.run("actioncache", &["get", "--json", &action]).await).expect("JSON");
    assert_eq!((&hit["exitCode"], &hit["stdoutRaw"]), (&Value::from(7), &Value::from("aGVsbG8=")), "{hit}");
    assert!(hit.get("executionMetadata").is_some(), "results always carry it: {hit}");
    let elsewhere = Bgd { test: &test, instance: "team" }.refused("actioncache", &["get", &action]).await;
    assert!(elsewhere.out.contains("Miss"), "{}", elsewhere.all());
    test.close().await;
}
