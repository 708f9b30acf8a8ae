//! An agent written from the protocol's table alone: HTTP/1.1 and JSON, whatever of Millrace's own fields it does not
//! know left out.

use std::time::{Duration, Instant};

use millrace_bench::wire::millrace_v1::{CancelRunRequest, State, TerminateRunRequest};
use serde_json::{Value, json};

use crate::app::{TestApp, until, within};

/// Shorter than the time after which a waiting FetchTask looks again by itself: who is served sooner was woken.
const WOKEN_MAX: Duration = Duration::from_millis(2_500);

const ONE_JOB: &str =
    "jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n      - run: echo second\n";
const TWO_JOBS: &str = "
jobs:
  build:
    runs-on: stock
    outputs:
      made: ${{ steps.make.outputs.made }}
    steps:
      - id: make
        name: Make it
        run: make it
  ship:
    needs: build
    runs-on: stock
    steps:
      - run: ship ${{ needs.build.outputs.made }}
";

/// Where the agent puts its runner token.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Carries {
    Nothing,
    Bearer,
    RunnerToken,
    Message,
}

struct Agent {
    http: reqwest::Client,
    base: String,
    carries: Carries,
    uuid: String,
    token: String,
}

impl Agent {
    fn new(test: &TestApp, prefix: &str, carries: Carries) -> Self {
        let http = reqwest::Client::builder().http1_only().build().expect("a client");
        Self { http, base: format!("{}{prefix}", test.url), carries, uuid: String::new(), token: String::new() }
    }

    /// An agent that has registered and declared itself.
    async fn ready(test: &TestApp, prefix: &str, carries: Carries) -> Self {
        let mut agent = Self::new(test, prefix, carries);
        let token = test.registration_token().await;
        let register = json!({ "name": "stock", "token": token, "version": "0.9", "labels": ["stock"] });
        let answer = agent.ok("Register", register).await;
        let runner = &answer["runner"];
        agent.uuid = text(runner, "uuid");
        agent.token = text(runner, "token");
        assert!(number(runner, "id") > 0, "{answer}");
        assert_eq!((text(runner, "name"), text(runner, "version")), ("stock".into(), "0.9".into()));
        assert_eq!(runner["labels"], json!(["stock"]));
        let declare =
            json!({ "token": agent.token, "uuid": agent.uuid, "version": "1.0", "labels": ["stock", "extra"] });
        let answer = agent.ok("Declare", declare).await;
        assert_eq!(text(&answer["runner"], "uuid"), agent.uuid);
        assert_eq!(answer["runner"]["labels"], json!(["stock", "extra"]));
        assert_eq!(text(&answer["runner"], "token"), "", "the token is shown once only");
        agent
    }

    async fn call(&self, method: &str, mut body: Value) -> (u16, Value) {
        let url = format!("{}/pkg.proto.runner.v1.RunnerService/{method}", self.base);
        let mut request = self.http.post(url).header("content-type", "application/json");
        if !self.token.is_empty() {
            request = match self.carries {
                Carries::Nothing => request,
                Carries::Bearer => request.header("authorization", format!("Bearer {}", self.token)),
                Carries::RunnerToken => request.header("x-runner-token", &self.token),
                Carries::Message => {
                    body["token"] = self.token.clone().into();
                    request
                }
            };
        }
        let response = within(method, request.body(body.to_string()).send()).await.expect("an answer");
        assert_eq!(response.version(), reqwest::Version::HTTP_11);
        assert_eq!(response.headers()["content-type"], "application/json");
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON"))
    }

    async fn ok(&self, method: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, body.clone()).await;
        assert_eq!(status, 200, "{method} {body}: {answer}");
        answer
    }

    async fn refused(&self, method: &str, body: Value, code: &str) -> String {
        let (status, answer) = self.call(method, body.clone()).await;
        assert_ne!(status, 200, "{method} {body}: {answer}");
        assert_eq!(text(&answer, "code"), code, "{method} {body}: {answer}");
        text(&answer, "message")
    }

    /// The next task, which must be there or come.
    async fn fetch(&self) -> Task {
        let answer = self.ok("FetchTask", json!({ "token": self.token, "labels": ["stock"] })).await;
        Task::of(&answer)
    }

    async fn update(&self, task: &Task, state: Value, more: Value) -> Value {
        let mut body = task.address.clone();
        body["state"] = state;
        for (name, value) in more.as_object().expect("an object") {
            body[name] = value.clone();
        }
        self.ok("UpdateTask", body).await
    }

    /// Sends rows; the acknowledged index.
    async fn log(&self, task: &Task, action: u32, index: i64, rows: &[&str], no_more: bool) -> i64 {
        number(&self.ok("UpdateLog", log_body(task, action, index, rows, no_more)).await, "ackIndex")
    }
}

