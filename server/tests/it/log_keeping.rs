//! How long logs are kept and how large they get, on a real server: what the settings say happens, and what goes on is
//! left alone.

use std::time::{Duration, Instant};

use bytes::Bytes;
use millrace_bench::wire::millrace_v1::log_service_client::LogServiceClient;
use millrace_bench::wire::millrace_v1::log_usage::Kind;
use millrace_bench::wire::millrace_v1::{
    GetLogRequest, GetLogRoomRequest, GetLogRoomResponse, ReadLinesRequest, Run, RunRequest,
};
use millrace_bench::wire::runner_v1::UpdateLogRequest;
use millrace_engine::logs::records::NamedLog;
use millrace_server::auth::Role;
use millrace_server::config::RawLogConfig;
use tonic::Code;

use crate::agent_grpc::{Agent, log_of, update_of};
use crate::app::{Options, TestApp, within};
use crate::cas_client::{Remote, noise};
use crate::log_reading::{ended, printed};
use crate::log_streams::Made;

const ONE_JOB: &str = "jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n";

/// A server that looks through its logs every second.
async fn keeping(set: impl FnOnce(&mut RawLogConfig)) -> TestApp {
    let mut logs = RawLogConfig { sweep: Some("1s".into()), ..Default::default() };
    set(&mut logs);
    TestApp::start(Options { logs, log_segment_bytes: Some(1 << 20), ..Options::default() }).await
}

async fn room(test: &TestApp) -> GetLogRoomResponse {
    test.logs().get_log_room(GetLogRoomRequest::default()).await.expect("the room").into_inner()
}

/// The state of the room once it is as wanted.
async fn room_once(test: &TestApp, what: &str, wanted: impl Fn(&GetLogRoomResponse) -> bool) -> GetLogRoomResponse {
    within(what, async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            let room = room(test).await;
            if wanted(&room) {
                return room;
            }
        }
    })
    .await
}

/// The state after a sweep that began after now.
async fn swept(test: &TestApp) -> GetLogRoomResponse {
    let now_ms = test.app.clock.now_ms();
    let began =
        |room: &GetLogRoomResponse| room.last_sweep.as_ref().map_or(0, |last| last.ended_millis - last.took_millis);
    room_once(test, "a sweep", |room| began(room) > now_ms).await
}

fn logs_of(room: &GetLogRoomResponse, kind: Kind) -> u64 {
    room.usage.iter().find(|usage| usage.kind() == kind).map_or(0, |usage| usage.logs)
}

async fn code_of(test: &TestApp, log: &str) -> Option<(Code, String)> {
    let answer = test.logs().get_log(GetLogRequest { log_id: log.into() }).await;
    answer.err().map(|status| (status.code(), status.message().to_owned()))
}

