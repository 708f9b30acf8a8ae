//! `millrace logs` as a process: searches, times, logs by id, lines that were split, and what it says of what it leaves out.

use millrace_bench::wire::runner_v1::UpdateLogRequest;
use serde_json::Value;

use crate::agent_grpc::log_of;
use crate::app::{TestApp, within};
use crate::cli::{assert_ended, ended_at, millrace_at};
use crate::log_reading::{ended, printed};

#[tokio::test]
async fn lines_are_searched_by_the_server() {
    let test = TestApp::with_tokens().await;
    let rows = ["\u{1b}[31mFa\u{1b}[0mil 1", "pass", "fail 2", "fail.3"];
    let (mut agent, run, log) = printed(&test, &rows).await;
    for (arguments, expected) in [
        (&["logs", "1", "--grep", "fail"][..], "fail 2\nfail.3\n"),
        (&["logs", "1", "--grep", "fail", "-i"], "Fail 1\nfail 2\nfail.3\n"),
        (&["logs", "1", "--grep", "l.", "--line-number"], "4:fail.3\n"),
        (&["logs", "1/one", "--grep", "^(pass|fail).[0-9]$", "--regex"], "fail 2\nfail.3\n"),
        (&["logs", "1/one/1", "--grep", "fail", "-n", "1"], "fail.3\n"),
        (&["logs", "1", "--grep", "fail", "--since", "1h"], "fail 2\nfail.3\n"),
        (&["logs", "1", "-n", "1", "--line-number"], "4:fail.3\n"),
        (&["logs", "1", "--since", "10m"], "Fail 1\npass\nfail 2\nfail.3\n"),
        (&["logs", "--id", &log, "--grep", "2"], "fail 2\n"),
        (&["logs", "--id", &log, "-n", "2"], "fail 2\nfail.3\n"),
        (&["logs", "--id", &log, "--raw", "-n", "2"], "fail 2\nfail.3\n"),
    ] {
        let ended = ended_at(&test, arguments).await;
        assert_ended(&ended, 0, &[]);
        assert_eq!((ended.out.as_str(), ended.err.as_str()), (expected, ""), "{arguments:?}");
    }
    let json = ended_at(&test, &["logs", "--id", &log, "--grep", "FAIL", "-i", "--json"]).await;
    let events: Vec<Value> = json.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 3, "{}", json.out);
    assert_eq!(events[0]["logId"], log);
    assert_eq!(
        (&events[0]["line"], &events[0]["text"], &events[0]["columns"]),
        (&1.into(), &"Fail 1".into(), &serde_json::json!([[0, 4]]))
    );

    let none = ended_at(&test, &["logs", "1", "--grep", "absent"]).await;
    assert_ended(&none, 0, &["no line has \"absent\""]);
    assert_eq!(none.out, "");
    let future = ended_at(&test, &["logs", "1", "--since", "2100-01-01T00:00:00Z"]).await;
    assert_eq!((future.code, future.out.as_str()), (0, ""), "{}", future.err);
    ended(&mut agent, &run, 4).await;
    let after = ended_at(&test, &["logs", "1", "-f", "--grep", "fail", "--since", "1h"]).await;
    assert_eq!((after.code, after.out.as_str()), (0, "fail 2\nfail.3\n"), "{}", after.err);
    let one = ended_at(&test, &["logs", "--id", &log, "-f", "-n", "1"]).await;
    assert_eq!((one.code, one.out.as_str()), (0, "fail.3\n"), "{}", one.err);
    test.close().await;
}

#[tokio::test]
async fn what_does_not_go_together_is_named() {
    let test = TestApp::with_tokens().await;
    let (_agent, _run, log) = printed(&test, &["x"]).await;
    for (arguments, words) in [
        (&["logs", "1", "--regex"][..], &["--grep"][..]),
        (&["logs", "1", "-i"], &["--grep"]),
        (&["logs", "1", "--raw", "--grep", "x"], &["--raw", "--grep"]),
        (&["logs", "1", "--raw", "--line-number"], &["--raw", "--line-number"]),
        (&["logs", "1", "-n", "1", "--since", "1h"], &["--lines", "--since"]),
        (&["logs", "1", "--id", &log], &["--id", "RUN"]),
        (&["logs", "1", "--since", "yesterday"], &["--since", "10m"]),
        (&["logs", "1", "--grep", "a(", "--regex"], &["pattern", "unclosed group"]),
        (&["logs", "1", "--grep", ""], &["pattern", "1024"]),
        (&["logs", "--id", "none"], &["none"]),
    ] {
        assert_ended(&ended_at(&test, arguments).await, 2, words);
    }
    let help = ended_at(&test, &["logs", "--help"]).await;
    assert_ended(&help, 0, &["--grep", "--regex", "--ignore-case", "--since", "--id", "2h", "--line-number"]);
    test.close().await;
}

#[tokio::test]
async fn a_split_line_is_one_line_and_a_cut_one_is_told() {
    let test = TestApp::with_tokens().await;
    let long = format!("{}end", "0123456789".repeat(15_000));
    let (mut agent, run, log) = printed(&test, &["a", &long, "b"]).await;
    ended(&mut agent, &run, 3).await;
    let shown = ended_at(&test, &["logs", "1"]).await;
    assert_ended(&shown, 0, &[]);
    assert_eq!(shown.out, format!("a\n{long}\nb\n"));
    let raw = ended_at(&test, &["logs", "--id", &log, "--raw"]).await;
    assert_eq!(raw.out, format!("a\n{long}\nb\n"));
    let json = ended_at(&test, &["logs", "1", "--json"]).await;
    assert_eq!(json.out.lines().count(), 3);
    let found = ended_at(&test, &["logs", "1", "--grep", "9end", "--line-number"]).await;
    assert_ended(&found, 0, &["line 2 is longer than the 65536 bytes"]);
    assert_eq!((found.out.len(), &found.out[..4]), (2 + 65_536 + 1, "2:01"));
    test.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_search_goes_on_live() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let test = TestApp::with_tokens().await;
    let (mut agent, run, _log) = printed(&test, &["x 1", "y"]).await;
    let mut command = millrace_at(&test, &["logs", "1", "-f", "--grep", "x"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = async || within("a line", lines.next_line()).await.expect("text");
    assert_eq!(next().await.as_deref(), Some("x 1"));
    let more = UpdateLogRequest { index: 2, ..log_of(&run, &["y", "x 2"]) };
    agent.client.update_log(more).await.expect("stored");
    assert_eq!(next().await.as_deref(), Some("x 2"));
    ended(&mut agent, &run, 4).await;
    assert_eq!(next().await, None);
    assert_eq!(within("the end", child.wait()).await.expect("a status").code(), Some(0));
    test.close().await;
}
