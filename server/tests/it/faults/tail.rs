//! A client that follows a log and goes on where it was when the stream breaks: what a browser and a terminal do.

use std::time::Duration;

use millrace_bench::client::Client;
use millrace_bench::wire::millrace_v1::FollowRequest;
use millrace_bench::wire::millrace_v1::follow_request::Start;
use millrace_bench::wire::millrace_v1::follow_response::Event;
use tokio::task::JoinHandle;

/// How long it waits before it comes again, in milliseconds.
const AGAIN_MS: u64 = 50;

/// What a tail saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// The lines, in the order they came.
    pub lines: Vec<String>,
    /// How often the stream broke.
    pub breaks: u32,
}

/// Follows a log to its end.
pub fn follow(client: Client, log_id: String) -> JoinHandle<Seen> {
    tokio::spawn(async move {
        let (mut seen, mut offset) = (Seen::default(), 0);
        while !follow_once(&client, &log_id, &mut offset, &mut seen).await {
            seen.breaks += 1;
            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
        }
        seen
    })
}

/// Whether the end of the log was reached.
async fn follow_once(client: &Client, log_id: &str, offset: &mut u64, seen: &mut Seen) -> bool {
    let request = FollowRequest { log_id: log_id.to_owned(), start: Some(Start::Offset(*offset)) };
    let Ok(stream) = client.logs().follow(request).await else { return false };
    let mut stream = stream.into_inner();
    while let Ok(Some(message)) = stream.message().await {
        match message.event {
            Some(Event::Data(data)) => {
                assert_eq!(data.offset, *offset, "the stream goes on where it was");
                assert_eq!(data.first_line as usize, seen.lines.len(), "lines are counted on");
                *offset += data.data.len() as u64;
                let text = String::from_utf8(data.data.clone()).expect("UTF-8");
                seen.lines.extend(text.split_terminator('\n').map(str::to_owned));
            }
            Some(Event::End(end)) => {
                assert_eq!(
                    (end.lines as usize, end.size_bytes),
                    (seen.lines.len(), *offset),
                    "the end is where we are"
                );
                return true;
            }
            Some(Event::Gap(gap)) => panic!("a gap: {gap:?}"),
            _ => {}
        }
    }
    false
}
