//! Bad workflow files through every door: each says where and what, and starts nothing.

use std::fmt::Write;

use millrace_bench::wire::millrace_v1::{ListRunsRequest, RunRequest, ValidateRequest, diagnostic};
use serde_json::{Value, json};
use tonic::Code;

use crate::app::TestApp;

/// What is wrong, a file, the line and column of its first error, and what the message must have in it.
type Bad = (&'static str, String, (u32, u32), &'static [&'static str]);

fn bad_files() -> Vec<Bad> {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").expect("writes");
    }
    let hundred = (0..100).map(|number| number.to_string()).collect::<Vec<_>>().join(", ");
    let matrix = format!(
        "jobs:\n  a:\n    runs-on: x\n    strategy:\n      matrix:\n        one: [{hundred}]\n        two: [{hundred}]\n    steps:\n      - run: echo\n"
    );
    let job = "    runs-on: x\n    steps:\n      - run: echo\n";
    vec![
        ("garbage", "{{{{ garbage: [\n - %%%".into(), (2, 2), &["not valid YAML"]),
        ("nothing", String::new(), (1, 1), &["empty", "jobs"]),
        ("an anchors bomb", bomb, (6, 15), &["200000", "aliases"]),
        (
            "a cycle",
            format!("jobs:\n  a:\n    needs: b\n{job}  b:\n    needs: a\n{job}"),
            (3, 12),
            &["a", "b", "needs"],
        ),
        (
            "unknown needs",
            format!("jobs:\n  build:\n{job}  ship:\n    needs: biuld\n{job}"),
            (7, 12),
            &["biuld", "build"],
        ),
        (
            "an unknown key",
            "jobs:\n  a:\n    run-on: x\n    steps:\n      - run: echo\n".into(),
            (2, 3),
            &["needs `runs-on`", "ci/bad.yml:3:5: error: unknown key `run-on`", "did you mean `runs-on`?"],
        ),
        ("a wrong type", "jobs:\n  a:\n    runs-on: x\n    steps: 7\n".into(), (4, 12), &["expected a list", "number"]),
        ("a matrix of 10 000", matrix, (6, 9), &["10000", "256"]),
    ]
}

#[tokio::test]
async fn each_bad_file_is_refused_with_file_line_and_column_by_every_door() {
    let test = TestApp::open().await;
    let http = reqwest::Client::new();
    let mut wrong = Vec::new();
    for (what, workflow, (line, column), words) in bad_files() {
        let request = RunRequest { workflow: workflow.clone(), file_name: "ci/bad.yml".into(), ..Default::default() };
        let status = test.try_run(request).await.expect_err(what);
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
        let text = status.message();
        if !text.starts_with(&format!("ci/bad.yml:{line}:{column}: error: ")) || !words.iter().all(|w| text.contains(w))
        {
            wrong.push(format!("{what}: {text}"));
            continue;
        }

        let request = ValidateRequest { workflow: workflow.clone(), file_name: "ci/bad.yml".into() };
        let found = test.pipelines().validate(request).await.expect("an answer").into_inner();
        let first = &found.diagnostics[0];
        assert!(!found.valid && found.jobs.is_empty(), "{what}");
        assert_eq!(first.severity(), diagnostic::Severity::Error, "{what}");
        assert_eq!((first.file.as_str(), first.line, first.column), ("ci/bad.yml", line, column), "{what}");

        let body = json!({ "workflow": workflow, "fileName": "ci/bad.yml" }).to_string();
        for (route, status) in [("validate", 200), ("manual", 400)] {
            let url = format!("{}/api/v1/pipeline/{route}", test.url);
            let request = http.post(url).header("content-type", "application/json").body(body.clone());
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), status, "{what} by {route}");
            let answer: Value = serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON");
            if route == "validate" {
                let first = &answer["diagnostics"][0];
                assert_eq!((&first["line"], &first["column"]), (&json!(line), &json!(column)), "{what}: {answer}");
            } else {
                assert_eq!(answer["message"], text, "{what}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let runs = test.pipelines().list_runs(ListRunsRequest::default()).await.expect("a list").into_inner().runs;
    assert!(runs.is_empty(), "{runs:#?}");
    test.close().await;
}

#[tokio::test]
async fn a_suggestion_is_a_field_of_its_own() {
    let test = TestApp::open().await;
    let workflow = "jobs:\n  a:\n    run-on: x\n    steps:\n      - run: echo\n".into();
    let found = test.pipelines().validate(ValidateRequest { workflow, ..Default::default() }).await;
    let found = found.expect("an answer").into_inner().diagnostics;
    assert!(found.iter().any(|one| one.suggestion == "runs-on" && one.file == "workflow.yml"), "{found:#?}");
    test.close().await;
}

#[tokio::test]
async fn a_good_file_shows_the_jobs_a_run_would_have() {
    let test = TestApp::open().await;
    let workflow = "jobs:\n  a:\n    runs-on: x\n    strategy: { matrix: { v: [1, 2] } }\n    steps: [{ run: echo }]\n  b:\n    needs: a\n    runs-on: x\n    steps: [{ run: echo }]\n";
    let request = ValidateRequest { workflow: workflow.into(), ..Default::default() };
    let found = test.pipelines().validate(request).await.expect("an answer").into_inner();
    assert!(found.valid, "{found:#?}");
    let jobs: Vec<_> = found.jobs.iter().map(|job| (job.key.as_str(), job.stage_idx)).collect();
    assert_eq!(jobs, [("a (1)", 0), ("a (2)", 0), ("b", 1)]);
    test.close().await;
}

#[tokio::test]
async fn a_request_id_starts_one_run_however_often_it_is_sent() {
    let test = TestApp::open().await;
    let workflow = "jobs: { a: { runs-on: x, steps: [{ run: echo }] } }";
    let request = RunRequest { workflow: workflow.into(), request_id: "again".into(), ..Default::default() };
    let (one, two) = tokio::join!(test.try_run(request.clone()), test.try_run(request.clone()));
    let three = test.try_run(request).await.expect("a run");
    assert_eq!((one.expect("a run").id, two.expect("a run").id), (three.id.clone(), three.id));
    test.close().await;
}