#[tokio::test]
async fn old_logs_go_and_say_so_and_running_ones_stay() {
    let test = keeping(|logs| logs.age = Some("1s".into())).await;
    let (mut agent, done, gone) = printed(&test, &["one", "two"]).await;
    ended(&mut agent, &done, 2).await;
    let (_runs, _, stays) = printed(&test, &["still"]).await;
    room_once(&test, "the old log is gone", |room| logs_of(room, Kind::Job) == 1).await;
    let (code, message) = code_of(&test, &gone).await.expect("it is gone");
    assert_eq!(code, Code::NotFound);
    assert!(message.contains("removed by retention") && message.contains("kept 1 s"), "{message}");
    let lines = test.logs().read_lines(ReadLinesRequest { log_id: gone.clone(), ..Default::default() }).await;
    assert!(lines.expect_err("gone").message().contains("removed by retention"));
    let raw = reqwest::get(format!("{}/logs/{gone}/raw", test.url)).await.expect("an answer");
    assert_eq!(raw.status(), 404);
    assert!(raw.text().await.expect("text").contains("removed by retention"));
    // The run itself is there, and the page finds the same id.
    assert_eq!(test.get(&done.id).await.jobs[0].steps[0].log_id, gone);
    assert_eq!(code_of(&test, &stays).await, None);
    let (_, message) = code_of(&test, "never.0.0.0.1.0").await.expect("it never was");
    assert!(!message.contains("retention"), "{message}");
    let metrics = reqwest::get(format!("{}/metrics", test.url)).await.expect("an answer").text().await.expect("text");
    for line in [
        "millrace_logs_removed_total{reason=\"age\"} 1",
        "millrace_logs{kind=\"job\"} 1",
        "millrace_logs_sweep_seconds_count",
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
    let retention = room(&test).await.retention.expect("settings");
    assert_eq!((retention.age_seconds, retention.abandoned_seconds), (1, 7 * 24 * 3600));
    test.close().await;
}

/// A run of a project that has ended, with a row of so many bytes in its log; and its log.
async fn finished_run(test: &TestApp, agent: &mut Agent, project: &str, bytes: usize) -> String {
    let request = RunRequest { workflow: ONE_JOB.into(), project: project.into(), ..Default::default() };
    let run: Run = test.try_run(request).await.expect("a run");
    agent.fetch("", 0).await.expect("a task");
    agent.client.update_task(update_of(&run, "running")).await.expect("running");
    // Of 64 letters: compressed it takes three quarters.
    let letter = |byte: u8| char::from(b'0' + byte % 64);
    let row: String = noise(bytes, run.number).into_iter().map(letter).collect();
    agent.client.update_log(log_of(&run, &[&row])).await.expect("stored");
    let log = test.get(&run.id).await.jobs[0].steps[0].log_id.clone();
    ended(agent, &run, 1).await;
    log
}

#[tokio::test]
async fn the_newest_runs_of_each_project_are_kept() {
    let test = keeping(|logs| logs.count = Some(2)).await;
    let mut agent = Agent::register(&test, "printer").await;
    let mut logs = Vec::new();
    for project in ["a", "a", "b", "a", "a"] {
        logs.push(finished_run(&test, &mut agent, project, 10).await);
    }
    room_once(&test, "three are left", |room| logs_of(room, Kind::Job) == 3).await;
    let mut there = Vec::new();
    for log in &logs {
        there.push(code_of(&test, log).await.is_none());
    }
    assert_eq!(there, [false, false, true, true, true]);
    test.close().await;
}

#[tokio::test]
async fn a_project_takes_no_more_than_its_share_and_sees_only_its_own() {
    let mut logs = RawLogConfig { sweep: Some("1s".into()), ..Default::default() };
    logs.size = Some("400kB".into());
    let test = TestApp::start(Options { open: false, logs, ..Options::default() }).await;
    let mut agent = Agent::register(&test, "printer").await;
    let first = finished_run(&test, &mut agent, "a", 300_000).await;
    let second = finished_run(&test, &mut agent, "a", 300_000).await;
    let other = finished_run(&test, &mut agent, "b", 300_000).await;
    room_once(&test, "two are left", |room| logs_of(room, Kind::Job) == 2).await;
    let (code, message) = code_of(&test, &first).await.expect("it is gone");
    assert!(code == Code::NotFound && message.contains("400000 bytes of a project"), "{message}");
    swept(&test).await;
    assert_eq!((code_of(&test, &second).await, code_of(&test, &other).await), (None, None), "one of each project fits");
    let token = test.token_for(Role::Read, "b").await;
    let mut theirs = LogServiceClient::new(test.wire_with(Some(&token)));
    let seen = theirs.get_log_room(GetLogRoomRequest::default()).await.expect("the room").into_inner();
    assert_eq!(logs_of(&seen, Kind::Job), 1, "of their own project");
    let mut nobody = LogServiceClient::new(test.wire_with(None));
    let refused = nobody.get_log_room(GetLogRoomRequest::default()).await.expect_err("who are you");
    assert_eq!(refused.code(), Code::Unauthenticated);
    test.close().await;
}

#[tokio::test]
async fn a_named_log_is_shortened_from_the_front() {
    let test = keeping(|logs| logs.records_size = Some("2MiB".into())).await;
    let log = NamedLog::new("", "audit").expect("a name");
    for record in 0..60_u8 {
        test.app
            .logs
            .append_records(log.log(), vec![Bytes::from(vec![b'a' + record % 26; 100_000])])
            .await
            .expect("taken");
    }
    let of = |room: &GetLogRoomResponse| room.named_logs.iter().find(|log| log.name == "audit").cloned();
    let room = room_once(&test, "it is shorter", |room| of(room).is_some_and(|log| log.first_record > 0)).await;
    let audit = of(&room).expect("it is there");
    assert_eq!((audit.next_record, audit.log_id.as_str(), audit.read_only), (60, log.log().as_str(), false));
    assert!(audit.size_bytes >= 2_000_000 && audit.size_bytes < 4_500_000, "whole pieces only: {audit:?}");
    assert!(audit.last_millis > 0);
    let next = test.app.logs.append_records(log.log(), vec!["next".into()]).await.expect("taken");
    assert_eq!(next, 60, "numbers go on");
    test.close().await;
}

#[tokio::test]
async fn a_log_over_the_limit_says_so_through_every_door() {
    let test = keeping(|logs| logs.max = Some("64KiB".into())).await;
    let notice = "##[warning]This log has reached its limit of 65536 bytes. What follows was not kept.\n";
    let row = "r".repeat(999);
    let rows: Vec<&str> = std::iter::repeat_n(row.as_str(), 100).collect();
    let (mut agent, run, log) = printed(&test, &rows).await;
    let more = UpdateLogRequest { index: 100, ..log_of(&run, &["dropped"]) };
    assert_eq!(agent.client.update_log(more).await.expect("taken").into_inner().ack_index, 101, "the step goes on");
    ended(&mut agent, &run, 101).await;
    let raw = |log: &str| reqwest::get(format!("{}/logs/{log}/raw", test.url));
    let text = raw(&log).await.expect("an answer").text().await.expect("text");
    assert_eq!(text, format!("{}{notice}", format!("{row}\n").repeat(65)));
    // Bytes.
    let made = Made::new(&test, Remote::of(&test)).await;
    let line = [&[b's'; 999][..], b"\n"].concat();
    let content = line.repeat(100);
    assert_eq!(made.write(&[(0, &content)], false).await.expect("taken"), 100_000);
    assert_eq!(made.remote.status(&made.write_name).await.expect("known"), (100_000, false));
    assert_eq!(made.write(&[(50_000, &content[50_000..]), (100_000, b"more")], true).await.expect("taken"), 100_004);
    assert_eq!(made.remote.status(&made.write_name).await.expect("known"), (100_004, true));
    let kept = [&line.repeat(65)[..], notice.as_bytes()].concat();
    assert!(made.remote.read(&made.name).await.expect("bytes") == kept);
    assert!(raw(&made.log_id()).await.expect("an answer").bytes().await.expect("bytes") == kept);
    let request = ReadLinesRequest { log_id: made.log_id(), first_line: 65, ..Default::default() };
    let lines = test.logs().read_lines(request).await.expect("lines").into_inner();
    let flags = u64::from_le_bytes(lines.line_meta[..8].try_into().expect("a word")) & 0xFFFF;
    assert_eq!((lines.lines, flags & 4), (1, 4), "the room's own words");
    assert_eq!(room(&test).await.log_max_bytes, 65_536);
    test.close().await;
}

#[tokio::test]
async fn who_writes_too_fast_waits_and_loses_nothing() {
    let test = keeping(|logs| {
        logs.rate = Some("1MiB".into());
        logs.burst = Some("512KiB".into());
    })
    .await;
    let made = Made::new(&test, Remote::of(&test)).await;
    let content = [&[b'x'; 1023][..], b"\n"].concat().repeat(2_560);
    let begun = Instant::now();
    // A writer that is alone is not slowed down by another.
    let (other, _, other_log) = printed(&test, &["at once"]).await;
    let mut at = 0;
    for piece in content.chunks(256 * 1024) {
        at = made.write(&[(at, piece)], false).await.expect("taken");
    }
    made.write(&[(at, b"")], true).await.expect("ended");
    // 2.5 MiB, half of one at once, and what is on its way when it is too much.
    assert!(begun.elapsed() >= Duration::from_millis(1_500), "{:?}", begun.elapsed());
    assert!(made.remote.read(&made.name).await.expect("bytes") == content);
    assert_eq!(code_of(&test, &other_log).await, None);
    drop(other);
    test.close().await;
}
