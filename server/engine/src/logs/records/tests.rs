//! Records over logs in memory: exact bytes and numbers, many producers, tails live and late, and the rows of logs that
//! others write.

use std::sync::Arc;

use bytes::Bytes;
use millrace_proto::instance_name::InstanceName;
use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::logs::memory::MemoryLogs;
use crate::logs::streams::LogStreams;
use crate::logs::{LINE_MAX_BYTES, LogLimits, Row};

struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

fn room() -> LogRoom {
    LogRoom::new(Arc::new(MemoryLogs::default()), Arc::new(Noon), LogLimits::default())
}

fn named(name: &str) -> RecordSource {
    RecordSource::parse(name, "team").unwrap()
}

fn id_of(source: &RecordSource) -> LogId {
    match source {
        RecordSource::Named(named) => named.log().clone(),
        RecordSource::Log(id) => id.clone(),
    }
}

/// Records that are awkward to keep in lines.
fn awkward() -> Vec<Bytes> {
    let long = vec![b'L'; 3 * LINE_MAX_BYTES + 17];
    let ends_in_long = [&b"x\n"[..], &long, b"\n"].concat();
    let all: [&[u8]; 12] = [
        b"plain",
        b"",
        b"\n",
        b"\n\n\n",
        b"ends\n",
        b"a\nb\n\nc",
        b"\r\n",
        b"\0\xff\xfe",
        "##[error]\u{1b}[31mred\u{1b}[0m".as_bytes(),
        &long,
        &ends_in_long,
        &long[..LINE_MAX_BYTES],
    ];
    all.map(Bytes::copy_from_slice).to_vec()
}

async fn rows(tail: &mut RowTail, count: usize) -> Vec<LogRow> {
    let mut rows = Vec::new();
    while rows.len() < count {
        match tail.next().await.unwrap() {
            RowEvent::Row(row) => rows.push(row),
            RowEvent::End(head) => panic!("the log ended: {head:?}"),
        }
    }
    rows
}

#[tokio::test]
async fn records_are_exactly_what_was_sent() {
    let records = Records::new(room());
    let log = named("");
    let mut live = records.tail(&id_of(&log), 0, Missing::Wait).await.unwrap();
    let producer = records.producer(&log).unwrap();
    let sent = awkward();
    for (number, value) in (0..).zip(&sent) {
        assert_eq!(producer.send(value.clone()).await.unwrap().durable().await.unwrap(), number);
        assert_eq!(
            rows(&mut live, 1).await,
            [LogRow { number, value: value.clone() }],
            "at once, without the next one"
        );
    }
    for (number, value) in (0..).zip(&sent) {
        let row = records.read(&id_of(&log), number, Missing::Refuse).await.unwrap();
        assert_eq!(row, LogRow { number, value: value.clone() });
        let mut tail = records.tail(&id_of(&log), number, Missing::Refuse).await.unwrap();
        let rest = rows(&mut tail, sent.len() - number as usize).await;
        assert!(rest.iter().map(|row| &row.value).eq(&sent[number as usize..]), "from {number}");
    }
    assert_eq!(records.busy_logs(), 0);
}

#[tokio::test]
async fn past_the_end_is_an_error_for_one_and_waited_for_by_the_other() {
    let records = Records::new(room());
    let log = named("late");
    let id = id_of(&log);
    assert!(matches!(records.read(&id, 0, Missing::Wait).await, Err(Error::Range(_))));
    assert!(matches!(records.read(&id, 0, Missing::Refuse).await, Err(Error::NotFound(_))));
    let mut tail = records.tail(&id, 2, Missing::Wait).await.unwrap();
    let producer = records.producer(&log).unwrap();
    for text in ["zero", "one\nand more", "two"] {
        producer.send(text.into()).await.unwrap().durable().await.unwrap();
    }
    assert_eq!(rows(&mut tail, 1).await, [LogRow { number: 2, value: "two".into() }]);
    let error = records.read(&id, 3, Missing::Wait).await.unwrap_err();
    assert!(matches!(&error, Error::Range(message) if message.contains("3 records")), "{error}");
    let mut far = records.tail(&id, 4, Missing::Wait).await.unwrap();
    for text in ["three", "four"] {
        producer.send(text.into()).await.unwrap().durable().await.unwrap();
    }
    assert_eq!(rows(&mut far, 1).await[0].value, "four");
}

#[tokio::test]
async fn only_the_server_writes_events_and_nobody_writes_by_id() {
    let records = Records::new(room());
    for (log, word) in [("events", "events is written by the server"), ("r.0123456789abcdef.x", "is an id")] {
        let refused = records.producer(&named(log)).err().unwrap();
        assert!(matches!(&refused, Error::Denied(message) if message.contains(word)), "{refused}");
    }
}

