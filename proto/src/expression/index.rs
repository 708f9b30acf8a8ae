//! `a.b`, `a[b]` and the object filter `a.*`. Knows nothing of the tree.

use std::borrow::Cow;

use serde_json::Value;

use super::value::{property, render, to_number};

/// A value on its way: one, or the result of a filter, on which a further index works item by item.
pub(super) enum Operand<'e> {
    One(Cow<'e, Value>),
    Filtered(Vec<Cow<'e, Value>>),
}

impl<'e> Operand<'e> {
    pub(super) fn into_value(self) -> Cow<'e, Value> {
        match self {
            Self::One(value) => value,
            Self::Filtered(items) => Cow::Owned(Value::Array(items.into_iter().map(Cow::into_owned).collect())),
        }
    }

    /// `of[index]`: null where there is no such item.
    pub(super) fn index(self, index: &Value) -> Self {
        match self {
            Self::One(of) => Self::One(item(of, index).unwrap_or(Cow::Owned(Value::Null))),
            Self::Filtered(items) => Self::Filtered(items.into_iter().filter_map(|of| item(of, index)).collect()),
        }
    }

    /// `of.*`: all items.
    pub(super) fn filter(self) -> Self {
        match self {
            Self::One(of) => Self::Filtered(items(of)),
            Self::Filtered(all) => Self::Filtered(all.into_iter().flat_map(items).collect()),
        }
    }
}

fn item<'e>(of: Cow<'e, Value>, index: &Value) -> Option<Cow<'e, Value>> {
    match of {
        Cow::Borrowed(of) => find(of, index).map(Cow::Borrowed),
        Cow::Owned(of) => find(&of, index).cloned().map(Cow::Owned),
    }
}

fn find<'v>(of: &'v Value, index: &Value) -> Option<&'v Value> {
    match of {
        Value::Object(_) if index.is_array() || index.is_object() => None,
        Value::Object(map) => property(map, &render(index)),
        Value::Array(items) => {
            let number = to_number(index);
            // The comparison is false for what is not a number.
            if number >= 0.0 { items.get(number as usize) } else { None }
        }
        _ => None,
    }
}

fn items(of: Cow<'_, Value>) -> Vec<Cow<'_, Value>> {
    match of {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(map)) => map.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(map)) => map.into_iter().map(|(_, value)| Cow::Owned(value)).collect(),
        _ => Vec::new(),
    }
}
