//! The last bytes of a log that is being followed, shared by all its tails, so that a thousand of them don't read the
//! same bytes from the store a thousand times. It may forget anything at any time: the store is the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{LINE_WORD_BYTES, LogLines, LogPlace};

/// One log keeps about this much (its newest append always, if the total allows).
const HOT_LOG_MAX_BYTES: usize = 1024 * 1024;
/// All logs together keep at most this much.
const HOT_TOTAL_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Recent appends of one log, the oldest first, without holes between them.
#[derive(Debug)]
pub(super) struct HotLines {
    recent: VecDeque<LogLines>,
    bytes: usize,
    total: Arc<AtomicUsize>,
}

impl HotLines {
    /// An empty one; `total` counts the bytes of all of them.
    pub fn new(total: Arc<AtomicUsize>) -> Self {
        Self { recent: VecDeque::new(), bytes: 0, total }
    }

    /// Remembers what was appended.
    pub fn push(&mut self, lines: LogLines) {
        if self.recent.back().is_some_and(|last| last.end() != lines.place) {
            self.clear();
        }
        let size = size_of_lines(&lines);
        while self.bytes + size > HOT_LOG_MAX_BYTES && self.forget_oldest() {}
        if self.total.load(Ordering::Relaxed) + size > HOT_TOTAL_MAX_BYTES {
            self.clear();
            return;
        }
        self.total.fetch_add(size, Ordering::Relaxed);
        self.bytes += size;
        self.recent.push_back(lines);
    }

    /// Whole lines from this place on, at most `max_bytes` but one line at least, if they are remembered.
    pub fn read(&self, place: LogPlace, max_bytes: usize) -> Option<LogLines> {
        let at = self.recent.partition_point(|lines| lines.end().line <= place.line);
        let lines = self.recent.get(at)?;
        let skip_lines = usize::try_from(place.line.checked_sub(lines.place.line)?).ok()?;
        let skip_bytes = usize::try_from(place.offset.checked_sub(lines.place.offset)?).ok()?;
        // A place in a log that was removed may lie beyond, in the one that has its id now.
        let data = (skip_bytes <= lines.data.len()).then(|| lines.data.slice(skip_bytes..))?;
        let words = lines.words.slice(skip_lines * LINE_WORD_BYTES..);
        Some(cut_lines(LogLines { place, data, words }, max_bytes))
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        while self.forget_oldest() {}
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(lines) = self.recent.pop_front() else {
            return false;
        };
        let size = size_of_lines(&lines);
        self.bytes -= size;
        self.total.fetch_sub(size, Ordering::Relaxed);
        true
    }
}

impl Drop for HotLines {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Cuts to at most `max_bytes` of whole lines, one at least.
fn cut_lines(mut lines: LogLines, max_bytes: usize) -> LogLines {
    if lines.data.len() <= max_bytes {
        return lines;
    }
    let end = memchr::memrchr(b'\n', &lines.data[..max_bytes])
        .or_else(|| memchr::memchr(b'\n', &lines.data))
        .map_or(lines.data.len(), |at| at + 1);
    let count = memchr::memchr_iter(b'\n', &lines.data[..end]).count();
    lines.data.truncate(end);
    lines.words.truncate(count * LINE_WORD_BYTES);
    lines
}

fn size_of_lines(lines: &LogLines) -> usize {
    lines.data.len() + lines.words.len()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn lines(line: u64, offset: u64, data: &'static str) -> LogLines {
        let words = Bytes::from([7, 0, 0, 0, 0, 0, 0, 0].repeat(data.matches('\n').count()));
        LogLines {
            place: LogPlace { line, offset, joined: 0, row: 0 },
            data: Bytes::from_static(data.as_bytes()),
            words,
        }
    }

    #[test]
    fn reads_from_any_line_and_forgets_over_a_hole() {
        let total = Arc::new(AtomicUsize::new(0));
        let mut hot = HotLines::new(total.clone());
        hot.push(lines(5, 100, "aa\nbb\n"));
        hot.push(lines(7, 106, "cc\n"));
        let read = |hot: &HotLines, line, offset, max| {
            hot.read(LogPlace { line, offset, joined: 0, row: 0 }, max)
                .map(|found| (String::from_utf8(found.data.to_vec()).unwrap(), found.words.len() / 8))
        };
        assert_eq!(read(&hot, 4, 98, 100), None);
        assert_eq!(read(&hot, 5, 100, 100), Some(("aa\nbb\n".into(), 2)));
        assert_eq!(read(&hot, 5, 100, 4), Some(("aa\n".into(), 1)));
        assert_eq!(read(&hot, 5, 100, 1), Some(("aa\n".into(), 1)));
        assert_eq!(read(&hot, 6, 103, 100), Some(("bb\n".into(), 1)));
        assert_eq!(read(&hot, 7, 106, 100), Some(("cc\n".into(), 1)));
        assert_eq!(read(&hot, 8, 109, 100), None);
        hot.push(lines(9, 200, "dd\n"));
        assert_eq!(read(&hot, 7, 106, 100), None);
        assert_eq!(total.load(Ordering::Relaxed), 11);
        drop(hot);
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn keeps_no_more_than_its_share() {
        let total = Arc::new(AtomicUsize::new(0));
        let mut hot = HotLines::new(total.clone());
        let data = Bytes::from(vec![b'\n'; 100_000]);
        let words = Bytes::from(vec![0; 800_000]);
        for at in 0..10 {
            let place = LogPlace { line: at * 100_000, offset: at * 100_000, joined: 0, row: 0 };
            hot.push(LogLines { place, data: data.clone(), words: words.clone() });
        }
        assert_eq!(hot.recent.len(), 1);
        assert_eq!(total.load(Ordering::Relaxed), 900_000);
    }
}
