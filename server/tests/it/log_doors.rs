//! One log, whatever the door: what any writer wrote, every reader reads: the same bytes in the same order, while it is
//! written, afterwards, and once it is kept compressed. The test prints which writer and reader disagree about what.

mod contents;
mod readers;
mod writers;

use millrace_bench::wire::millrace_v1::GetLogRequest;
use tokio::task::JoinHandle;

use crate::app::{Options, TestApp, within};
use contents::{Content, Expected, contents};
use readers::{LIVE_READERS, READERS, Reader, Reading};
use writers::{OpenLog, WRITERS};

/// How long a finished log may take until it is compressed, looked for so often, in milliseconds.
const LOOK_EVERY_MS: u64 = 20;
/// Longer than the whole test, in milliseconds.
const LEASE_MS: i64 = 3_600_000;

/// Something that went wrong, in a line of its own.
struct Wrong(Vec<String>);

impl Wrong {
    fn note(&mut self, what: &str, reader: &str, when: &str, outcome: Result<(), String>) {
        if let Err(why) = outcome {
            self.0.push(format!("{what}, read by {reader} {when}: {why}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reader_reads_what_every_writer_wrote() {
    // The agents do not say that they live.
    let test = TestApp::start(Options { lease_ms: LEASE_MS, ..Options::default() }).await;
    let mut wrong = Wrong(Vec::new());
    let mut ended = Vec::new();
    for writer in WRITERS {
        let mut agent = writers::agent(&test, writer.name()).await;
        for content in contents().into_iter().filter(|content| writer.takes(content)) {
            let what = format!("{} of {}", content.name, writer.name());
            let expected = writer.expected(&content);
            let mut log = OpenLog::open(&test, *writer, content.name, &mut agent).await;
            let live = write_and_read(&test, &mut log, &content, &expected, &what, &mut wrong).await;
            let reading = log.end(&test, &mut agent).await;
            for (reader, task) in live {
                let outcome = within(reader.name(), task).await.expect("no panic");
                wrong.note(&what, reader.name(), "while it was written", outcome);
            }
            if let Some(reading) = reading {
                read_all(&test, &reading, &expected, &what, "after its end", &mut wrong).await;
                ended.push((what, reading, expected));
            }
        }
    }
    for (what, reading, expected) in &ended {
        compressed(&test, &reading.id).await;
        read_all(&test, reading, expected, what, "compressed", &mut wrong).await;
    }
    assert!(ended.len() >= 2 * contents().len(), "every kind of log that ends was there");
    assert!(wrong.0.is_empty(), "{} pairs disagree:\n{}", wrong.0.len(), wrong.0.join("\n"));
    test.close().await;
}

/// Readers on their way, each with what it will have found.
type Live = Vec<(Reader, JoinHandle<Result<(), String>>)>;

/// Begins to write, opens the readers that follow, writes the rest, and reads what there is.
async fn write_and_read(
    test: &TestApp,
    log: &mut OpenLog,
    content: &Content,
    expected: &Expected,
    what: &str,
    wrong: &mut Wrong,
) -> Live {
    log.write(content, 0..1).await;
    let reading = log.reading(test).await;
    let mut live = Vec::new();
    for reader in LIVE_READERS {
        let (mut tail, first) = reader.follow(test, &reading, expected).await;
        wrong.note(what, reader.name(), "at its beginning", first);
        live.push((reader, tokio::spawn(async move { tail.rest().await })));
    }
    // What comes in two calls is one log, too.
    let middle = content.rows.len().midpoint(1);
    log.write(content, 1..middle).await;
    log.write(content, middle..content.rows.len()).await;
    // A line without an end is no record before the end of the log.
    if content.ended {
        let open = Reading { ends: false, ..reading };
        read_all(test, &open, expected, what, "before its end", wrong).await;
    }
    live
}

async fn read_all(test: &TestApp, reading: &Reading, expected: &Expected, what: &str, when: &str, wrong: &mut Wrong) {
    for reader in READERS.iter().filter(|reader| reader.reads(reading)) {
        let outcome = within(reader.name(), reader.read(test, reading, expected)).await;
        wrong.note(what, reader.name(), when, outcome);
    }
}

/// Waits until the server keeps a log compressed.
async fn compressed(test: &TestApp, id: &str) {
    within(&format!("log {id} is compressed"), async {
        let mut look = tokio::time::interval(std::time::Duration::from_millis(LOOK_EVERY_MS));
        loop {
            let answer = test.logs().get_log(GetLogRequest { log_id: id.into() }).await.expect("a log").into_inner();
            if answer.log.expect("a log").compressed {
                return;
            }
            look.tick().await;
        }
    })
    .await;
}
