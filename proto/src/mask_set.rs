//! Finds masked values in bytes, in all their forms. Knows nothing of logs.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::mask_forms::{MASK_MIN_CHARS, MASK_VALUE_MAX_BYTES, MaskForms};

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

/// Why a value is not masked, or not wholly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMasked {
    /// Below [`MASK_MIN_CHARS`]: it is not masked.
    TooShort,
    /// Over [`MASKS_MAX`], or too much for the search: it is not masked.
    TooMany,
    /// Over [`MASK_VALUE_MAX_BYTES`]: it is masked as it is, in other spellings it is not.
    TooLong,
    /// Over [`MASK_ENCODED_MAX_BYTES`], with those before: it is masked as it is, in other spellings it is not.
    TooManySpellings,
}

/// A value that is not masked, or not wholly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place among those that were given, from 0.
    pub index: usize,
    /// Why.
    pub why: NotMasked,
}

impl NotMasked {
    /// Whether the value itself is masked.
    pub fn as_it_is(self) -> bool {
        matches!(self, Self::TooLong | Self::TooManySpellings)
    }
}

/// With the limit, for people: `is not masked: ...`.
impl std::fmt::Display for NotMasked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooShort => write!(out, "is not masked: it has fewer than {MASK_MIN_CHARS} characters"),
            Self::TooMany => {
                write!(out, "is not masked: there are more than {MASKS_MAX} values, or they are too long together")
            }
            Self::TooLong => write!(
                out,
                "is masked only as it is, not in base64 and other spellings: it is longer than {MASK_VALUE_MAX_BYTES} bytes"
            ),
            Self::TooManySpellings => write!(
                out,
                "is masked only as it is, not in base64 and other spellings: those of all values take more than \
                 {MASK_ENCODED_MAX_BYTES} bytes"
            ),
        }
    }
}

impl MaskSet {
    /// The set of these values, and why some are not in it, or not in all spellings. Empty values are no values.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v str>) -> (Self, Vec<Refused>) {
        let mut refused = Vec::new();
        let mut forms = Vec::new();
        let (mut taken, mut last) = (0, 0);
        let mut room = MASK_ENCODED_MAX_BYTES;
        for (index, value) in values.into_iter().enumerate().filter(|(_, value)| !value.is_empty()) {
            let mut refuse = |why| refused.push(Refused { index, why });
            if taken >= MASKS_MAX {
                refuse(NotMasked::TooMany);
                continue;
            }
            let MaskForms { plain, encoded } = MaskForms::of(value);
            if plain.is_empty() {
                refuse(NotMasked::TooShort);
                continue;
            }
            (taken, last) = (taken + 1, index);
            if value.len() > MASK_VALUE_MAX_BYTES {
                refuse(NotMasked::TooLong);
            }
            let bytes = encoded.iter().map(Vec::len).sum();
            forms.extend(plain);
            match room.checked_sub(bytes) {
                Some(left) => {
                    room = left;
                    forms.extend(encoded);
                }
                None => refuse(NotMasked::TooManySpellings),
            }
        }
        let mut forms: Vec<Box<[u8]>> = forms.into_iter().map(Vec::into_boxed_slice).collect();
        forms.sort_unstable();
        forms.dedup();
        match Self::of_forms(forms) {
            Some(set) => (set, refused),
            None => (Self::default(), (0..=last).map(|index| Refused { index, why: NotMasked::TooMany }).collect()),
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
        let Some(finder) = self.finder.as_ref().filter(|finder| finder.is_match(bytes)) else { return cut };
        // Each on its own: between two that only touch may be cut.
        let mut found: Vec<_> = finder.find_overlapping_iter(bytes).map(|found| found.range()).collect();
        found.sort_unstable_by_key(|found| std::cmp::Reverse(found.end));
        let mut found = found.into_iter().peekable();
        loop {
            // The first that begins of those that end after the cut.
            let mut first = cut;
            while let Some(after) = found.next_if(|found| found.end > cut) {
                first = first.min(after.start);
            }
            if first == cut {
                return cut;
            }
            cut = first;
        }
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
        let refused = |index, why| Refused { index, why };
        assert_eq!(MaskSet::new(["", "ab", "abc"]).1, [refused(1, NotMasked::TooShort)]);
        let many: Vec<String> = (0..=MASKS_MAX).map(|number| format!("secret-{number:05}")).collect();
        let (set, not) = MaskSet::new(many.iter().map(String::as_str));
        assert_eq!(not.last(), Some(&refused(MASKS_MAX, NotMasked::TooMany)));
        assert!(not.iter().all(|one| one.why.as_it_is() || one.index == MASKS_MAX), "all others are found as they are");
        assert!(set.is_in(many[MASKS_MAX - 1].as_bytes()) && !set.is_in(many[MASKS_MAX].as_bytes()));
    }

    /// Neither what is too long nor what is too much is left out silently, and the value itself is found all the same.
    #[test]
    fn what_is_masked_only_as_it_is() {
        let long = format!("x{}", "0123456789".repeat(MASK_VALUE_MAX_BYTES / 10 + 1));
        let (set, refused) = MaskSet::new(["hunter2/", &long]);
        assert_eq!(refused, [Refused { index: 1, why: NotMasked::TooLong }]);
        assert!(set.is_in(long.as_bytes()) && set.is_in(b"hunter2%2F"));
        // The spellings of one fill most of the room, the next has none left, a small one after it has.
        let value = |one, parts| (0..parts).map(|part| format!("{one}{part}+/\"")).collect::<String>();
        let spelled: usize = MaskForms::of(&value("a", 1_000)).encoded.iter().map(Vec::len).sum();
        let large = ["a", "b"].map(|one| value(one, 600 * MASK_ENCODED_MAX_BYTES / spelled));
        let (set, refused) = MaskSet::new([large[0].as_str(), &large[1], "hunter2/"]);
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!(refused[0].why, NotMasked::TooManySpellings);
        assert!(large.iter().all(|value| set.is_in(value.as_bytes())) && set.is_in(b"hunter2%2F"));
        for why in [NotMasked::TooLong, NotMasked::TooManySpellings, NotMasked::TooMany, NotMasked::TooShort] {
            assert!(why.to_string().starts_with("is ") && why.to_string().contains(char::is_numeric), "{why}");
        }
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
        assert_eq!(set.cut(b"secretsecretsecret\n", 14), 12, "between two");
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
