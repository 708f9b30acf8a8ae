//! Matrices: GitHub's documented examples, limits, and matrices by expression.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{JobContexts, NeedOutcome, NeedResult, expand};
use super::{job_table, parsed};

fn workflow(matrix: &str) -> super::super::Workflow {
    parsed(&format!("jobs:\n  a:\n    runs-on: x\n    strategy:\n      matrix: {matrix}\n    steps: [{{run: echo}}]\n"))
}

#[track_caller]
fn rows(matrix: &str) -> Vec<(Value, String)> {
    let workflow = workflow(matrix);
    let rows = expand::matrix(&workflow, &workflow.jobs["a"], &JobContexts::default()).expect("expands");
    let total = rows.len() as u32;
    assert!(rows.iter().enumerate().all(|(index, row)| (row.index, row.total) == (index as u32, total)));
    rows.into_iter().map(|row| (row.value(), row.suffix)).collect()
}

#[test]
fn combinations_in_the_order_of_the_file() {
    let found: Vec<String> = rows("{os: [linux, mac], node: [12, 14]}").into_iter().map(|(_, suffix)| suffix).collect();
    assert_eq!(found, [" (linux, 12)", " (linux, 14)", " (mac, 12)", " (mac, 14)"]);
    let objects = rows("{node: [{version: 14}, {version: 20, env: X=1}]}");
    assert_eq!(objects[1], (json!({ "node": { "version": 20, "env": "X=1" } }), " (20, X=1)".to_owned()));
    let types = rows("{v: [true, 1.50, null, '1']}");
    let suffixes: Vec<&str> = types.iter().map(|(_, suffix)| suffix.as_str()).collect();
    assert_eq!(suffixes, [" (true)", " (1.5)", "", " (1)"]);
}

#[test]
fn equal_names_are_told_apart() {
    let found: Vec<String> = rows("{v: [1, '1', a]}").into_iter().map(|(_, suffix)| suffix).collect();
    assert_eq!(found, [" (1)", " (1) #2", " (a)"]);
    let long = rows(&format!("{{v: [{}, {}]}}", "x".repeat(200), "x".repeat(201)));
    assert_eq!(long[0].1, format!(" ({}...)", "x".repeat(97)));
    assert_ne!(long[0].1, long[1].1);
}

#[test]
fn include_by_the_documentation() {
    let found: Vec<Value> = rows(
        "{fruit: [apple, pear], animal: [cat, dog], include: [{color: green}, {color: pink, animal: cat}, \
         {fruit: apple, shape: circle}, {fruit: banana}, {fruit: banana, animal: cat}]}",
    )
    .into_iter()
    .map(|(value, _)| value)
    .collect();
    assert_eq!(
        found,
        [
            json!({ "fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle" }),
            json!({ "fruit": "apple", "animal": "dog", "color": "green", "shape": "circle" }),
            json!({ "fruit": "pear", "animal": "cat", "color": "pink" }),
            json!({ "fruit": "pear", "animal": "dog", "color": "green" }),
            json!({ "fruit": "banana" }),
            json!({ "fruit": "banana", "animal": "cat" }),
        ]
    );
    let only: Vec<String> =
        rows("{include: [{site: production, dc: a}, {site: staging, dc: b}]}").into_iter().map(|row| row.1).collect();
    assert_eq!(only, [" (production, a)", " (staging, b)"]);
}

#[test]
fn exclude_by_the_documentation() {
    let found: Vec<String> = rows(
        "{os: [macos-latest, windows-latest], version: [12, 14, 16], environment: [staging, production], \
         exclude: [{os: macos-latest, version: 12, environment: production}, {os: windows-latest, version: 16}], \
         include: [{os: windows-latest, version: 16, environment: staging}]}",
    )
    .into_iter()
    .map(|row| row.1)
    .collect();
    assert_eq!(found.len(), 12 - 1 - 2 + 1);
    assert!(!found.contains(&" (macos-latest, 12, production)".to_owned()));
    // What exclude took, include brings back.
    assert_eq!(found[9], " (windows-latest, 16, staging)");
}

