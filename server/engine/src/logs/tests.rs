//! The log room over logs in memory: index and acknowledgement, limits, tails.

use std::sync::Arc;

use super::memory::MemoryLogs;
use super::*;
use crate::clock::Clock;

struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
}

fn room_with(log_max_bytes: u64) -> LogRoom {
    LogRoom::new(Arc::new(MemoryLogs::default()), Arc::new(Noon), LogLimits { log_max_bytes, ..LogLimits::default() })
}

fn room() -> LogRoom {
    room_with(LOG_MAX_BYTES)
}

fn id(text: &str) -> LogId {
    LogId::parse(text).unwrap()
}

fn batch(room: &LogRoom, rows: &[&str]) -> RowBatch {
    let mut batch = room.batch();
    for text in rows {
        batch.push(Row { time_ms: 0, stderr: false, text: text.as_bytes() }).unwrap();
    }
    batch
}

async fn append(room: &LogRoom, index: u64, rows: &[&str], no_more: bool) -> Result<u64, LogError> {
    room.append(&id("a"), index, batch(room, rows), no_more).await
}

async fn text(room: &LogRoom) -> String {
    let lines = room.read_lines(&id("a"), 0, u64::MAX, usize::MAX).await.unwrap();
    String::from_utf8(lines.data.to_vec()).unwrap()
}

#[tokio::test]
async fn memory_keeps_what_stores_promise() {
    conformance::run(|| Arc::new(MemoryLogs::default())).await;
}

#[tokio::test]
async fn index_and_acknowledgement() {
    let room = room();
    let not_found = LogError::NotFound(id("a"));
    assert_eq!(append(&room, 3, &["gap"], true).await, Ok(0));
    assert_eq!(append(&room, 0, &[], false).await, Ok(0));
    assert_eq!(room.head(&id("a")).await, Err(not_found), "nothing was stored, so there is no log");
    assert_eq!(append(&room, 0, &["0", "1", "2"], false).await, Ok(3));
    assert_eq!(append(&room, 5, &["gap"], false).await, Ok(3));
    assert_eq!(append(&room, 0, &["0", "1"], true).await, Ok(3), "an old duplicate's end is not the end");
    assert_eq!(append(&room, 1, &["1", "2", "3\n3b", "4"], false).await, Ok(5));
    assert_eq!(append(&room, 2, &["2", "3\n3b", "4"], false).await, Ok(5));
    assert_eq!(append(&room, 9, &[], true).await, Ok(5));
    assert!(!room.head(&id("a")).await.unwrap().complete);
    assert_eq!(append(&room, 5, &["5"], true).await, Ok(6));
    for (index, rows) in [(5, &["5"][..]), (6, &[]), (6, &[]), (0, &["0"])] {
        assert_eq!(append(&room, index, rows, true).await, Ok(6), "sent twice");
    }
    assert_eq!(append(&room, 6, &["6"], true).await, Err(LogError::Closed(id("a"))));
    assert_eq!(append(&room, 5, &["5", "6"], false).await, Err(LogError::Closed(id("a"))));
    assert_eq!(text(&room).await, "0\n1\n2\n3\n3b\n4\n5\n");
    assert_eq!(room.live_logs(), 0);
}

#[tokio::test]
async fn other_bytes_are_a_conflict_that_names_the_row() {
    let room = room();
    append(&room, 0, &["zero", "one\nmore", "two"], false).await.unwrap();
    for (index, rows, row) in [
        (0, &["zero", "one"][..], 1),
        (0, &["zero", "one\nmore\nyet", "two"], 1),
        (0, &["zero", "one\nmor", "two", "three"], 1),
        (0, &["Zero"], 0),
        (0, &["zero", "one", "more", "two"], 2),
        (1, &["one\nmore", "tw"], 2),
        (2, &["two!", "three"], 2),
        (2, &[""], 2),
    ] {
        let conflict = LogError::Conflict { id: id("a"), row };
        assert_eq!(append(&room, index, rows, true).await, Err(conflict), "{rows:?} at {index}");
    }
    assert_eq!(append(&room, 0, &["zero", "one\nmore", "two", "three"], true).await, Ok(4));
    let conflict = LogError::Conflict { id: id("a"), row: 3 };
    assert_eq!(append(&room, 3, &["other", "after"], true).await, Err(conflict), "also after the end");
}

