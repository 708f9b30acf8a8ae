//! Actions in the sandbox: what they see, what they can't do, and what is refused without one. Where bubblewrap does not
//! work, there is nothing to test.

use std::time::Duration;

use millrace_proto::rpc::Code;
use millrace_runner::SandboxMode;

use crate::action_task::{Act, done};
use crate::fixture::Fixture;

fn has_sandbox() -> bool {
    let mut command = std::process::Command::new("bwrap");
    command.args([
        "--unshare-user",
        "--unshare-pid",
        "--unshare-net",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "true",
    ]);
    let works = command.output().is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("skipped: bubblewrap does not work here");
    }
    works
}

async fn sandboxed() -> Fixture {
    Fixture::start_with(|config| config.actions.sandbox = SandboxMode::On).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandboxed_action_is_alone() {
    if !has_sandbox() {
        return;
    }
    let fixture = sandboxed().await;
    let outside = fixture.data.path().join("outside");
    let temporary = std::env::temp_dir().join(format!("millrace-sandbox-test-{}", uuid::Uuid::new_v4()));
    let script = format!(
        "pwd; cat input; hostname 2>/dev/null || cat /proc/sys/kernel/hostname; \
         touch /usr/millrace-test 2>/dev/null && echo wrote-usr; touch {} 2>/dev/null && echo wrote-outside; \
         touch {} && echo wrote-tmp; ls /proc | grep -c '^[0-9]'; cat /etc/shadow 2>/dev/null && echo shadow; \
         ls /sys/class/net 2>/dev/null; grep -c : /proc/net/dev; echo made > out/made",
        outside.display(),
        temporary.display()
    );
    let ended = Act::sh(&script).file("input", "seen\n", false).output("out/made").run(&fixture.server).await;
    let out = ended.out();
    assert_eq!(ended.result().exit_code, 0, "{ended:?}");
    assert!(out.starts_with("/build\nseen\nmillrace\n"), "{out}");
    for never in ["wrote-usr", "wrote-outside", "shadow"] {
        assert!(!out.contains(never), "{out}");
    }
    assert!(out.contains("wrote-tmp") && !temporary.exists() && !outside.exists(), "{out}");
    let numbers = out.lines().filter_map(|line| line.trim().parse::<u32>().ok()).collect::<Vec<_>>();
    assert!(numbers[0] < 10, "its own processes only: {out}");
    assert_eq!(numbers[1], 1, "the loopback device only: {out}");
    assert_eq!(ended.result().output_files.len(), 1);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_reaches_the_command_and_not_the_sandbox() {
    if !has_sandbox() {
        return;
    }
    let fixture = sandboxed().await;
    let act = Act::new(["env"]).env("PATH", "/usr/bin:/bin").env("LD_PRELOAD", "/nowhere.so").env("A", "b c");
    let ended = act.run(&fixture.server).await;
    let mut lines = ended.out().lines().map(str::to_owned).collect::<Vec<_>>();
    lines.sort();
    // PWD is bubblewrap's own addition.
    assert_eq!(lines, ["A=b c", "LD_PRELOAD=/nowhere.so", "PATH=/usr/bin:/bin", "PWD=/build"]);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_there_when_it_is_asked_for() {
    if !has_sandbox() {
        return;
    }
    let fixture = sandboxed().await;
    let devices = |server: &crate::fake_server::FakeServer, network: &str| {
        Act::sh("grep -c : /proc/net/dev").property("network", network).give(server)
    };
    let on = done(&fixture.server, &devices(&fixture.server, "on")).await;
    let off = done(&fixture.server, &devices(&fixture.server, "off")).await;
    let host =
        std::fs::read_to_string("/proc/net/dev").expect("Linux").lines().filter(|line| line.contains(':')).count();
    assert_eq!((on.out().trim(), off.out().trim()), (host.to_string().as_str(), "1"));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_input_root_can_be_the_root() {
    if !has_sandbox() {
        return;
    }
    let fixture = sandboxed().await;
    let act = Act::sh("pwd; cat /input; echo made > /made; ls /proc/self/status; rm -rf /nothing /input 2>&1; exit 0");
    let ended =
        act.property("input-root", "/").file("input", "at the root\n", false).output("made").run(&fixture.server).await;
    assert_eq!(ended.out(), "/\nat the root\n/proc/self/status\n", "{ended:?}");
    assert_eq!(ended.result().output_files.len(), 1);
    // What the sandbox needed to make there is no output.
    let act = Act::sh("true").property("input-root", "/").output("usr").output("proc").output("tmp").output("etc");
    let ended = act.run(&fixture.server).await;
    assert_eq!((ended.result().exit_code, ended.result().output_directories.len()), (0, 0), "{ended:?}");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_the_same_in_the_sandbox() {
    if !has_sandbox() {
        return;
    }
    let fixture = sandboxed().await;
    for (act, word) in [
        (Act::new(["nowhere-to-be-found"]).env("PATH", "/bin"), "nowhere-to-be-found"),
        (Act::new(["./missing"]), "./missing"),
        (Act::new(["./plain"]).file("plain", "no program", false), "./plain"),
    ] {
        let ran = act.run(&fixture.server).await;
        assert!(ran.is(Code::INVALID_ARGUMENT) && ran.status().1.contains(word), "{word}: {:?}", ran.status());
    }
    let ended = Act::sh("exit 7").run(&fixture.server).await;
    assert_eq!(ended.result().exit_code, 7);
    let ended = Act::sh("kill -KILL $$").run(&fixture.server).await;
    assert_eq!((ended.result().exit_code, ended.is(Code::OK)), (137, true));
    let act = Act::sh("trap '' TERM; echo here; (setsid sleep 616 &); sleep 617").timeout(Duration::from_millis(400));
    let ended = act.run(&fixture.server).await;
    assert!(ended.is(Code::DEADLINE_EXCEEDED) && ended.out() == "here\n", "{ended:?}");
    let ended = Act::sh("true").property("sandbox", "off").run(&fixture.server).await;
    assert!(ended.is(Code::FAILED_PRECONDITION), "{:?}", ended.status());
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_sandbox_is_refused_without_one() {
    let fixture = Fixture::start().await;
    let victim = fixture.data.path().join("victim");
    std::fs::write(&victim, "").expect("writes");
    for (name, value) in [("input-root", "/"), ("sandbox", "on"), ("network", "off")] {
        let act = Act::sh(&format!("rm -rf {}", victim.display())).property(name, value);
        let ended = act.run(&fixture.server).await;
        assert!(ended.is(Code::FAILED_PRECONDITION) && ended.status().1.contains(name), "{:?}", ended.status());
        assert!(victim.exists() && !ended.report.give_back);
    }
    let ended = Act::sh("true").property("network", "maybe").run(&fixture.server).await;
    assert!(ended.is(Code::INVALID_ARGUMENT));
    fixture.finish().await;
}
