//! Rows and records become lines, and lines become the same rows again.

use millrace_engine::logs::{LINE_MAX_BYTES, LogLines, Row, is_joined, line_words, starts_row};

use super::{Script, block_on, id, room};

pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let room = room();
    let (mut sent, mut batch) = (Vec::new(), room.batch());
    while !script.is_empty() {
        let kind = script.byte();
        let length = usize::from(script.byte());
        let mut text = script.bytes(length).to_vec();
        if kind & 0x70 == 0x70 {
            // Around the length at which rows are split.
            text = text
                .iter()
                .copied()
                .cycle()
                .take(if text.is_empty() { 0 } else { LINE_MAX_BYTES - 8 + length })
                .collect();
        }
        let time_ms = i64::from(kind) << (kind & 63);
        let row = Row { time_ms, stderr: kind & 1 == 1, text: &text };
        let kept = if kind & 2 == 2 { batch.push_record(row) } else { batch.push(row) };
        kept.expect("within the limits");
        if kind & 2 == 0 && text.last() == Some(&b'\n') {
            text.pop();
        }
        sent.push(text);
        if kind & 0x0c == 0x0c || batch.len() > 64 {
            append(&room, &sent, std::mem::replace(&mut batch, room.batch()));
        }
    }
    append(&room, &sent, batch);
    if sent.is_empty() {
        return;
    }
    let lines = block_on(room.read_lines(&id(), 0, u64::MAX, usize::MAX)).expect("lines");
    let rows = rows_of(&lines);
    assert_eq!(rows.len(), sent.len(), "as many rows");
    for (at, (row, sent)) in rows.iter().zip(&sent).enumerate() {
        assert!(row == sent, "row {at} is another");
    }
    let head = block_on(room.head(&id())).expect("a head");
    assert_eq!((head.rows, head.lines, head.bytes), (sent.len() as u64, lines.lines(), lines.data.len() as u64));
}

fn append(room: &millrace_engine::logs::LogRoom, sent: &[Vec<u8>], batch: millrace_engine::logs::RowBatch) {
    let index = (sent.len() - batch.len()) as u64;
    let ack = block_on(room.append(&id(), index, batch, false)).expect("stored");
    assert_eq!(ack, sent.len() as u64);
}

/// Rows by their words alone.
pub fn rows_of(lines: &LogLines) -> Vec<Vec<u8>> {
    let mut rows: Vec<Vec<u8>> = Vec::new();
    let mut joined = false;
    for (line, word) in lines.data.split_inclusive(|byte| *byte == b'\n').zip(line_words(&lines.words)) {
        let line = line.strip_suffix(b"\n").expect("whole lines");
        assert!(line.len() <= LINE_MAX_BYTES);
        if starts_row(word) {
            rows.push(Vec::new());
        } else if !joined {
            rows.last_mut().expect("something to go on").push(b'\n');
        }
        rows.last_mut().expect("a row").extend_from_slice(line);
        joined = is_joined(word);
    }
    assert!(!joined, "the last row has its end");
    rows
}
