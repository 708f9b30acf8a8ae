//! Finds masked values in bytes, in all their forms. Knows nothing of logs.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::mask_forms::MaskForms;

/// The most values of one set.
pub const MASKS_MAX: usize = 10_000;
/// The most bytes of other spellings of all values; of those beyond, only the values themselves are found.
pub const MASK_ENCODED_MAX_BYTES: usize = 1024 * 1024;

/// Below this many bytes of forms the faster automaton is not too large.
const FAST_MAX_BYTES: usize = 8 * 1024;

/// Masked values at one moment.
#[derive(Default)]
pub struct MaskSet {
    finder: Option<AhoCorasick>,
    /// All forms, sorted.
    forms: Vec<Box<[u8]>>,
    begins: Vec<bool>,
    longest: usize,
}

/// Why a value is not masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMasked {
    /// Below [`crate::mask_forms::MASK_MIN_CHARS`].
    TooShort,
    /// Over [`MASKS_MAX`], or too much for the search.
    TooMany,
}

impl MaskSet {
    /// The set of these values, and why some are not in it. Empty values are no values.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v str>) -> (Self, Vec<NotMasked>) {
        let mut refused = Vec::new();
        let (mut forms, mut encoded) = (Vec::new(), Vec::new());
        for (count, value) in values.into_iter().filter(|value| !value.is_empty()).enumerate() {
            if count >= MASKS_MAX {
                refused.push(NotMasked::TooMany);
                continue;
            }
            let of = MaskForms::of(value);
            if of.plain.is_empty() {
                refused.push(NotMasked::TooShort);
            }
            forms.extend(of.plain);
            encoded.extend(of.encoded);
        }
        let mut room = MASK_ENCODED_MAX_BYTES;
        forms.extend(encoded.into_iter().take_while(|form| {
            let fits = form.len() <= room;
            room = room.saturating_sub(form.len());
            fits
        }));
        let mut forms: Vec<Box<[u8]>> = forms.into_iter().map(Vec::into_boxed_slice).collect();
        forms.sort_unstable();
        forms.dedup();
        match Self::of_forms(forms) {
            Some(set) => (set, refused),
            None => (Self::default(), vec![NotMasked::TooMany]),
        }
    }

    fn of_forms(forms: Vec<Box<[u8]>>) -> Option<Self> {
        let bytes: usize = forms.iter().map(|form| form.len()).sum();
        let kind = if bytes <= FAST_MAX_BYTES { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        let finder =
            if forms.is_empty() { None } else { Some(AhoCorasick::builder().kind(Some(kind)).build(&forms).ok()?) };
        let longest = forms.iter().map(|form| form.len()).max().unwrap_or(0);
        let mut begins = vec![false; 256];
        for form in &forms {
            begins[usize::from(form[0])] = true;
        }
        Some(Self { finder, forms, begins, longest })
    }

    /// Whether nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// The length of the longest form.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Whether a masked value is in the bytes.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.finder.as_ref().is_some_and(|finder| finder.is_match(bytes))
    }

    /// Where masked values are, in order; those that overlap or touch are one.
    pub fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut merged: Vec<Range<usize>> = Vec::new();
        // Most bytes have none, and that is found out faster.
        let Some(finder) = self.finder.as_ref().filter(|finder| finder.is_match(bytes)) else { return merged };
        // Matches come by their ends; an earlier one may start later.
        for found in finder.find_overlapping_iter(bytes) {
            let (mut start, end) = (found.start(), found.end());
            while let Some(last) = merged.last()
                && last.end >= start
            {
                start = start.min(last.start);
                merged.pop();
            }
            merged.push(start..end);
        }
        merged
    }

    /// Where bytes may be cut, at or before `wish`, so that no masked value is torn: neither one that is there nor one
    /// whose end has not arrived yet. 0 when there is no such place.
    pub fn cut(&self, bytes: &[u8], wish: usize) -> usize {
        let mut cut = wish.min(bytes.len() - self.begun(bytes));
        for found in self.find(bytes).into_iter().rev() {
            if found.start < cut && cut < found.end {
                cut = found.start;
            }
        }
        cut
    }

    /// How many bytes at the end may be the beginning of a masked value.
    pub fn begun(&self, bytes: &[u8]) -> usize {
        let most = self.longest.saturating_sub(1).min(bytes.len());
        (1..=most).rev().find(|count| self.is_beginning(&bytes[bytes.len() - count..])).unwrap_or(0)
    }

    /// Whether a form begins with these bytes and goes on.
    fn is_beginning(&self, bytes: &[u8]) -> bool {
        if !self.begins[usize::from(bytes[0])] {
            return false;
        }
        let at = self.forms.partition_point(|form| **form <= *bytes);
        self.forms.get(at).is_some_and(|form| form.starts_with(bytes))
    }
}

