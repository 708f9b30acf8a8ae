//! The server is killed while records are produced, and comes back: what was acknowledged is there under its number, each
//! once and in order.

use futures::StreamExt;
use millrace_bench::wire::log_v1::log_client::LogClient;
use millrace_bench::wire::log_v1::{ConsumeRequest, ProduceRequest, Record};
use tonic::Code;

use super::scene::{Scene, eventually};
use crate::app::within;

/// How often the server is killed.
const KILLS: usize = 3;
/// So many records are acknowledged before each.
const ACKNOWLEDGED_MIN: u64 = 500;

fn record(number: u64) -> ProduceRequest {
    // Some are long and have lines.
    let filling = "and more\n".repeat((number % 50) as usize);
    let value = format!("record {number}\n{filling}").into_bytes();
    ProduceRequest { record: Some(Record { value, offset: 0 }), log: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_records_outlive_their_server() {
    let scene = Scene::new().await;
    let mut sent = 0;
    let mut acknowledged = Vec::new();
    for _ in 0..KILLS {
        let server = scene.serve().await;
        let mut client = LogClient::new(scene.client.connection());
        let from = sent;
        let (counter, counted) = tokio::sync::watch::channel(from);
        let requests = futures::stream::iter(from..).map(move |number| {
            counter.send_replace(number + 1);
            record(number)
        });
        let mut answers =
            within("ProduceStream", client.produce_stream(requests)).await.expect("a stream").into_inner();
        let mut number = from;
        while number < from + ACKNOWLEDGED_MIN {
            let answer = within("an answer", answers.message()).await.expect("no error").expect("an answer");
            acknowledged.push((number, answer.offset));
            number += 1;
        }
        server.kill().await.expect("kills");
        while let Ok(Some(answer)) = within("the last answers", answers.message()).await {
            acknowledged.push((number, answer.offset));
            number += 1;
        }
        sent = *counted.borrow();
    }
    let server = scene.serve().await;
    let mut client = LogClient::new(scene.client.connection());
    let end = eventually("the server answers", async || {
        let past = client.clone().consume(ConsumeRequest { offset: u64::MAX, log: None }).await.err()?;
        (past.code() == Code::OutOfRange).then(|| past.message().to_owned())
    })
    .await;
    let records: u64 = end.split(' ').rev().nth(1).and_then(|count| count.parse().ok()).expect("how many there are");
    assert!(records >= acknowledged.len() as u64, "{records} records, {} were acknowledged", acknowledged.len());
    let stream = client.consume_stream(ConsumeRequest { offset: 0, log: None }).await.expect("a stream");
    let mut stream = stream.into_inner();
    let mut values = Vec::new();
    for offset in 0..records {
        let found = within("a record", stream.message()).await.expect("no error").expect("a record");
        let found = found.record.expect("a record");
        assert_eq!(found.offset, offset);
        values.push(found.value);
    }
    for (number, offset) in acknowledged {
        let wanted = record(number).record.expect("a record").value;
        assert!(values[offset as usize] == wanted, "record {number} is not at {offset}");
    }
    assert!(values.iter().all(|value| value.starts_with(b"record ")), "none is torn");
    drop((stream, client));
    scene.finish(server, Vec::new()).await;
}
