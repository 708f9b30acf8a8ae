//! What is decided about a job: whether it runs, and its name, labels, environment and limits.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::decide::{self, Environment, ResolvedJob, StrategyValues};
use super::super::{JobContexts, MatrixRow, NeedOutcome, NeedResult};
use super::parsed;

fn contexts(needs: &[(&str, NeedResult)]) -> JobContexts {
    let outcome = |result| NeedOutcome { result, outputs: BTreeMap::from([("o".to_owned(), "1".to_owned())]) };
    JobContexts {
        github: json!({ "ref": "refs/heads/main", "actor": "mona" }),
        vars: json!({ "LABELS": "[\"linux\", \"big\", \"linux\"]", "MINUTES": "5" }),
        inputs: json!({ "forgive": true }),
        needs: needs.iter().map(|(id, result)| ((*id).to_owned(), outcome(*result))).collect(),
        ..JobContexts::default()
    }
}

fn job(lines: &str) -> super::super::Workflow {
    let base = "  b: {runs-on: x, steps: [{run: echo}]}\n  c: {runs-on: x, steps: [{run: echo}]}\n";
    parsed(&format!("jobs:\n{base}  a:\n    needs: [b, c]\n{lines}    steps: [{{run: echo}}]\n"))
}

#[test]
fn conditions_of_jobs() {
    use NeedResult::{Cancelled, Failure, Skipped, Success};
    let rows: &[(&str, [bool; 4])] = &[
        // The second need: success, failure, skipped, cancelled.
        ("", [true, false, false, false]),
        ("    if: always()\n", [true, true, true, true]),
        ("    if: failure()\n", [false, true, false, false]),
        ("    if: ${{ !cancelled() }}\n", [true, true, true, true]),
        ("    if: needs.c.result == 'skipped'\n", [false, false, false, false]),
        ("    if: always() && needs.c.result == 'skipped'\n", [false, false, true, false]),
        ("    if: github.ref == 'refs/heads/main' && needs.b.outputs.o == 1\n", [true, false, false, false]),
        ("    if: false\n", [false, false, false, false]),
    ];
    for (condition, expected) in rows {
        let workflow = job(&format!("    runs-on: x\n{condition}"));
        for (second, expected) in [Success, Failure, Skipped, Cancelled].into_iter().zip(expected) {
            let contexts = contexts(&[("b", Success), ("c", second)]);
            assert_eq!(
                decide::runs(&workflow, &workflow.jobs["a"], &contexts),
                Ok(*expected),
                "{condition} {second:?}"
            );
        }
    }
    let workflow = job("    runs-on: x\n    if: cancelled()\n");
    let cancelled = JobContexts { cancelled: true, ..contexts(&[("b", Success), ("c", Success)]) };
    assert_eq!(decide::runs(&workflow, &workflow.jobs["a"], &cancelled), Ok(true));
    let workflow = job("    runs-on: x\n    if: failure()\n");
    let above = JobContexts { ancestor_failed: true, ..contexts(&[("b", Skipped), ("c", Skipped)]) };
    assert_eq!(decide::runs(&workflow, &workflow.jobs["a"], &above), Ok(true));
}

#[test]
fn everything_resolved() {
    let workflow = job("    name: Test ${{ matrix.os }} (${{ strategy.job-index }}/${{ strategy.job-total }})\n    \
         runs-on: ${{ fromJSON(vars.LABELS) }}\n    timeout-minutes: ${{ fromJSON(vars.MINUTES) }}\n    \
         continue-on-error: ${{ inputs.forgive }}\n    \
         environment: {name: 'on-${{ matrix.os }}', url: 'https://${{ matrix.os }}', approval: required}\n    \
         strategy: {matrix: {os: [mac]}, fail-fast: \"${{ github.ref == 'x' }}\", max-parallel: 2}\n");
    let row = MatrixRow::new(vec![("os".to_owned(), json!("mac"))], 0, 1);
    let resolved = decide::resolve(&workflow, &workflow.jobs["a"], &row, &contexts(&[]));
    assert_eq!(
        resolved,
        Ok(ResolvedJob {
            key: "a (mac)".to_owned(),
            name: "Test mac (0/1)".to_owned(),
            runs_on: vec!["linux".to_owned(), "big".to_owned()],
            continue_on_error: true,
            timeout_ms: 300_000,
            environment: Some(Environment {
                name: "on-mac".to_owned(),
                url: Some("https://mac".to_owned()),
                approval_required: true,
            }),
        })
    );
    let strategy = decide::strategy(&workflow, &workflow.jobs["a"], &contexts(&[]));
    assert_eq!(strategy, Ok(StrategyValues { fail_fast: false, max_parallel: Some(2) }));
}

#[test]
fn names_and_plain_settings() {
    let workflow = job("    runs-on: [self-hosted, linux]\n    name: Build\n");
    let row = MatrixRow::new(vec![("os".to_owned(), json!("mac"))], 0, 1);
    let resolved = decide::resolve(&workflow, &workflow.jobs["a"], &row, &contexts(&[])).expect("resolves");
    assert_eq!((resolved.name.as_str(), resolved.timeout_ms), ("Build (mac)", 21_600_000));
    assert_eq!(resolved.runs_on, ["self-hosted", "linux"]);
    let kept = MatrixRow::restore("a", "a (mac) #2", row.values, 1, 2);
    let resolved = decide::resolve(&workflow, &workflow.jobs["a"], &kept, &contexts(&[])).expect("resolves");
    assert_eq!((resolved.key.as_str(), resolved.name.as_str()), ("a (mac) #2", "Build (mac) #2"));
}

#[test]
fn values_of_the_wrong_kind_are_refused_at_their_place() {
    for (lines, message) in [
        (
            "    runs-on: ${{ github.nope }}\n",
            "w.yml:6:14: error: `runs-on`: expected a label or a list of labels, the expression gives ``",
        ),
        ("    runs-on: ['${{ github.nope }}']\n", "w.yml:6:15: error: `runs-on`: a label is empty"),
        (
            "    runs-on: x\n    timeout-minutes: ${{ github.actor }}\n",
            "w.yml:7:22: error: `timeout-minutes`: expected a number above 0, the expression gives `mona`",
        ),
        (
            "    runs-on: x\n    continue-on-error: ${{ github.actor }}\n",
            "w.yml:7:24: error: `continue-on-error`: expected true or false, the expression gives `mona`",
        ),
        (
            "    runs-on: x\n    name: ${{ fromJSON(github.actor) }}\n",
            "w.yml:7:11: error: `name`: fromJSON(): not JSON: expected value at line 1 column 1",
        ),
    ] {
        let workflow = job(lines);
        let row = MatrixRow::new(Vec::new(), 0, 1);
        let error = decide::resolve(&workflow, &workflow.jobs["a"], &row, &contexts(&[])).expect_err(lines);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn names_of_runs() {
    for (head, expected) in [
        ("", "w.yml"),
        ("name: CI\n", "CI"),
        ("name: CI\nrun-name: by ${{ github.actor }}\n", "by mona"),
        ("name: CI\nrun-name: ${{ github.nope }}\n", "CI"),
    ] {
        let workflow = parsed(&format!("{head}jobs:\n{}", super::JOB));
        assert_eq!(decide::run_name(&workflow, &contexts(&[])).as_deref(), Ok(expected), "{head}");
    }
}
