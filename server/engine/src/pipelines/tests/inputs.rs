//! Inputs of a run: types, defaults, refusals.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::inputs::resolve;
use super::{JOB, parsed};

const INPUTS: &str = "\
on:
  workflow_dispatch:
    inputs:
      who: {required: true, description: Who}
      loud: {type: boolean, default: true}
      count: {type: number, default: 2}
      level: {type: choice, options: [low, high], default: low}
      where: {type: environment}
      quiet: {type: boolean}
      maybe: {type: number}
      plain:
jobs:
";

fn given(pairs: &[(&str, &str)]) -> Result<Value, Vec<String>> {
    let workflow = parsed(&format!("{INPUTS}{JOB}"));
    let given: BTreeMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    resolve(&workflow, &given).map(Value::Object).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn typed_with_defaults() {
    assert_eq!(
        given(&[("who", "Mona")]),
        Ok(json!({
            "who": "Mona", "loud": true, "count": 2, "level": "low", "where": "", "quiet": false, "maybe": null,
            "plain": "",
        }))
    );
    assert_eq!(
        given(&[
            ("who", ""),
            ("loud", "false"),
            ("count", "1.5"),
            ("level", "high"),
            ("where", "prod"),
            ("plain", "3.10")
        ]),
        Ok(json!({
            "who": "", "loud": false, "count": 1.5, "level": "high", "where": "prod", "quiet": false, "maybe": null,
            "plain": "3.10",
        }))
    );
}

#[test]
fn refusals_name_the_input_and_the_type() {
    assert_eq!(
        given(&[("loud", "yes"), ("count", "inf"), ("level", "mid"), ("levl", "x")]).expect_err("refused"),
        [
            "w.yml:4:7: error: unknown input `levl`: the workflow has `who`, `loud`, `count`, `level`, `where`, `quiet`, \
             `maybe`, `plain` (did you mean `level`?)",
            "w.yml:4:7: error: input `who` is required: a string",
            "w.yml:5:7: error: input `loud`: expected true or false, found `yes`",
            "w.yml:6:7: error: input `count`: expected a number, found `inf`",
            "w.yml:7:7: error: input `level`: expected one of `low`, `high`, found `mid`",
        ]
    );
    let workflow = parsed(&format!("jobs:\n{JOB}"));
    let errors = resolve(&workflow, &BTreeMap::from([("x".to_owned(), String::new())])).expect_err("refused");
    assert_eq!(errors[0].to_string(), "w.yml:1:1: error: unknown input `x`: the workflow has no inputs");
}
