//! Secrets that are given to the server are in no log, whatever door they come through, and in no spelling.

use bazel_remote_apis::google::bytestream as bs;
use millrace_bench::wire::build_events as be;
use millrace_bench::wire::build_events::publish_build_event_client::PublishBuildEventClient;
use millrace_bench::wire::log_v1;
use millrace_engine::logs::streams::LogStreams;
use millrace_proto::instance_name::InstanceName;

use crate::agent_grpc::{Agent, log_of, update_of};
use crate::app::{Options, TestApp, within};
use crate::cas_client::Remote;
use crate::log_streams::Made;

const ONE_JOB: &str = "jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n";
const SECRET: &str = "hunter2/päss";
/// Spelled by other programs: as it is, base64 of it and of something around it, addresses, JSON, hex.
const SPELLINGS: [&str; 7] = [
    "hunter2/päss",
    "aHVudGVyMi9ww6Rzcw==",
    "dXNlcjpodW50ZXIyL3DDpHNz",
    "hunter2%2Fp%C3%A4ss",
    "hunter2\\/p\\u00e4ss",
    "68756e746572322f70c3a47373",
    "68756E746572322F70C3A47373",
];

async fn raw(test: &TestApp, log: &str) -> String {
    let answer = reqwest::get(format!("{}/logs/{log}/raw", test.url)).await.expect("an answer");
    assert_eq!(answer.status(), 200, "{log}");
    answer.text().await.expect("text")
}

/// What the text must have become: nothing of any spelling, the same length.
fn check(what: &str, text: &str, sent: &str) {
    assert_eq!(text.len(), sent.len(), "{what}: {text}");
    for spelling in SPELLINGS {
        let inner = spelling.strip_prefix("dXNlcjpo").unwrap_or(spelling);
        assert!(!text.contains(inner), "{what}: {spelling} is in {text}");
    }
    assert_eq!(text.matches("kept").count(), sent.matches("kept").count(), "{what}: {text}");
    assert!(text.contains("*****"), "{what}: {text}");
}

#[tokio::test]
async fn through_every_door() {
    let test = TestApp::open().await;
    assert!(test.app.logs.masks().replace([SECRET]).is_empty());
    let sent: String = SPELLINGS.iter().map(|spelling| format!("kept {spelling} kept\n")).collect();

    // Rows, and the same rows again.
    let mut agent = Agent::register(&test, "leaky").await;
    let run = test.run(ONE_JOB).await;
    agent.fetch("", 0).await.expect("a task");
    agent.client.update_task(update_of(&run, "running")).await.expect("running");
    let rows: Vec<&str> = sent.lines().collect();
    for _ in 0..2 {
        let stored = agent.client.update_log(log_of(&run, &rows)).await.expect("stored").into_inner();
        assert_eq!(stored.ack_index, rows.len() as i64);
    }
    let log = test.get(&run.id).await.jobs[0].steps[0].log_id.clone();
    check("UpdateLog", &raw(&test, &log).await, &sent);

    // Bytes, in messages of every size, in one call and in many.
    for size in [1, 2, 3, 7, 64] {
        let made = Made::new(&test, Remote::of(&test)).await;
        let pieces: Vec<(i64, &[u8])> =
            sent.as_bytes().chunks(size).enumerate().map(|(at, piece)| ((at * size) as i64, piece)).collect();
        assert_eq!(made.write(&pieces, true).await.expect("taken"), sent.len() as i64);
        let id = made.name.rsplit('/').next().expect("an id");
        let log = LogStreams::log_id(&InstanceName::default(), id).expect("an id");
        check("ByteStream.Write", &raw(&test, log.as_str()).await, &sent);
        // All of it again, cut in another way, is the same.
        assert_eq!(made.write(&[(0, sent.as_bytes())], true).await.expect("the same"), sent.len() as i64);
        let request = bs::ReadRequest { resource_name: made.name.clone(), ..Default::default() };
        let mut read = made.remote.bytes.clone().read(request).await.expect("a tail").into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = within("Read", read.message()).await.expect("bytes") {
            bytes.extend(message.data);
        }
        check("ByteStream.Read", &String::from_utf8(bytes).expect("text"), &sent);
    }
    let made = Made::new(&test, Remote::of(&test)).await;
    for at in (0..sent.len()).step_by(25) {
        let piece = &sent.as_bytes()[at..sent.len().min(at + 25)];
        made.write(&[(at as i64, piece)], at + 25 >= sent.len()).await.expect("taken");
    }
    let id = made.name.rsplit('/').next().expect("an id");
    let log = LogStreams::log_id(&InstanceName::default(), id).expect("an id");
    check("a call each", &raw(&test, log.as_str()).await, &sent);

    // Records.
    let mut records = log_v1::log_client::LogClient::new(test.wire());
    let record = Some(log_v1::Record { value: sent.clone().into_bytes(), offset: 0 });
    let produce = log_v1::ProduceRequest { record, log: Some("leaks".into()) };
    let offset = records.produce(produce).await.expect("stored").into_inner().offset;
    let consume = log_v1::ConsumeRequest { offset, log: Some("leaks".into()) };
    let record = records.consume(consume).await.expect("there").into_inner().record.expect("a record");
    check("Produce", &String::from_utf8(record.value).expect("text"), &sent);

    // What a build prints, an event each half line.
    let id = "0d1e2f30-6f0c-4d5b-9e4b-0c8a8f6f2a11";
    let half = sent.len() / 2 + 3;
    let half = (half..sent.len()).find(|at| sent.is_char_boundary(*at)).expect("a place");
    let events: Vec<_> =
        [&sent[..half], &sent[half..]].into_iter().zip(1..).map(|(text, number)| printed(id, number, text)).collect();
    let publish =
        PublishBuildEventClient::new(test.wire()).publish_build_tool_event_stream(tokio_stream::iter(events)).await;
    let mut acknowledged = publish.expect("a stream").into_inner();
    for number in 1..=2 {
        let next = within("an acknowledgement", acknowledged.message()).await.expect("no error").expect("one");
        assert_eq!(next.sequence_number, number);
    }
    check("build events", &raw(&test, &format!("b.{id}")).await, &sent);
    test.close().await;
}