/// A task as the agent understands it: from the documented JSON.
struct Task {
    address: Value,
    content: Value,
    clean: String,
}

impl Task {
    fn of(answer: &Value) -> Self {
        assert_eq!(answer["success"], true, "{answer}");
        let content: Value = serde_json::from_str(&text(answer, "content")).expect("content is JSON");
        let address = json!({
            "tx_uuid": content["tx_uuid"],
            "stage_idx": content["stage_idx"],
            "step_row_idx": content["step_row_idx"],
            "step_idx": content["step_idx"],
        });
        Self { address, content, clean: text(answer, "clean") }
    }
}

fn log_body(task: &Task, action: u32, index: i64, rows: &[&str], no_more: bool) -> Value {
    let mut body = task.address.clone();
    body["action_idx"] = action.into();
    body["index"] = index.into();
    body["rows"] = rows.into();
    body["no_more"] = no_more.into();
    body
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// 64-bit numbers are strings in the protocol's JSON; what is 0 is left out.
fn number(value: &Value, name: &str) -> i64 {
    match &value[name] {
        Value::Null => 0,
        Value::String(digits) => digits.parse().expect("digits"),
        other => other.as_i64().expect("a number"),
    }
}

fn step(state: &str, actions: &[(&str, u32, &str)]) -> Value {
    let actions: Vec<Value> = actions
        .iter()
        .map(|(name, index, state)| json!({ "name": name, "index": index, "state": state, "start_time": now_ms() }))
        .collect();
    json!({ "state": state, "start_time": now_ms(), "actions": actions })
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("fits")
}

/// The whole life of an agent: two jobs of a run, the second asked for with the first one's end.
async fn journey(test: &TestApp, prefix: &str, carries: Carries) {
    let agent = Agent::ready(test, prefix, carries).await;
    let run = test.run(TWO_JOBS).await;
    let task = agent.fetch().await;
    assert_eq!(task.address["tx_uuid"], run.id);
    assert_eq!((&task.content["stage_idx"], &task.content["step_row_idx"]), (&json!(0), &json!(0)));
    assert_eq!(task.content["env"]["CI"], "true");
    let action = &task.content["actions"][0];
    assert_eq!((text(action, "name"), text(action, "command")), ("Make it".into(), "make it".into()));
    assert_eq!((&action["index"], &action["condition"]), (&json!(0), &json!(true)));
    assert!(!task.clean.is_empty() && !task.clean.contains('/'), "{}", task.clean);

    let answer = agent.update(&task, step("running", &[("Make it", 0, "running")]), json!({})).await;
    assert_eq!((text(&answer, "pipelineState"), text(&answer, "stepState")), ("running".into(), "running".into()));
    assert_eq!(answer["success"], true);
    assert_eq!(agent.log(&task, 0, 0, &["making", "made"], false).await, 2);
    assert_eq!(agent.log(&task, 0, 2, &[], true).await, 2);
    let last = json!({ "outputs": "{\"made\":\"a thing\"}", "do_next": true });
    let answer = agent.update(&task, step("success", &[("Make it", 0, "success")]), last).await;
    assert_eq!(text(&answer, "stepState"), "success");

    let next = Task::of(&answer["next"]);
    assert_eq!(next.content["stage_idx"], 1);
    assert_eq!(text(&next.content["actions"][0], "command"), "ship a thing", "the output reached the next job");
    assert_eq!(agent.log(&next, 0, 0, &["shipped"], true).await, 1);
    let last = json!({ "do_next": true });
    let answer = agent.update(&next, step("success", &[("ship", 0, "success")]), last).await;
    assert_eq!(text(&answer, "pipelineState"), "success");
    assert_ne!(answer["next"]["success"], true, "there is nothing more: {answer}");

    let run = test.finished(&run.id).await;
    assert_eq!(run.state(), State::Success, "{run:#?}");
    assert_eq!(run.jobs[0].outputs["made"], "a thing");
    assert_eq!(run.jobs[0].steps[0].state(), State::Success);
}

#[tokio::test]
async fn knowing_nothing_but_the_table_on_an_open_server() {
    let test = TestApp::open().await;
    // UpdateTask and UpdateLog have no token in the table, and this agent sends no header.
    journey(&test, "", Carries::Nothing).await;
    test.close().await;
}

#[tokio::test]
async fn the_token_may_be_in_either_header_or_in_the_message() {
    let test = TestApp::with_tokens().await;
    for carries in [Carries::Bearer, Carries::RunnerToken, Carries::Message] {
        journey(&test, "", carries).await;
    }
    test.close().await;
}

#[tokio::test]
async fn the_same_below_the_prefix() {
    let test = TestApp::with_tokens().await;
    journey(&test, "/api/v1/pipeline", Carries::Bearer).await;
    test.close().await;
}

#[tokio::test]
async fn ping_answers_anybody_with_what_it_was_sent() {
    let test = TestApp::with_tokens().await;
    let agent = Agent::new(&test, "", Carries::Nothing);
    assert_eq!(agent.ok("Ping", json!({ "data": "are you there?" })).await, json!({ "data": "are you there?" }));
    test.close().await;
}

#[tokio::test]
async fn a_fetch_waits_as_long_as_it_may_and_says_that_there_is_nothing() {
    let test = TestApp::with_tokens().await;
    let agent = Agent::ready(&test, "", Carries::Bearer).await;
    let begun = Instant::now();
    let answer = agent.ok("FetchTask", json!({ "wait_ms": 300 })).await;
    assert!(begun.elapsed() >= Duration::from_millis(300), "it was not held: {:?}", begun.elapsed());
    assert_ne!(answer["success"], true);
    assert_eq!(text(&answer, "message"), "no task");
    test.close().await;
}

#[tokio::test]
async fn a_waiting_fetch_is_woken_by_a_new_run_and_not_by_one_for_others() {
    let test = TestApp::with_tokens().await;
    let agent = Agent::ready(&test, "", Carries::Bearer).await;
    let fetch = tokio::spawn(async move { agent.fetch().await });
    until("the agent waits", || test.app.scheduler.waiting() == 1).await;
    let others = test.run("jobs:\n  a:\n    runs-on: elsewhere\n    steps:\n      - run: x\n").await;
    assert!(!fetch.is_finished());
    let begun = Instant::now();
    let run = test.run(ONE_JOB).await;
    let task = fetch.await.expect("no panic");
    assert!(begun.elapsed() < WOKEN_MAX, "woken after {:?}", begun.elapsed());
    assert_eq!(task.address["tx_uuid"], run.id);
    assert_eq!(test.get(&others.id).await.state(), State::Queued);
    test.close().await;
}

#[tokio::test]
async fn a_second_fetch_without_a_request_id_gets_another_job() {
    let test = TestApp::with_tokens().await;
    let agent = Agent::ready(&test, "", Carries::Bearer).await;
    let (first, second) = (test.run(ONE_JOB).await, test.run(ONE_JOB).await);
    let got = [agent.fetch().await.content["tx_uuid"].clone(), agent.fetch().await.content["tx_uuid"].clone()];
    assert_eq!(got, [json!(first.id), json!(second.id)], "oldest first, none twice");
    test.close().await;
}

#[tokio::test]
async fn index_and_acknowledgement_of_a_log() {
    let test = TestApp::with_tokens().await;
    let agent = Agent::ready(&test, "", Carries::Bearer).await;
    let run = test.run(ONE_JOB).await;
    let task = agent.fetch().await;
    agent.update(&task, step("running", &[("a", 0, "running")]), json!({})).await;

    assert_eq!(agent.log(&task, 0, 0, &["a", "b", "c"], false).await, 3, "the first rows");
    assert_eq!(agent.log(&task, 0, 5, &["f"], false).await, 3, "a gap stores nothing");
    assert_eq!(agent.log(&task, 0, 5, &["f"], true).await, 3, "nor does a gap end it");
    assert_eq!(agent.log(&task, 0, 0, &["a", "b", "c"], false).await, 3, "sent again");
    assert_eq!(agent.log(&task, 0, 1, &["b", "c", "d"], false).await, 4, "an overlap drops its beginning");
    assert_eq!(agent.log(&task, 0, 4, &[], false).await, 4, "no rows");
    let why = agent.refused("UpdateLog", log_body(&task, 0, 2, &["other", "d", "e"], false), "aborted").await;
    assert!(why.contains("row 2") && why.contains("other bytes"), "{why}");
    assert_eq!(agent.log(&task, 0, 4, &[], true).await, 4, "no rows and no more");
    assert_eq!(agent.log(&task, 0, 4, &[], true).await, 4, "no more, again");
    assert_eq!(agent.log(&task, 0, 3, &["d"], true).await, 4, "the last rows again, with their end");
    let why = agent.refused("UpdateLog", log_body(&task, 0, 4, &["e"], false), "failed_precondition").await;
    assert!(why.contains("complete"), "{why}");

    // The second action's log is another one, and comes after the job's end as well.
    agent.update(&task, step("success", &[("a", 0, "success"), ("b", 1, "success")]), json!({})).await;
    assert_eq!(agent.log(&task, 1, 0, &["late", "but\nwhole"], true).await, 2);

    let run = test.finished(&run.id).await;
    let read = |id: String| {
        let url = format!("{}/logs/{id}/raw", test.url);
        let token = test.admin.clone().expect("a token");
        async move { reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap().text().await.unwrap() }
    };
    assert_eq!(read(run.jobs[0].steps[0].log_id.clone()).await, "a\nb\nc\nd\n");
    assert_eq!(read(run.jobs[0].steps[1].log_id.clone()).await, "late\nbut\nwhole\n");
    test.close().await;
}

#[tokio::test]
async fn a_cancelled_run_is_seen_in_the_next_update() {
    let test = TestApp::with_tokens().await;
    let agent = Agent::ready(&test, "", Carries::Bearer).await;
    let run = test.run(ONE_JOB).await;
    let task = agent.fetch().await;
    let answer = agent.update(&task, step("running", &[("a", 0, "running")]), json!({})).await;
    assert_eq!(text(&answer, "pipelineState"), "running");

    test.pipelines().cancel_run(CancelRunRequest { run_id: run.id.clone() }).await.expect("cancel");
    // A heartbeat has no state at all.
    let mut heartbeat = task.address.clone();
    heartbeat["do_next"] = false.into();
    let answer = agent.ok("UpdateTask", heartbeat.clone()).await;
    assert_eq!(text(&answer, "pipelineState"), "cancelled");
    assert_ne!(answer["terminate"], true);
    assert!(test.get(&run.id).await.cancelling, "it ends when the agent says so");

    test.pipelines().terminate_run(TerminateRunRequest { run_id: run.id.clone() }).await.expect("terminate");
    let answer = agent.ok("UpdateTask", heartbeat).await;
    assert_eq!((text(&answer, "pipelineState"), &answer["terminate"]), ("cancelled".into(), &json!(true)));
    agent.update(&task, step("cancelled", &[("a", 0, "cancelled")]), json!({})).await;
    let run = test.finished(&run.id).await;
    assert_eq!(run.state(), State::Cancelled, "{run:#?}");
    assert_eq!(run.jobs[0].steps[0].state(), State::Cancelled);
    assert_eq!(run.jobs[0].steps[1].state(), State::Skipped);
    test.close().await;
}

#[tokio::test]
async fn the_first_final_word_about_a_job_counts() {
    let test = TestApp::with_tokens().await;
    let agent = Agent::ready(&test, "", Carries::Bearer).await;
    let run = test.run(ONE_JOB).await;
    let task = agent.fetch().await;
    agent.update(&task, step("failure", &[("a", 0, "failure")]), json!({})).await;
    let answer = agent.update(&task, step("success", &[("a", 0, "success")]), json!({})).await;
    assert_eq!(text(&answer, "stepState"), "failure", "the answer to its lost first call would have said so");
    let run = test.finished(&run.id).await;
    assert_eq!((run.state(), run.jobs[0].steps[0].state()), (State::Failure, State::Failure));
    test.close().await;
}
