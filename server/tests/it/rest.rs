//! The REST routes beside the services.

use millrace_bench::wire::millrace_v1::State;
use serde_json::{Value, json};

use crate::agent_grpc::{Agent, log_of, update_of};
use crate::app::{TestApp, within};

const HELD: &str = "
jobs:
  build:
    runs-on: stock
    steps: [{ name: make, run: make }, { run: test }]
  ship:
    needs: build
    runs-on: stock
    environment: { name: prod, approval: required }
    steps: [{ run: ship }]
";

async fn post(test: &TestApp, route: &str, body: &Value) -> (u16, String) {
    let url = format!("{}/api/v1/pipeline/{route}", test.url);
    let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body.to_string());
    let answer = within(route, request.send()).await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

async fn ok(test: &TestApp, route: &str, body: Value) -> Value {
    let (status, text) = post(test, route, &body).await;
    assert_eq!(status, 200, "{route} {body}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

async fn refused(test: &TestApp, route: &str, body: Value, wanted: u16, words: &[&str]) {
    let (status, text) = post(test, route, &body).await;
    assert_eq!(status, wanted, "{route} {body}: {text}");
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{route} {body}: not JSON: {text}"));
    let message = answer["message"].as_str().expect("a message");
    assert!(words.iter().all(|word| message.contains(word)), "{route} {body}: {message}");
}

#[tokio::test]
async fn a_run_from_its_start_to_its_end() {
    let test = TestApp::open().await;
    let mut agent = Agent::register(&test, "a").await;
    let run = ok(&test, "manual", json!({ "workflow": HELD, "fileName": "held.yml" })).await["run"].clone();
    let id = run["id"].as_str().expect("an id").to_owned();
    assert_eq!(run["jobs"][0]["key"], "build");
    let address = json!({ "tx_uuid": id, "stage_idx": 0, "step_row_idx": 0, "step_idx": 0, "action_idx": 0 });
    let rows = ok(&test, "logs", address.clone()).await;
    assert_eq!((&rows["rows"], &rows["complete"]), (&json!([]), &json!(false)), "nothing yet is no error");
    refused(&test, "download", address.clone(), 400, &["not begun"]).await;

    agent.fetch("", 0).await.expect("a task");
    let of_run = millrace_bench::wire::millrace_v1::Run { id: id.clone(), ..Default::default() };
    agent.client.update_task(update_of(&of_run, "running")).await.expect("running");
    agent.client.update_log(log_of(&of_run, &["one", "two", "three"])).await.expect("stored");
    assert_eq!(ok(&test, "state", json!({ "tx_uuid": id })).await["run"]["state"], "STATE_RUNNING");
    let action = ok(&test, "action", address.clone()).await;
    assert_eq!((&action["action"]["name"], &action["action"]["state"]), (&json!("make"), &json!("STATE_RUNNING")));
    let mut from_one = address.clone();
    from_one["index"] = 1.into();
    let rows = ok(&test, "logs", from_one).await;
    assert_eq!((&rows["rows"], &rows["index"], &rows["nextIndex"]), (&json!(["two", "three"]), &json!(1), &json!(3)));
    // The same in the spelling of the protocol's JSON.
    let camel = json!({ "txUuid": id, "stageIdx": 0, "stepRowIdx": 0, "actionIdx": 0, "index": 3 });
    assert_eq!(ok(&test, "logs", camel).await["rows"], json!([]));
    let (status, text) = post(&test, "download", &address).await;
    assert_eq!((status, text.as_str()), (200, "one\ntwo\nthree\n"));

    agent.client.update_task(update_of(&of_run, "success")).await.expect("success");
    let held = ok(&test, "state", json!({ "tx_uuid": id })).await;
    assert_eq!(held["run"]["jobs"][1]["state"], "STATE_HELD", "{held}");
    ok(&test, "stage", json!({ "tx_uuid": id, "job_key": "ship" })).await;
    refused(&test, "stage", json!({ "tx_uuid": id, "job_key": "ship" }), 400, &["ship", "not held"]).await;
    ok(&test, "cancel", json!({ "tx_uuid": id })).await;
    assert_eq!(test.finished(&id).await.state(), State::Cancelled);
    refused(&test, "cancel", json!({ "tx_uuid": id }), 400, &["over"]).await;
    test.close().await;
}

#[tokio::test]
async fn skip_and_terminate() {
    let test = TestApp::open().await;
    let run = test.run(HELD).await;
    let skipped = ok(&test, "skip", json!({ "tx_uuid": run.id, "job_key": "build" })).await;
    assert_eq!(skipped["run"]["jobs"][0]["state"], "STATE_SKIPPED", "{skipped}");
    let run = test.run(HELD).await;
    ok(&test, "terminate", json!({ "tx_uuid": run.id })).await;
    assert_eq!(test.finished(&run.id).await.state(), State::Cancelled);
    test.close().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_told_so() {
    let test = TestApp::open().await;
    let run = test.run(HELD).await;
    refused(&test, "state", json!({}), 400, &["run_id", "empty"]).await;
    refused(&test, "state", json!({ "tx_uuid": "none" }), 404, &["none"]).await;
    refused(&test, "state", json!({ "tx_uid": "x" }), 400, &["tx_uid"]).await;
    refused(&test, "state", json!([1]), 400, &["JSON"]).await;
    refused(&test, "action", json!({ "tx_uuid": run.id, "action_idx": 2 }), 400, &["action_idx", "2"]).await;
    refused(&test, "logs", json!({ "tx_uuid": run.id, "action_idx": 2 }), 400, &["action_idx", "2"]).await;
    refused(&test, "action", json!({ "tx_uuid": run.id, "stage_idx": 9 }), 404, &["stage 9"]).await;
    refused(&test, "action", json!({ "tx_uuid": run.id, "job_key": "shipp" }), 404, &["shipp"]).await;
    refused(&test, "logs", json!({ "tx_uuid": run.id, "index": -1 }), 400, &["-1"]).await;
    refused(&test, "manual", json!({ "workflow": 7 }), 400, &["JSON"]).await;
    refused(&test, "manual", json!({ "workflow": "jobs: {}", "fileName": "w.yml" }), 400, &["w.yml:1:"]).await;
    let (status, text) = post(&test, "state", &json!("not an object")).await;
    assert_eq!(status, 400, "{text}");
    let get = reqwest::get(format!("{}/api/v1/pipeline/state", test.url)).await.expect("an answer");
    assert_eq!(get.status(), 405);
    test.close().await;
}
