//! Point 34: build events over the wire, with a client of somebody else's code generation.

use millrace_bench::wire::build_events as wire;
use millrace_bench::wire::build_events::build_event::Event;
use millrace_bench::wire::build_events::publish_build_event_client::PublishBuildEventClient;
use millrace_bench::wire::millrace_v1::invocation_service_client::InvocationServiceClient;
use millrace_bench::wire::millrace_v1::{GetInvocationRequest, Invocation};
use millrace_server::auth::Role;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};

use crate::app::{TestApp, Wire, within};

const PROJECT: &str = "team/app";
const INVOCATION: &str = "7f3c1c3e-6f0c-4d5b-9e4b-0c8a8f6f2a11";

/// How many events a test has under way.
const EVENTS_MAX: usize = 1_000;

/// A stream of events on its way.
struct Publishing {
    send: mpsc::Sender<wire::PublishBuildToolEventStreamRequest>,
    acknowledged: Streaming<wire::PublishBuildToolEventStreamResponse>,
}

impl Publishing {
    /// Opens a stream with the first of these events; the call answers when the server does.
    async fn open(wire: Wire, numbers: &[i64]) -> Result<Self, Status> {
        let (send, receive) = mpsc::channel(EVENTS_MAX);
        for number in numbers {
            send.try_send(event(*number)).expect("the stream is open");
        }
        let requests = futures::stream::unfold(receive, async |mut receive| Some((receive.recv().await?, receive)));
        let call = async { PublishBuildEventClient::new(wire).publish_build_tool_event_stream(requests).await };
        let acknowledged = within("the call", call).await?.into_inner();
        Ok(Self { send, acknowledged })
    }

    fn send(&self, number: i64) {
        self.send.try_send(event(number)).expect("the stream is open");
    }

    async fn next(&mut self) -> Result<Option<i64>, Status> {
        let next = within("an acknowledgement", self.acknowledged.message()).await?;
        Ok(next.map(|next| next.sequence_number))
    }

    /// So many acknowledgements.
    async fn numbers(&mut self, count: usize) -> Vec<i64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.next().await.expect("no error").expect("an acknowledgement"));
        }
        numbers
    }
}

/// An event of the tool's stream: what the tool printed.
fn event(number: i64) -> wire::PublishBuildToolEventStreamRequest {
    let output = wire::build_event::ConsoleOutput {
        r#type: wire::ConsoleOutputStream::Stderr.into(),
        output: Some(wire::build_event::console_output::Output::TextOutput(format!("line {number}\n"))),
    };
    let event = wire::BuildEvent { event: Some(Event::ConsoleOutput(output)), ..Default::default() };
    wire::PublishBuildToolEventStreamRequest {
        ordered_build_event: Some(wire::OrderedBuildEvent {
            stream_id: Some(wire::StreamId {
                build_id: "build-1".to_owned(),
                invocation_id: INVOCATION.to_owned(),
                component: wire::stream_id::BuildComponent::Tool.into(),
            }),
            sequence_number: number,
            event: Some(event),
        }),
        project_id: PROJECT.to_owned(),
        ..Default::default()
    }
}

async fn invocation(wire: Wire) -> Result<Invocation, Status> {
    let request = GetInvocationRequest { id: INVOCATION.to_owned() };
    let answer = within("GetInvocation", InvocationServiceClient::new(wire).get_invocation(request)).await?;
    Ok(answer.into_inner().invocation.expect("an invocation"))
}

#[tokio::test]
async fn point_34_events_are_acknowledged_in_order_while_the_client_still_sends() {
    let test = TestApp::open().await;
    let mut first = Publishing::open(test.wire(), &[1, 2]).await.expect("a stream");
    assert_eq!(first.numbers(2).await, [1, 2]);
    for number in 3..=200 {
        first.send(number);
    }
    assert_eq!(first.numbers(198).await, (3..=200).collect::<Vec<_>>());
    assert_eq!(invocation(test.wire()).await.expect("known").events, 200);
    drop(first);
    // A client that did not hear the last acknowledgements sends these events again, and goes on.
    let mut again = Publishing::open(test.wire(), &[199, 200, 201]).await.expect("a stream");
    assert_eq!(again.numbers(3).await, [199, 200, 201]);
    assert_eq!(invocation(test.wire()).await.expect("known").events, 201, "an event was counted twice");
    // What is missing is not passed over.
    again.send(203);
    let refused = again.next().await.expect_err("a gap");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    assert!(refused.message().contains("203"), "{refused:?}");
    test.close().await;
}

#[tokio::test]
async fn point_34_events_of_another_project_are_not_there() {
    let test = TestApp::with_tokens().await;
    let wire = async |role, project: &str| test.wire_with(Some(&test.token_for(role, project).await));
    let refused = Publishing::open(test.wire_with(None), &[1]).await;
    assert_eq!(refused.err().expect("nobody may").code(), Code::Unauthenticated);
    let refused = Publishing::open(wire(Role::Read, PROJECT).await, &[1]).await;
    assert_eq!(refused.err().expect("who only reads may not").code(), Code::PermissionDenied);
    let mut publishing = Publishing::open(wire(Role::Execute, PROJECT).await, &[1]).await.expect("a stream");
    assert_eq!(publishing.numbers(1).await, [1]);
    assert_eq!(invocation(wire(Role::Read, PROJECT).await).await.expect("its own").events, 1);
    let hidden = invocation(wire(Role::Read, "team/other").await).await.expect_err("another's");
    assert_eq!(hidden.code(), Code::NotFound, "{hidden:?}");
    drop(publishing);
    test.close().await;
}