#[tokio::test]
async fn limits_are_named() {
    let records = Records::new(room());
    let producer = records.producer(&named("limits")).unwrap();
    for (value, why) in [
        (vec![0; RECORD_MAX_BYTES + 1], "1048577 bytes; the limit is 1048576"),
        (vec![b'\n'; RECORD_MAX_LINE_ENDS + 1], "line ends; the limit is"),
    ] {
        let error = producer.send(value.into()).await.err().unwrap().to_string();
        assert!(error.starts_with("record.value: ") && error.contains(why), "{error}");
    }
    for (number, value) in (0..).zip([vec![b'x'; RECORD_MAX_BYTES], vec![b'\n'; RECORD_MAX_LINE_ENDS]]) {
        let value = Bytes::from(value);
        assert_eq!(producer.send(value.clone()).await.unwrap().durable().await.unwrap(), number);
        assert!(records.read(&id_of(&named("limits")), number, Missing::Refuse).await.unwrap().value == value);
    }
}

#[tokio::test]
async fn many_producers_get_each_their_numbers() {
    const PRODUCERS: usize = 20;
    const EACH: usize = 300;
    let records = Records::new(room());
    let log = named("many");
    let mut all = tokio::task::JoinSet::new();
    for one in 0..PRODUCERS {
        let producer = records.producer(&log).unwrap();
        all.spawn(async move {
            let mut sent = Vec::new();
            for number in 0..EACH {
                sent.push(producer.send(format!("{one} {number}").into()).await.unwrap());
            }
            let mut numbers = Vec::new();
            for mut one in sent {
                numbers.push(one.durable().await.unwrap());
            }
            (one, numbers)
        });
    }
    let told = all.join_all().await;
    let mut tail = records.tail(&id_of(&log), 0, Missing::Refuse).await.unwrap();
    let rows = rows(&mut tail, PRODUCERS * EACH).await;
    assert!(rows.iter().map(|row| row.number).eq(0..(PRODUCERS * EACH) as u64));
    for (one, numbers) in told {
        for (own, number) in numbers.into_iter().enumerate() {
            assert_eq!(rows[number as usize].value, format!("{one} {own}"), "a producer's records are in its order");
        }
    }
}

#[tokio::test]
async fn a_producer_that_goes_away_does_no_harm() {
    let records = Records::new(room());
    let log = named("gone");
    for number in 0..50 {
        let producer = records.producer(&log).unwrap();
        drop(producer.send(number.to_string().into()).await.unwrap());
    }
    let producer = records.producer(&log).unwrap();
    assert_eq!(producer.send("last".into()).await.unwrap().durable().await.unwrap(), 50);
    // The task is gone when nothing waits.
    while records.busy_logs() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(producer.send("again".into()).await.unwrap().durable().await.unwrap(), 51);
}

#[tokio::test]
async fn nothing_follows_a_record_that_failed() {
    let room = room();
    let records = Records::new(room.clone());
    let log = named("ended");
    let producer = records.producer(&log).unwrap();
    assert_eq!(producer.send("in".into()).await.unwrap().durable().await.unwrap(), 0);
    room.close(&id_of(&log)).await.unwrap();
    let mut sent = Vec::new();
    for text in ["a", "b"] {
        sent.push(producer.send(text.into()).await.unwrap());
    }
    let mut errors = Vec::new();
    for mut one in sent {
        errors.push(one.durable().await.unwrap_err());
    }
    assert!(matches!(&errors[0], Error::Precondition(message) if message.contains("complete")), "{errors:?}");
    let mut tail = records.tail(&id_of(&log), 0, Missing::Refuse).await.unwrap();
    assert_eq!(rows(&mut tail, 1).await[0].value, "in");
    assert!(matches!(tail.next().await.unwrap(), RowEvent::End(head) if head.rows == 1));
}

