//! What a runner gets of a job.

use std::collections::BTreeMap;

use millrace_proto::task_content::{Action, TaskContent};
use serde_json::json;

use super::super::plan::task_content;
use super::super::{JobContexts, MatrixRow, NeedOutcome, NeedResult};
use super::parsed;

const WORKFLOW: &str = r#"
env:
  LEVEL: info
  WHO: ${{ inputs.who }}
defaults:
  run:
    shell: sh
    working-directory: src
jobs:
  up: {runs-on: x, steps: [{run: echo}]}
  a:
    needs: up
    runs-on: x
    env:
      LEVEL: ${{ matrix.level }}
      UP: ${{ needs.up.outputs.v }}
    outputs:
      done: ${{ steps.s.outputs.done }}
    timeout-minutes: 10
    defaults: {run: {shell: "${{ matrix.level == 'debug' && 'bash' || 'sh' }}"}}
    strategy: {matrix: {level: [debug, info]}}
    steps:
      - uses: actions/checkout@v4
        with: {path: "p/${{ matrix.level }}", fetch-depth: 0}
      - id: s
        run: |
          echo ${{ env.LEVEL }} ${{ matrix.level }}
          echo ${{ runner.os }}!
      - name: Say ${{ inputs.who }} ${{ steps.s.outputs.x }}
        run: echo plain
        shell: python
        working-directory: sub/${{ matrix.level }}
        env: {OWN: "${{ env.LEVEL }}-own", LATE: "${{ steps.s.outputs.x }}"}
        if: failure()
        continue-on-error: true
        timeout-minutes: ${{ inputs.minutes }}
      - run: echo ${{ env.OWN }}
        env: {OWN: mine}
        if: env.LEVEL == 'debug' && always()
        continue-on-error: ${{ steps.s.outcome == 'failure' }}
      - run: echo
        if: steps.s.outputs.changed != 'true' && runner.os != 'Windows'
"#;

fn content() -> TaskContent {
    let workflow = parsed(WORKFLOW);
    let up = NeedOutcome { result: NeedResult::Success, outputs: BTreeMap::from([("v".to_owned(), "42".to_owned())]) };
    let contexts = JobContexts {
        github: json!({ "ref": "main" }),
        inputs: json!({ "who": "Mona", "minutes": 0.5 }),
        needs: BTreeMap::from([("up".to_owned(), up)]),
        ..JobContexts::default()
    };
    let row = MatrixRow::new(vec![("level".to_owned(), json!("debug"))], 0, 2);
    task_content(&workflow, &workflow.jobs["a"], &row, &contexts).expect("plans")
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_job() {
    let content = content();
    assert_eq!((content.schema, content.key.as_str(), content.name.as_str()), (1, "a (debug)", "a (debug)"));
    assert_eq!(content.timeout_ms, Some(600_000));
    assert_eq!(content.env, map(&[("LEVEL", "debug"), ("UP", "42"), ("WHO", "Mona")]));
    assert_eq!(content.outputs, map(&[("done", "${{ steps.s.outputs.done }}")]));
    let names: Vec<&str> = content.contexts.keys().map(String::as_str).collect();
    assert_eq!(names, ["github", "inputs", "job", "matrix", "needs", "secrets", "strategy", "vars"]);
    assert_eq!(content.contexts["needs"], json!({ "up": { "result": "success", "outputs": { "v": "42" } } }));
    assert_eq!(
        content.contexts["strategy"],
        json!({ "fail-fast": true, "job-index": 0, "job-total": 2, "max-parallel": 2 })
    );
    assert_eq!(content.contexts["secrets"], json!({}));
}

#[test]
fn a_built_in() {
    let action = &content().actions[0];
    let uses = action.uses.as_ref().expect("uses");
    assert_eq!((uses.name.as_str(), action.name.as_str()), ("actions/checkout", "Run actions/checkout@v4"));
    assert_eq!(uses.with, map(&[("fetch-depth", "0"), ("path", "p/${{ matrix.level }}")]));
    assert_eq!((action.command.as_str(), action.condition), ("", true));
}

#[test]
fn scripts() {
    let actions = content().actions;
    assert_eq!(
        actions[1],
        Action {
            index: 1,
            name: "Run echo debug debug".to_owned(),
            id: Some("s".to_owned()),
            command: "echo debug debug\necho !\n".to_owned(),
            template: Some("echo ${{ env.LEVEL }} ${{ matrix.level }}\necho ${{ runner.os }}!\n".to_owned()),
            shell: "bash".to_owned(),
            directory: "src".to_owned(),
            condition: true,
            ..Action::default()
        }
    );
    assert_eq!(
        actions[2],
        Action {
            index: 2,
            name: "Say Mona".to_owned(),
            command: "echo plain".to_owned(),
            shell: "python".to_owned(),
            directory: "sub/${{ matrix.level }}".to_owned(),
            condition: false,
            if_expr: Some("failure()".to_owned()),
            env: map(&[("LATE", "${{ steps.s.outputs.x }}"), ("OWN", "${{ env.LEVEL }}-own")]),
            timeout_ms: Some(30_000),
            continue_on_error: Some("true".to_owned()),
            ..Action::default()
        }
    );
    assert_eq!((actions[3].command.as_str(), actions[3].condition), ("echo mine", true));
    assert_eq!(actions[3].continue_on_error.as_deref(), Some("${{ steps.s.outcome == 'failure' }}"));
    // What only the runner knows counts as empty.
    assert!(actions[4].condition);
}

#[test]
fn a_shell_by_expression_must_be_one() {
    let workflow =
        parsed("jobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo\n        shell: ${{ vars.SHELL_NAME }}\n");
    let plan = |shell: &str| {
        let contexts = JobContexts { vars: json!({ "SHELL_NAME": shell }), ..JobContexts::default() };
        task_content(&workflow, &workflow.jobs["a"], &MatrixRow::new(Vec::new(), 0, 1), &contexts)
            .map(|content| content.actions[0].shell.clone())
            .map_err(|error| error.to_string())
    };
    assert_eq!(plan("perl {0}"), Ok("perl {0}".to_owned()));
    let error = plan("fish").expect_err("no shell");
    assert!(error.starts_with("w.yml:6:16: error: `shell`: expected bash, sh"), "{error}");
}
