//! BuildGrid's `bgd logstream`: made, written and read by it. It counts its offsets in messages, not in bytes.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::tool::{command, installed, succeeded};
use crate::app::{TestApp, within};

fn bgd(test: &TestApp, instance: &str) -> Command {
    let mut bgd = command(&installed("python/bin/bgd"));
    bgd.args(["logstream", "--remote", &test.url, "--instance-name", instance]);
    bgd.current_dir(test.scratch());
    bgd
}

/// A field of the message that `bgd` prints.
fn field(out: &str, name: &str) -> String {
    let start = format!("{name}: \"");
    let line = out.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{name}: {out}"));
    line.trim_end_matches('"').to_owned()
}

#[tokio::test]
async fn bgd_writes_a_log_that_it_reads_while_it_grows() {
    let test = TestApp::open().await;
    let out = succeeded(bgd(&test, "team").args(["create", "builds"])).await.out;
    let (name, write_name) = (field(&out, "name"), field(&out, "write_resource_name"));
    assert!(name.starts_with("team/builds/logstreams/"), "{name}");
    assert!(write_name.starts_with(&format!("{name}/")), "{write_name}");

    let pipe = |command: &mut Command| {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        piped.spawn().expect("bgd starts")
    };
    let mut reader = pipe(bgd(&test, "").args(["read", &name]));
    let mut writer = pipe(bgd(&test, "").args(["write", &write_name]));
    let mut to_writer = writer.stdin.take().expect("piped");
    let mut from_reader = reader.stdout.take().expect("piped");
    let mut seen = String::new();
    // Lines that are the same, that begin like others, and longer ones: by bytes each offset but the first is wrong.
    for line in ["a", "a", "aa", "hello hello", "hello", "a"] {
        to_writer.write_all(format!("{line}\n").as_bytes()).await.expect("written");
        to_writer.flush().await.expect("written");
        // bgd sends a line without its end; it is seen before the next one is typed.
        let mut bytes = vec![0; line.len()];
        within("the line", from_reader.read_exact(&mut bytes)).await.expect("read");
        seen.push_str(std::str::from_utf8(&bytes).expect("text"));
    }
    to_writer.write_all(b"\n").await.expect("the empty line that ends it");
    drop(to_writer);
    let written = within("bgd write", writer.wait_with_output()).await.expect("an end");
    assert!(written.status.success() && !String::from_utf8_lossy(&written.stderr).contains("failed"), "{written:?}");
    let mut rest = String::new();
    within("bgd read", from_reader.read_to_string(&mut rest)).await.expect("read");
    assert!(within("bgd read", reader.wait()).await.expect("an end").success());
    assert_eq!((seen.as_str(), rest.as_str()), ("aaaahello hellohelloa", ""));
    let again = succeeded(bgd(&test, "team").args(["read", &name["team/".len()..]])).await;
    assert_eq!(again.out, seen);
    test.close().await;
}
