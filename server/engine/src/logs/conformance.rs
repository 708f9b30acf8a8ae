//! What every [`LogStore`] must do, as one suite: each back end and each wrapper runs it.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    LogAppend, LogError, LogHead, LogId, LogLines, LogMark, LogPlace, LogStore, LogSummary, MARKS_MAX, MarkKind,
    ReadFrom, SURVEY_SHARDS, flags, survey_shard,
};

/// Runs the suite; `open` makes an empty store.
pub async fn run(open: impl Fn() -> Arc<dyn LogStore>) {
    missing_logs(&*open()).await;
    appends_and_heads(&*open()).await;
    reads_by_line_offset_and_row(&*open()).await;
    read_limits(&*open()).await;
    refuses_stale_and_closed(&*open()).await;
    lists_and_deletes(&*open()).await;
    marks_up_to_the_limit(&*open()).await;
    long_logs_everywhere(&*open()).await;
    any_bytes(&*open()).await;
    joined_lines(&*open()).await;
    times(&*open()).await;
    trims(&*open()).await;
    surveys(&*open()).await;
}

/// Lines with a word each; `None` stands for a flag word of 0.
fn append(at_lines: u64, lines: &[(&str, u64)]) -> LogAppend {
    let text: String = lines.iter().flat_map(|(line, _)| [line, "\n"]).collect();
    let words: Vec<u8> =
        (0..).zip(lines).flat_map(|(time, (_, flags))| word(at_lines + time, *flags).to_le_bytes()).collect();
    LogAppend { at_lines, text: text.into(), words: words.into(), ..LogAppend::default() }
}

/// The word of a line in this suite: its time is its number plus a thousand.
fn word(line: u64, flags: u64) -> u64 {
    (1000 + line) << flags::TIME_SHIFT | flags
}

fn id(text: &str) -> LogId {
    LogId::parse(text).expect("a good id")
}

async fn all(store: &dyn LogStore, id: &LogId, from: ReadFrom) -> LogLines {
    store.read(id, from, u64::MAX, usize::MAX / 2).await.expect("reads")
}

async fn missing_logs(store: &dyn LogStore) {
    let no = id("no");
    let not_found = LogError::NotFound(no.clone());
    assert_eq!(store.head(&no).await.unwrap_err(), not_found);
    assert_eq!(store.read(&no, ReadFrom::Line(0), 1, 1).await.unwrap_err(), not_found);
    assert_eq!(store.read_bytes(&no, 0, 1).await.unwrap_err(), not_found);
    assert_eq!(store.marks(&no).await.unwrap_err(), not_found);
    assert_eq!(store.delete(&no).await.unwrap_err(), not_found);
    assert_eq!(store.append(&no, append(1, &[("x", 0)])).await.unwrap_err(), LogError::Stale(no.clone()));
    assert_eq!(store.head(&no).await.unwrap_err(), not_found, "a refused append makes no log");
    assert_eq!(store.list(None, 10).await.unwrap(), []);
}

async fn appends_and_heads(store: &dyn LogStore) {
    let id = id("a");
    let error = MarkKind::Error.bits();
    let head = store
        .append(&id, append(0, &[("one", 0), ("two", flags::STDERR), ("rest", flags::CONTINUATION)]))
        .await
        .unwrap();
    let expected = LogHead { bytes: 13, lines: 3, rows: 2, last_ms: 1002, ..LogHead::default() };
    assert_eq!(head, expected);
    assert_eq!(store.head(&id).await.unwrap(), expected);
    let mut second = append(3, &[("##[error]x", error), ("full", flags::ROOM)]);
    second.dropped_rows = 7;
    second.dropped_bytes = 70;
    second.room_bytes = 5;
    second.complete = true;
    let expected = LogHead {
        bytes: 29,
        lines: 5,
        rows: 10,
        dropped_rows: 7,
        marks: 1,
        first_error_line: Some(3),
        complete: true,
        room_bytes: 5,
        dropped_bytes: 70,
        last_ms: 1004,
        ..LogHead::default()
    };
    assert_eq!(expected.written_bytes(), 24 + 70);
    assert_eq!(store.append(&id, second).await.unwrap(), expected);
    assert_eq!(store.head(&id).await.unwrap(), expected);
    let empty = self::id("empty");
    let head = store.append(&empty, LogAppend::end(0)).await.unwrap();
    assert_eq!(head, LogHead { complete: true, ..LogHead::default() });
    assert_eq!(all(store, &empty, ReadFrom::Line(0)).await, LogLines::default());
    assert_eq!(store.read_bytes(&empty, 0, 10).await.unwrap(), "");
}

