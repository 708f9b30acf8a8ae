//! A token for one project: what belongs to others does not exist for it.

use millrace_bench::wire::millrace_v1 as api;
use millrace_bench::wire::millrace_v1::log_service_client::LogServiceClient;
use millrace_bench::wire::millrace_v1::pipeline_service_client::PipelineServiceClient;
use millrace_bench::wire::millrace_v1::runner_service_client::RunnerServiceClient;
use millrace_server::auth::Role;
use tonic::{Code, Status};

use crate::agent_grpc::{Agent, log_of, update_of};
use crate::app::{TestApp, Wire};

const ONE_JOB: &str = "jobs:\n  one:\n    runs-on: stock\n    steps:\n      - run: echo first\n";

async fn run_in(test: &TestApp, project: &str) -> api::Run {
    let request = api::RunRequest { project: project.into(), workflow: ONE_JOB.into(), ..Default::default() };
    test.try_run(request).await.expect("a run")
}

#[tokio::test]
async fn what_is_of_another_project_is_not_found() {
    let test = TestApp::with_tokens().await;
    let theirs = run_in(&test, "theirs").await;
    let ours = run_in(&test, "ours").await;
    assert_eq!((theirs.number, ours.number), (1, 1), "each project counts for itself");
    let mut agent = Agent::register(&test, "a").await;
    agent.fetch("", 0).await.expect("their task");
    agent.client.update_task(update_of(&theirs, "running")).await.expect("running");
    agent.client.update_log(log_of(&theirs, &["secret"])).await.expect("stored");
    let log = test.get(&theirs.id).await.jobs[0].steps[0].log_id.clone();

    let token = test.token_for(Role::Run, "ours").await;
    let mut runs = PipelineServiceClient::new(test.wire_with(Some(&token)));
    let run_id = theirs.id.clone();
    // A made-up run's answer must not differ from a hidden one's but in the name.
    let unknown = "00000000-0000-0000-0000-000000000000".to_owned();
    for (id, hidden) in [(run_id.clone(), true), (unknown, false)] {
        let answers: Vec<(&str, Status)> = vec![
            ("GetRun", runs.get_run(api::GetRunRequest { run_id: id.clone() }).await.expect_err("hidden")),
            ("CancelRun", runs.cancel_run(api::CancelRunRequest { run_id: id.clone() }).await.expect_err("hidden")),
            (
                "TerminateRun",
                runs.terminate_run(api::TerminateRunRequest { run_id: id.clone() }).await.expect_err("hidden"),
            ),
            ("SkipJob", skip(&mut runs, &id).await),
            (
                "RunStage",
                runs.run_stage(api::RunStageRequest { run_id: id.clone(), ..Default::default() })
                    .await
                    .expect_err("hidden"),
            ),
            (
                "Rerun",
                runs.rerun(api::RerunRequest { run_id: id.clone(), ..Default::default() }).await.expect_err("hidden"),
            ),
            ("WatchRun", runs.watch_run(api::WatchRunRequest { run_id: id.clone() }).await.expect_err("hidden")),
        ];
        for (method, status) in answers {
            let wanted = (Code::NotFound, format!("run {id} not found"));
            assert_eq!((status.code(), status.message().to_owned()), wanted, "{method}, hidden: {hidden}");
        }
    }
    let mut logs = LogServiceClient::new(test.wire_with(Some(&token)));
    let answer = logs.get_log(api::GetLogRequest { log_id: log.clone() }).await;
    assert_eq!(answer.expect_err("hidden").code(), Code::NotFound);
    let answer = logs.read_lines(api::ReadLinesRequest { log_id: log.clone(), ..Default::default() }).await;
    assert_eq!(answer.expect_err("hidden").code(), Code::NotFound);
    let answer = logs.follow(api::FollowRequest { log_id: log.clone(), ..Default::default() }).await;
    assert_eq!(answer.expect_err("hidden").code(), Code::NotFound);
    let client = reqwest::Client::new();
    let raw = client.get(format!("{}/logs/{log}/raw", test.url)).bearer_auth(&token).send().await.expect("an answer");
    assert_eq!(raw.status(), 404);
    for route in ["state", "action", "logs", "download", "skip", "cancel", "terminate", "stage"] {
        let url = format!("{}/api/v1/pipeline/{route}", test.url);
        let body = format!("{{\"tx_uuid\":\"{run_id}\"}}");
        let answer = client.post(url).bearer_auth(&token).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{route}");
    }
    assert_eq!(test.get(&theirs.id).await.state(), api::State::Running, "nothing of it did anything");
    test.close().await;
}

