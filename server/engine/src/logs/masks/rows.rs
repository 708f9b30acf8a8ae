//! Masked values in rows: whole ones, and lines whose pieces came as several rows. Knows nothing of batches.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use millrace_proto::mask_set::MaskSet;

use super::COVER;
use crate::logs::{is_joined, line_words};

/// What is masked in a log, at one moment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::logs) struct Masks(Vec<Arc<MaskSet>>);

impl Masks {
    pub fn of(sets: impl IntoIterator<Item = Arc<MaskSet>>) -> Self {
        Self(sets.into_iter().collect())
    }

    /// Whether there are values now, or were before: what is stored may be covered.
    pub fn were_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|set| set.is_empty())
    }

    /// The length of the longest form.
    pub fn longest(&self) -> usize {
        self.0.iter().map(|set| set.longest()).max().unwrap_or(0)
    }

    /// Where masked values are, in order; those of one set that overlap or touch are one.
    pub fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut found: Vec<_> = self.0.iter().flat_map(|set| set.find(bytes)).collect();
        if self.0.len() < 2 || found.len() < 2 {
            return found;
        }
        found.sort_unstable_by_key(|value| value.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for value in found {
            match merged.last_mut() {
                Some(last) if value.start <= last.end => last.end = last.end.max(value.end),
                _ => merged.push(value),
            }
        }
        merged
    }

    /// The bytes with all masked values covered.
    pub fn covered<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let found = self.find(bytes);
        if found.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut bytes = bytes.to_vec();
        for value in found {
            bytes[value].fill(COVER);
        }
        Cow::Owned(bytes)
    }

    /// Covers masked values in lines, whose words are these, also where they go on from one line to the next; where they
    /// are, in the bytes without the line ends that are the room's own.
    pub fn cover_lines(&self, text: &mut [u8], words: &[u8]) -> Vec<Range<usize>> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut stream = Vec::with_capacity(text.len());
        // Where each line begins: in the stream, and in the text.
        let mut begins = Vec::with_capacity(words.len() / crate::logs::LINE_WORD_BYTES);
        let mut from = 0;
        for (end, word) in memchr::memchr_iter(b'\n', text).zip(line_words(words)) {
            begins.push((stream.len(), from));
            stream.extend_from_slice(&text[from..if is_joined(word) { end } else { end + 1 }]);
            from = end + 1;
        }
        let found = self.find(&stream);
        for value in &found {
            let mut at = value.start;
            let mut line = begins.partition_point(|(begin, _)| *begin <= at) - 1;
            while at < value.end {
                let (begin, place) = begins[line];
                let end = begins.get(line + 1).map_or(stream.len(), |(next, _)| *next).min(value.end);
                text[place + at - begin..place + end - begin].fill(COVER);
                at = end;
                line += 1;
            }
        }
        found
    }
}
