//! The ways into the log room: rows of a job, bytes of a stream, records of a named log, what a build prints.

use std::ops::Range;

use millrace_bench::wire::build_events as be;
use millrace_bench::wire::build_events::publish_build_event_client::PublishBuildEventClient;
use millrace_bench::wire::log_v1::log_client::LogClient;
use millrace_bench::wire::log_v1::{ProduceRequest, Record};
use millrace_bench::wire::millrace_v1::Run;
use millrace_bench::wire::runner_v1::UpdateLogRequest;

use super::contents::{Content, Expected};
use super::readers::Reading;
use crate::agent_grpc::{Agent, log_of, update_of};
use crate::app::{TestApp, Wire, within};
use crate::cas_client::Remote;
use crate::log_streams::Made;

const ONE_JOB: &str = "jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n";

/// What the ids of named logs of no project begin with: a hash of nothing.
const NO_PROJECT: &str = "r.e3b0c44298fc1c14";
/// So many bytes are told by one event at most.
const EVENT_BYTES: usize = 100_000;

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Writer {
    /// `UpdateLog`.
    Rows,
    /// `LogStream` and `ByteStream.Write`.
    Bytes,
    /// `log.v1.Log/ProduceStream`.
    Records,
    /// The console output of a build, by build events.
    Build,
}

/// All of them.
pub const WRITERS: &[Writer] = &[Writer::Rows, Writer::Bytes, Writer::Records, Writer::Build];

impl Writer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rows => "UpdateLog",
            Self::Bytes => "ByteStream.Write",
            Self::Records => "ProduceStream",
            Self::Build => "build events",
        }
    }

    /// Whether it can say this at all.
    pub fn takes(self, content: &Content) -> bool {
        match self {
            Self::Rows => content.is_text() && content.ended,
            Self::Records => content.ended,
            Self::Bytes => true,
            Self::Build => content.is_text(),
        }
    }

    pub fn expected(self, content: &Content) -> Expected {
        match self {
            Self::Rows | Self::Records => content.as_rows(),
            Self::Bytes | Self::Build => content.as_bytes(),
        }
    }
}

/// An agent for the jobs.
pub async fn agent(test: &TestApp, name: &str) -> Agent {
    Agent::register(test, name).await
}

/// A log that is written.
pub enum OpenLog {
    /// A step's.
    Rows { agent: Box<Agent>, run: Box<Run>, sent: i64 },
    /// A stream's.
    Bytes { made: Box<Made>, sent: i64 },
    /// A named one.
    Records { client: LogClient<Wire>, name: String },
    /// A build's.
    Build { client: PublishBuildEventClient<Wire>, id: String, sent: i64 },
}

impl OpenLog {
    pub async fn open(test: &TestApp, writer: Writer, content: &str, agent: &mut Agent) -> Self {
        match writer {
            Writer::Rows => {
                let run = test.run(ONE_JOB).await;
                agent.fetch("", 0).await.expect("a task");
                agent.client.update_task(update_of(&run, "running")).await.expect("running");
                let agent = Box::new(Agent { client: agent.client.clone(), runner: agent.runner.clone() });
                Self::Rows { agent, run: Box::new(run), sent: 0 }
            }
            Writer::Bytes => Self::Bytes { made: Box::new(Made::new(test, Remote::of(test)).await), sent: 0 },
            Writer::Records => {
                let name = content.to_lowercase().replace(|c: char| !c.is_ascii_lowercase(), "-");
                Self::Records { client: LogClient::new(test.wire()), name }
            }
            Writer::Build => {
                let id = content.to_lowercase().replace(|c: char| !c.is_ascii_lowercase(), "-");
                Self::Build { client: PublishBuildEventClient::new(test.wire()), id, sent: 0 }
            }
        }
    }

