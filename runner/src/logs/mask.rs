//! Values that must not appear in any log, and their replacement. Knows nothing of where they come from.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use millrace_proto::mask_forms::MASK_MIN_CHARS;
use millrace_proto::mask_set;
pub use millrace_proto::mask_set::{MASKS_MAX, NotMasked};

/// What stands in place of a masked value.
pub const MASK: &str = "***";

/// The masks of a job; more can be added while it runs.
#[derive(Default)]
pub struct Masks {
    // Held while one more is added: adding is rare.
    values: Mutex<Vec<String>>,
    // Held for reading and replacing the Arc only.
    set: RwLock<Arc<MaskSet>>,
}

/// Masks at one moment.
#[derive(Default)]
pub struct MaskSet(mask_set::MaskSet);

impl Masks {
    /// Adds a value; each line of it is a mask of its own, because the log has lines, and so is each way to spell it. An
    /// error may be of some of its spellings only ([`NotMasked::as_it_is`]).
    pub fn add(&self, value: &str) -> Result<(), NotMasked> {
        self.add_all([value]).pop().map_or(Ok(()), Err)
    }

    /// Adds values; answers why some were not taken.
    pub fn add_all<'v>(&self, values: impl IntoIterator<Item = &'v str>) -> Vec<NotMasked> {
        let mut known = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = Vec::new();
        let before = known.len();
        for value in values {
            if value.is_empty() || known.iter().any(|one| one == value) {
                continue;
            }
            if !value.lines().any(|line| line.trim().chars().count() >= MASK_MIN_CHARS) {
                refused.push(NotMasked::TooShort);
            } else if known.len() >= MASKS_MAX {
                refused.push(NotMasked::TooMany);
            } else {
                known.push(value.to_owned());
            }
        }
        if known.len() == before {
            return refused;
        }
        let (set, not) = mask_set::MaskSet::new(known.iter().map(String::as_str));
        if not.iter().all(|one| one.why.as_it_is()) {
            *self.set.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(MaskSet(set));
        } else {
            known.truncate(before);
        }
        // Of those before it was said then.
        refused.extend(not.into_iter().filter(|one| one.index >= before).map(|one| one.why));
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
        self.current().0.is_in(text.as_bytes())
    }
}

impl MaskSet {
    /// The bytes without masked values; values that overlap or touch become one [`MASK`].
    pub fn apply<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        self.apply_after(bytes, 0)
    }

    /// The same of all but the first bytes, which are of a value that has its [`MASK`] already.
    pub fn apply_after<'b>(&self, bytes: &'b [u8], masked: usize) -> Cow<'b, [u8]> {
        let found = self.0.find(bytes);
        if found.is_empty() {
            return Cow::Borrowed(&bytes[masked..]);
        }
        let mut shown = Vec::with_capacity(bytes.len());
        let (mut from, mut goes_on) = (masked, masked > 0);
        for value in found {
            goes_on &= value.start <= from;
            if !goes_on {
                shown.extend_from_slice(&bytes[from..value.start]);
                shown.extend_from_slice(MASK.as_bytes());
            }
            from = from.max(value.end);
        }
        shown.extend_from_slice(&bytes[from..]);
        Cow::Owned(shown)
    }

    /// Where masked values are, in order; those that overlap or touch are one.
    pub fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        self.0.find(bytes)
    }

    /// The length of the longest form.
    pub fn longest(&self) -> usize {
        self.0.longest()
    }

    /// Where bytes may be cut, at or before `wish`, so that no masked value is torn: neither one that is there nor
    /// one whose end has not arrived yet. 0 when there is no such place.
    pub fn cut(&self, bytes: &[u8], wish: usize) -> usize {
        self.0.cut(bytes, wish)
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
    fn in_every_spelling() {
        let masks = masks(&["p@ss/wörd"]);
        for (text, shown) in [
            ("Authorization: Basic dXNlcjpwQHNzL3fDtnJk", "Authorization: Basic dXNlcjp***"),
            ("?key=p%40ss%2Fw%C3%B6rd&x", "?key=***&x"),
            ("?key=p%40ss%2fw%c3%b6rd", "?key=***"),
            (r#"{"key":"p@ss\/w\u00f6rd"}"#, r#"{"key":"***"}"#),
            ("70407373 7040 70407373 2f77c3b67264", "70407373 7040 70407373 2f77c3b67264"),
            ("704073732f77c3b67264", "***"),
        ] {
            assert_eq!(masks.text(text), shown);
        }
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
        assert_eq!(masks.add("äöü"), Ok(()), "known already");
        assert_eq!(masks.text("ab äöü"), "ab ***");
    }

    #[test]
    fn what_is_masked_only_as_it_is_is_masked() {
        let masks = masks(&["hunter2"]);
        let long = "0123456789".repeat(7_000);
        assert_eq!(masks.add(&long), Err(NotMasked::TooLong));
        assert_eq!(masks.text(&format!("hunter2 {long}")), "*** ***");
        assert_eq!(masks.add("one more"), Ok(()), "said once");
    }

    #[test]
    fn too_many_are_refused_and_the_others_stay() {
        let many: Vec<String> = (0..MASKS_MAX).map(|number| format!("secret-{number:05}")).collect();
        let masks = Masks::default();
        let refused = masks.add_all(many.iter().map(String::as_str));
        assert!(refused.iter().all(|why| *why == NotMasked::TooManySpellings), "{refused:?}");
        assert_eq!(masks.add("one more"), Err(NotMasked::TooMany));
        assert_eq!(masks.text("secret-00000 secret-09999 one more"), "*** *** one more");
    }
}