#[tokio::test]
async fn a_full_log_says_so_and_counts_on() {
    let room = room_with(10);
    assert_eq!(append(&room, 0, &["1234", "5678"], false).await, Ok(2));
    assert_eq!(append(&room, 2, &["", "x"], false).await, Ok(4));
    assert_eq!(append(&room, 3, &["other", "y"], false).await, Ok(5));
    assert_eq!(append(&room, 1, &["5678", "x", "z"], false).await, Ok(5));
    assert_eq!(append(&room, 5, &[], true).await, Ok(5));
    let notice = "##[warning]This log has reached its limit of 10 bytes. What follows was not kept.\n";
    assert_eq!(text(&room).await, format!("1234\n5678\n{notice}"));
    let stat = room.stat(&id("a")).await.unwrap();
    assert_eq!((stat.head.rows, stat.head.dropped_rows, stat.head.lines, stat.head.complete), (5, 3, 3, true));
    assert_eq!(stat.marks, [LogMark { kind: MarkKind::Warning, line: 2 }]);
}

#[tokio::test]
async fn marks_errors_and_last_lines() {
    let room = room();
    append(&room, 0, &["##[group]g", "a", "##[endgroup]", "##[error]bad", "##[error]worse"], false).await.unwrap();
    let stat = room.stat(&id("a")).await.unwrap();
    let kinds: Vec<_> = stat.marks.iter().map(|mark| (mark.kind, mark.line)).collect();
    assert_eq!(kinds, [(MarkKind::Group, 0), (MarkKind::EndGroup, 2), (MarkKind::Error, 3), (MarkKind::Error, 4)]);
    assert!(!stat.marks_truncated);
    assert_eq!(room.first_error_line(&id("a")).await, Ok(Some(3)));
    let last = room.last_lines(&id("a"), 2, 1000).await.unwrap();
    assert_eq!((last.place.line, &last.data[..]), (3, &b"##[error]bad\n##[error]worse\n"[..]));
    assert_eq!(room.last_lines(&id("a"), 99, 1000).await.unwrap().lines(), 5);
    assert_eq!(room.read_bytes(&id("a"), 10, 4).await.unwrap(), "\na\n#");
}

#[tokio::test]
async fn close_ends_a_log_whatever_is_missing() {
    let room = room();
    append(&room, 0, &["a"], false).await.unwrap();
    for _ in 0..2 {
        let head = room.close(&id("a")).await.unwrap();
        assert_eq!((head.rows, head.complete), (1, true));
    }
    assert!(room.close(&id("never.written")).await.unwrap().complete);
    assert_eq!(append(&room, 1, &["b"], false).await, Err(LogError::Closed(id("a"))));
}