#[tokio::test]
async fn a_project_has_so_many_named_logs_and_no_more() {
    let store = Arc::new(MemoryLogs::default());
    let limits = LogLimits { named_logs_max: 2, ..LogLimits::default() };
    let open = || LogRoom::new(store.clone(), Arc::new(Noon), limits);
    let room = open();
    let mut batch = room.batch();
    batch.push(Row { time_ms: 0, stderr: false, text: b"{}" }).unwrap();
    room.append(NamedLog::events("team").unwrap().log(), 0, batch, false).await.unwrap();
    let records = Records::new(room.clone());
    let produce = async |records: &Records, project: &str, name: &str| {
        let log = RecordSource::parse(name, project).unwrap();
        records.producer(&log).unwrap().send("a record".into()).await.unwrap().durable().await
    };
    let told = futures::future::join_all(["a", "b", "c", "d"].map(|name| produce(&records, "team", name))).await;
    let refused: Vec<&Error> = told.iter().filter_map(|told| told.as_ref().err()).collect();
    assert_eq!(refused.len(), 2, "made at once as well: {told:?}");
    for refused in refused {
        assert!(matches!(refused, Error::Exhausted(message) if message.contains("limit is 2 (--log-named-max)")));
    }
    assert_eq!(room.list(None, 10).await.unwrap().len(), 3, "a refused record makes no log");
    let there = room.list(None, 10).await.unwrap().iter().filter_map(NamedLog::of_log).find(|log| !log.is_read_only());
    let there = there.unwrap();
    assert_eq!(produce(&records, "team", there.name()).await.unwrap(), 1, "those that are there go on");
    assert_eq!(produce(&records, "other", "x").await.unwrap(), 0, "each project has its own");
    // A server that has just started counts them.
    let records = Records::new(open());
    assert!(matches!(produce(&records, "team", "e").await, Err(Error::Exhausted(_))));
    assert_eq!(produce(&records, "other", "y").await.unwrap(), 0);
    records.room.delete(there.log()).await.unwrap();
    assert_eq!(produce(&records, "team", "e").await.unwrap(), 0);
    assert!(matches!(produce(&records, "team", "f").await, Err(Error::Exhausted(_))));
}

#[tokio::test]
async fn rows_of_a_step_are_records() {
    let room = room();
    let records = Records::new(room.clone());
    let id = LogId::parse("run.0.0.0").unwrap();
    let mut live = records.tail(&id, 0, Missing::Wait).await.unwrap();
    let long = "é".repeat(LINE_MAX_BYTES);
    let texts = ["one", "", "two\nlines", &long, "last"];
    let mut batch = room.batch();
    for text in texts {
        batch.push(Row { time_ms: 0, stderr: false, text: text.as_bytes() }).unwrap();
    }
    room.append(&id, 0, batch, false).await.unwrap();
    let got = rows(&mut live, texts.len()).await;
    assert!(got.iter().map(|row| &row.value[..]).eq(texts.map(str::as_bytes)));
    assert_eq!(records.read(&id, 3, Missing::Refuse).await.unwrap().value, long);
    room.close(&id).await.unwrap();
    assert!(matches!(live.next().await.unwrap(), RowEvent::End(_)));
}

#[tokio::test]
async fn a_line_of_a_stream_is_a_record_when_it_has_its_end() {
    let room = room();
    let (records, streams) = (Records::new(room.clone()), LogStreams::new(room, [7; 32]));
    let parent = InstanceName::default();
    let names = streams.create(&parent).await.unwrap();
    let stream = names.name.strip_prefix("logstreams/").unwrap();
    let token = names.write_name.rsplit_once('/').unwrap().1;
    let id = LogStreams::log_id(&parent, stream).unwrap();
    let mut live = records.tail(&id, 0, Missing::Refuse).await.unwrap();
    let mut at = 0;
    for (bytes, finish) in [("one\nha", false), ("lf", false), (" a line\nno end", true)] {
        let mut writer = streams.writer(&parent, stream, token).unwrap();
        writer.take(at, bytes.as_bytes(), finish).await.unwrap();
        at = writer.flush().await.unwrap().committed;
        if !finish {
            let past = records.read(&id, 1, Missing::Refuse).await.unwrap_err();
            assert!(matches!(past, Error::Range(_)), "half a line is no record yet: {past}");
        }
    }
    let got = rows(&mut live, 3).await;
    assert!(got.iter().map(|row| &row.value[..]).eq([&b"one"[..], b"half a line", b"no end"]));
    assert!(matches!(live.next().await.unwrap(), RowEvent::End(_)));
    assert_eq!(records.read(&id, 2, Missing::Refuse).await.unwrap().value, "no end");
}

proptest! {
    /// Whatever the records, and however reads cut them: what comes out is what went in.
    #[test]
    fn any_records_come_back(
        values in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..40), 1..30),
        from in 0_usize..30,
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let records = Records::new(room());
            let log = named("any");
            let producer = records.producer(&log).unwrap();
            let mut sent = Vec::new();
            for value in &values {
                sent.push(producer.send(Bytes::from(value.clone())).await.unwrap());
            }
            for (number, mut one) in (0..).zip(sent) {
                assert_eq!(one.durable().await.unwrap(), number);
            }
            let from = from.min(values.len() - 1);
            let mut tail = records.tail(&id_of(&log), from as u64, Missing::Refuse).await.unwrap();
            let got = rows(&mut tail, values.len() - from).await;
            for (row, number) in got.iter().zip(from..) {
                assert_eq!((row.number, &row.value[..]), (number as u64, &values[number][..]));
            }
        });
    }
}
