//! `millrace-bench cache` against a small server in memory, which may lie: a right server is measured, a wrong one
//! does not win.

mod memory_server;

use std::process::Stdio;

use memory_server::{Lie, MemoryServer};
use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn every_workload_of_a_right_server_is_measured() {
    let server = MemoryServer::start(Lie::None).await;
    let (ok, json, errors) = bench(&server.url, &["--instance", "some/project"]).await;
    assert!(ok, "{errors}");
    let side = &json["sides"]["target"];
    let rows = side["rows"].as_object().expect("rows");
    let names = [
        "empty-call",
        "find-missing",
        "batch-update",
        "batch-read",
        "large-write",
        "large-read",
        "small-write",
        "small-read",
        "action-update",
        "action-hit",
        "action-miss",
    ];
    assert_eq!(rows.keys().map(String::as_str).collect::<Vec<_>>(), names);
    for (name, row) in rows {
        let figure = |figure: &str| row[figure].as_f64().unwrap_or(0.0);
        assert!(figure("calls_per_second") > 0.0 && figure("p50_ms") > 0.0, "{name}: {row}");
        assert!(figure("p50_ms") <= figure("p95_ms") && figure("p95_ms") <= figure("p99_ms"), "{name}: {row}");
        let of_bytes = name.starts_with("batch") || name.starts_with("large");
        assert_eq!(figure("megabytes_per_second") > 0.0, of_bytes, "{name}: {row}");
    }
    // A call of batch-update has 100 blobs of 4 KiB, one of large-write a blob of 2 MiB.
    let bytes = |name: &str| 1e6 * rows[name]["megabytes_per_second"].as_f64().unwrap_or(0.0);
    let calls = |name: &str| rows[name]["calls_per_second"].as_f64().unwrap_or(1.0);
    assert_eq!((bytes("batch-update") / calls("batch-update")).round() as u64, 100 * 4096);
    assert_eq!((bytes("large-write") / calls("large-write")).round() as u64, 2 << 20);
}

#[tokio::test]
async fn two_servers_are_compared() {
    let (server, peer) = (MemoryServer::start(Lie::None).await, MemoryServer::start(Lie::None).await);
    let (ok, json, errors) = bench(&server.url, &["--compare", &peer.url, "--only", "empty-call,action-update"]).await;
    assert!(ok, "{errors}");
    for name in ["empty-call", "action-update"] {
        let rate = |side: &str| json["sides"][side]["rows"][name]["calls_per_second"].as_f64().unwrap_or(0.0);
        let ratio = json["ratios"][name].as_f64().unwrap_or(0.0);
        assert!((ratio - rate("target") / rate("peer")).abs() < 1e-9, "{name}: {json}");
    }
}

#[tokio::test]
async fn a_wrong_server_does_not_win() {
    let lies = [
        (Lie::ForgetsWrites, "batch-update", "the effect of calls that succeeded"),
        (Lie::ForgetsWrites, "small-write", "the effect of calls that succeeded"),
        (Lie::ForgetsWrites, "large-write", "the effect of calls that succeeded"),
        (Lie::ForgetsWrites, "action-update", "the effect of calls that succeeded"),
        (Lie::WrongBytes, "batch-read", "wrong content"),
        (Lie::WrongBytes, "small-read", "wrong content"),
        (Lie::WrongBytes, "large-read", "wrong content"),
        (Lie::ShortReads, "small-read", "length of the blob"),
        (Lie::ShortReads, "large-read", "length of the blob"),
        (Lie::NothingIsMissing, "find-missing", "length of the answer"),
        (Lie::HitsAlways, "action-miss", "nobody ever stored"),
    ];
    for (lie, name, message) in lies {
        let server = MemoryServer::start(lie).await;
        let (ok, json, errors) = bench(&server.url, &["--only", name]).await;
        let failed = json["sides"]["target"]["rows"][name]["failed"].as_str().unwrap_or_default();
        assert!(!ok && failed.contains(message), "{lie:?}, {name}: {json} {errors}");
    }
}

/// Whether it ended well, the report of the cache, and what it wrote to standard error.
async fn bench(url: &str, more: &[&str]) -> (bool, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace-bench"))
        .args(["cache", "--json", "--seconds", "0", "--large-mib", "2", "--target", url])
        .args(more)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the bench starts");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let report = report.into_iter().find(|report| report["title"] == "cache").unwrap_or_default();
    (output.status.success(), report, String::from_utf8_lossy(&output.stderr).into_owned())
}