    /// Writes these rows of the content; they are durable afterwards.
    pub async fn write(&mut self, content: &Content, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        match self {
            Self::Rows { agent, run, sent } => {
                let texts: Vec<&str> =
                    content.rows[rows].iter().map(|row| std::str::from_utf8(row).expect("text")).collect();
                let request = UpdateLogRequest { index: *sent, ..log_of(run, &texts) };
                *sent += texts.len() as i64;
                let answer = within("UpdateLog", agent.client.update_log(request)).await.expect("stored");
                assert_eq!(answer.into_inner().ack_index, *sent);
            }
            Self::Bytes { made, sent } => {
                let bytes = content.bytes(rows);
                let end = *sent + bytes.len() as i64;
                assert_eq!(made.write(&[(*sent, &bytes)], false).await.expect("taken"), end);
                *sent = end;
            }
            Self::Records { client, name } => {
                let request = |row: &Vec<u8>| ProduceRequest {
                    record: Some(Record { value: row.clone(), offset: 0 }),
                    log: Some(name.clone()),
                };
                let requests: Vec<_> = content.rows[rows.clone()].iter().map(request).collect();
                let call = client.produce_stream(tokio_stream::iter(requests));
                let mut answers = within("ProduceStream", call).await.expect("a stream").into_inner();
                for number in rows {
                    let answer = within("an answer", answers.message()).await.expect("no error").expect("an answer");
                    assert_eq!(answer.offset, number as u64);
                }
                assert!(within("the end", answers.message()).await.expect("a clean end").is_none());
            }
            Self::Build { client, id, sent } => {
                let text = String::from_utf8(content.bytes(rows)).expect("text");
                // An event holds not all of it.
                let mut events = Vec::new();
                for piece in text.as_bytes().chunks(EVENT_BYTES) {
                    *sent += 1;
                    events.push(printed(id, *sent, piece));
                }
                publish(client, events).await;
            }
        }
    }

    /// How it is read.
    pub async fn reading(&self, test: &TestApp) -> Reading {
        let reading = Reading { ends: true, ..Reading::default() };
        match self {
            Self::Rows { run, .. } => {
                let id = test.get(&run.id).await.jobs[0].steps[0].log_id.clone();
                Reading { id, run: Some(run.id.clone()), ..reading }
            }
            Self::Bytes { made, .. } => Reading { id: made.log_id(), stream: Some(made.name.clone()), ..reading },
            Self::Records { name, .. } => {
                let id = format!("{NO_PROJECT}.{name}");
                Reading { id, named: Some(name.clone()), ends: false, ..reading }
            }
            Self::Build { id, .. } => Reading { id: format!("b.{id}"), ..reading },
        }
    }

    /// Ends it; none if it has no end.
    pub async fn end(mut self, test: &TestApp, agent: &mut Agent) -> Option<Reading> {
        let reading = self.reading(test).await;
        match &mut self {
            Self::Rows { run, sent, .. } => {
                let end = UpdateLogRequest { index: *sent, no_more: true, ..log_of(run, &[]) };
                agent.client.update_log(end).await.expect("ended");
                agent.client.update_task(update_of(run, "success")).await.expect("success");
            }
            Self::Bytes { made, sent } => {
                assert_eq!(made.write(&[(*sent, b"")], true).await.expect("ended"), *sent);
            }
            Self::Records { .. } => return None,
            Self::Build { client, id, sent } => {
                let finished = be::build_event::BuildComponentStreamFinished {
                    r#type: be::build_event::build_component_stream_finished::FinishType::Finished.into(),
                };
                let event = be::build_event::Event::ComponentStreamFinished(finished);
                publish(client, vec![numbered(id, *sent + 1, event)]).await;
            }
        }
        Some(reading)
    }
}

fn printed(id: &str, number: i64, bytes: &[u8]) -> be::PublishBuildToolEventStreamRequest {
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    let output = be::build_event::ConsoleOutput {
        r#type: be::ConsoleOutputStream::Stdout.into(),
        output: Some(be::build_event::console_output::Output::TextOutput(text)),
    };
    numbered(id, number, be::build_event::Event::ConsoleOutput(output))
}

fn numbered(id: &str, number: i64, event: be::build_event::Event) -> be::PublishBuildToolEventStreamRequest {
    let stream_id = be::StreamId {
        build_id: format!("build-{id}"),
        invocation_id: id.to_owned(),
        component: be::stream_id::BuildComponent::Tool.into(),
    };
    let event = be::BuildEvent { event: Some(event), ..Default::default() };
    be::PublishBuildToolEventStreamRequest {
        ordered_build_event: Some(be::OrderedBuildEvent {
            stream_id: Some(stream_id),
            sequence_number: number,
            event: Some(event),
        }),
        ..Default::default()
    }
}

async fn publish(client: &mut PublishBuildEventClient<Wire>, events: Vec<be::PublishBuildToolEventStreamRequest>) {
    let count = events.len();
    let call = client.publish_build_tool_event_stream(tokio_stream::iter(events));
    let mut answers = within("the events", call).await.expect("a stream").into_inner();
    for _ in 0..count {
        within("an acknowledgement", answers.message()).await.expect("no error").expect("an acknowledgement");
    }
}