async fn skip(runs: &mut PipelineServiceClient<Wire>, id: &str) -> Status {
    let request = api::SkipJobRequest { run_id: id.into(), job_key: "one".into() };
    runs.skip_job(request).await.expect_err("hidden")
}

#[tokio::test]
async fn lists_numbers_and_latest_are_those_of_the_project() {
    let test = TestApp::with_tokens().await;
    let ours = run_in(&test, "ours").await;
    let theirs = run_in(&test, "theirs").await;
    let token = test.token_for(Role::Run, "ours").await;
    let mut runs = PipelineServiceClient::new(test.wire_with(Some(&token)))
        .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
    let list = async |runs: &mut PipelineServiceClient<Wire>, project: &str| {
        let request = api::ListRunsRequest { project: project.into(), ..Default::default() };
        let runs = runs.list_runs(request).await.expect("a list").into_inner().runs;
        runs.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    assert_eq!(list(&mut runs, "").await, std::slice::from_ref(&ours.id));
    assert_eq!(list(&mut runs, "ours").await, std::slice::from_ref(&ours.id));
    assert_eq!(list(&mut runs, "theirs").await, [""; 0]);
    for name in ["1", "latest"] {
        let run = runs.get_run(api::GetRunRequest { run_id: name.into() }).await.expect(name).into_inner().run;
        assert_eq!(run.expect("a run").id, ours.id, "{name}; not {}", theirs.id);
    }
    let status = runs.get_run(api::GetRunRequest { run_id: "2".into() }).await.expect_err("none");
    assert_eq!(status.code(), Code::NotFound);

    let own = api::RunRequest { workflow: ONE_JOB.into(), ..Default::default() };
    let run = runs.run(own.clone()).await.expect("a run").into_inner().run.expect("a run");
    assert_eq!((run.project.as_str(), run.number), ("ours", 2), "its own project is what it means");
    let other = api::RunRequest { project: "theirs".into(), ..own };
    let status = runs.run(other).await.expect_err("not there");
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    test.close().await;
}

#[tokio::test]
async fn what_runners_do_for_others_is_not_shown() {
    let test = TestApp::with_tokens().await;
    let theirs = run_in(&test, "theirs").await;
    let mut agent = Agent::register(&test, "shared").await;
    agent.fetch("", 0).await.expect("their task");
    let tasks = async |token: Option<&str>| {
        let mut admin = RunnerServiceClient::new(test.wire_with(token));
        let runners = admin.list_runners(api::ListRunnersRequest {}).await.expect("a list").into_inner().runners;
        assert_eq!(runners[0].state, 2, "active, for whomever");
        runners[0].tasks.iter().map(|task| task.run_id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(tasks(test.admin.as_deref()).await, std::slice::from_ref(&theirs.id));
    let token = test.token_for(Role::Read, "theirs").await;
    assert_eq!(tasks(Some(&token)).await, std::slice::from_ref(&theirs.id));
    let token = test.token_for(Role::Read, "ours").await;
    assert_eq!(tasks(Some(&token)).await, [""; 0]);
    test.close().await;
}

#[tokio::test]
async fn who_may_do_everything_in_one_project_does_not_administrate_the_server() {
    let test = TestApp::with_tokens().await;
    let agent = Agent::register(&test, "shared").await;
    let token = test.token_for(Role::Admin, "ours").await;
    let mut admin = RunnerServiceClient::new(test.wire_with(Some(&token)));
    let uuid = agent.runner.uuid.clone();
    let remove = admin.remove_runner(api::RemoveRunnerRequest { uuid: uuid.clone() }).await.expect_err("denied");
    let drain = admin.drain_runner(api::DrainRunnerRequest { uuid, resume: false }).await.expect_err("denied");
    let make = api::CreateRegistrationTokenRequest::default();
    let make = admin.create_registration_token(make).await.expect_err("denied");
    for status in [remove, drain, make] {
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        assert!(status.message().contains("ours"), "it says why: {status:?}");
    }
    test.close().await;
}
