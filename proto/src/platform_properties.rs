//! Properties of platforms: what an action asks for, what a runner offers, and whether the one satisfies the other. Server
//! and runner must agree on it. Knows no queue and no runner.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Properties that speak to the runner's sandbox: never matched against an offer.
pub const RESERVED_PROPERTIES: [&str; 3] = ["network", "input-root", "sandbox"];
/// An offer of this value takes any.
pub const ANY_VALUE: &str = "*";
/// An offer of `max-cores=8` takes what asks for at most 8 `cores`.
pub const AT_MOST_PREFIX: &str = "max-";
/// An offer of `min-cores=2` takes what asks for at least 2 `cores`.
pub const AT_LEAST_PREFIX: &str = "min-";
/// How many properties an action may ask for, and a runner may offer.
pub const PROPERTIES_MAX: usize = 128;
/// The longest name or value of a property.
pub const PROPERTY_MAX_BYTES: usize = 2_048;

/// A name and a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Property {
    /// Its name, as in REAPI's Platform: "OSFamily".
    pub name: String,
    /// Its value: "linux".
    pub value: String,
}

/// A set of properties in one order, whatever order they came in. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Vec<Property>", into = "Vec<Property>")]
pub struct Properties(Arc<[Property]>);

/// A property that is asked for and not offered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mismatch {
    /// Its name.
    pub name: String,
    /// What is asked for.
    pub requested: String,
    /// What is offered in its place, limits with their prefix; none: there is no such property.
    pub offered: Vec<String>,
}

/// Why something is no set of properties.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// No equals sign, or nothing before it.
    #[error("property {0:?}: expected name=value")]
    NoName(String),
    /// A name or a value that is too long.
    #[error("property {name:?}: {bytes} bytes; the limit of a name and of a value is {PROPERTY_MAX_BYTES}")]
    TooLong {
        /// The name, cut.
        name: String,
        /// How long the longer one is.
        bytes: usize,
    },
    /// Too many.
    #[error("{0} properties; the limit is {PROPERTIES_MAX}")]
    TooMany(usize),
}

impl Properties {
    /// A set of these, each once.
    pub fn new(properties: impl IntoIterator<Item = Property>) -> Self {
        let mut properties: Vec<Property> = properties.into_iter().collect();
        properties.sort_unstable();
        properties.dedup();
        Self(properties.into())
    }

    /// The same of names and values, with what the wire may not bring refused.
    pub fn checked<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, PropertiesError> {
        let mut properties = Vec::new();
        for (name, value) in pairs {
            let property = Property { name: name.into(), value: value.into() };
            property.check()?;
            properties.push(property);
        }
        if properties.len() > PROPERTIES_MAX {
            return Err(PropertiesError::TooMany(properties.len()));
        }
        Ok(Self::new(properties))
    }

    /// All, by name and value.
    pub fn iter(&self) -> std::slice::Iter<'_, Property> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of a name.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |property| property.name == name).map(|property| property.value.as_str())
    }

    /// Those that a test keeps.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&Property) -> bool) -> Self {
        if self.0.iter().all(&keep) {
            return self.clone();
        }
        Self(self.0.iter().filter(|property| keep(property)).cloned().collect())
    }

    /// Whether these, offered, take what is asked for.
    pub fn satisfy(&self, requested: &Self) -> bool {
        requested.iter().all(|property| self.takes(property))
    }

    /// Whether these, offered, take one property that is asked for.
    pub fn takes(&self, requested: &Property) -> bool {
        if is_reserved(&requested.name) {
            return true;
        }
        self.0.iter().any(|offer| {
            if offer.name == requested.name {
                return offer.value == requested.value || offer.value == ANY_VALUE;
            }
            match limit_of(&offer.name, &requested.name) {
                Some(Limit::AtMost) => {
                    numbers(&requested.value, &offer.value).is_some_and(|(asked, most)| asked <= most)
                }
                Some(Limit::AtLeast) => {
                    numbers(&requested.value, &offer.value).is_some_and(|(asked, least)| asked >= least)
                }
                None => false,
            }
        })
    }

    /// Whether anything is offered under a name, as a value or as a limit.
    pub fn knows(&self, name: &str) -> bool {
        self.0.iter().any(|offer| offer.name == name || limit_of(&offer.name, name).is_some())
    }
}

/// What a set lacks of what is asked for: nothing, or each property that doesn't fit.
pub fn satisfies(offered: &Properties, requested: &Properties) -> Result<(), Vec<Mismatch>> {
    let wrong: Vec<Mismatch> = requested
        .iter()
        .filter(|property| !offered.takes(property))
        .map(|property| Mismatch {
            name: property.name.clone(),
            requested: property.value.clone(),
            offered: offered.iter().filter_map(|offer| shown_offer(offer, &property.name)).collect(),
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Whether a property speaks to the sandbox and is matched with nothing.
pub fn is_reserved(name: &str) -> bool {
    RESERVED_PROPERTIES.contains(&name)
}

impl Property {
    /// A property of `name=value`; the value may be empty and may hold more equals signs.
    pub fn parse(text: &str) -> Result<Self, PropertiesError> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                let property = Self { name: name.into(), value: value.into() };
                property.check().map(|()| property)
            }
            _ => Err(PropertiesError::NoName(cut(text))),
        }
    }

    fn check(&self) -> Result<(), PropertiesError> {
        let bytes = self.name.len().max(self.value.len());
        if self.name.is_empty() {
            return Err(PropertiesError::NoName(cut(&format!("={}", self.value))));
        }
        if bytes > PROPERTY_MAX_BYTES {
            return Err(PropertiesError::TooLong { name: cut(&self.name), bytes });
        }
        Ok(())
    }
}

