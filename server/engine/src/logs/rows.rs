//! Turns rows into lines and their words. It knows nothing of the log they go to.

use bytes::{BufMut, Bytes, BytesMut};

use super::masks::Masks;
use super::{LINE_WORD_BYTES, LogError, MarkKind, flags, is_joined, line_words};

/// A row that is longer becomes several lines.
pub const LINE_MAX_BYTES: usize = 64 * 1024;
/// The most rows of one append.
pub const LOG_APPEND_MAX_ROWS: usize = 100_000;
/// The most bytes of one append, line ends included.
pub const LOG_APPEND_MAX_BYTES: usize = 8 * 1024 * 1024;
/// The most lines of one append: rows may be made of line ends only.
pub const LOG_APPEND_MAX_LINES: usize = 400_000;

/// Rows of an open line that wait for what follows, because of masked values; with more they are taken as they are.
const ROWS_HELD_MAX_BYTES: usize = 1024 * 1024;

/// A row's time may be this much before the server's.
const ROW_AGE_MAX_MS: i64 = 30 * 24 * 3_600_000;
/// A row's time may be this much after the server's.
const ROW_AHEAD_MAX_MS: i64 = 5 * 60_000;

/// One row as the writer sent it, without its line end. ([`RowBatch::push`] forgives one line end at its end.)
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Unix milliseconds; an absurd time, like 0, becomes the server's.
    pub time_ms: i64,
    /// From standard error.
    pub stderr: bool,
    /// Any bytes.
    pub text: &'a [u8],
}

/// Rows on their way into a log, made into lines already.
#[derive(Debug)]
pub struct RowBatch {
    now_ms: i64,
    masks: Masks,
    text: BytesMut,
    words: BytesMut,
    ends: Vec<RowEnd>,
    /// The first row of the line that the last row leaves open, if it does.
    open: Option<usize>,
}

/// Where a row ends within a batch.
#[derive(Clone, Copy, Debug, Default)]
struct RowEnd {
    text: usize,
    words: usize,
}

impl RowBatch {
    /// An empty batch; `now_ms` is the server's time, for rows with none or an absurd one.
    pub fn new(now_ms: i64) -> Self {
        Self::masked(now_ms, Masks::default())
    }

    /// The same; what is masked is covered in each row, and across rows of one line.
    pub(super) fn masked(now_ms: i64, masks: Masks) -> Self {
        Self { now_ms, masks, text: BytesMut::new(), words: BytesMut::new(), ends: Vec::new(), open: None }
    }

    /// Whether rows may have been covered.
    pub(super) fn is_masked(&self) -> bool {
        self.masks.were_any()
    }

    /// Adds a row, less one line end at its end. An error names the limit that it would break, the batch stays as it was.
    pub fn push(&mut self, row: Row<'_>) -> Result<(), LogError> {
        self.push_record(Row { text: row.text.strip_suffix(b"\n").unwrap_or(row.text), ..row })
    }

    /// Adds a row of exactly these bytes: every line end in it counts. Errors as in [`Self::push`].
    pub fn push_record(&mut self, row: Row<'_>) -> Result<(), LogError> {
        self.add(row, false)
    }

    /// The same of a row whose line goes on in the next one.
    pub fn push_part(&mut self, row: Row<'_>) -> Result<(), LogError> {
        self.add(row, true)
    }

    fn add(&mut self, row: Row<'_>, goes_on: bool) -> Result<(), LogError> {
        let before = self.end();
        self.check(self.ends.len() + 1, LOG_APPEND_MAX_ROWS, "rows")?;
        self.check(before.text + row.text.len() + 1, LOG_APPEND_MAX_BYTES, "bytes")?;
        let (first, whole) = (self.open.unwrap_or(self.ends.len()), self.open.is_none() && !goes_on);
        // Rows of one line are covered together, when all of it is there.
        if whole {
            let masks = self.masks.clone();
            self.put_row(Row { text: &masks.covered(row.text), ..row }, false);
        } else {
            self.put_row(row, goes_on);
        }
        let fits = self
            .check(self.text.len(), LOG_APPEND_MAX_BYTES, "bytes")
            .and_then(|()| self.check(self.words.len() / LINE_WORD_BYTES, LOG_APPEND_MAX_LINES, "lines"));
        if let Err(error) = fits {
            self.text.truncate(before.text);
            self.words.truncate(before.words);
            return Err(error);
        }
        self.ends.push(RowEnd { text: self.text.len(), words: self.words.len() });
        self.open = goes_on.then_some(first);
        if !goes_on && !whole {
            self.cover_line(first);
        }
        Ok(())
    }

    /// Covers what is masked in the rows from `first` on, which are pieces of one line; where it is, line ends of the
    /// room's own not counted.
    fn cover_line(&mut self, first: usize) -> Vec<std::ops::Range<usize>> {
        let from = self.start_of(first);
        self.masks.cover_lines(&mut self.text[from.text..], &self.words[from.words..])
    }