/// A line that a step prints is cut by the runner and joined by the server: byte for byte as it was printed, its pieces are
/// marked, and what the server masks is found wherever they are cut.
#[tokio::test]
async fn a_long_line_of_a_runner_is_whole() {
    const SIZE: usize = 4_000_000;
    let mut test = TestApp::open().await;
    assert!(test.app.logs.masks().replace([SECRET]).is_empty());
    test.start_runner(1, &["stock"]).await;
    // A secret every 1 000 bytes or so, so that some are where rows and calls end.
    let script = format!(
        "awk 'BEGIN {{ for (i = 0; i < {}; i++) printf(\"%07d%s%980s\", i, \"{SECRET}\", \"x\") }}'; echo; echo end",
        SIZE / 1_000
    );
    let workflow = format!("jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: |\n          {script}\n");
    let run = test.run(&workflow).await;
    let run = test.finished(&run.id).await;
    let log = run.jobs[0].steps[0].log_id.clone();
    let line: String =
        (0..SIZE / 1_000).map(|number| format!("{number:07}{}{:>980}", "*".repeat(SECRET.len()), "x")).collect();
    let text = raw(&test, &log).await;
    assert!(text.ends_with("\nend\n") && text.lines().any(|one| one == line), "{} bytes came", text.len());
    let id = millrace_engine::logs::LogId::parse(&log).expect("an id");
    let head = test.app.logs.head(&id).await.expect("a head");
    let pieces = line.len().div_ceil(64 * 1024) as u64;
    assert!(head.joined_lines + 1 >= pieces, "{} pieces of {pieces} are marked", head.joined_lines + 1);
    test.close().await;
}

/// Values of a task are masked in its logs only, and forgotten when it has ended and its rows have come.
#[tokio::test]
async fn values_of_a_task_are_forgotten_after_it() {
    let test = TestApp::open().await;
    let mut agent = Agent::register(&test, "leaky").await;
    let run = test.run(ONE_JOB).await;
    agent.fetch("", 0).await.expect("a task");
    agent.client.update_task(update_of(&run, "running")).await.expect("running");
    let log = test.get(&run.id).await.jobs[0].steps[0].log_id.clone();
    let (task, _) = log.rsplit_once('.').expect("an id");
    assert!(test.app.logs.masks().begin_task(task, [SECRET]).is_empty());
    test.app.scheduler.tick().await.expect("a tick");
    let rows = millrace_bench::wire::runner_v1::UpdateLogRequest { no_more: false, ..log_of(&run, &[SECRET]) };
    agent.client.update_log(rows).await.expect("stored");
    agent.client.update_task(update_of(&run, "success")).await.expect("success");
    test.app.scheduler.tick().await.expect("a tick");
    assert_eq!(test.app.logs.masks().task_ids(), [task], "more rows may come");
    let last = millrace_bench::wire::runner_v1::UpdateLogRequest { index: 1, no_more: true, ..log_of(&run, &[SECRET]) };
    agent.client.update_log(last).await.expect("stored");
    test.app.scheduler.tick().await.expect("a tick");
    assert!(test.app.logs.masks().task_ids().is_empty(), "forgotten");
    let line = "*".repeat(SECRET.len()) + "\n";
    assert_eq!(raw(&test, &log).await, line.repeat(2));
    test.close().await;
}

/// An event of a build's tool: what it printed.
fn printed(id: &str, number: i64, text: &str) -> be::PublishBuildToolEventStreamRequest {
    let output = be::build_event::ConsoleOutput {
        r#type: be::ConsoleOutputStream::Stderr.into(),
        output: Some(be::build_event::console_output::Output::TextOutput(text.to_owned())),
    };
    let event = be::build_event::Event::ConsoleOutput(output);
    be::PublishBuildToolEventStreamRequest {
        ordered_build_event: Some(be::OrderedBuildEvent {
            stream_id: Some(be::StreamId {
                build_id: "build".to_owned(),
                invocation_id: id.to_owned(),
                component: be::stream_id::BuildComponent::Tool.into(),
            }),
            sequence_number: number,
            event: Some(be::BuildEvent { event: Some(event), ..Default::default() }),
        }),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_servers_own_token_is_one() {
    let token = "a-preset-registration-token";
    let test = TestApp::start(Options { registration_token: Some(token.into()), ..Options::default() }).await;
    let made = Made::new(&test, Remote::of(&test)).await;
    let text = format!("millrace-runner --token {token}\n");
    made.write(&[(0, text.as_bytes())], true).await.expect("taken");
    let seen = made.remote.read(&made.name).await.expect("bytes");
    assert_eq!(String::from_utf8(seen).expect("text"), text.replace(token, &"*".repeat(token.len())));
    test.close().await;
}
