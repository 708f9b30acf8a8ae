//! Nothing of a masked value is in what is stored, however it comes; and nothing else is changed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use millrace_proto::instance_name::InstanceName;
use millrace_proto::mask_forms::MaskForms;
use proptest::prelude::*;

use crate::clock::Clock;
use crate::logs::memory::MemoryLogs;
use crate::logs::streams::{LogStreams, STREAM_HOLD_MS};
use crate::logs::{LINE_MAX_BYTES, LogError, LogId, LogLimits, LogRoom, Row};

struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

fn room(values: &[&str]) -> LogRoom {
    let room = LogRoom::new(Arc::new(MemoryLogs::default()), Arc::new(Noon), LogLimits::default());
    if !values.is_empty() {
        assert_eq!(room.masks().replace(values.iter().copied()), []);
    }
    room
}

fn id() -> LogId {
    LogId::parse("run.0.0.1.0").unwrap()
}

async fn append(room: &LogRoom, index: u64, rows: &[&str]) -> Result<u64, LogError> {
    let mut batch = room.batch();
    for text in rows {
        batch.push(Row { time_ms: 0, stderr: false, text: text.as_bytes() }).unwrap();
    }
    room.append(&id(), index, batch, false).await
}

async fn stored(room: &LogRoom, id: &LogId) -> String {
    String::from_utf8(room.read_bytes(id, 0, usize::MAX).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn rows_are_covered_and_may_be_sent_again() {
    let room = room(&["hunter2", "p@ss/word"]);
    let rows = ["pw=hunter2;", "no secret: hunter", "?p%40ss%2Fword\nhunter2", "aHVudGVyMg=="];
    assert_eq!(append(&room, 0, &rows).await, Ok(4));
    let text = "pw=*******;\nno secret: hunter\n?*************\n*******\n************\n";
    assert_eq!(stored(&room, &id()).await, text);
    assert_eq!(append(&room, 0, &rows).await, Ok(4), "the same again");
    assert_eq!(append(&room, 1, &rows[1..]).await, Ok(4));
    assert_eq!(append(&room, 0, &["PW=hunter2;"]).await, Err(LogError::Conflict { id: id(), row: 0 }));
    // The values changed between the first time and the second.
    room.masks().replace(["hunter", "pw="]);
    assert_eq!(append(&room, 0, &rows).await, Ok(4));
    room.masks().replace([]);
    assert_eq!(append(&room, 0, &rows).await, Ok(4));
    assert_eq!(append(&room, 1, &["no secret: Hunter"]).await, Err(LogError::Conflict { id: id(), row: 1 }));
    assert_eq!(append(&room, 4, &["hunter2"]).await, Ok(5));
    assert!(stored(&room, &id()).await.ends_with("\nhunter2\n"), "no longer a secret");
}

#[tokio::test]
async fn a_value_where_a_long_row_is_split_is_covered() {
    let room = room(&["hunter2"]);
    for shift in 0..9 {
        let row = format!("{}hunter2{}", "x".repeat(LINE_MAX_BYTES - shift), "y".repeat(100));
        let ack = room.head(&id()).await.map_or(0, |head| head.rows);
        append(&room, ack, &[&row]).await.unwrap();
    }
    let text = stored(&room, &id()).await;
    assert_eq!((text.matches("*******").count(), text.contains("hunter")), (9, false));
}

/// What a task masks is masked in its logs, together with what the server masks, and not in those of others; after it no more.
#[tokio::test]
async fn a_task_has_values_of_its_own() {
    let room = room(&["swordfish"]);
    assert_eq!(room.masks().begin_task("run.0.0.1", ["hunter2"]), []);
    let put = async |log: &str, index: u64| {
        let log = LogId::parse(log).unwrap();
        let mut batch = room.batch_for(&log);
        batch.push(Row { time_ms: 0, stderr: false, text: b"hunter2 swordfishunter2" }).unwrap();
        room.append(&log, index, batch, false).await.unwrap();
        stored(&room, &log).await
    };
    assert_eq!(put("run.0.0.1.0", 0).await, "******* ***************\n");
    assert_eq!(put("run.0.0.1.0", 0).await, "******* ***************\n", "the same again");
    assert_eq!(put("run.0.0.2.0", 0).await, "hunter2 *********unter2\n");
    room.masks().end_task("run.0.0.1");
    assert_eq!(put("run.0.0.1.0", 1).await, "******* ***************\nhunter2 *********unter2\n");
    assert!(room.masks().task_ids().is_empty());
}

/// Pieces of one line, as an agent sends them again until they are taken.
async fn send_pieces(room: &LogRoom, pieces: &[&[u8]], call_rows: usize, no_more: bool) {
    let mut ack = 0;
    let mut rows = call_rows;
    while ack < pieces.len() {
        let end = pieces.len().min(ack + rows);
        let mut batch = room.batch();
        for (at, text) in pieces.iter().enumerate().take(end).skip(ack) {
            let row = Row { time_ms: 0, stderr: false, text };
            if at + 1 < pieces.len() { batch.push_part(row).unwrap() } else { batch.push(row).unwrap() }
        }
        let taken = room.append(&id(), ack as u64, batch, no_more && end == pieces.len()).await.unwrap() as usize;
        rows = if taken == ack { rows * 2 } else { call_rows };
        ack = taken;
    }
}

#[tokio::test]
async fn a_value_over_rows_of_one_line_is_covered() {
    let text = format!("{}hunter2{}hunter2hunter2", "x".repeat(20), "y".repeat(20));
    for values in [&["hunter2"][..], &[]] {
        for size in [1, 2, 3, 7, 25, 100] {
            for call_rows in [1, 3, 1_000] {
                let room = room(values);
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
                send_pieces(&room, &pieces, call_rows, true).await;
                let expected = if values.is_empty() { text.clone() } else { text.replace("hunter2", "*******") };
                assert_eq!(stored(&room, &id()).await, expected + "\n", "{size} bytes, {call_rows} rows");
                let head = room.head(&id()).await.unwrap();
                assert_eq!(head.rows, pieces.len() as u64, "each piece is a row");
                assert_eq!((head.joined_lines, head.unended, head.complete), (head.rows - 1, false, true));
            }
        }
    }
}

#[tokio::test]
async fn pieces_are_one_line_and_may_be_sent_again() {
    let room = room(&[]);
    let send = async |index: u64, rows: &[(&str, bool)]| {
        let mut batch = room.batch();
        for (text, goes_on) in rows {
            let row = Row { time_ms: 0, stderr: false, text: text.as_bytes() };
            if *goes_on { batch.push_part(row).unwrap() } else { batch.push(row).unwrap() }
        }
        room.append(&id(), index, batch, false).await
    };
    assert_eq!(send(0, &[("one\nt", true)]).await, Ok(1));
    assert_eq!(send(1, &[("##[error]w", true), ("o", false), ("##[error]three", false)]).await, Ok(4));
    assert_eq!(send(0, &[("one\nt", true), ("##[error]w", true), ("o", false)]).await, Ok(4));
    assert_eq!(send(1, &[("##[error]w", true)]).await, Ok(4), "from the middle");
    assert_eq!(send(2, &[("O", false)]).await, Err(LogError::Conflict { id: id(), row: 2 }));
    assert_eq!(stored(&room, &id()).await, "one\nt##[error]wo\n##[error]three\n");
    let stat = room.stat(&id()).await.unwrap();
    assert_eq!(stat.marks.iter().map(|mark| mark.line).collect::<Vec<_>>(), [4], "a mark begins a line");
}

#[tokio::test]
async fn without_values_nothing_is_touched() {
    let room = room(&[]);
    assert!(room.masks().current().is_none());
    append(&room, 0, &["hunter2 ***"]).await.unwrap();
    assert_eq!(stored(&room, &id()).await, "hunter2 ***\n");
    assert_eq!(append(&room, 0, &["hunter2 +++"]).await, Err(LogError::Conflict { id: id(), row: 0 }));
}

#[tokio::test]
async fn records_are_covered() {
    let room = room(&["hunter2"]);
    let log = LogId::parse("r.0123456789abcdef.x").unwrap();
    let records = vec![Bytes::from("{\"pw\":\"hunter2\"}"), Bytes::from("two\nhunter2\n")];
    assert_eq!(room.append_records(&log, records).await, Ok(0));
    assert_eq!(stored(&room, &log).await, "{\"pw\":\"*******\"}\ntwo\n*******\n\n");
}

/// A stream of a room, and what writes to it.
struct Stream {
    room: LogRoom,
    streams: LogStreams,
    id: String,
    token: String,
}

impl Stream {
    async fn new(values: &[&str]) -> Self {
        let room = room(values);
        let streams = LogStreams::new(room.clone(), [7; 32]);
        let names = streams.create(&InstanceName::default()).await.unwrap();
        let id = names.name.strip_prefix("logstreams/").unwrap().to_owned();
        let token = names.write_name.rsplit_once('/').unwrap().1.to_owned();
        Self { room, streams, id, token }
    }

    fn writer(&self) -> crate::logs::streams::StreamWriter {
        self.streams.writer(&InstanceName::default(), &self.id, &self.token).unwrap()
    }

    async fn stored(&self) -> String {
        stored(&self.room, &LogStreams::log_id(&InstanceName::default(), &self.id).unwrap()).await
    }
}

#[tokio::test]
async fn a_value_over_messages_and_calls_is_covered() {
    let stream = Stream::new(&["hunter2"]).await;
    let mut writer = stream.writer();
    writer.take(0, b"pw=hun", false).await.unwrap();
    writer.take(6, b"ter2 and", false).await.unwrap();
    assert_eq!(writer.flush().await.unwrap().committed, 14);
    assert_eq!(stream.stored().await, "pw=******* and");
    // A call that ends in the middle must keep what it says it has; the rest is covered.
    writer = stream.writer();
    writer.take(14, b" hun", false).await.unwrap();
    assert_eq!(writer.flush().await.unwrap().committed, 18);
    writer = stream.writer();
    writer.take(18, b"ter2!", false).await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(stream.stored().await, "pw=******* and hun****!");
    // All of it again, cut in another way, and then what is new.
    writer = stream.writer();
    writer.take(0, b"pw=hunter2 an", false).await.unwrap();
    writer.take(13, b"d hunter2! hunter2\n", true).await.unwrap();
    assert_eq!(writer.flush().await.unwrap().committed, 32);
    assert_eq!(stream.stored().await, "pw=******* and hun****! *******\n");
    writer = stream.writer();
    writer.take(3, b"another", false).await.unwrap();
    assert!(writer.flush().await.is_ok(), "what is covered is not compared");
    writer = stream.writer();
    writer.take(0, b"PW=hunter2", false).await.unwrap();
    assert!(writer.flush().await.is_err());
}

#[tokio::test]
async fn the_beginning_of_a_value_waits_for_its_end() {
    let stream = Stream::new(&["hunter2"]).await;
    let mut writer = stream.writer();
    writer.take(0, b"password: hunte", false).await.unwrap();
    writer.advance().await.unwrap();
    // In hex it has 14 digits: so many bytes may be the beginning of it.
    assert_eq!(stream.stored().await, "pa", "seen soon, but not what may be a secret");
    let wait = Duration::from_millis(4 * STREAM_HOLD_MS);
    assert!(tokio::time::timeout(wait, writer.advance()).await.is_err(), "it waits");
    writer.take(15, b"r2\n", false).await.unwrap();
    writer.advance().await.unwrap();
    assert_eq!(stream.stored().await, "password: *******\n");
    // It was none.
    writer.take(18, b"hunte", false).await.unwrap();
    writer.advance().await.unwrap();
    assert_eq!(stream.stored().await, "password: *******\nhunte");
}

#[tokio::test]
async fn what_waits_says_nothing_of_a_value() {
    let mut seen = Vec::new();
    for guess in ["the value is hun", "the value is hux"] {
        let stream = Stream::new(&["hunter2"]).await;
        let mut writer = stream.writer();
        writer.take(0, guess.as_bytes(), false).await.unwrap();
        writer.advance().await.unwrap();
        let wait = Duration::from_millis(4 * STREAM_HOLD_MS);
        assert!(tokio::time::timeout(wait, writer.advance()).await.is_err(), "{guess}");
        seen.push(stream.stored().await);
    }
    assert_eq!(seen, ["the", "the"], "a right guess looks like a wrong one");
}

#[tokio::test]
async fn a_value_between_two_large_appends_is_covered_whole() {
    let stream = Stream::new(&["hunter2"]).await;
    let mut writer = stream.writer();
    let text = format!("{}hunter2{}", "x".repeat(1024 * 1024 - 4), "y".repeat(1024));
    writer.take(0, text.as_bytes(), true).await.unwrap();
    writer.flush().await.unwrap();
    assert!(stream.stored().await == text.replace("hunter2", "*******"));
}

fn secret() -> impl Strategy<Value = String> {
    prop_oneof!["[ab/é]{3,8}", "[a-d+ \"]{5,30}", "[ab]{3,6}\n[ab/]{4,7}\n"]
        .prop_filter("is long enough", |value| !MaskForms::of(value).plain.is_empty())
}

/// Text with forms of the secrets in it.
fn content(secrets: &[String]) -> BoxedStrategy<Vec<u8>> {
    let forms: Vec<Vec<u8>> = secrets
        .iter()
        .flat_map(|secret| {
            let MaskForms { plain, encoded } = MaskForms::of(secret);
            plain.into_iter().chain(encoded)
        })
        .collect();
    let part = prop_oneof![
        2 => prop::sample::select(forms),
        2 => "[ab/é\n]{0,6}".prop_map(String::into_bytes),
        1 => "[ -~\n]{0,12}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(part, 0..10).prop_map(|parts| parts.concat()).boxed()
}

fn scenes() -> impl Strategy<Value = (Vec<String>, Vec<u8>)> {
    proptest::collection::vec(secret(), 1..3).prop_flat_map(|secrets| (Just(secrets.clone()), content(&secrets)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// In whatever messages and calls, begun or not: no form is in what is stored, sizes are true, and all that is
    /// not covered is as it was.
    #[test]
    fn no_form_is_ever_stored(
        (secrets, content) in scenes(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_u8), 0..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let values: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let stream = Stream::new(&values).await;
            let mut cuts: Vec<(usize, u8)> = cuts.iter().map(|(at, how)| (at.index(content.len() + 1), *how)).collect();
            cuts.sort_unstable();
            let mut writer = stream.writer();
            let mut from = 0;
            for (to, how) in cuts {
                writer.take(from as u64, &content[from..to], false).await.unwrap();
                match how {
                    0 => {}
                    1 => drop(writer.advance().now_or_never()),
                    2 => assert_eq!(writer.flush().await.unwrap().committed, to as u64),
                    _ => {
                        writer.flush().await.unwrap();
                        writer = stream.writer();
                        writer.take((from / 2) as u64, &content[from / 2..to], false).await.unwrap();
                    }
                }
                from = to;
            }
            writer.take(from as u64, &content[from..], true).await.unwrap();
            assert_eq!(writer.flush().await.unwrap().committed, content.len() as u64);
            let log = LogStreams::log_id(&InstanceName::default(), &stream.id).unwrap();
            let stored = stream.room.read_bytes(&log, 0, usize::MAX).await.unwrap();
            assert_eq!(stored.len(), content.len());
            let set = stream.room.masks().current().unwrap();
            assert!(set.find(&stored).is_empty(), "{:?}", String::from_utf8_lossy(&stored));
            let mut may_be_covered = vec![false; content.len()];
            for value in set.find(&content) {
                may_be_covered[value].fill(true);
            }
            for (at, (stored, sent)) in stored.iter().zip(&content).enumerate() {
                assert!(stored == sent || may_be_covered[at] && *stored == b'*', "byte {at} was changed");
            }
            // The same again is the same.
            let mut again = stream.writer();
            again.take(0, &content, true).await.unwrap();
            assert!(again.flush().await.unwrap().complete);
        });
    }
}