    /// To be called once, when all rows are there. `last`: nothing comes after them. If not, and the last row leaves its
    /// line open, some of its rows are taken away again: those in which a masked value may begin whose end has not come.
    /// They are not acknowledged, and come again with what follows.
    pub(super) fn settle(&mut self, last: bool) {
        let Some(first) = self.open.filter(|_| !self.masks.is_empty()) else { return };
        let found = self.cover_line(first);
        if last {
            return;
        }
        let from = self.start_of(first);
        // Where the rows end in their line.
        let (mut joined, mut at) = (0, from.words);
        let place_of = |end: &RowEnd| {
            joined += line_words(&self.words[at..end.words]).filter(|word| is_joined(*word)).count();
            at = end.words;
            end.text - from.text - joined
        };
        let places: Vec<usize> = self.ends[first..].iter().map(place_of).collect();
        let size = places.last().copied().unwrap_or(0);
        let most = self.masks.longest().saturating_sub(1);
        let mut kept = first;
        for row in (first..self.ends.len()).rev() {
            let place = places[row - first];
            let next = found.partition_point(|value| value.end <= place);
            let torn = found.get(next).is_some_and(|value| value.start < place);
            if size - place >= most && !torn {
                kept = row + 1;
                break;
            }
            if size - place > ROWS_HELD_MAX_BYTES {
                kept = self.ends.len();
                break;
            }
        }
        self.ends.truncate(kept);
        let end = self.end();
        self.text.truncate(end.text);
        self.words.truncate(end.words);
    }

