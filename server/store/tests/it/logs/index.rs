//! Every way to a place in a log, against a naive model: any flags, any lengths, a front that was trimmed; in plain files, and
//! then sealed.

use std::time::Duration;

use millrace_engine::logs::{
    LogAppend, LogError, LogId, LogLines, LogPlace, LogStore, ReadFrom, flags, is_joined, line_ms, starts_row,
};
use millrace_store::logs::disk::{DiskLogs, DiskLogsOptions};
use proptest::prelude::*;

use super::model::{block_on, quick_folder};
use super::{id, tiny};

/// The naive model: all lines that were ever appended, and which is the first.
struct Model {
    lines: Vec<(String, u64)>,
    first: usize,
}

impl Model {
    fn place(&self, line: usize) -> LogPlace {
        let before = &self.lines[..line];
        LogPlace {
            line: line as u64,
            offset: before.iter().map(|(text, _)| text.len() as u64 + 1).sum(),
            joined: before.iter().filter(|(_, word)| is_joined(*word)).count() as u64,
            row: before.iter().filter(|(_, word)| starts_row(*word)).count() as u64,
        }
    }

    fn end(&self) -> LogPlace {
        self.place(self.lines.len())
    }

    /// The line a read begins with; none if there is no such place.
    fn find(&self, from: ReadFrom) -> Option<usize> {
        let end = self.lines.len();
        let mut all = self.first..end;
        let word = |line: usize| self.lines[line].1;
        let line = match from {
            ReadFrom::Place(place) => place.line as usize,
            ReadFrom::Line(line) => usize::try_from(line).unwrap().min(end),
            ReadFrom::Byte(byte) if byte >= self.end().stream_offset() => end,
            ReadFrom::Byte(byte) => {
                all.rev().find(|line| self.place(*line).stream_offset() <= byte).unwrap_or(self.first)
            }
            ReadFrom::Row(row) if row >= self.end().row => end,
            ReadFrom::Row(row) => {
                all.find(|line| starts_row(word(*line)) && self.place(*line).row >= row).unwrap_or(end)
            }
            ReadFrom::Time(time_ms) => all.find(|line| line_ms(word(*line)) >= time_ms).unwrap_or(end),
            ReadFrom::Offset(offset) => {
                let offset = offset.max(self.place(self.first).offset);
                (self.first..=end).find(|line| self.place(*line).offset == offset)?
            }
        };
        Some(line.max(self.first))
    }

    fn read(&self, from: ReadFrom, max_lines: u64, max_bytes: usize) -> Option<LogLines> {
        let first = self.find(from)?;
        let (mut data, mut words) = (Vec::new(), Vec::new());
        for (text, word) in self.lines[first..].iter().take(max_lines as usize) {
            if !data.is_empty() && data.len() + text.len() + 1 > max_bytes {
                break;
            }
            data.extend_from_slice(text.as_bytes());
            data.push(b'\n');
            words.extend_from_slice(&word.to_le_bytes());
        }
        Some(LogLines { place: self.place(first), data: data.into(), words: words.into() })
    }

    fn stream(&self) -> Vec<u8> {
        let kept = |(text, word): &(String, u64)| text.clone() + if is_joined(*word) { "" } else { "\n" };
        self.lines[self.first..].iter().map(kept).collect::<String>().into_bytes()
    }
}

