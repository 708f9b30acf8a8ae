//! The command line as a process: exit codes and output are promised to scripts.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use millrace_bench::wire::millrace_v1::CancelRunRequest;
use millrace_server::auth::Role;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::app::{TestApp, within};

const GOOD: &str = "name: good\njobs:\n  one:\n    runs-on: self-hosted\n    steps:\n      - name: Greet\n        run: echo hello there\n";
const FAILING: &str = "jobs:\n  one:\n    runs-on: self-hosted\n    steps:\n      - run: echo before && exit 7\n";
const ENDLESS: &str = "jobs:\n  one:\n    runs-on: self-hosted\n    steps:\n      - run: echo begun && sleep 600\n";
const INVALID: &str = "jobs:\n  one:\n    run-on: self-hosted\n    steps:\n      - run: x\n";

/// A token that is taken back is refused after so long at the latest.
const REVOKED_WITHIN: Duration = Duration::from_secs(20);

/// The command with an environment of its own: nothing of who runs the tests counts.
fn millrace(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MILLRACE_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).env("NO_COLOR", "1");
    command
}

/// A command that has ended.
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("not killed"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

async fn ended(arguments: &[&str]) -> Ended {
    within(&arguments.join(" "), millrace(arguments).output()).await.expect("it starts").into()
}

/// The command, to be run at a server as its administrator.
pub fn millrace_at(test: &TestApp, arguments: &[&str]) -> Command {
    let mut command = millrace(arguments);
    command.env("MILLRACE_SERVER", &test.url);
    if let Some(token) = &test.admin {
        command.env("MILLRACE_TOKEN", token);
    }
    command
}

/// The same, run to its end.
pub async fn ended_at(test: &TestApp, arguments: &[&str]) -> Ended {
    within(&arguments.join(" "), millrace_at(test, arguments).output()).await.expect("it starts").into()
}

/// It ended with this code, and has said all of these words.
#[track_caller]
pub fn assert_ended(ended: &Ended, code: i32, words: &[&str]) {
    let all = format!("{}{}", ended.out, ended.err);
    assert_eq!(ended.code, code, "{all}");
    for word in words {
        assert!(all.contains(word), "{word:?} is not in: {all}");
    }
}

fn file(test: &TestApp, name: &str, text: &str) -> String {
    let path = test.scratch().join(name);
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn runs_end_with_the_promised_codes() {
    let mut test = TestApp::with_tokens().await;
    test.start_runner(1, &[]).await;
    let (good, failing, invalid) =
        (file(&test, "good.yml", GOOD), file(&test, "failing.yml", FAILING), file(&test, "invalid.yml", INVALID));
    assert_ended(&ended_at(&test, &["run", &good]).await, 0, &["hello there"]);
    assert_ended(&ended_at(&test, &["run", &failing]).await, 5, &["before", "7"]);
    let place = format!("{invalid}:3:5: error: ");
    assert_ended(&ended_at(&test, &["run", &invalid]).await, 2, &[&place, "runs-on"]);
    assert_ended(&ended_at(&test, &["run", "/no/such/file.yml"]).await, 2, &["/no/such/file.yml"]);
    assert_ended(&ended_at(&test, &["run", &good, "--prio", "x"]).await, 2, &["--prio"]);

    let runs = ended_at(&test, &["runs", "--json"]).await;
    let runs: Value = serde_json::from_str(&runs.out).expect("JSON");
    let states: Vec<_> = runs.as_array().expect("a list").iter().map(|run| run["state"].clone()).collect();
    assert_eq!(states, ["STATE_FAILURE", "STATE_SUCCESS"], "newest first, the invalid one never was");
    assert_ended(&ended_at(&test, &["runs"]).await, 0, &["good"]);
    assert_ended(&ended_at(&test, &["logs", "1"]).await, 0, &["hello there"]);
    assert_ended(&ended_at(&test, &["logs", "1/one/1", "-n", "1"]).await, 0, &["hello there"]);
    assert_ended(&ended_at(&test, &["logs", "-f", "latest"]).await, 0, &["before"]);
    assert_ended(&ended_at(&test, &["logs", "99"]).await, 2, &["99"]);
    assert_ended(&ended_at(&test, &["logs", "1/two"]).await, 2, &["two", "one"]);
    assert_ended(&ended_at(&test, &["validate", &good]).await, 0, &["valid, 1 job"]);
    assert_ended(&ended_at(&test, &["validate", &invalid]).await, 2, &[&place]);
    let doctor =
        ended_at(&test, &["doctor", "--data", test.data().to_str().expect("UTF-8"), "--workflow", &good]).await;
    assert_ended(&doctor, 0, &[]);
    test.close().await;
}

#[tokio::test]
async fn a_cancelled_run_ends_with_3() {
    let mut test = TestApp::with_tokens().await;
    test.start_runner(1, &[]).await;
    let endless = file(&test, "endless.yml", ENDLESS);
    let mut command = millrace(&["run", &endless, "--progress", "plain", "--server", &test.url]);
    let mut child = command
        .env("MILLRACE_TOKEN", test.admin.as_deref().expect("a token"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    within("the first line of the log", async {
        while let Some(line) = lines.next_line().await.expect("text") {
            if line.contains("begun") {
                return;
            }
        }
        panic!("it ended too soon");
    })
    .await;
    test.pipelines().cancel_run(CancelRunRequest { run_id: "1".into() }).await.expect("cancelled");
    while within("the rest", lines.next_line()).await.expect("text").is_some() {}
    let status = within("the end", child.wait()).await.expect("a status");
    assert_eq!(status.code(), Some(3));
    test.close().await;
}

#[tokio::test]
async fn who_may_not_is_told_so_with_4_and_who_is_not_reached_with_6() {
    let test = TestApp::with_tokens().await;
    let good = file(&test, "good.yml", GOOD);
    let at = ["--server", &test.url];
    assert_ended(&ended(&[&["runs"], &at[..]].concat()).await, 4, &["token"]);
    let reader = test.token(Role::Read).await;
    let refused = ended(&[&["run", &good, "--token", &reader], &at[..]].concat()).await;
    assert_ended(&refused, 4, &["role run", "read"]);
    assert_ended(&ended(&[&["runs", "--token", "garbage"], &at[..]].concat()).await, 4, &["token"]);

    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let nobody = format!("http://{free}");
    assert_ended(&ended(&["runs", "--server", &nobody]).await, 6, &[&nobody, "millrace dev"]);
    let doctor = ended(&["doctor", "--server", &nobody]).await;
    assert_ended(&doctor, 1, &[&free.port().to_string()]);
    test.close().await;
}

#[tokio::test]
async fn a_token_is_made_offline_and_good_at_once() {
    let test = TestApp::with_tokens().await;
    let data = test.data();
    let data = data.to_str().expect("UTF-8");
    let made = ended(&["token", "create", "--role", "read", "--label", "script", "--data", data]).await;
    assert_ended(&made, 0, &[]);
    let token = made.out.strip_suffix('\n').expect("a line").to_owned();
    assert!(!token.contains(char::is_whitespace) && token.split('.').count() == 3, "the token alone: {token:?}");
    assert_ended(&ended(&["runs", "--server", &test.url, "--token", &token]).await, 0, &[]);

    let listed = ended(&["token", "list", "--data", data]).await;
    assert_ended(&listed, 0, &["script", "good"]);
    assert!(!listed.out.contains(&token), "secrets are not listed");
    let line = listed.out.lines().find(|line| line.contains("script")).expect("its line");
    let id = line.split_whitespace().next().expect("its id");
    assert_ended(&ended(&["token", "revoke", id, "--data", data]).await, 0, &[id]);
    // The server may take a token that it has just seen for good a second longer.
    let begun = Instant::now();
    let refused = loop {
        let tried = ended(&["runs", "--server", &test.url, "--token", &token]).await;
        if tried.code != 0 || begun.elapsed() > REVOKED_WITHIN {
            break tried;
        }
    };
    assert_ended(&refused, 4, &["revoked"]);

    let runner = ended(&["token", "create", "--role", "runner", "--data", data]).await;
    assert!(runner.out.starts_with("mrr_") && runner.out.lines().count() == 1, "{}", runner.out);
    assert_ended(&ended(&["token", "create", "--role", "king", "--data", data]).await, 2, &["king", "admin"]);
    test.close().await;
}

#[tokio::test]
async fn completions_are_printed() {
    assert_ended(&ended(&["completions", "bash"]).await, 0, &["complete -F", "millrace"]);
    assert_ended(&ended(&["--version"]).await, 0, &[env!("CARGO_PKG_VERSION")]);
    assert_ended(&ended(&[]).await, 2, &["Usage"]);
}

/// A server process; its standard output by lines.
struct Serving {
    child: tokio::process::Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Serving {
    fn start(command: &str, data: &Path) -> Self {
        let arguments = [command, "--listen", "127.0.0.1:0", "--data", data.to_str().expect("UTF-8")];
        let mut child = millrace(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        within("a line of the server", self.lines.next_line()).await.expect("text").expect("a line")
    }

    /// SIGTERM, and the exit code.
    async fn stop(mut self) -> Option<i32> {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill");
        assert!(sent.success());
        within("the server's end", self.child.wait()).await.expect("a status").code()
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_prints_where_it_listens_and_ends_well_at_sigterm() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["serve", "dev"] {
        let data: PathBuf = folder.path().join(command);
        let mut serving = Serving::start(command, &data);
        let line = serving.line().await;
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
        assert!(url.starts_with("http://127.0.0.1:") && !url.ends_with(":0"), "{url}");
        let healthy = reqwest::get(format!("{url}/healthz")).await.expect("an answer");
        assert_eq!(healthy.status(), 200);
        if command == "serve" {
            let first = serving.line().await;
            let link = first.split_whitespace().find(|word| word.contains("/login?token=")).expect("a link");
            let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("one");
            assert_eq!(client.get(link).send().await.expect("an answer").status(), 303);
            let second = within(
                "the second",
                millrace(&[
                    "serve",
                    "--listen",
                    url.trim_start_matches("http://"),
                    "--data",
                    data.to_str().expect("UTF-8"),
                ])
                .output(),
            );
            let second = Ended::from(second.await.expect("it starts"));
            let port = url.rsplit(':').next().expect("a port");
            assert_ended(&second, 1, &[&format!("port {port} is busy"), "--listen"]);
        }
        assert_eq!(serving.stop().await, Some(0), "{command}");
    }
}

#[tokio::test]
async fn a_server_does_not_go_beyond_this_machine_by_accident() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("UTF-8");
    let serve = ended(&["serve", "--listen", "0.0.0.0:0", "--data", data]).await;
    assert_ended(&serve, 1, &["--tls-cert", "--plain-http"]);
    assert_ended(&ended(&["dev", "--listen", "0.0.0.0:0", "--data", data]).await, 1, &["loopback", "millrace serve"]);
    assert_ended(&ended(&["serve", "--listen", "nonsense", "--data", data]).await, 1, &["nonsense"]);
    assert!(std::fs::read_dir(folder.path()).expect("a folder").next().is_none(), "it wrote nothing");
}