#[test]
fn faults() {
    let with = |matrix: &str| format!("runs-on: x\nstrategy: {{matrix: {matrix}}}\nsteps:\n  - run: echo");
    let hundred: Vec<String> = (0..100).map(|value| value.to_string()).collect();
    let ten_thousand = format!("{{a: [{0}], b: [{0}]}}", hundred.join(","));
    let three_hundred: Vec<String> = (0..300).map(|value| value.to_string()).collect();
    job_table(&[
        (
            &with(&ten_thousand),
            &["4:24: error: `matrix`: has 100 x 100 = 10000 combinations: a matrix may make at most 256 jobs"],
        ),
        (
            &with(&format!("{{a: [{}]}}", three_hundred.join(","))),
            &["4:24: error: `matrix`: makes 300 jobs, over the limit of 256"],
        ),
        (
            &with(&format!("{{a: [{}], b: [{}]}}", "x".repeat(100_000), hundred.join(","))),
            &["4:24: error: `matrix`: the values of all jobs come to more than 4194304 bytes"],
        ),
        (&with("{}"), &["4:24: error: `matrix` has no keys"]),
        (&with("[a]"), &["4:24: error: `matrix`: expected a map or an expression, found a list"]),
        (&with("{os: linux}"), &["4:29: error: `matrix.os`: expected a list or an expression, found a string"]),
        (&with("{os: []}"), &["4:29: error: `matrix.os` is an empty list"]),
        (&with("{os: [a], include: [b]}"), &["4:44: error: `matrix.include`: expected a map, found a string"]),
        (
            &with("{os: [a], exclude: [{so: a}]}"),
            &["4:24: error: `matrix`: `exclude` names `so`, which is not a key of the matrix"],
        ),
        (&with("{os: [a], exclude: [{os: a}]}"), &["4:24: error: `matrix` makes no jobs: `exclude` takes all of them"]),
        (&with("{v: [3.10]}"), &["4:29: warning: `3.10` is a number and becomes `3.1`: quote it to keep it"]),
        (
            &with("{v: ['${{ matrix.x }}']}"),
            &["4:34: error: context `matrix` is not available in strategy (available: github, inputs, needs, vars)"],
        ),
    ]);
    // 400 combinations, of which exclude leaves few enough.
    let twenty: Vec<String> = (0..20).map(|value| value.to_string()).collect();
    let excluded: Vec<String> = (0..10).map(|value| format!("{{a: {value}}}")).collect();
    let found = rows(&format!("{{a: [{0}], b: [{0}], exclude: [{1}]}}", twenty.join(","), excluded.join(",")));
    assert_eq!(found.len(), 200);
}

#[test]
fn matrices_by_expression() {
    let contexts = |list: &str| JobContexts {
        needs: BTreeMap::from([(
            "plan".to_owned(),
            NeedOutcome {
                result: NeedResult::Success,
                outputs: BTreeMap::from([("list".to_owned(), list.to_owned())]),
            },
        )]),
        vars: json!({ "VALUES": "[1, 2]" }),
        ..JobContexts::default()
    };
    let text = |matrix: &str| {
        format!(
            "jobs:\n  plan:\n    runs-on: x\n    steps: [{{run: echo}}]\n  a:\n    needs: plan\n    runs-on: x\n    \
             strategy: {{matrix: {matrix}}}\n    steps: [{{run: echo}}]\n"
        )
    };
    let expand = |matrix: &str, list: &str| {
        let workflow = parsed(&text(matrix));
        assert!(workflow.jobs["a"].strategy.matrix.as_ref().is_some_and(|matrix| matrix.dynamic));
        expand::matrix(&workflow, &workflow.jobs["a"], &contexts(list))
            .map(|rows| rows.into_iter().map(|row| row.suffix).collect::<Vec<_>>())
            .map_err(|error| error.to_string())
    };
    let whole = "'${{ fromJSON(needs.plan.outputs.list) }}'";
    assert_eq!(expand(whole, r#"{"v":[1,2],"exclude":[{"v":1}]}"#), Ok(vec![" (2)".to_owned()]));
    assert_eq!(expand(whole, r#"{"v":[]}"#), Ok(vec![]));
    let axis = "{v: '${{ fromJSON(needs.plan.outputs.list) }}', w: ['${{ vars.VALUES }}']}";
    assert_eq!(expand(axis, "[7]"), Ok(vec![" (7, [1, 2])".to_owned()]));
    let include = "{include: '${{ fromJSON(needs.plan.outputs.list) }}'}";
    assert_eq!(expand(include, r#"[{"a":1},{"a":2}]"#), Ok(vec![" (1)".to_owned(), " (2)".to_owned()]));
    for (matrix, list, message) in [
        (whole, "[1]", "w.yml:8:24: error: `matrix`: expected a map, found a list"),
        (axis, "7", "w.yml:8:24: error: `matrix`: `v`: expected a list, found a number"),
        (include, "[1]", "w.yml:8:24: error: `matrix`: `include`: expected maps, found a number"),
    ] {
        assert_eq!(expand(matrix, list), Err(message.to_owned()));
    }
    let broken = expand(whole, "nope").expect_err("not JSON");
    assert!(broken.starts_with("w.yml:8:24: error: `matrix`: fromJSON(): not JSON"), "{broken}");
    let many: Vec<String> = (0..10_000).map(|value| value.to_string()).collect();
    let error = expand(whole, &format!("{{\"v\":[{}]}}", many.join(","))).expect_err("too many");
    assert!(error.contains("10000 combinations"), "{error}");
}

#[test]
fn no_matrix_is_one_empty_row() {
    let workflow = parsed("jobs:\n  a:\n    runs-on: x\n    steps: [{run: echo}]\n");
    let rows = expand::matrix(&workflow, &workflow.jobs["a"], &JobContexts::default()).expect("expands");
    assert_eq!((rows.len(), rows[0].value(), rows[0].suffix.as_str()), (1, Value::Null, ""));
}
