//! Lines that were split for their length, and go on from one block of a log to the next: what is whole is told from what
//! is not, and put together. It knows nothing of patterns.

use bytes::BytesMut;
use memchr::memchr_iter;

use crate::logs::head::is_joined;
use crate::logs::{LINE_WORD_BYTES, LogLines, flags, line_words};

/// A block of lines, cut where its first and its last line may not be whole.
#[derive(Debug, Default)]
pub struct Block {
    /// Pieces of one line that may have begun before; all of the block if it does not end here.
    pub head: LogLines,
    /// Whole lines.
    pub whole: LogLines,
    /// Pieces of a line that goes on after the block.
    pub tail: LogLines,
}

impl Block {
    /// Cuts a block.
    pub fn of(lines: LogLines) -> Self {
        let continues = line_words(&lines.words).next().is_some_and(|word| word & flags::CONTINUATION != 0);
        let ends = |word: u64| !is_joined(word);
        let head = if continues {
            line_words(&lines.words).position(ends).map_or(lines.lines() as usize, |last| last + 1)
        } else {
            0
        };
        let (head, rest) = split_at(lines, head);
        // (The words are eight bytes each, so that this finds the last one without a look at the others.)
        let joined = rest.words.as_chunks::<LINE_WORD_BYTES>().0.iter().rev();
        let joined = joined.take_while(|word| is_joined(u64::from_le_bytes(**word))).count();
        let whole = rest.lines() as usize - joined;
        let (whole, tail) = split_at(rest, whole);
        Self { head, whole, tail }
    }
}

/// A line of which pieces have come.
#[derive(Debug, Default)]
pub struct Unended {
    /// The number of its first piece.
    pub line: u64,
    /// That one's word.
    pub word: u64,
    /// What has come, with a line end once it is whole.
    pub text: BytesMut,
}

impl Unended {
    /// Puts more pieces of the same line to it; answers whether it is whole now.
    pub fn add(kept: &mut Option<Self>, pieces: &LogLines) -> bool {
        let Some(word) = line_words(&pieces.words).next() else { return false };
        let kept = kept.get_or_insert_with(|| Self { line: pieces.place.line, word, text: BytesMut::new() });
        let mut from = 0;
        let mut whole = false;
        for (end, word) in memchr_iter(b'\n', &pieces.data).zip(line_words(&pieces.words)) {
            kept.text.extend_from_slice(&pieces.data[from..end]);
            from = end + 1;
            whole = !is_joined(word);
        }
        whole
    }

    /// Its text as a line.
    pub fn into_line(mut self) -> BytesMut {
        self.text.extend_from_slice(b"\n");
        self.text
    }
}

/// The first so many lines, and the others.
pub fn split_at(lines: LogLines, count: usize) -> (LogLines, LogLines) {
    if count == 0 {
        let none = LogLines { place: lines.place, ..LogLines::default() };
        return (none, lines);
    }
    let at = memchr_iter(b'\n', &lines.data).nth(count - 1).map_or(lines.data.len(), |end| end + 1);
    let words_at = (count * LINE_WORD_BYTES).min(lines.words.len());
    let first = LogLines { place: lines.place, data: lines.data.slice(..at), words: lines.words.slice(..words_at) };
    let rest = LogLines { place: first.end(), data: lines.data.slice(at..), words: lines.words.slice(words_at..) };
    (first, rest)
}
