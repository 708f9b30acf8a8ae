//! What jobs do: order, outputs, variables, conditions, limits.

use std::collections::BTreeMap;

use millrace_proto::task_content::Action;
use serde_json::json;

use crate::fixture::{Fixture, sh, task};

fn with_id(id: &str, action: Action) -> Action {
    Action { id: Some(id.to_owned()), ..action }
}

fn with_if(condition: &str, action: Action) -> Action {
    Action { if_expr: Some(condition.to_owned()), ..action }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_streams_in_order_with_times() {
    let fixture = Fixture::start().await;
    let job = task([sh("echo one; sleep 0.1; echo two >&2; sleep 0.1; printf 'three\\r\\nfo\\377ur'")]);
    let finished = fixture.run(&job).await;
    assert_eq!(finished.state, "success", "{finished:?}");
    let rows = fixture.server.rows(&job.tx_uuid, 0);
    let texts = rows.iter().map(|row| (row.text.as_str(), row.stderr)).collect::<Vec<_>>();
    assert_eq!(texts, [("one", false), ("two", true), ("three", false), ("fo\u{FFFD}ur", false)]);
    let action = fixture.action(&job.tx_uuid, 0);
    let times = rows.iter().map(|row| row.time_ms).collect::<Vec<_>>();
    assert!(times.is_sorted() && action.start_time <= times[0] && times[3] <= action.end_time, "{times:?}");
    assert!(times[2] - action.start_time >= 200, "{times:?}");
    assert_eq!((action.state.as_str(), action.exit_code), ("success", Some(0)));
    assert!(action.start_time > 0 && action.end_time >= action.start_time);
    {
        let heard = fixture.server.heard();
        let log = &heard.logs[&(job.tx_uuid.clone(), 0)];
        assert!(log.no_more && log.rows[0].text.starts_with("##[group]Run echo one"));
        assert!(log.rows.iter().any(|row| row.text.ends_with("/sh -e {0}")), "{:?}", log.rows);
        assert!(heard.updates.iter().all(|update| update.epoch == 7));
        let first = heard.updates[0].state.as_option().expect("a state");
        assert_eq!(first.state, "running");
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_variables_folders_and_summary() {
    let fixture = Fixture::start().await;
    let mut job = task([
        with_id(
            "first",
            sh("echo answer=42 >> $GITHUB_OUTPUT; printf 'many<<E\\na\\nb\\nE\\n' >> $GITHUB_OUTPUT
            echo COLOUR=blue >> $GITHUB_ENV
            mkdir tools; printf '#!/bin/sh\\necho from-tool' > tools/my-tool; chmod +x tools/my-tool
            echo $PWD/tools >> $GITHUB_PATH; echo '# Done' >> $GITHUB_STEP_SUMMARY"),
        ),
        Action {
            env: BTreeMap::from([("OWN".to_owned(), "${{ steps.first.outputs.answer }}-${{ env.COLOUR }}".to_owned())]),
            ..sh("echo $COLOUR $OWN ${{ steps.first.outcome }} $CI ${GITHUB_WORKSPACE##*/}; my-tool
                echo ${{ runner.os }} ${{ job.status }} ${{ env.BASE }}")
        },
    ]);
    job.env.insert("BASE".to_owned(), "base".to_owned());
    job.outputs.insert("out".to_owned(), "<${{ steps.first.outputs.many }}>".to_owned());
    let finished = fixture.run(&job).await;
    assert_eq!(finished.state, "success", "{finished:?}");
    assert_eq!(finished.outputs, BTreeMap::from([("out".to_owned(), "<a\nb>".to_owned())]));
    let texts = fixture.server.texts(&job.tx_uuid, 1);
    assert_eq!(texts[0], format!("blue 42-blue success true {}", job.tx_uuid));
    assert_eq!(texts[1..], ["from-tool".to_owned(), format!("{} success base", expected_os())]);
    assert_eq!(fixture.action(&job.tx_uuid, 0).summary, "# Done\n");
    fixture.finish().await;
}

fn expected_os() -> &'static str {
    if cfg!(target_os = "macos") { "macOS" } else { "Linux" }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_is_clean() {
    let fixture = Fixture::start_with(|config| config.pass_env = vec!["CARGO_MANIFEST_DIR".to_owned()]).await;
    let job = task([sh("env")]);
    fixture.run(&job).await;
    let texts = fixture.server.texts(&job.tx_uuid, 0);
    let has = |name: &str| texts.iter().any(|text| text.starts_with(&format!("{name}=")));
    assert!(has("PATH") && has("CARGO_MANIFEST_DIR") && has("RUNNER_TEMP"));
    assert!(!has("CARGO_PKG_NAME"), "the runner's own variables are not passed on");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failure_only_what_wants_to_runs() {
    let fixture = Fixture::start().await;
    let job = task([
        with_id("bad", sh("echo ::error file=a.rs,line=3::no good; exit 3")),
        sh("echo never"),
        with_if("always()", sh("echo always ${{ steps.bad.outcome }} ${{ job.status }}")),
        with_if("failure()", sh("echo on-failure")),
        with_if("success()", sh("echo never")),
    ]);
    let finished = fixture.run(&job).await;
    assert_eq!(finished.state, "failure");
    assert!(finished.message.contains("Process completed with exit code 3."), "{}", finished.message);
    let texts = fixture.server.texts(&job.tx_uuid, 0);
    assert_eq!(texts, ["##[error]no good (a.rs:3)", "##[error]Process completed with exit code 3."]);
    assert_eq!(fixture.server.texts(&job.tx_uuid, 2), ["always failure failure"]);
    assert_eq!(fixture.server.texts(&job.tx_uuid, 3), ["on-failure"]);
    let states = (0..5).map(|at| fixture.action(&job.tx_uuid, at).state).collect::<Vec<_>>();
    assert_eq!(states, ["failure", "skipped", "success", "success", "skipped"]);
    assert_eq!(fixture.action(&job.tx_uuid, 0).exit_code, Some(3));
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgiven_failure_fails_nothing() {
    let fixture = Fixture::start().await;
    let forgiven = Action { continue_on_error: Some("${{ matrix.forgive }}".to_owned()), ..sh("exit 1") };
    let mut job = task([with_id("bad", forgiven), sh("echo ${{ steps.bad.outcome }} ${{ steps.bad.conclusion }}")]);
    job.contexts.insert("matrix".to_owned(), json!({ "forgive": true }));
    assert_eq!(fixture.run(&job).await.state, "success");
    assert_eq!(fixture.server.texts(&job.tx_uuid, 1), ["failure success"]);
    let action = fixture.action(&job.tx_uuid, 0);
    assert!(action.forgiven && action.state == "failure");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_over_its_limit_is_stopped() {
    let fixture = Fixture::start().await;
    let slow = Action { timeout_ms: Some(300), ..sh("echo started; sleep 600") };
    let job = task([slow, with_if("always()", sh("echo cleaning"))]);
    let finished = fixture.run(&job).await;
    assert_eq!(finished.state, "failure");
    assert!(finished.message.contains("limit of 300 ms"), "{}", finished.message);
    assert_eq!(fixture.server.texts(&job.tx_uuid, 1), ["cleaning"]);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_over_its_limit_is_stopped() {
    let fixture = Fixture::start().await;
    let mut job = task([sh("echo started; sleep 600"), sh("echo never"), with_if("cancelled()", sh("echo cleaning"))]);
    job.timeout_ms = Some(1_000);
    let finished = fixture.run(&job).await;
    assert_eq!(finished.state, "failure");
    assert_eq!(finished.message, "the job took longer than its limit of 1 s");
    assert_eq!(fixture.server.texts(&job.tx_uuid, 2), ["cleaning"]);
    assert_eq!(fixture.action(&job.tx_uuid, 1).state, "skipped");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_wrong_is_said_in_the_log() {
    let fixture = Fixture::start().await;
    let bad = |action: Action| Action { continue_on_error: Some("true".to_owned()), ..action };
    let mut job = task([
        bad(Action { shell: "fish".to_owned(), ..sh("x") }),
        bad(Action { directory: "nowhere".to_owned(), ..sh("x") }),
        bad(sh("echo ${{ fromJSON('{') }}")),
        bad(sh("echo LD_PRELOAD=/tmp/x.so >> $GITHUB_ENV")),
        bad(sh("echo nonsense >> $GITHUB_OUTPUT")),
        bad(Action { env: BTreeMap::from([("A=B".to_owned(), "x".to_owned())]), ..sh("x") }),
        bad(with_if("nonsense(", sh("x"))),
        sh("echo preload=$LD_PRELOAD"),
    ]);
    job.masks = vec!["ab".to_owned()];
    assert_eq!(fixture.run(&job).await.state, "success");
    let expected = [
        "unknown shell `fish`",
        "working-directory: `nowhere` is not a folder",
        "fromJSON()",
        "GITHUB_ENV: `LD_PRELOAD` is refused",
        "GITHUB_OUTPUT: line 1",
        "env: `A=B` cannot be a variable",
        "if: ",
    ];
    for (at, expected) in expected.iter().enumerate() {
        let texts = fixture.server.texts(&job.tx_uuid, at as u32);
        let found = texts.iter().any(|text| text.starts_with("##[error]") && text.contains(expected));
        assert!(found, "{expected}: {texts:?}");
        assert_eq!(fixture.action(&job.tx_uuid, at as u32).state, "failure", "{expected}");
    }
    assert_eq!(fixture.server.texts(&job.tx_uuid, 7), ["preload="]);
    let warned = fixture.server.heard().logs[&(job.tx_uuid.clone(), 0)]
        .rows
        .iter()
        .any(|row| row.text.starts_with("##[warning]a value to mask is not masked: it has fewer than 3 characters"));
    assert!(warned);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shells() {
    let fixture = Fixture::start().await;
    let shell = |shell: &str, script: &str| Action { shell: shell.to_owned(), ..sh(script) };
    let job = task([
        shell("bash", "false | true && echo not-reached"),
        Action { if_expr: Some("always()".to_owned()), ..shell("", "false | true; echo ${BASH_VERSION:+bash}") },
        Action { if_expr: Some("always()".to_owned()), ..shell("python", "import sys\nprint('py', sys.argv[1:])") },
        Action { if_expr: Some("always()".to_owned()), ..shell("sed -n 2p {0}", "one\ntwo\n") },
    ]);
    assert_eq!(fixture.run(&job).await.state, "failure");
    assert_eq!(fixture.server.texts(&job.tx_uuid, 0), ["##[error]Process completed with exit code 1."]);
    assert_eq!(fixture.server.texts(&job.tx_uuid, 1), ["bash"]);
    assert_eq!(fixture.server.texts(&job.tx_uuid, 2), ["py []"]);
    assert_eq!(fixture.server.texts(&job.tx_uuid, 3), ["two"]);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_hashed() {
    let fixture = Fixture::start().await;
    let job = task([
        sh("mkdir a; echo 1 > a/x.lock; echo 2 > y.lock"),
        sh("echo '${{ hashFiles('**/*.lock') }}' '${{ hashFiles('none') }}'"),
    ]);
    assert_eq!(fixture.run(&job).await.state, "success");
    let texts = fixture.server.texts(&job.tx_uuid, 1);
    assert_eq!(texts[0].trim().len(), 64, "{texts:?}");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_cannot_be_read_fails() {
    let fixture = Fixture::start().await;
    fixture.server.give_raw(r#"{"tx_uuid":"broken","actions":7}"#.to_owned(), "w");
    let state = fixture.server.final_state("broken").await;
    assert!(state.state == "failure" && state.message.starts_with("content: "), "{}", state.message);
    let mut newer = task([]);
    newer.schema = 99;
    let finished = fixture.run(&newer).await;
    assert!(finished.state == "failure" && finished.message.contains("schema 99"), "{finished:?}");
    fixture.finish().await;
}

#[test]
fn the_documented_example_is_a_task() {
    let page = include_str!("../../../docs/task-content.md");
    let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let task = serde_json::from_str::<millrace_proto::task_content::TaskContent>(example).expect("a task");
    // Nothing in the example is ignored: it comes out as it went in.
    let written = serde_json::to_value(&task).expect("JSON");
    let read = serde_json::from_str::<serde_json::Value>(example).expect("JSON");
    for (name, value) in read.as_object().expect("an object").iter().filter(|(name, _)| *name != "actions") {
        assert_eq!(written[name], *value, "{name}");
    }
    for (at, action) in read["actions"].as_array().expect("actions").iter().enumerate() {
        for (name, value) in action.as_object().expect("an object") {
            assert_eq!(written["actions"][at][name], *value, "action {at}: {name}");
        }
    }
}