async fn reads_by_line_offset_and_row(store: &dyn LogStore) {
    let id = id("a.b");
    let rest = flags::CONTINUATION;
    store.append(&id, append(0, &[("r0", 0), ("r1", 0), ("r1b", rest)])).await.unwrap();
    store.append(&id, append(3, &[("", 0), ("r3", 0), ("r3b", rest), ("r4", 0)])).await.unwrap();
    let lines = all(store, &id, ReadFrom::Line(0)).await;
    assert_eq!(lines.data, "r0\nr1\nr1b\n\nr3\nr3b\nr4\n");
    let words = [word(0, 0), word(1, 0), word(2, rest), word(3, 0), word(4, 0), word(5, rest), word(6, 0)];
    assert_eq!(lines.words, words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
    let places = [0, 3, 6, 10, 11, 14, 18, 21].map(|offset| offset as u64);
    let rows = [0, 1, 2, 2, 3, 4, 4, 5];
    for ((line, offset), row) in (0..).zip(places).zip(rows) {
        let place = LogPlace { line, offset, joined: 0, row };
        for from in [ReadFrom::Line(line), ReadFrom::Offset(offset), ReadFrom::Place(place)] {
            let found = all(store, &id, from).await;
            assert_eq!(found.place, place, "{from:?}");
            assert_eq!(found.data, lines.data.slice(offset as usize..), "{from:?}");
            assert_eq!(found.words, lines.words.slice(line as usize * 8..), "{from:?}");
            assert_eq!(found.end(), LogPlace { line: 7, offset: 21, joined: 0, row: 5 });
        }
    }
    for (row, line) in [0, 1, 3, 4, 6, 7].into_iter().enumerate() {
        assert_eq!(all(store, &id, ReadFrom::Row(row as u64)).await.place.line, line, "row {row}");
    }
    for line in [8, 1_000_000, u64::MAX] {
        assert_eq!(
            all(store, &id, ReadFrom::Line(line)).await.place,
            LogPlace { line: 7, offset: 21, joined: 0, row: 5 }
        );
        assert_eq!(all(store, &id, ReadFrom::Row(line)).await.place.line, 7);
    }
    for offset in (0..30).chain([u64::MAX]).filter(|offset| !places.contains(offset)) {
        match store.read(&id, ReadFrom::Offset(offset), 1, 1).await {
            Err(LogError::Invalid { field: "offset", message }) => {
                assert!(message.contains(&offset.to_string()), "{message}");
            }
            other => panic!("offset {offset}: {other:?}"),
        }
    }
}

async fn read_limits(store: &dyn LogStore) {
    let id = id("limits");
    store.append(&id, append(0, &[("aaaa", 0), ("bb", 0), ("cccccc", 0)])).await.unwrap();
    for (line, max_lines, max_bytes, expected) in [
        (0, 0, 100, ""),
        (0, 1, 100, "aaaa\n"),
        (0, 2, 100, "aaaa\nbb\n"),
        (0, 9, 0, "aaaa\n"),
        (0, 9, 5, "aaaa\n"),
        (0, 9, 7, "aaaa\n"),
        (0, 9, 8, "aaaa\nbb\n"),
        (1, 9, 14, "bb\ncccccc\n"),
        (2, 9, 1, "cccccc\n"),
        (3, 9, 9, ""),
    ] {
        let lines = store.read(&id, ReadFrom::Line(line), max_lines, max_bytes).await.unwrap();
        assert_eq!(lines.data, expected, "{max_lines} lines, {max_bytes} bytes from line {line}");
        assert_eq!(lines.lines() as usize, expected.matches('\n').count());
    }
    for (offset, max, expected) in
        [(0, 3, "aaa"), (3, 4, "a\nbb"), (14, 9, "\n"), (15, 9, ""), (16, 9, ""), (u64::MAX, 9, ""), (2, 0, "")]
    {
        assert_eq!(store.read_bytes(&id, offset, max).await.unwrap(), expected);
    }
}

async fn refuses_stale_and_closed(store: &dyn LogStore) {
    let id = id("refused");
    let head = store.append(&id, append(0, &[("a", 0), ("b", 0)])).await.unwrap();
    for at in [0, 1, 3] {
        assert_eq!(store.append(&id, append(at, &[("x", 0)])).await.unwrap_err(), LogError::Stale(id.clone()));
    }
    assert_eq!(store.head(&id).await.unwrap(), head);
    store.append(&id, LogAppend::end(2)).await.unwrap();
    assert_eq!(store.append(&id, append(2, &[("x", 0)])).await.unwrap_err(), LogError::Closed(id.clone()));
    assert_eq!(all(store, &id, ReadFrom::Line(0)).await.data, "a\nb\n");
}

async fn lists_and_deletes(store: &dyn LogStore) {
    // Upper and lower case are different logs, also where the file system thinks they are not.
    let long = "Z".repeat(200);
    let mut names = ["run.0", "run.1", "RUN.0", "con", "...", "a.text", "a", "a.lines", "x-_.", &long].map(id);
    for name in &names {
        store.append(name, append(0, &[(name.as_str(), 0)])).await.unwrap();
    }
    for name in &names {
        assert_eq!(all(store, name, ReadFrom::Line(0)).await.data, format!("{name}\n"));
    }
    names.sort();
    assert_eq!(store.list(None, 100).await.unwrap(), names);
    assert_eq!(store.list(Some(&names[2]), 3).await.unwrap(), names[3..6]);
    assert_eq!(store.list(Some(&id("b")), 1).await.unwrap(), [id("con")]);
    store.delete(&id("run.0")).await.unwrap();
    assert_eq!(store.head(&id("run.0")).await.unwrap_err(), LogError::NotFound(id("run.0")));
    assert!(!store.list(None, 100).await.unwrap().contains(&id("run.0")));
    store.append(&id("run.0"), append(0, &[("new", 0)])).await.unwrap();
    assert_eq!(all(store, &id("run.0"), ReadFrom::Line(0)).await.data, "new\n");
    assert_eq!(all(store, &id("RUN.0"), ReadFrom::Line(0)).await.data, "RUN.0\n");
}

async fn marks_up_to_the_limit(store: &dyn LogStore) {
    let id = id("marks");
    let kinds = [MarkKind::Group, MarkKind::Warning, MarkKind::Notice, MarkKind::EndGroup];
    let mut expected = Vec::new();
    for call in 0..25 {
        let lines: Vec<(&str, u64)> =
            (0..1000).map(|line| ("x", if line % 2 == 0 { 0 } else { kinds[line / 2 % 4].bits() })).collect();
        store.append(&id, append(call * 1000, &lines)).await.unwrap();
        expected.extend(
            (1..1000).step_by(2).map(|line| LogMark { kind: kinds[line / 2 % 4], line: call * 1000 + line as u64 }),
        );
    }
    let head = store.append(&id, append(25_000, &[("e", MarkKind::Error.bits())])).await.unwrap();
    assert_eq!((head.marks, head.first_error_line), (12_501, Some(25_000)));
    let marks = store.marks(&id).await.unwrap();
    assert_eq!(marks.len() as u64, MARKS_MAX);
    assert_eq!(marks, expected[..MARKS_MAX as usize]);
}

async fn long_logs_everywhere(store: &dyn LogStore) {
    let id = id("long");
    let texts: Vec<String> = (0..3000).map(|line| format!("line {line} {}", "x".repeat(line % 97))).collect();
    let flags_of = |line: usize| {
        if line % 5 == 4 { flags::CONTINUATION } else { 0 }
    };
    let mut at = 0;
    for size in [1, 255, 1, 255, 700, 3, 1500, 285] {
        let lines: Vec<(&str, u64)> = (at..at + size).map(|line| (texts[line].as_str(), flags_of(line))).collect();
        store.append(&id, append(at as u64, &lines)).await.unwrap();
        at += size;
    }
    assert_eq!(at, texts.len());
    let mut offset = 0;
    let mut row = 0;
    for (line, text) in texts.iter().enumerate() {
        let near_an_edge = matches!(line % 256, 0 | 1 | 255) || line % 101 == 0;
        if near_an_edge {
            let place = LogPlace { line: line as u64, offset, joined: 0, row };
            for from in [ReadFrom::Line(line as u64), ReadFrom::Offset(offset)] {
                let lines = store.read(&id, from, 1, 1 << 20).await.unwrap();
                assert_eq!((lines.place, lines.data), (place, format!("{text}\n").into()), "{from:?}");
            }
            if flags_of(line) == 0 {
                assert_eq!(store.read(&id, ReadFrom::Row(row), 0, 0).await.unwrap().place, place, "row {row}");
            }
            let many = store.read(&id, ReadFrom::Place(place), 600, 1 << 20).await.unwrap();
            assert_eq!(many.lines() as usize, (texts.len() - line).min(600));
        }
        row += u64::from(flags_of(line) == 0);
        offset += text.len() as u64 + 1;
    }
}

async fn any_bytes(store: &dyn LogStore) {
    let id = id("bytes");
    let mut text: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    text.push(b'\n');
    text.extend(vec![0xF0; 200_000]);
    text.push(b'\n');
    let text = Bytes::from(text);
    let words: Vec<u8> = [word(0, 0), word(1, 0)].iter().flat_map(|word| word.to_le_bytes()).collect();
    store
        .append(&id, LogAppend { at_lines: 0, text: text.clone(), words: words.into(), ..LogAppend::default() })
        .await
        .unwrap();
    assert_eq!(all(store, &id, ReadFrom::Line(0)).await.data, text);
    assert_eq!(store.read(&id, ReadFrom::Line(1), 9, 1000).await.unwrap().data, text.slice(256..), "one line at least");
}

/// Lines whose end is not the writer's: whole for those who read lines, without that end for those who read bytes.
async fn joined_lines(store: &dyn LogStore) {
    let id = id("joined");
    let flags_of = |line: usize| {
        // Lines come in threes (two that are joined to the next), in ones, and as one of 600 pieces.
        let joined = |line: usize| (line % 4 < 2 && line < 2000) || (2000..2600).contains(&line);
        let rest = if line > 0 && joined(line - 1) { flags::CONTINUATION } else { 0 };
        rest | if joined(line) { flags::JOINED } else { 0 }
    };
    let texts: Vec<String> = (0..2700).map(|line| format!("{line}.{}", "y".repeat(line % 41))).collect();
    let (mut at, mut stream) = (0, String::new());
    for size in [1, 1, 2, 252, 1, 300, 1443, 100, 600] {
        let lines: Vec<(&str, u64)> = (at..at + size).map(|line| (texts[line].as_str(), flags_of(line))).collect();
        for (text, word) in &lines {
            stream += text;
            stream += if word & flags::JOINED == 0 { "\n" } else { "" };
        }
        at += size;
        let head = store.append(&id, append(at as u64 - size as u64, &lines)).await.unwrap();
        let joined = (0..at).filter(|line| flags_of(*line) & flags::JOINED != 0).count() as u64;
        assert_eq!((head.joined_lines, head.unended), (joined, flags_of(at - 1) & flags::JOINED != 0));
        assert_eq!((head.stream_bytes(), store.head(&id).await.unwrap()), (stream.len() as u64, head));
    }
    assert_eq!(at, texts.len());
    let stream = stream.into_bytes();
    let (mut place, mut begun) = (LogPlace::default(), 0);
    for line in 0..texts.len() {
        let next = store.read(&id, ReadFrom::Place(place), 1, 0).await.unwrap();
        assert_eq!(place.stream_offset(), begun as u64);
        let next_begun = begun + next.stream_bytes().len();
        if line % 256 < 2 || line % 7 == 0 || line % 256 == 255 {
            let mut ways =
                vec![ReadFrom::Line(place.line), ReadFrom::Offset(place.offset), ReadFrom::Byte(begun as u64)];
            ways.push(ReadFrom::Time(1000 + place.line as i64));
            for from in ways {
                assert_eq!(store.read(&id, from, 0, 0).await.unwrap().place, place, "{from:?}");
            }
            let last = ReadFrom::Byte(next_begun as u64 - 1);
            assert_eq!(store.read(&id, last, 0, 0).await.unwrap().place, place, "its last byte");
        }
        for (offset, len) in
            [(begun + line % 3, line % 2000), (begun, 1 << 20)].into_iter().take(1 + usize::from(line % 97 == 0))
        {
            let (from, to) = (offset.min(stream.len()), (offset + len).min(stream.len()));
            let read = store.read_bytes(&id, offset as u64, len).await.unwrap();
            assert!(read == stream[from..to], "{len} bytes from {offset}");
        }
        (place, begun) = (next.end(), next_begun);
    }
    let end = store.head(&id).await.unwrap().end();
    for byte in [stream.len() as u64, u64::MAX] {
        assert_eq!(store.read(&id, ReadFrom::Byte(byte), 9, 9).await.unwrap().place, end);
        assert_eq!(store.read_bytes(&id, byte, 9).await.unwrap(), "");
    }
}

async fn times(store: &dyn LogStore) {
    let id = id("times");
    let words = |times: &[u64]| -> Bytes {
        times.iter().flat_map(|time| (time << flags::TIME_SHIFT).to_le_bytes()).collect::<Vec<u8>>().into()
    };
    // A thousand lines at 0, 0, 0, 30, 30, 30, 60...
    let times: Vec<u64> = (0..1000).map(|line| line / 3 * 30).collect();
    let text = Bytes::from("t\n".repeat(1000));
    store.append(&id, LogAppend { text, words: words(&times), ..LogAppend::default() }).await.unwrap();
    assert_eq!(store.head(&id).await.unwrap().last_ms, 333 * 30);
    for (time, line) in [
        (i64::MIN, 0),
        (-1, 0),
        (0, 0),
        (1, 3),
        (30, 3),
        (31, 6),
        (2560, 258),
        (9990, 999),
        (9991, 1000),
        (i64::MAX, 1000),
    ] {
        assert_eq!(store.read(&id, ReadFrom::Time(time), 0, 0).await.unwrap().place.line, line, "time {time}");
    }
    // Times that go back lead somewhere, and never past what is asked for at the end.
    let back = self::id("back");
    store
        .append(&back, LogAppend { text: "a\nb\nc\n".into(), words: words(&[9, 5, 9]), ..LogAppend::default() })
        .await
        .unwrap();
    assert!(store.read(&back, ReadFrom::Time(9), 0, 0).await.unwrap().place.line < 3);
}

/// How much a trim takes is the store's own business, but not what is left.
async fn trims(store: &dyn LogStore) {
    let id = id("trims");
    assert_eq!(store.trim(&id, 5).await.unwrap_err(), LogError::NotFound(id.clone()));
    let rest = flags::CONTINUATION;
    let mut expected = Vec::new();
    for call in 0..20_u64 {
        let texts: Vec<String> = (0..50).map(|line| format!("{} {}", call * 50 + line, "t".repeat(100))).collect();
        let flags_of = |line: usize| match line % 5 {
            1 | 3 => rest,
            2 => rest | flags::JOINED,
            4 => MarkKind::Notice.bits(),
            _ => 0,
        };
        let lines: Vec<(&str, u64)> =
            texts.iter().enumerate().map(|(at, text)| (text.as_str(), flags_of(at))).collect();
        store.append(&id, append(call * 50, &lines)).await.unwrap();
        expected.extend(texts);
    }
    let whole = store.head(&id).await.unwrap();
    let whole_lines = all(store, &id, ReadFrom::Line(0)).await;
    let mut last_first = LogPlace::default();
    for before in [0, 1, 3, 100, 500, 400, 899, 5000] {
        let head = store.trim(&id, before).await.unwrap();
        assert_eq!(head, store.head(&id).await.unwrap());
        assert_eq!(LogHead { first: LogPlace::default(), ..head }, whole, "all numbers but the first place stay");
        let first = head.first;
        assert!(
            first.line <= before.min(whole.lines - 1).max(last_first.line) && first.line >= last_first.line,
            "{first:?} before {before}"
        );
        last_first = first;
        check_trimmed(store, &id, &head, &whole_lines).await;
    }
    store.append(&id, append(1000, &[("more", 0)])).await.unwrap();
    let head = store.append(&id, LogAppend::end(1001)).await.unwrap();
    assert_eq!(head.first, last_first);
    assert_eq!(store.trim(&id, 1000).await.unwrap(), head, "a complete log stays as it is");
    store.delete(&id).await.unwrap();
    assert_eq!(store.append(&id, append(0, &[("new", 0)])).await.unwrap().first, LogPlace::default());
}

async fn check_trimmed(store: &dyn LogStore, id: &LogId, head: &LogHead, whole: &LogLines) {
    let first = head.first;
    let left = all(store, id, ReadFrom::Line(0)).await;
    assert_eq!(left.place, first);
    assert_eq!(left.data, whole.data.slice(first.offset as usize..));
    assert_eq!(left.words, whole.words.slice(first.line as usize * 8..));
    assert_eq!(left.end(), head.end());
    for from in [
        ReadFrom::Line(first.line),
        ReadFrom::Offset(first.offset),
        ReadFrom::Offset(first.offset.saturating_sub(3)),
        ReadFrom::Byte(first.stream_offset()),
        ReadFrom::Byte(0),
        ReadFrom::Row(first.row),
        ReadFrom::Row(0),
        ReadFrom::Time(0),
        ReadFrom::Time(1000 + first.line as i64),
        ReadFrom::Place(LogPlace::default()),
        ReadFrom::Place(first),
    ] {
        let read = store.read(id, from, 3, 1 << 20).await.unwrap();
        assert_eq!(read.place, first, "{from:?}");
        assert!(left.data.starts_with(&read.data) && read.lines() == 3.min(left.lines()), "{from:?}");
    }
    for line in [first.line + 1, first.line + 7, head.lines - 1] {
        let line = line.min(head.lines);
        let read = store.read(id, ReadFrom::Line(line), 1, 1 << 20).await.unwrap();
        assert_eq!(read.place.line, line);
        let from_row = store.read(id, ReadFrom::Row(read.place.row), 0, 0).await.unwrap().place;
        assert!(from_row.line >= read.place.line && from_row.row == read.place.row);
    }
    let stream = left.stream_bytes();
    let bytes = store.read_bytes(id, first.stream_offset(), usize::MAX / 2).await.unwrap();
    assert_eq!(bytes, stream);
    if let Some(before) = first.stream_offset().checked_sub(1) {
        let gone = LogError::Gone { id: id.clone(), first };
        assert_eq!(store.read_bytes(id, before, 10).await.unwrap_err(), gone);
        assert_eq!(store.read_bytes(id, 0, 0).await.unwrap_err(), gone);
    }
    let marks = store.marks(id).await.unwrap();
    let marked: Vec<u64> = (first.line..head.lines).filter(|line| line % 5 == 4).collect();
    assert_eq!(marks.iter().map(|mark| mark.line).collect::<Vec<_>>(), marked);
}

async fn surveys(store: &dyn LogStore) {
    let ids = ["run.1", "run.2", "RUN.1", "s.1.x", "s.1.y", &"L".repeat(200)].map(id);
    let mut expected = Vec::new();
    for (id, lines) in ids.iter().zip([1_u64, 2, 300, 0, 5, 6]) {
        let text = "a line to count\n".repeat(lines as usize).into();
        let words = (0..lines).flat_map(|line| word(line, 0).to_le_bytes()).collect::<Vec<u8>>().into();
        let head =
            store.append(id, LogAppend { text, words, complete: lines == 2, ..LogAppend::default() }).await.unwrap();
        expected.push((id.clone(), head));
    }
    let mut found = Vec::new();
    for shard in 0..SURVEY_SHARDS {
        for LogSummary { id, head, stored_bytes, compressed } in store.survey(shard).await.unwrap() {
            assert_eq!(survey_shard(&id), shard);
            assert_eq!(store.stored(&id).await.unwrap(), (stored_bytes, compressed), "{id}");
            assert!(compressed || stored_bytes >= head.bytes, "{id} in {stored_bytes} bytes");
            found.push((id, head));
        }
    }
    found.sort_by_key(|(id, _)| id.clone());
    expected.sort_by_key(|(id, _)| id.clone());
    assert_eq!(found, expected);
    assert_eq!(survey_shard(&ids[0]), survey_shard(&ids[1]), "of one run");
    assert_eq!(store.stored(&id("no")).await.unwrap_err(), LogError::NotFound(id("no")));
}