/// All that a tail brings until the end of the log.
async fn drain(mut tail: LogTail) -> String {
    let mut text = Vec::new();
    loop {
        match tail.next().await.unwrap() {
            TailEvent::Data(lines) => {
                assert_eq!(lines.lines() as usize, memchr::memchr_iter(b'\n', &lines.data).count());
                assert!(lines.data.len() <= FOLLOW_CHUNK_MAX_BYTES);
                text.extend_from_slice(&lines.data);
            }
            TailEvent::Gap(place) => panic!("a gap before {place:?}"),
            TailEvent::End(head) => {
                assert_eq!((head.bytes, head.lines), (tail.place().offset, tail.place().line));
                return String::from_utf8(text).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn fifty_tails_see_everything_in_order() {
    let room = room();
    let a = id("a");
    let open = |start| room.tail(&a, start, Missing::Wait);
    let mut tails = Vec::new();
    for _ in 0..50 {
        tails.push(tokio::spawn(drain(open(Start::Offset(0)).await.unwrap())));
    }
    let mut expected = String::new();
    for call in 0..300_u64 {
        let rows: Vec<String> = (0..20).map(|row| format!("call {call} row {row} {}", "x".repeat(100 * row))).collect();
        for row in &rows {
            expected += row;
            expected += "\n";
        }
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        append(&room, call * 20, &rows, call == 299).await.unwrap();
    }
    for tail in tails {
        assert!(tail.await.unwrap() == expected, "a tail lost or mixed up something");
    }
    assert!(drain(open(Start::Offset(0)).await.unwrap()).await == expected, "a late tail");
    assert_eq!(room.live_logs(), 0);
}

#[tokio::test]
async fn a_tail_starts_where_it_is_told() {
    let room = room();
    let a = id("a");
    assert_eq!(room.tail(&a, Start::Offset(0), Missing::Refuse).await.err(), Some(LogError::NotFound(a.clone())));
    let past = room.tail(&a, Start::Offset(5), Missing::Wait).await.err().unwrap().to_string();
    assert!(past.starts_with("offset: 5"), "{past}");
    append(&room, 0, &["zero", "one", "two"], false).await.unwrap();
    let inside = room.tail(&a, Start::Offset(3), Missing::Wait).await.err().unwrap().to_string();
    assert!(inside.starts_with("offset: 3"), "{inside}");
    let mut tails = Vec::new();
    for start in [Start::Offset(5), Start::Offset(13), Start::LastLines(0), Start::LastLines(2), Start::LastLines(9)] {
        tails.push(room.tail(&a, start, Missing::Refuse).await.unwrap());
    }
    append(&room, 3, &["three"], true).await.unwrap();
    let mut texts = Vec::new();
    for tail in tails {
        texts.push(drain(tail).await);
    }
    assert_eq!(texts, ["one\ntwo\nthree\n", "three\n", "three\n", "one\ntwo\nthree\n", "zero\none\ntwo\nthree\n"]);
}

#[tokio::test]
async fn a_tail_of_a_removed_log_ends() {
    let room = room();
    append(&room, 0, &["zero"], false).await.unwrap();
    let mut tail = room.tail(&id("a"), Start::LastLines(0), Missing::Refuse).await.unwrap();
    let a = id("a");
    let (next, removed) = tokio::join!(tail.next(), room.delete(&a));
    assert_eq!(removed, Ok(()));
    assert_eq!(next, Err(LogError::NotFound(id("a"))));
}

#[tokio::test]
async fn a_reader_of_a_removed_log_sees_nothing_of_the_next_one() {
    let (room, a) = (room(), id("a"));
    append(&room, 0, &["zero", "one"], false).await.unwrap();
    let at_the_end = room.tail(&a, Start::LastLines(0), Missing::Refuse).await.unwrap();
    let mut half = room.tail(&a, Start::Offset(0), Missing::Refuse).await.unwrap();
    let (unread, held) = (room.tail(&a, Start::LastLines(1), Missing::Wait).await.unwrap(), room.hold(&a));
    assert!(matches!(half.next().await, Ok(TailEvent::Data(_))));
    assert_eq!(held.check(), Ok(()));
    room.delete(&a).await.unwrap();
    // Nobody of them has looked: the next log has the same lines, and more of them.
    let waiting = room.tail(&a, Start::Offset(0), Missing::Wait).await.unwrap();
    append(&room, 0, &["ZERO", "ONE", "TWO"], true).await.unwrap();
    for mut tail in [at_the_end, half, unread] {
        assert_eq!(tail.next().await, Err(LogError::NotFound(a.clone())));
        assert_eq!(tail.next().await, Err(LogError::NotFound(a.clone())), "and it stays so");
    }
    assert_eq!(held.check(), Err(LogError::NotFound(a.clone())));
    assert_eq!(room.hold(&a).check(), Ok(()));
    assert_eq!(drain(waiting).await, "ZERO\nONE\nTWO\n", "who waited for the next one gets it");
}

#[tokio::test]
async fn a_tail_that_is_overtaken_by_retention_says_so() {
    let room = room();
    append(&room, 0, &["zero", "one", "two"], false).await.unwrap();
    let mut tail = room.tail(&id("a"), Start::Offset(0), Missing::Refuse).await.unwrap();
    let first = room.trim(&id("a"), 2).await.unwrap().first;
    assert_eq!(first, LogPlace { line: 2, offset: 9, joined: 0, row: 2 });
    assert_eq!(tail.next().await, Ok(TailEvent::Gap(first)));
    assert!(matches!(tail.next().await, Ok(TailEvent::Data(lines)) if lines.data == "two\n"));
    assert_eq!(append(&room, 1, &["not compared", "two", "three"], true).await, Ok(4), "what is gone is not compared");
    let other = LogError::Conflict { id: id("a"), row: 2 };
    assert_eq!(append(&room, 1, &["gone", "other", "three"], true).await, Err(other));
    assert_eq!(drain(tail).await, "three\n");
    let since = room.tail(&id("a"), Start::Since(0), Missing::Refuse).await.unwrap();
    assert_eq!(drain(since).await, "two\nthree\n");
}

#[tokio::test]
async fn writers_of_one_log_go_one_after_the_other() {
    let room = room();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let room = room.clone();
        calls.spawn(async move { append(&room, 0, &["same", "rows"], false).await });
    }
    assert!(calls.join_all().await.into_iter().all(|ack| ack == Ok(2)));
    assert_eq!(text(&room).await, "same\nrows\n");
}

#[tokio::test]
async fn an_append_outlives_its_caller() {
    let room = room();
    let mut tail = room.tail(&id("a"), Start::Offset(0), Missing::Wait).await.unwrap();
    // Polled once, then dropped.
    let call = append(&room, 0, &["row"], false);
    tokio::select! { biased; _ = call => {}, () = std::future::ready(()) => {} }
    let event = tail.next().await.unwrap();
    assert!(matches!(event, TailEvent::Data(lines) if lines.data == "row\n"));
}