    /// The first of the rows from `first` on goes on in a line that is open in the log.
    pub(super) fn go_on(&mut self, first: usize) {
        let at = self.start_of(first).words;
        if let Some(word) = self.words.get_mut(at..).and_then(|words| words.first_chunk_mut::<LINE_WORD_BYTES>()) {
            *word = continued(u64::from_le_bytes(*word)).to_le_bytes();
        }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The lines of the rows from `first` to before `end`.
    pub(super) fn lines(&self, first: usize, end: usize) -> (&[u8], &[u8]) {
        let (from, to) = (self.start_of(first), self.start_of(end));
        (&self.text[from.text..to.text], &self.words[from.words..to.words])
    }

    /// How many of the rows from `first` on fit into `room` bytes.
    pub(super) fn rows_that_fit(&self, first: usize, room: u64) -> usize {
        let start = self.start_of(first).text;
        self.ends[first..].partition_point(|end| (end.text - start) as u64 <= room)
    }

    /// The row with this byte of the text in it.
    pub(super) fn row_at(&self, text_offset: usize) -> usize {
        self.ends.partition_point(|end| end.text <= text_offset)
    }

    /// The row with this line in it.
    pub(super) fn row_of_line(&self, line: usize) -> usize {
        self.ends.partition_point(|end| end.words <= line * LINE_WORD_BYTES)
    }

    /// The lines of the rows from `first` to before `end`, for a store.
    pub(super) fn into_lines(mut self, first: usize, end: usize) -> (Bytes, Bytes) {
        let (from, to) = (self.start_of(first), self.start_of(end));
        self.text.truncate(to.text);
        self.words.truncate(to.words);
        (self.text.freeze().split_off(from.text), self.words.freeze().split_off(from.words))
    }

    fn start_of(&self, row: usize) -> RowEnd {
        row.checked_sub(1).map_or(RowEnd::default(), |before| self.ends[before])
    }

    fn end(&self) -> RowEnd {
        self.start_of(self.ends.len())
    }

    fn check(&self, is: usize, limit: usize, what: &str) -> Result<(), LogError> {
        if is <= limit {
            return Ok(());
        }
        Err(LogError::invalid(
            "rows",
            format!("row {} of the call makes it more than {limit} {what}, the limit of one call", self.ends.len()),
        ))
    }

    fn put_row(&mut self, row: Row<'_>, goes_on: bool) {
        let sane = self.now_ms - ROW_AGE_MAX_MS..=self.now_ms + ROW_AHEAD_MAX_MS;
        let time_ms = if sane.contains(&row.time_ms) { row.time_ms } else { self.now_ms };
        let stderr = if row.stderr { flags::STDERR } else { 0 };
        let begins = self.words.len();
        let mut base = stderr;
        for line in row.text.split(|byte| *byte == b'\n') {
            let mut mark = MarkKind::of_text(line).map_or(0, MarkKind::bits);
            let mut rest = line;
            loop {
                let (piece, more) = rest.split_at(piece_len(rest));
                let joined = if more.is_empty() { 0 } else { flags::JOINED };
                self.put_line(piece, word(time_ms, base | mark | joined));
                // Whatever comes now belongs to the same row.
                base |= flags::CONTINUATION;
                mark = 0;
                rest = more;
                if rest.is_empty() {
                    break;
                }
            }
        }
        if goes_on && let Some(last) = self.words.last_chunk_mut::<LINE_WORD_BYTES>() {
            *last = (u64::from_le_bytes(*last) | flags::JOINED).to_le_bytes();
        }
        if self.open.is_some()
            && let Some(first) = self.words[begins..].first_chunk_mut::<LINE_WORD_BYTES>()
        {
            *first = continued(u64::from_le_bytes(*first)).to_le_bytes();
        }
    }

    fn put_line(&mut self, line: &[u8], word: u64) {
        self.text.put_slice(line);
        self.text.put_u8(b'\n');
        self.words.put_u64_le(word);
    }
}

/// The word of a line. Times before 1970 are not among the sane ones unless the server's own clock is that wrong.
pub(super) fn word(time_ms: i64, flags: u64) -> u64 {
    (time_ms.max(0) as u64) << flags::TIME_SHIFT | flags
}

/// The word of a row's first line, which goes on in a line that the row before left open.
fn continued(word: u64) -> u64 {
    word & !flags::MARK_MASK | flags::CONTINUATION | flags::ROW
}

/// How much of a line goes into one piece: no more than the limit, and no character cut if it is UTF-8.
pub(super) fn piece_len(line: &[u8]) -> usize {
    if line.len() <= LINE_MAX_BYTES {
        return line.len();
    }
    let is_start = |byte: u8| byte & 0xC0 != 0x80;
    (LINE_MAX_BYTES - 3..=LINE_MAX_BYTES).rev().find(|at| is_start(line[*at])).unwrap_or(LINE_MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn batch(rows: &[&[u8]]) -> RowBatch {
        let mut batch = RowBatch::new(NOW);
        for text in rows {
            batch.push(Row { time_ms: NOW, stderr: false, text }).unwrap();
        }
        batch
    }

    fn flags_of(batch: &RowBatch) -> Vec<u64> {
        line_words(&batch.words).map(|word| word & 0xFFFF).collect()
    }

    #[test]
    fn inner_line_ends_make_continuations() {
        let batch = batch(&[b"a\nb\n", b"", b"\n", b"\xFF\r", b"##[error]x\n##[group]y"]);
        assert_eq!(&batch.text[..], b"a\nb\n\n\n\xFF\r\n##[error]x\n##[group]y\n");
        assert_eq!(flags_of(&batch), [0, 2, 0, 0, 0, 3 << 4, 2 | 1 << 4]);
        assert_eq!(batch.len(), 5);
    }

    #[test]
    fn a_record_is_exactly_its_bytes() {
        let mut batch = RowBatch::new(NOW);
        for text in [&b"a\n"[..], b"\n\n", b"", b"b"] {
            batch.push_record(Row { time_ms: NOW, stderr: false, text }).unwrap();
        }
        assert_eq!(&batch.text[..], b"a\n\n\n\n\n\nb\n");
        assert_eq!(flags_of(&batch), [0, 2, 0, 2, 2, 0, 0]);
    }

    #[test]
    fn long_rows_are_split_between_characters() {
        let long = "é".repeat(LINE_MAX_BYTES) + "##[error]";
        let split = batch(&[long.as_bytes()]);
        let lines: Vec<&[u8]> = split.text[..].split(|byte| *byte == b'\n').collect();
        let joined = flags::JOINED;
        assert_eq!(flags_of(&split), [joined, 2 | joined, 2]);
        assert!(lines.iter().all(|line| line.len() <= LINE_MAX_BYTES && std::str::from_utf8(line).is_ok()));
        assert_eq!(lines.concat(), long.as_bytes());
        assert_eq!(flags_of(&batch(&[&vec![0x80; LINE_MAX_BYTES + 1]])), [joined, 2], "not UTF-8: cut anywhere");
        assert_eq!(flags_of(&batch(&[&vec![b'x'; LINE_MAX_BYTES]])), [0], "just fits");
    }

    #[test]
    fn absurd_times_become_the_servers() {
        let mut batch = RowBatch::new(NOW);
        for time_ms in [0, i64::MIN, i64::MAX, NOW - 1000, NOW + 1000, NOW + ROW_AHEAD_MAX_MS + 1] {
            batch.push(Row { time_ms, stderr: true, text: b"" }).unwrap();
        }
        let times: Vec<i64> = line_words(&batch.words).map(|word| (word >> flags::TIME_SHIFT) as i64 - NOW).collect();
        assert_eq!(times, [0, 0, 0, -1000, 1000, 0]);
        assert!(flags_of(&batch).iter().all(|flags| *flags == flags::STDERR));
    }

    #[test]
    fn limits_are_named_and_leave_the_batch_alone() {
        let mut batch = batch(&[b"kept"]);
        for (text, why) in [
            (vec![b'x'; LOG_APPEND_MAX_BYTES], "8388608 bytes"),
            (vec![b'\n'; LOG_APPEND_MAX_LINES + 1], "400000 lines"),
        ] {
            let error = batch.push(Row { time_ms: NOW, stderr: false, text: &text }).unwrap_err().to_string();
            assert!(error.starts_with("rows: row 1") && error.contains(why), "{error}");
            assert_eq!(batch.lines(0, 1).0, b"kept\n");
            assert_eq!(batch.text.len(), 5);
        }
    }
}