/// Shows no values: they are secrets.
impl std::fmt::Debug for MaskSet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("MaskSet").field("forms", &self.forms.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(values: &[&str]) -> MaskSet {
        let (set, refused) = MaskSet::new(values.iter().copied());
        assert_eq!(refused, []);
        set
    }

    #[test]
    fn finds_and_merges() {
        let set = set(&["hunter2", "abcd", "cdef"]);
        assert_eq!(set.find(b"pw=hunter2!").first(), Some(&(3..10)));
        assert_eq!(set.find(b"xabcdefx hunter2hunter2"), [1..7, 9..23]);
        assert_eq!(set.find(b"aHVudGVyMg== 68756e74657232"), [0..12, 13..27]);
        assert!(set.find(b"nothing").is_empty() && !set.is_in(b"hunter") && set.is_in(b"a hunter2"));
        assert!(MaskSet::default().find(b"hunter2").is_empty());
        assert!(!format!("{set:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(MaskSet::new(["ab", "", "abc"]).1, [NotMasked::TooShort]);
        let many: Vec<String> = (0..=MASKS_MAX).map(|number| format!("secret-{number:05}")).collect();
        let (set, refused) = MaskSet::new(many.iter().map(String::as_str));
        assert_eq!(refused, [NotMasked::TooMany]);
        assert!(set.is_in(many[MASKS_MAX - 1].as_bytes()) && !set.is_in(many[MASKS_MAX].as_bytes()));
    }

    #[test]
    fn never_cuts_through_a_value() {
        let set = set(&["secret"]);
        assert_eq!(set.cut(b"aaaaaaaaaaaaaaaa", 10), 10);
        assert_eq!(set.cut(b"aaaaaaaasecretaa", 10), 8);
        assert_eq!(set.cut(b"aaaaaasecr", 10), 6, "the end may not have arrived");
        assert_eq!(set.cut(b"secret", 6), 6);
        assert_eq!(set.cut(b"secre", 5), 0);
        assert_eq!(set.cut(b"secret\n", 7), 7);
    }

    #[test]
    fn what_may_go_on_to_be_one() {
        let set = set(&["secret", "tests"]);
        for (text, begun) in
            [("", 0), ("x", 0), ("s", 1), ("xxsec", 3), ("secret", 1), ("secrete", 2), ("secretx", 0), ("secretest", 4)]
        {
            assert_eq!(set.begun(text.as_bytes()), begun, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against the plainest way there is.
        #[test]
        fn is_what_a_plain_search_finds(
            values in proptest::collection::vec("[ab/é]{3,6}", 1..4),
            text in "[ab/é%\\\\]{0,40}",
            wish in any::<prop::sample::Index>(),
        ) {
            let set = set(&values.iter().map(String::as_str).collect::<Vec<_>>());
            let text = text.as_bytes();
            let mut covered = vec![false; text.len()];
            for form in &set.forms {
                for at in 0..text.len() {
                    if text[at..].starts_with(form) {
                        covered[at..at + form.len()].fill(true);
                    }
                }
            }
            let mut found = vec![false; text.len()];
            for range in set.find(text) {
                found[range].fill(true);
            }
            prop_assert_eq!(found, covered);
            let cut = set.cut(text, wish.index(text.len() + 1));
            for form in &set.forms {
                for at in 0..cut {
                    let rest = &text[at..];
                    let torn = at + form.len() > cut && (rest.starts_with(form) || form.starts_with(rest));
                    prop_assert!(!torn, "cut at {} tears {:?} at {}", cut, String::from_utf8_lossy(form), at);
                }
            }
        }
    }
}
