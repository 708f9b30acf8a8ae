//! Values that must not appear in any log, and their replacement. Knows nothing of where they come from.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::AhoCorasick;

/// What stands in place of a masked value.
pub const MASK: &str = "***";
/// Shorter values are not masked: they would blank out half the log and hide nothing.
pub const MASK_MIN_CHARS: usize = 3;
/// The most values in one job.
pub const MASKS_MAX: usize = 10_000;

/// The masks of a job; more can be added while it runs.
#[derive(Default)]
pub struct Masks {
    // Held for reading and replacing the Arc only.
    set: RwLock<Arc<MaskSet>>,
}

/// Masks at one moment.
#[derive(Default)]
pub struct MaskSet {
    values: Vec<String>,
    automaton: Option<AhoCorasick>,
    longest: usize,
}

/// Why a value is not masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMasked {
    /// Below [`MASK_MIN_CHARS`].
    TooShort,
    /// Over [`MASKS_MAX`], or too much for the search.
    TooMany,
}

impl Masks {
    /// Adds a value; each line of it is a mask of its own, because the log has lines.
    pub fn add(&self, value: &str) -> Result<(), NotMasked> {
        self.add_all([value]).pop().map_or(Ok(()), Err)
    }

    /// Adds values; answers why some were not taken.
    pub fn add_all<'v>(&self, values: impl IntoIterator<Item = &'v str>) -> Vec<NotMasked> {
        let mut refused = Vec::new();
        let mut known = self.current().values.clone();
        for value in values {
            let lines = value.lines().map(str::trim).filter(|line| line.chars().count() >= MASK_MIN_CHARS);
            let lines = lines.map(ToOwned::to_owned).collect::<Vec<_>>();
            if lines.is_empty() && !value.is_empty() {
                refused.push(NotMasked::TooShort);
            }
            for line in lines {
                if known.len() >= MASKS_MAX {
                    refused.push(NotMasked::TooMany);
                } else if !known.contains(&line) {
                    known.push(line);
                }
            }
        }
        match MaskSet::new(known) {
            Some(set) => *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set),
            None => refused.push(NotMasked::TooMany),
        }
        refused
    }

    /// The masks as they are now.
    pub fn current(&self) -> Arc<MaskSet> {
        Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The text without masked values.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.current().apply(text.as_bytes())).into_owned()
    }

    /// Whether a masked value is in the text.
    pub fn is_in(&self, text: &str) -> bool {
        self.current().automaton.as_ref().is_some_and(|automaton| automaton.is_match(text))
    }
}

impl MaskSet {
    fn new(values: Vec<String>) -> Option<Self> {
        let longest = values.iter().map(String::len).max().unwrap_or(0);
        let automaton = if values.is_empty() { None } else { Some(AhoCorasick::new(&values).ok()?) };
        Some(Self { values, automaton, longest })
    }

    /// The bytes without masked values; values that overlap or touch become one [`MASK`].
    pub fn apply<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let found = self.find(bytes);
        if found.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut masked = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for (start, end) in found {
            masked.extend_from_slice(&bytes[from..start]);
            masked.extend_from_slice(MASK.as_bytes());
            from = end;
        }
        masked.extend_from_slice(&bytes[from..]);
        Cow::Owned(masked)
    }

    /// Where bytes may be cut, at or before `wish`, so that no masked value is torn: neither one that is there nor
    /// one whose end has not arrived yet. 0 when there is no such place.
    pub fn cut(&self, bytes: &[u8], wish: usize) -> usize {
        let mut cut = wish.min(bytes.len().saturating_sub(self.longest.saturating_sub(1)));
        for (start, end) in self.find(bytes).into_iter().rev() {
            if start < cut && cut < end {
                cut = start;
            }
        }
        cut
    }

    fn find(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut merged: Vec<(usize, usize)> = Vec::new();
        let Some(automaton) = &self.automaton else { return merged };
        // Matches come by their ends; an earlier one may start later.
        for found in automaton.find_overlapping_iter(bytes) {
            let (mut start, end) = (found.start(), found.end());
            while let Some(last) = merged.last()
                && last.1 >= start
            {
                start = start.min(last.0);
                merged.pop();
            }
            merged.push((start, end));
        }
        merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(values: &[&str]) -> Masks {
        let masks = Masks::default();
        assert!(masks.add_all(values.iter().copied()).is_empty());
        masks
    }

    #[test]
    fn replaces_values() {
        let masks = masks(&["hunter2", "abcd", "cdef"]);
        assert_eq!(masks.text("pw=hunter2!"), "pw=***!");
        assert_eq!(masks.text("xabcdefx hunter2hunter2"), "x***x ***");
        assert_eq!(masks.text("nothing"), "nothing");
        assert!(masks.is_in("a hunter2") && !masks.is_in("hunter"));
    }

    #[test]
    fn every_line_of_a_value_is_one() {
        let masks = masks(&["-----BEGIN\n  c2VjcmV0\r\nx\n-----END"]);
        assert_eq!(masks.text("c2VjcmV0 x -----END"), "*** x ***");
    }

    #[test]
    fn short_values_are_refused() {
        let masks = Masks::default();
        assert_eq!(masks.add("ab"), Err(NotMasked::TooShort));
        assert_eq!(masks.add(""), Ok(()));
        assert_eq!(masks.add("äöü"), Ok(()));
        assert_eq!(masks.text("ab äöü"), "ab ***");
    }

    #[test]
    fn never_cuts_through_a_value() {
        let masks = masks(&["secret"]);
        let set = masks.current();
        assert_eq!(set.cut(b"aaaaaaaaaaaaaaaa", 10), 10);
        assert_eq!(set.cut(b"aaaaaaaasecretaa", 10), 8);
        assert_eq!(set.cut(b"aaaaaasecr", 10), 5, "the end may not have arrived");
        assert_eq!(set.cut(b"secret", 6), 0);
    }
}
