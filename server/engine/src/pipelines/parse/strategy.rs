//! `strategy`: the matrix as written, checked as far as it can be without running anything.

use serde_json::{Map, Value};

use super::super::MATRIX_MAX_JOBS;
use super::super::expand::{self, is_include_or_exclude};
use super::super::workflow::{Matrix, Setting, Strategy};
use super::super::yaml::{Kind, Node};
use super::places::STRATEGY;
use super::reader::Reader;

impl Reader<'_> {
    pub(super) fn strategy(&mut self, node: &Node) -> Strategy {
        const KEYS: [&str; 3] = ["matrix", "fail-fast", "max-parallel"];
        let mut strategy = Strategy::default();
        let Some(fields) = self.fields(node, "strategy", &KEYS, &[]) else {
            return strategy;
        };
        strategy.matrix = fields.get("matrix").and_then(|node| self.matrix(node));
        if let Some(flag) = fields.get("fail-fast").and_then(|node| self.flag(node, "fail-fast", &STRATEGY)) {
            strategy.fail_fast = flag;
        }
        let most = MATRIX_MAX_JOBS as u64;
        let number = fields.get("max-parallel").and_then(|node| self.number(node, "max-parallel", most, &STRATEGY));
        strategy.max_parallel = number.map(|number| match number {
            Setting::Fixed(number) => Setting::Fixed((number as u32).max(1)),
            Setting::Expression(text) => Setting::Expression(text),
        });
        strategy
    }

    fn matrix(&mut self, node: &Node) -> Option<Matrix> {
        let at = self.spot(node.start);
        if let Some(text) = self.expression(node, &STRATEGY) {
            return Some(Matrix { value: Value::String(text.text), at, dynamic: true });
        }
        let Kind::Map(entries) = &node.kind else {
            self.expected(node, "matrix", "a map or an expression");
            return None;
        };
        if entries.is_empty() {
            self.error(node.start, "`matrix` has no keys");
            return None;
        }
        let mut sound = true;
        let mut map = Map::new();
        for entry in entries {
            if !is_include_or_exclude(&entry.key) {
                sound &= self.check_id("matrix key", &entry.key, entry.key_start);
            }
            sound &= self.check_matrix_list(&entry.key, &entry.value);
            map.insert(entry.key.clone(), self.matrix_value(&entry.value));
        }
        let value = Value::Object(map);
        let dynamic = has_expression(&value);
        if sound && !dynamic {
            match expand::rows(&value) {
                Ok(rows) if rows.is_empty() => {
                    self.error(node.start, "`matrix` makes no jobs: `exclude` takes all of them");
                }
                Ok(_) => {}
                Err(message) => {
                    self.error(node.start, format!("`matrix`: {message}"));
                    return None;
                }
            }
        }
        Some(Matrix { value, at, dynamic })
    }

    /// Whether a key of a matrix has a list of the right things, or an expression for one.
    fn check_matrix_list(&mut self, key: &str, node: &Node) -> bool {
        let Kind::List(items) = &node.kind else {
            let is_expression = matches!(&node.kind, Kind::Scalar(scalar) if scalar.text.trim().starts_with("${{"));
            if !is_expression {
                self.expected(node, &format!("matrix.{key}"), "a list or an expression");
            }
            return is_expression;
        };
        if items.is_empty() && !is_include_or_exclude(key) {
            self.error(node.start, format!("`matrix.{key}` is an empty list"));
            return false;
        }
        let mut sound = true;
        for item in items.iter().filter(|item| is_include_or_exclude(key) && !matches!(item.kind, Kind::Map(_))) {
            self.expected(item, &format!("matrix.{key}"), "a map");
            sound = false;
        }
        sound
    }

    fn matrix_value(&mut self, node: &Node) -> Value {
        match &node.kind {
            Kind::Scalar(scalar) => {
                let value = scalar.value();
                self.warn_of_number(node, &value);
                if let Value::String(text) = &value {
                    self.check_template(node, text, &STRATEGY);
                }
                value
            }
            Kind::List(items) => items.iter().map(|item| self.matrix_value(item)).collect(),
            Kind::Map(entries) => {
                let items = entries.iter().map(|entry| (entry.key.clone(), self.matrix_value(&entry.value)));
                Value::Object(items.collect())
            }
        }
    }
}

fn has_expression(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${{"),
        Value::Array(items) => items.iter().any(has_expression),
        Value::Object(map) => map.values().any(has_expression),
        _ => false,
    }
}
