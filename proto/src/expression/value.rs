//! GitHub's coercions: truth, loose equality, order, numbers and text. Knows nothing of expressions.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// Falsy are null, false, 0 and the empty string.
pub fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// GitHub's `==`: strings without case, different types as numbers. Lists and objects are equal when they are the
/// same instance; of two clones nobody knows, so equal content counts only if `left` and `right` are one place.
pub fn loose_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::String(left), Value::String(right)) => compare_key(left, right) == Ordering::Equal,
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => std::ptr::eq(left, right),
        // Whole numbers beyond 2^53 stay exact.
        (Value::Number(left), Value::Number(right)) if left == right => true,
        _ => equal_numbers(to_number(left), to_number(right)),
    }
}

/// The order of two values; `None` when they have none.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::String(left), Value::String(right)) => Some(compare_key(left, right)),
        (Value::Null, Value::Null)
        | (Value::Array(_) | Value::Object(_), _)
        | (_, Value::Array(_) | Value::Object(_)) => None,
        _ => to_number(left).partial_cmp(&to_number(right)),
    }
}

/// The order of two texts without case, as properties and strings are compared.
pub fn compare_key(left: &str, right: &str) -> Ordering {
    left.chars().flat_map(char::to_uppercase).cmp(right.chars().flat_map(char::to_uppercase))
}

/// A property, first by its exact name, then without case.
pub(super) fn property<'v>(map: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    map.get(name).or_else(|| map.iter().find(|(key, _)| compare_key(key, name) == Ordering::Equal).map(|(_, v)| v))
}

/// A value as text: null is empty, numbers have no trailing `.0`, lists and objects are JSON.
pub fn render(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => render_number(number),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A number as a value: whole numbers are whole, so that 2.0 renders as 2.
pub(super) fn number_value(number: f64) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
        return Value::Number(Number::from(number as i64));
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

pub(super) fn to_number(value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN),
        Value::String(text) => parse_number(text),
        Value::Array(_) | Value::Object(_) => f64::NAN,
    }
}

/// Decimal, `0x` and `0o`; empty is 0; anything else is not a number.
pub(super) fn parse_number(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() {
        return 0.0;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            // GitHub reads 32 bits.
            return u32::from_str_radix(digits, radix).map_or(f64::NAN, |number| f64::from(number as i32));
        }
    }
    match text {
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        // Rust also reads `inf` and `nan`, which GitHub does not.
        _ if text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E')) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    }
}

fn equal_numbers(left: f64, right: f64) -> bool {
    left.partial_cmp(&right) == Some(Ordering::Equal)
}

fn render_number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => match number_value(float) {
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        },
        _ => number.to_string(),
    }
}