enum Limit {
    AtMost,
    AtLeast,
}

/// What an offer of that name says about the property.
fn limit_of(offer: &str, name: &str) -> Option<Limit> {
    if offer.strip_prefix(AT_MOST_PREFIX) == Some(name) {
        return Some(Limit::AtMost);
    }
    (offer.strip_prefix(AT_LEAST_PREFIX) == Some(name)).then_some(Limit::AtLeast)
}

fn numbers(requested: &str, offered: &str) -> Option<(f64, f64)> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    Some((number(requested)?, number(offered)?))
}

fn shown_offer(offer: &Property, name: &str) -> Option<String> {
    if offer.name == name {
        return Some(offer.value.clone());
    }
    limit_of(&offer.name, name).map(|_| offer.to_string())
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

impl fmt::Display for Property {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.name, self.value)
    }
}

/// `a=b, c=d`; nothing for none.
impl fmt::Display for Properties {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, property) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{property}")?;
        }
        Ok(())
    }
}

/// `cores=64 is asked for, max-cores=8 is offered`.
impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, requested, offered } = self;
        if offered.is_empty() {
            return write!(out, "{name}={requested} is asked for, no {name} is offered");
        }
        write!(out, "{name}={requested} is asked for, {} is offered", offered.join(" or "))
    }
}

impl Default for Properties {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl From<Vec<Property>> for Properties {
    fn from(properties: Vec<Property>) -> Self {
        Self::new(properties)
    }
}

impl From<Properties> for Vec<Property> {
    fn from(properties: Properties) -> Self {
        properties.0.to_vec()
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = &'a Property;
    type IntoIter = std::slice::Iter<'a, Property>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> Properties {
        Properties::new(text.split_whitespace().map(|one| Property::parse(one).expect("a property")))
    }

    #[test]
    fn values_are_exact_a_star_takes_any_and_several_values_are_any_of_them() {
        let offered = set("OSFamily=linux ISA=x86-64 ISA=x86-64-v3 Pool=*");
        assert!(offered.satisfy(&set("")));
        assert!(offered.satisfy(&set("OSFamily=linux ISA=x86-64-v3 Pool=whatever")));
        assert!(!offered.satisfy(&set("OSFamily=Linux")), "case matters");
        assert!(!offered.satisfy(&set("gpu=yes")));
        assert!(!set("Pool=a").satisfy(&set("Pool=*")), "who asks for a star asks for a star");
        assert!(set("").satisfy(&set("network=on input-root=/ sandbox=off")), "these are not matched");
    }

    #[test]
    fn limits_are_numeric() {
        let offered = set("max-cores=8 min-memory=2.5");
        assert!(offered.satisfy(&set("cores=8 memory=2.5")));
        assert!(offered.satisfy(&set("cores=08 memory=100")));
        assert!(!offered.satisfy(&set("cores=9")));
        assert!(!offered.satisfy(&set("memory=2")));
        assert!(!offered.satisfy(&set("cores=many")));
        assert!(!offered.satisfy(&set("cores=NaN")));
        assert!(offered.satisfy(&set("max-cores=8")), "by its own name it is a value");
        assert!(offered.knows("cores") && offered.knows("memory") && !offered.knows("min"));
    }

    #[test]
    fn what_does_not_fit_is_shown() {
        let wrong = satisfies(&set("OSFamily=linux max-cores=8"), &set("OSFamily=windows cores=64 gpu=yes network=on"));
        let shown: Vec<String> = wrong.expect_err("does not fit").iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "OSFamily=windows is asked for, linux is offered",
                "cores=64 is asked for, max-cores=8 is offered",
                "gpu=yes is asked for, no gpu is offered"
            ]
        );
        assert_eq!(satisfies(&set("a=b"), &set("a=b")), Ok(()));
    }

    #[test]
    fn bad_properties_are_refused() {
        assert_eq!(Property::parse("a=b=c").expect("fine").value, "b=c");
        assert_eq!(Property::parse("a=").expect("fine").value, "");
        assert_eq!(Property::parse("=b"), Err(PropertiesError::NoName("=b".into())));
        assert_eq!(Property::parse("ab"), Err(PropertiesError::NoName("ab".into())));
        assert!(matches!(
            Properties::checked([("a", "x".repeat(2_049))]),
            Err(PropertiesError::TooLong { bytes: 2_049, .. })
        ));
        assert_eq!(Properties::checked((0..129).map(|n| (n.to_string(), ""))), Err(PropertiesError::TooMany(129)));
        assert_eq!(Properties::checked([("", "")]), Err(PropertiesError::NoName("=".into())));
    }

    proptest! {
        #[test]
        fn the_short_and_the_long_answer_agree(
            offered in proptest::collection::vec(("(max-|min-)?[ab]", "[*12]"), 0..5),
            requested in proptest::collection::vec(("(max-)?[ab]|network", "[*123]"), 0..4),
        ) {
            let of = |pairs: Vec<(String, String)>| Properties::checked(pairs).expect("good");
            let (offered, requested) = (of(offered), of(requested));
            prop_assert_eq!(offered.satisfy(&requested), satisfies(&offered, &requested).is_ok());
        }
    }
}