async fn check(logs: &DiskLogs, id: &LogId, model: &Model, numbers: &[u64]) {
    let (end, first) = (model.end(), model.place(model.first));
    let head = logs.head(id).await.unwrap();
    assert_eq!((head.end(), head.first), (end, first));
    let stream = model.stream();
    let earliest = line_ms(model.lines[0].1);
    for number in numbers {
        let line = number % (end.line + 3);
        let place = model.place((line.min(end.line) as usize).max(model.first));
        let byte = number % (end.stream_offset() + 2);
        let (max_lines, max_bytes) = (number / 7 % 90, (number / 3 % 9000) as usize);
        for from in [
            ReadFrom::Line(line),
            ReadFrom::Row(number % (end.row + 2)),
            ReadFrom::Offset(number % (end.offset + 2)),
            ReadFrom::Offset(place.offset),
            ReadFrom::Byte(byte),
            ReadFrom::Byte(place.stream_offset()),
            ReadFrom::Time(earliest + (number % (head.last_ms - earliest + 2) as u64) as i64),
            ReadFrom::Place(place),
        ] {
            match (logs.read(id, from, max_lines, max_bytes).await, model.read(from, max_lines, max_bytes)) {
                (Ok(read), expected) => assert_eq!(Some(read), expected, "{from:?}"),
                (Err(LogError::Invalid { field: "offset", .. }), None) => {}
                (Err(error), _) => panic!("{from:?}: {error}"),
            }
        }
        let bytes = logs.read_bytes(id, byte, max_bytes).await;
        match byte.checked_sub(first.stream_offset()) {
            None => assert_eq!(bytes, Err(LogError::Gone { id: id.clone(), first })),
            Some(at) => {
                let from = (at as usize).min(stream.len());
                let to = (from + max_bytes).min(stream.len());
                assert!(bytes.unwrap() == stream[from..to], "{max_bytes} bytes from {byte}");
            }
        }
    }
}

fn line() -> impl Strategy<Value = (String, u64)> {
    let flags = prop_oneof![
        6 => Just(0),
        2 => Just(flags::CONTINUATION),
        1 => Just(flags::JOINED),
        1 => Just(flags::JOINED | flags::CONTINUATION),
        1 => Just(flags::ROOM),
        1 => Just(flags::STDERR),
    ];
    let text = prop_oneof![1 => Just(String::new()), 6 => "[a-z]{1,40}", 1 => "[a-z]{150,400}"];
    (text, flags, 0_u64..4).prop_map(|(text, flags, later)| (text, later << flags::TIME_SHIFT | flags))
}

async fn run(calls: Vec<Vec<(String, u64)>>, trim: u64, seal_frame_bytes: usize, numbers: Vec<u64>) {
    let folder = quick_folder();
    let options = DiskLogsOptions { seal_frame_bytes, ..tiny() };
    let logs = DiskLogs::open(folder.path(), &options).unwrap();
    let (id, mut model, mut time) = (id("a.b"), Model { lines: Vec::new(), first: 0 }, 1_u64 << flags::TIME_SHIFT);
    for call in calls {
        let at_lines = model.lines.len();
        for (text, word) in call {
            // What was drawn is how much later it is.
            time += word >> flags::TIME_SHIFT << flags::TIME_SHIFT;
            model.lines.push((text, time | word & 0xFFFF));
        }
        let fresh = &model.lines[at_lines..];
        let text: String = fresh.iter().flat_map(|(text, _)| [text, "\n"]).collect();
        let words: Vec<u8> = fresh.iter().flat_map(|(_, word)| word.to_le_bytes()).collect();
        let (at_lines, text, words) = (at_lines as u64, text.into(), words.into());
        logs.append(&id, LogAppend { at_lines, text, words, ..LogAppend::default() }).await.unwrap();
    }
    check(&logs, &id, &model, &numbers).await;
    let before = trim % (model.lines.len() as u64 + 1);
    let head = logs.trim(&id, before).await.unwrap();
    assert!(head.first.line <= before);
    model.first = head.first.line as usize;
    assert!(model.first == 0 || starts_row(model.lines[model.first].1));
    check(&logs, &id, &model, &numbers).await;
    drop(logs);
    let sealing = DiskLogsOptions { seal_after: Some(Duration::ZERO), ..options };
    let logs = DiskLogs::open(folder.path(), &sealing).unwrap();
    check(&logs, &id, &model, &numbers).await;
    logs.append(&id, LogAppend::end(head.lines)).await.unwrap();
    logs.settle().await;
    assert!(logs.stored(&id).await.unwrap().1, "sealed");
    check(&logs, &id, &model, &numbers).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_way_to_a_place_is_right(
        calls in proptest::collection::vec(proptest::collection::vec(line(), 1..200), 1..8),
        trim in any::<u64>(),
        frame_bytes in 1_usize..6000,
        numbers in proptest::collection::vec(any::<u64>(), 30),
    ) {
        block_on(run(calls, trim, frame_bytes, numbers));
    }
}
