//! Reads the files of a damaged log and cuts them to what they agree on: whole lines that have a word. The journal
//! mends what a crash tore; this is for what it can't, like a disk that lost what it had acknowledged, and for logs from
//! before there was retention, whose index was another.

use std::io;

use bytes::Bytes;
use millrace_engine::logs::{LINE_WORD_BYTES, LogHead, MARKS_MAX, line_words};

use super::files::{Beside, LogFiles, MARK_BYTES, words_at};
use super::header::HEADER_BYTES;

const READ_BYTES: usize = 1024 * 1024;

/// Counts, cuts, and writes the head, the index and the marks again. `stored` is the head as it was found.
pub fn recount(files: &LogFiles, stored: Option<LogHead>) -> io::Result<LogHead> {
    let start = start(files, stored.as_ref())?;
    let end = files.lines.len(words_at(start.lines))?.saturating_sub(HEADER_BYTES);
    let words = end / LINE_WORD_BYTES as u64;
    let max_lines = stored.map_or(words, |head| head.lines.min(words));
    let max_bytes = stored.map_or(u64::MAX, |head| head.bytes);
    let mut beside = Beside::new(start);
    let mut carry = Vec::new();
    while beside.head().lines < max_lines {
        let at = beside.head().bytes + carry.len() as u64;
        let want = (max_bytes - at.min(max_bytes)).min(READ_BYTES as u64) as usize;
        let read = files.text.read_up_to(at, want)?;
        if read.is_empty() {
            break;
        }
        carry.extend_from_slice(&read);
        let Some(whole) = memchr::memrchr(b'\n', &carry) else { continue };
        let rest = carry.split_off(whole + 1);
        add_lines(files, &mut beside, &carry, max_lines)?;
        carry = rest;
    }
    let mut head = beside.head();
    if let Some(stored) = stored {
        head.complete = stored.complete;
        if head.lines == stored.lines && head.bytes == stored.bytes {
            head.dropped_rows = stored.dropped_rows;
            head.rows += stored.dropped_rows;
            head.dropped_bytes = stored.dropped_bytes;
            if head.first.line > 0 {
                // Of what was removed only the head knows.
                head.room_bytes = stored.room_bytes;
            }
        }
    }
    files.text.set_len(head.bytes)?;
    files.lines.set_len(words_at(head.lines))?;
    files.write_beside(&start, &beside)?;
    // The head says that the others are what they should be.
    files.sync_beside(&head)?;
    files.write_head(&head)?;
    Ok(head)
}

/// The head where counting begins: nothing, or what retention has left out.
fn start(files: &LogFiles, stored: Option<&LogHead>) -> io::Result<LogHead> {
    let Some(stored) = stored.filter(|stored| stored.first.line > 0) else { return Ok(LogHead::default()) };
    let first = stored.first;
    let marks = files.read_marks(stored.marks.min(MARKS_MAX) as usize * MARK_BYTES)?;
    Ok(LogHead {
        bytes: first.offset,
        lines: first.line,
        rows: first.row,
        joined_lines: first.joined,
        marks: line_words(&marks).take_while(|mark| mark >> 8 < first.line).count() as u64,
        first_error_line: stored.first_error_line.filter(|line| *line < first.line),
        first,
        ..LogHead::default()
    })
}

fn add_lines(files: &LogFiles, beside: &mut Beside, text: &[u8], max_lines: u64) -> io::Result<()> {
    let lines = memchr::memchr_iter(b'\n', text).count() as u64;
    let lines = lines.min(max_lines - beside.head().lines);
    let words = files.lines.read_up_to(words_at(beside.head().lines), lines as usize * LINE_WORD_BYTES)?;
    beside.add(text, &Bytes::from(words));
    Ok(())
}
