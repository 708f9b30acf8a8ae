//! What a request says about an asset besides its URIs. Knows that names are unique, not what they mean.

use crate::error::{Error, Result};

/// The qualifier with a checksum of the content.
pub const CHECKSUM: &str = "checksum.sri";
/// Qualifiers that say how to ask for the content, not which content is meant.
const HOW_TO_ASK: [&str; 3] = ["http_header:", "http_header_url:", "bazel.auth_headers"];
/// The most qualifiers of a request.
const QUALIFIERS_MAX: usize = 1_000;
/// The longest name or value, in bytes.
const QUALIFIER_MAX_BYTES: usize = 64 * 1024;

/// Names and values, sorted, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Qualifiers(Vec<(String, String)>);

impl Qualifiers {
    /// Checks that names are unique.
    pub fn new(mut pairs: Vec<(String, String)>) -> Result<Self> {
        if pairs.len() > QUALIFIERS_MAX {
            let message = format!("{} of them; the limit is {QUALIFIERS_MAX}", pairs.len());
            return Err(Error::invalid("qualifiers", message));
        }
        if let Some((name, _)) = pairs.iter().find(|(name, value)| name.len().max(value.len()) > QUALIFIER_MAX_BYTES) {
            let name: String = name.chars().take(100).collect();
            return Err(Error::invalid("qualifiers", format!("{name:?} is longer than {QUALIFIER_MAX_BYTES} bytes")));
        }
        pairs.sort();
        if let Some(pair) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::invalid("qualifiers.name", format!("{:?} is there twice; names are unique", pair[0].0)));
        }
        Ok(Self(pairs))
    }

    /// The value with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Those that tell one asset from another at the same URI. Credentials and other headers do, because what is behind
    /// them is not for everybody; but who knows the content's checksum may have the content.
    pub fn telling_apart(&self) -> impl Iterator<Item = (&str, &str)> {
        let checked = self.get(CHECKSUM).is_some();
        self.iter().filter(move |(name, _)| !checked || !HOW_TO_ASK.iter().any(|prefix| name.starts_with(prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<Qualifiers> {
        Qualifiers::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn names_are_unique_and_the_order_is_none() {
        assert_eq!(of(&[("b", "2"), ("a", "1")]).unwrap(), of(&[("a", "1"), ("b", "2")]).unwrap());
        let error = of(&[("a", "1"), ("b", "2"), ("a", "1")]).unwrap_err().to_string();
        assert_eq!(error, "qualifiers.name: \"a\" is there twice; names are unique");
        assert!(of(&[("a", &"x".repeat(QUALIFIER_MAX_BYTES + 1))]).is_err());
        assert!(of(&vec![("a", "x"); QUALIFIERS_MAX + 1]).unwrap_err().to_string().contains("1000"));
    }

    #[test]
    fn headers_tell_assets_apart_only_without_a_checksum() {
        let header = ("http_header:Authorization", "secret");
        let open = of(&[header, ("vcs.branch", "main")]).unwrap();
        assert_eq!(open.telling_apart().count(), 2);
        let checked = of(&[header, (CHECKSUM, "sha256-x"), ("bazel.canonical_id", "y")]).unwrap();
        let names: Vec<_> = checked.telling_apart().map(|(name, _)| name).collect();
        assert_eq!(names, ["bazel.canonical_id", CHECKSUM]);
    }
}
