//! The program itself: signals, and what a killed runner leaves behind for the next one to clean.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::action_task::Act;
use crate::fake_server::{FakeServer, WAIT_MAX_SECONDS};
use crate::fixture::{folder, is_alive, marked_processes, sh, task};

/// The program, ended with the test.
struct Program(Child);

impl Program {
    fn start(server: &FakeServer, data: &TempDir, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace-runner"));
        command.args(["--server", &server.url(), "--data"]).arg(data.path()).args(more);
        command.env("MILLRACE_REGISTRATION_TOKEN", "registration").stdin(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("starts"))
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    async fn exit_code(&mut self) -> Option<i32> {
        for _ in 0..WAIT_MAX_SECONDS * 50 {
            if let Some(status) = self.0.try_wait().expect("waits") {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not end");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Mostly it has ended long ago.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_signal_drains_and_a_second_kills() {
    let (server, data) = (FakeServer::start().await, folder());
    let mut program = Program::start(&server, &data, &[]);
    let job = task([sh("echo ready; while [ ! -e go ]; do sleep 0.02; done")]);
    server.give(&job);
    server.row(&job.tx_uuid, "ready").await;
    program.signal("-TERM");
    std::fs::write(data.path().join("work").join(&job.tx_uuid).join("go"), "").expect("writes");
    assert_eq!(program.exit_code().await, Some(0));
    assert_eq!(server.final_state(&job.tx_uuid).await.state, "success");

    let mut program = Program::start(&server, &data, &["--slots", "2"]);
    let job = task([sh("echo ready $$; sleep 608")]);
    server.give(&job);
    let run = job.tx_uuid.clone();
    let pid = server.wait_for("the pid", |heard| {
        let row = heard.logs.get(&(run.clone(), 0))?.rows.iter().find(|row| row.text.starts_with("ready "))?;
        row.text[6..].parse::<u32>().ok()
    });
    let pid = pid.await;
    program.signal("-INT");
    program.signal("-TERM");
    assert_eq!(program.exit_code().await, Some(130));
    assert!(!is_alive(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_runner_is_cleaned_up_after_by_the_next() {
    let (server, data) = (FakeServer::start().await, folder());
    let mut program = Program::start(&server, &data, &[]);
    let job = task([sh("sleep 609 & echo ready; sleep 610")]);
    server.give(&job);
    server.row(&job.tx_uuid, "ready").await;
    program.signal("-KILL");
    assert_eq!(program.exit_code().await, None);
    let text = std::fs::read_to_string(data.path().join("identity.json")).expect("an identity");
    let uuid = serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["uuid"].as_str().expect("u").to_owned();
    assert!(marked_processes(&uuid).len() >= 2, "what it left");
    assert!(data.path().join("work").join(&job.tx_uuid).exists());

    let mut program = Program::start(&server, &data, &[]);
    let next = task([sh("echo next")]);
    server.give(&next);
    assert_eq!(server.final_state(&next.tx_uuid).await.state, "success");
    assert_eq!(marked_processes(&uuid), Vec::<u32>::new());
    assert!(!data.path().join("work").join(&job.tx_uuid).exists());
    program.signal("-TERM");
    assert_eq!(program.exit_code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_runner_takes_its_actions_with_it() {
    let (server, data) = (FakeServer::start().await, folder());
    let mut program = Program::start(&server, &data, &["--sandbox", "off"]);
    let script = "trap '' TERM HUP; (setsid sh -c 'echo $$ > two.new; mv two.new two; sleep 618' &); \
                  while [ ! -e two ]; do sleep 0.01; done; echo $$ > one.new; mv one.new one; sleep 619";
    Act::sh(script).give(&server);
    let find = |name: &'static str| {
        let mut folders = std::fs::read_dir(data.path().join("work")).into_iter().flatten().flatten();
        folders.find_map(|folder| std::fs::read_to_string(folder.path().join(name)).ok()?.trim().parse::<u32>().ok())
    };
    let mut pids = None;
    for _ in 0..WAIT_MAX_SECONDS * 50 {
        pids = find("one").zip(find("two"));
        if pids.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (one, two) = pids.expect("it runs");
    assert!(is_alive(one) && is_alive(two));
    program.signal("-KILL");
    assert_eq!(program.exit_code().await, None);
    for _ in 0..WAIT_MAX_SECONDS * 50 {
        if !is_alive(one) && !is_alive(two) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("they outlive the runner");
}

#[test]
fn usage_errors_and_help() {
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_millrace-runner")).args(arguments).output().expect("runs")
    };
    let help = run(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.status.success());
    for word in [
        "--server",
        "--token",
        "--labels",
        "--slots",
        "--data",
        "--ephemeral",
        "--pass-env",
        "--property",
        "--sandbox",
        "--no-actions",
        "Exit codes",
    ] {
        assert!(text.contains(word), "{word}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
    assert_eq!(run(&["--server", "nonsense"]).status.code(), Some(2));
}
