//! Actions of remote execution: what a command gets, what it leaves, how it ends, and what the server hears of it.

use std::time::Duration;

use millrace_proto::digest::{Digest, DigestFunction};
use millrace_proto::rpc::Code;
use millrace_proto::runner_v1::action_report::Stage;
use millrace_proto::runner_v1::fetch_task_request::Wants;
use millrace_runner::Exit;

use crate::action_task::{Act, done};
use crate::fake_server::WAIT_MAX_SECONDS;
use crate::fixture::{Fixture, is_alive, sh, task};

/// Waits until a file has a number in it.
async fn number_in(path: &std::path::Path) -> u32 {
    for _ in 0..WAIT_MAX_SECONDS * 50 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if let Some(number) = text.strip_suffix('\n').and_then(|text| text.parse().ok()) {
            return number;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} does not come", path.display());
}

/// A script that writes its process to a file outside, and goes on.
fn telling(path: &std::path::Path, then: &str) -> String {
    format!("echo $$ > {0}.new; mv {0}.new {0}; {then}", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_runs_with_exactly_its_environment_and_its_inputs() {
    let fixture = Fixture::start().await;
    let act = Act::new(["env"]).env("PATH", "/usr/bin:/bin").env("B", "2 = two").env("A", "");
    let ended = act.file("input", "x", false).run(&fixture.server).await;
    assert_eq!((ended.result().exit_code, ended.status().0), (0, Code::OK as i32));
    let mut lines = ended.out().lines().map(str::to_owned).collect::<Vec<_>>();
    lines.sort();
    assert_eq!(lines, ["A=", "B=2 = two", "PATH=/usr/bin:/bin"]);

    let act = Act::sh("cat input && ./tool > out/made && pwd && echo oh >&2; exit 3").output("out/made");
    let act = act.file("input", "the input\n", false).file("tool", "#!/bin/sh\necho made it\n", true);
    let ended = act.run(&fixture.server).await;
    let result = ended.result();
    assert_eq!((result.exit_code, ended.err().as_str()), (3, "oh\n"));
    assert!(ended.out().starts_with("the input\n/"), "{}", ended.out());
    let made = &result.output_files[0];
    assert_eq!((made.path.as_str(), made.digest.as_option().expect("one").size_bytes), ("out/made", 8));
    let made = Digest::of(DigestFunction::Sha256, b"made it\n");
    assert_eq!(fixture.server.cas.get(&made).as_deref(), Some(&b"made it\n"[..]));

    let metadata = result.execution_metadata.as_option().expect("metadata");
    assert_eq!(metadata.worker, "test-runner");
    let moments = [
        &metadata.queued_timestamp,
        &metadata.worker_start_timestamp,
        &metadata.input_fetch_start_timestamp,
        &metadata.input_fetch_completed_timestamp,
        &metadata.execution_start_timestamp,
        &metadata.execution_completed_timestamp,
        &metadata.output_upload_start_timestamp,
        &metadata.output_upload_completed_timestamp,
        &metadata.worker_completed_timestamp,
    ];
    let moments = moments.map(|moment| moment.as_option().map(|at| (at.seconds, at.nanos)).expect("every moment"));
    assert!(moments.is_sorted(), "{moments:?}");
    assert!(metadata.virtual_execution_duration.is_set());
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_action_takes_one_call_and_no_stream() {
    let fixture = Fixture::start().await;
    let ids = (0..20).map(|_| Act::new(["/bin/true"]).file("i", "1", false).followed().give(&fixture.server));
    for id in ids.collect::<Vec<_>>() {
        assert_eq!(done(&fixture.server, &id).await.result().exit_code, 0);
    }
    {
        let heard = fixture.server.heard();
        assert!(heard.updates.len() <= 25, "{} calls for 20 actions", heard.updates.len());
        let streams = &fixture.server.cas.state().streams;
        assert!(streams.is_empty(), "{streams:?}");
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_found_as_the_protocol_says() {
    let fixture = Fixture::start().await;
    let tool = "#!/bin/sh\necho \"$0\"\n";
    let ran = Act::new(["tool"]).env("PATH", "/nowhere:.").file("tool", tool, true).run(&fixture.server).await;
    assert_eq!(ran.result().exit_code, 0, "{ran:?}");
    let ran = Act::new(["../tool"]).folder("deep").file("tool", tool, true).run(&fixture.server).await;
    assert_eq!(ran.result().exit_code, 0, "{ran:?}");
    for (act, word) in [
        (Act::new(["nowhere-to-be-found"]).env("PATH", "/bin"), "nowhere-to-be-found"),
        (Act::new(["./missing"]), "./missing"),
        (Act::new(["./plain"]).file("plain", "no program", false), "executed"),
        (Act::new(["./odd"]).file("odd", "#!/no/such/interpreter\n", true), "interpret"),
        (Act::new([]), "arguments"),
        (Act::new(["true"]).env("A=B", "c"), "environment"),
        (Act::new(["true"]).folder("../x"), "working_directory"),
    ] {
        let ran = act.run(&fixture.server).await;
        assert!(ran.is(Code::INVALID_ARGUMENT), "{word}: {:?}", ran.status());
        assert!(ran.status().1.contains(word), "{word}: {:?}", ran.status());
        assert!(!ran.report.give_back && !ran.response.result.is_set());
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_end_with_their_action() {
    let fixture = Fixture::start().await;
    let pids = fixture.data.path().join("daemon");
    // Forked twice, a session of its own, no environment, deaf to signals, nothing open.
    let daemon = telling(&pids, "trap '' TERM HUP INT; while :; do sleep 0.05; done");
    let script = format!(
        "(setsid env -i PATH=/usr/bin:/bin sh -c '{daemon}' < /dev/null > /dev/null 2>&1 &) & \
                          while [ ! -e {} ]; do sleep 0.01; done; echo done",
        pids.display()
    );
    let ended = Act::sh(&script).run(&fixture.server).await;
    assert_eq!((ended.result().exit_code, ended.out().as_str()), (0, "done\n"));
    assert!(!is_alive(number_in(&pids).await));
    // A stampede: each of these starts more.
    let ended =
        Act::sh("f() { sleep 100 & f2 & }; f2() { setsid sleep 101 & }; for i in 1 2 3 4 5 6 7 8; do f & done; exit 0");
    let ended = ended.run(&fixture.server).await;
    assert_eq!(ended.result().exit_code, 0);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_even_who_ignores_signals() {
    let fixture = Fixture::start().await;
    let script = "echo before; echo kept > kept; trap '' TERM; while :; do sleep 0.05; done";
    let act = Act::sh(script).output("kept").timeout(Duration::from_millis(300));
    let ended = act.run(&fixture.server).await;
    assert!(ended.is(Code::DEADLINE_EXCEEDED), "{:?}", ended.status());
    assert!(ended.status().1.contains("300 ms"));
    assert_eq!((ended.result().exit_code, ended.out().as_str()), (137, "before\n"));
    assert_eq!(ended.result().output_files.len(), 1);
    let ended = Act::sh("kill -SEGV $$").run(&fixture.server).await;
    assert_eq!((ended.result().exit_code, ended.is(Code::OK)), (139, true));
    assert!(ended.response.message.contains("signal 11"));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_action_is_killed_at_each_stage() {
    let fixture = Fixture::start().await;
    // While it runs.
    let pids = fixture.data.path().join("running");
    let id = Act::sh(&telling(&pids, "trap '' TERM; sleep 611")).give(&fixture.server);
    let pid = number_in(&pids).await;
    fixture.server.set(|heard| heard.cancelled.extend([id.clone()]));
    assert!(done(&fixture.server, &id).await.is(Code::CANCELLED));
    assert!(!is_alive(pid));
    // While its inputs come.
    fixture.server.cas.set(|cas| cas.hold_reads = true);
    let id = Act::sh("true").file("input", "never seen", false).give(&fixture.server);
    fixture.server.set(|heard| heard.cancelled.extend([id.clone()]));
    assert!(done(&fixture.server, &id).await.is(Code::CANCELLED));
    fixture.server.cas.set(|cas| cas.hold_reads = false);
    // While it waits for a slot.
    let go = fixture.data.path().join("go");
    let first = Act::sh(&format!("while [ ! -e {} ]; do sleep 0.02; done", go.display())).give(&fixture.server);
    let waits = |heard: &crate::fake_server::Heard, id: &str, stage: Stage| {
        heard.action_reports.get(id)?.iter().any(|report| report.stage == stage).then_some(())
    };
    fixture.server.wait_for("the first runs", |heard| waits(heard, &first, Stage::STAGE_EXECUTING)).await;
    let second = Act::sh("true").give(&fixture.server);
    fixture.server.wait_for("the second waits", |heard| waits(heard, &second, Stage::STAGE_INPUT_FETCH)).await;
    fixture.server.set(|heard| heard.cancelled.extend([second.clone()]));
    assert!(done(&fixture.server, &second).await.is(Code::CANCELLED));
    std::fs::write(&go, "").expect("writes");
    assert_eq!(done(&fixture.server, &first).await.result().exit_code, 0);
    // Taken away: nothing more is said.
    let pids = fixture.data.path().join("taken");
    let id = Act::sh(&telling(&pids, "sleep 612")).give(&fixture.server);
    let pid = number_in(&pids).await;
    fixture.server.set(|heard| heard.taken_away.extend([id.clone()]));
    assert_eq!(Act::sh("true").run(&fixture.server).await.result().exit_code, 0);
    assert!(!is_alive(pid) && !fixture.server.heard().action_ends.contains_key(&id));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_can_be_followed_and_is_whole() {
    let fixture = Fixture::start().await;
    let go = fixture.data.path().join("go");
    let script = format!("echo first; while [ ! -e {} ]; do sleep 0.02; done; echo last; echo bad >&2", go.display());
    let id = Act::sh(&script).followed().give(&fixture.server);
    let (out, err) = (format!("logstreams/{id}.stdout/secret"), format!("logstreams/{id}.stderr/secret"));
    fixture.server.cas.wait_for(|cas| cas.streams.get(&out).is_some_and(|(bytes, _)| bytes == b"first\n")).await;
    // Broken off: it goes on where it was.
    fixture.server.cas.set(|cas| cas.break_streams = 1);
    std::fs::write(&go, "").expect("writes");
    assert_eq!(done(&fixture.server, &id).await.out(), "first\nlast\n");
    fixture.server.cas.wait_for(|cas| cas.streams.get(&out) == Some(&(b"first\nlast\n".to_vec(), true))).await;
    fixture.server.cas.wait_for(|cas| cas.streams.get(&err).is_none_or(|(_, finished)| *finished)).await;
    // A server that takes no streams.
    fixture.server.cas.set(|cas| cas.refuse_streams = true);
    let ended = Act::sh("echo a; sleep 0.4; echo b").followed().run(&fixture.server).await;
    assert_eq!(ended.out(), "a\nb\n");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_print_takes_little_memory() {
    const PRINTED: u64 = 300 * 1024 * 1024;
    let fixture = Fixture::start().await;
    let before = peak_kilobytes();
    let ended = Act::sh(&format!("head -c {PRINTED} /dev/zero")).run(&fixture.server).await;
    let digest = ended.result().stdout_digest.as_option().expect("a digest");
    assert_eq!(digest.size_bytes as u64, PRINTED);
    // The server of the test keeps what it gets in this very process, once while it comes and once whole.
    let grown = peak_kilobytes().saturating_sub(before) * 1024;
    assert!(grown < 3 * PRINTED, "{grown} bytes more");
    fixture.finish().await;
}

fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_ascii_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_bounded_and_others_go_on() {
    let fixture = Fixture::start_with(|config| {
        config.slots = 2;
        config.actions.disk_max_bytes = 4 * 1024 * 1024;
    })
    .await;
    let greedy = Act::sh("head -c 100000000 /dev/zero").give(&fixture.server);
    let files = Act::sh("for i in 1 2 3 4; do head -c 3000000 /dev/zero > $i; done; sleep 613").give(&fixture.server);
    let file = Act::sh("head -c 100000000 /dev/zero > one").give(&fixture.server);
    let modest = Act::sh("echo fine").give(&fixture.server);
    for id in [greedy, files] {
        let ended = done(&fixture.server, &id).await;
        assert!(ended.is(Code::RESOURCE_EXHAUSTED), "{:?}", ended.status());
        assert!(ended.status().1.contains("4194304"), "{:?}", ended.status());
    }
    // One file over the bound is the system's to refuse: the command sees a failed write.
    assert_ne!(done(&fixture.server, &file).await.result().exit_code, 0);
    assert_eq!(done(&fixture.server, &modest).await.out(), "fine\n");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_of_the_next_come_while_one_runs_and_slots_are_never_exceeded() {
    let fixture = Fixture::start_with(|config| config.slots = 2).await;
    let running = fixture.data.path().join("running");
    std::fs::create_dir(&running).expect("makes");
    let go = fixture.data.path().join("go");
    let script = format!(
        "touch {0}/$$; ls {0} | wc -l; while [ ! -e {1} ]; do sleep 0.02; done; sleep 0.05; ls {0} | wc -l; rm {0}/$$",
        running.display(),
        go.display()
    );
    let first = [Act::sh(&script), Act::sh(&script)].map(|act| act.give(&fixture.server));
    for id in &first {
        let runs = |heard: &crate::fake_server::Heard| {
            heard.action_reports.get(id)?.iter().any(|report| report.stage == Stage::STAGE_EXECUTING).then_some(())
        };
        fixture.server.wait_for("it runs", runs).await;
    }
    let ahead = Act::sh("cat input").file("input", "fetched ahead", false).give(&fixture.server);
    let input = Digest::of(DigestFunction::Sha256, b"fetched ahead");
    fixture.server.cas.wait_for(|cas| cas.reads.contains(&input)).await;
    assert!(fixture.server.heard().action_ends.is_empty());
    let more = (0..6).map(|_| Act::sh(&script).give(&fixture.server)).collect::<Vec<_>>();
    std::fs::write(&go, "").expect("writes");
    assert_eq!(done(&fixture.server, &ahead).await.out(), "fetched ahead");
    for id in first.iter().chain(&more) {
        let out = done(&fixture.server, id).await.out();
        let most = out.lines().map(|line| line.trim().parse::<u32>().expect("a number")).max();
        assert!(most.is_some_and(|most| most <= 2), "{out}");
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_actions_share_the_slots() {
    let fixture = Fixture::start().await;
    let job = task([sh("echo ready; while [ ! -e go ]; do sleep 0.02; done")]);
    fixture.server.give(&job);
    fixture.server.row(&job.tx_uuid, "ready").await;
    // No slot will be free soon: it is left to others.
    let action = Act::sh("echo after").give(&fixture.server);
    std::fs::write(fixture.work().join(&job.tx_uuid).join("go"), "").expect("writes");
    assert_eq!(done(&fixture.server, &action).await.out(), "after\n");
    let next = task([sh("echo next")]);
    assert_eq!(fixture.run(&next).await.state, "success");
    {
        let heard = fixture.server.heard();
        let declared = &heard.declarations[0];
        assert!(declared.runs_actions);
        let offers =
            |name: &str, value: &str| declared.properties.iter().any(|one| one.name == name && one.value == value);
        assert!(offers("OSFamily", "linux") && offers("OSFamily", "Linux") && offers("label", "self-hosted"));
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_actions_and_a_kill_leaves_nothing() {
    let mut fixture = Fixture::start().await;
    let go = fixture.data.path().join("go");
    let pids = fixture.data.path().join("pid");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done; echo finished", go.display());
    let id = Act::sh(&telling(&pids, &wait)).give(&fixture.server);
    number_in(&pids).await;
    fixture.shutdown.drain();
    std::fs::write(&go, "").expect("writes");
    assert_eq!(fixture.ended().await.expect("ends well"), Exit::Drained);
    assert_eq!(done(&fixture.server, &id).await.out(), "finished\n");
    fixture.assert_clean();

    let mut fixture = Fixture::start().await;
    let pids = fixture.data.path().join("pid");
    let id = Act::sh(&telling(&pids, "trap '' TERM; setsid sleep 614 & sleep 615")).give(&fixture.server);
    let pid = number_in(&pids).await;
    fixture.shutdown.kill();
    assert_eq!(fixture.ended().await.expect("ends"), Exit::Killed);
    assert!(!is_alive(pid) && !fixture.server.heard().action_ends.contains_key(&id));
    fixture.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_without_actions_asks_for_none() {
    let fixture = Fixture::start_with(|config| config.actions.enabled = false).await;
    assert_eq!(fixture.run(&task([sh("echo job")])).await.state, "success");
    {
        let heard = fixture.server.heard();
        assert!(!heard.declarations[0].runs_actions && heard.declarations[0].properties.is_empty());
        assert!(heard.fetches.iter().all(|fetch| fetch.wants == Wants::WANTS_UNSPECIFIED));
    }
    fixture.finish().await;
}

/// Not a test of anything: prints how many short actions a second this build of the runner does.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn rate_of_short_actions() {
    for sandbox in [millrace_runner::SandboxMode::Off, millrace_runner::SandboxMode::On] {
        let fixture = Fixture::start_with(|config| {
            config.slots = 2;
            config.actions.sandbox = sandbox;
        })
        .await;
        let ids = (0..1_000).map(|_| Act::new(["/bin/true"]).file("i", "1", false).give(&fixture.server));
        let (ids, begun) = (ids.collect::<Vec<_>>(), std::time::Instant::now());
        for id in &ids {
            assert_eq!(done(&fixture.server, id).await.result().exit_code, 0);
        }
        println!("{sandbox:?}: {:.0} actions a second", ids.len() as f64 / begun.elapsed().as_secs_f64());
        fixture.finish().await;
    }
}
