//! `millrace.v1.QueueService`: the queue as people and administrators see it.

use millrace_bench::wire::millrace_v1 as api;
use millrace_bench::wire::millrace_v1::queue_service_client::QueueServiceClient;
use millrace_bench::wire::runner_v1::action_report::Stage;
use millrace_server::auth::Role;
use millrace_server::config::RawExecutionConfig;
use tonic::Code;

use crate::app::{Options, TestApp, Wire, within};
use crate::execute_client::{Client, Work, status};
use crate::fake_runner::{FakeRunner, failed};

fn queue(test: &TestApp) -> QueueServiceClient<Wire> {
    QueueServiceClient::new(test.wire()).accept_compressed(tonic::codec::CompressionEncoding::Gzip)
}

async fn now(test: &TestApp) -> api::Queue {
    let answer = within("GetQueue", queue(test).get_queue(api::GetQueueRequest {})).await.expect("the queue");
    answer.into_inner().queue.expect("a queue")
}

async fn executions(test: &TestApp) -> Vec<api::Execution> {
    let answer = queue(test).list_executions(api::ListExecutionsRequest::default()).await.expect("a list");
    answer.into_inner().executions
}

/// Nothing is given up for want of a runner while a test looks at it.
async fn patient(platforms: &[&str]) -> TestApp {
    let execution = RawExecutionConfig {
        unmatched_wait: Some(3_600),
        platforms: Some(platforms.iter().map(|one| (*one).to_owned()).collect()),
        ..RawExecutionConfig::default()
    };
    TestApp::start(Options { execution, ..Options::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_shows_platforms_runners_and_what_waits() {
    let test = patient(&["windows=OSFamily=windows,max-cores=4"]).await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let held = client.start(&Work::of(&["held"]).platform(&[("OSFamily", "linux")])).await;
    let task = runner.fetch().await;
    runner.says(&task, Stage::Executing).await.expect("taken");
    let waiting = client.start(&Work::of(&["waiting"]).platform(&[("OSFamily", "linux")])).await;
    let windows = client.start(&Work::of(&["windows"]).platform(&[("OSFamily", "windows"), ("cores", "2")])).await;
    let stuck = client.start(&Work::of(&["stuck"]).platform(&[("OSFamily", "windows"), ("cores", "9")])).await;
    test.run("jobs: { one: { runs-on: [stock, never], steps: [{ run: echo }] } }").await;

    let queue = now(&test).await;
    assert_eq!((queue.queued, queue.executing, queue.unmatched_wait_ms), (3, 1, 3_600_000));
    let [configured, observed] = &queue.platforms[..] else { panic!("{queue:#?}") };
    assert_eq!((configured.name.as_str(), configured.configured, configured.queued), ("windows", true, 1));
    assert!(configured.runners.is_empty() && configured.oldest_queued_at.is_some());
    assert_eq!((observed.configured, observed.queued, observed.executing), (false, 1, 1));
    assert_eq!(observed.runners[0].name, "alpha");
    assert_eq!((observed.runners[0].online, observed.runners[0].executing, observed.runners[0].slots), (true, 1, 4));
    assert_eq!(observed.waiting[0].properties[0].value, "linux");
    let mismatch = queue.unmatched[0].mismatches.iter().find(|one| one.platform == "windows").expect("its diff");
    let [cores] = &mismatch.properties[..] else { panic!("{mismatch:?}") };
    assert_eq!((cores.name.as_str(), cores.requested.as_str()), ("cores", "9"));
    assert!(cores.offered[0].contains('4'), "{cores:?}");
    assert_eq!((queue.jobs[0].labels.len(), queue.jobs[0].queued, queue.jobs[0].runners.len()), (2, 1, 0));

    let all = executions(&test).await;
    assert_eq!(all.len(), 4);
    let of = |word: &str| all.iter().find(|one| one.command.contains(word)).expect(word).clone();
    assert_eq!(of("held").stage(), api::ExecutionStage::Executing);
    assert_eq!((of("held").runner_name.as_str(), of("held").operations.len()), ("alpha", 1));
    assert!(!of("held").stdout_log_id.is_empty() && of("waiting").stdout_log_id.is_empty());
    assert!(of("stuck").platform.is_empty() && !of("stuck").message.is_empty(), "{:?}", of("stuck"));
    drop((held, waiting, windows, stuck));
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_moves_reprioritizes_and_cancels() {
    let test = patient(&["spare=Pool=spare"]).await;
    let client = Client::of(&test);
    let stuck = client.start(&Work::of(&["stuck"]).platform(&[("Pool", "none")])).await;
    let id = executions(&test).await.remove(0).id;
    let change = api::ReprioritizeExecutionRequest { id: id.clone(), priority: -7 };
    let changed = queue(&test).reprioritize_execution(change).await.expect("changed").into_inner();
    assert_eq!(changed.execution.expect("it").priority, -7);
    let nowhere = api::MoveExecutionRequest { id: id.clone(), platform: "nowhere".into() };
    let refusal = queue(&test).move_execution(nowhere).await.expect_err("there is none");
    assert!(matches!(refusal.code(), Code::NotFound | Code::InvalidArgument), "{refusal}");
    let moved = api::MoveExecutionRequest { id: id.clone(), platform: "spare".into() };
    let moved = queue(&test).move_execution(moved).await.expect("moved").into_inner().execution.expect("it");
    assert_eq!(moved.platform, "spare");
    let runner = FakeRunner::offering(&test, "spare", &[("Pool", "spare")]).await;
    let task = runner.fetch().await;
    assert_eq!(task.execution_id, id);
    runner.succeeds(&task, "moved").await;
    assert_eq!(stuck.done().await.result.expect("a result").stdout_raw, b"moved");

    let unwanted = client.start(&Work::of(&["unwanted"]).platform(&[("Pool", "none")])).await;
    let id = executions(&test).await.into_iter().find(|one| one.command.contains("unwanted")).expect("it").id;
    let cancel = api::CancelExecutionRequest { id: id.clone() };
    queue(&test).cancel_execution(cancel).await.expect("cancelled");
    assert_eq!(status(&unwanted.done().await).0, Code::Cancelled as i32);
    let unknown = api::CancelExecutionRequest { id: "00000000-0000-0000-0000-000000000000".into() };
    assert_eq!(queue(&test).cancel_execution(unknown).await.expect_err("unknown").code(), Code::NotFound);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_are_listed_by_filter_and_page() {
    let test = patient(&[]).await;
    let client = Client::within(&test, "team/one");
    let runner = FakeRunner::start(&test, "alpha").await;
    let mut running = Vec::new();
    for number in 0..3 {
        let action = client.store(&Work::of(&["echo", &number.to_string()])).await;
        running.push(client.ask_as(client.request(&action), &format!("invocation {number}")).await.expect("taken"));
    }
    let task = runner.fetch().await;
    runner.succeeds(&task, "").await;
    running.remove(0).done().await;
    let elsewhere = Client::of(&test).start(&Work::of(&["elsewhere"])).await;
    let list = async |request: api::ListExecutionsRequest| {
        queue(&test).list_executions(request).await.map(tonic::Response::into_inner)
    };
    let of = |instance: &str| api::ListExecutionsRequest { instance: Some(instance.into()), ..Default::default() };
    assert_eq!(list(of("team/one")).await.expect("a list").executions.len(), 3);
    assert_eq!(list(of("")).await.expect("a list").executions.len(), 1);
    let done = api::ListExecutionsRequest { stages: vec![api::ExecutionStage::Done.into()], ..Default::default() };
    let done = list(done).await.expect("a list").executions;
    assert_eq!((done.len(), done[0].exit_code, done[0].action_hash.as_str()), (1, Some(0), task.action_hash.as_str()));
    let by = api::ListExecutionsRequest { invocation_id: "invocation 2".into(), ..Default::default() };
    assert_eq!(list(by).await.expect("a list").executions.len(), 1);
    let by = api::ListExecutionsRequest { action_hash: task.action_hash.clone(), ..Default::default() };
    assert_eq!(list(by).await.expect("a list").executions[0].id, task.execution_id);
    let first = list(api::ListExecutionsRequest { page_size: 3, ..Default::default() }).await.expect("a page");
    assert_eq!((first.executions.len(), first.next_page_token.is_empty()), (3, false));
    let next = api::ListExecutionsRequest { page_size: 3, page_token: first.next_page_token, ..Default::default() };
    let next = list(next).await.expect("a page");
    assert_eq!((next.executions.len(), next.next_page_token.as_str()), (1, ""));
    let wrong = list(api::ListExecutionsRequest { page_size: 501, ..Default::default() }).await.expect_err("too many");
    assert!(wrong.code() == Code::InvalidArgument && wrong.message().contains("page_size"), "{wrong}");
    drop((running, elsewhere));
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_and_an_execution_are_watched() {
    let test = patient(&[]).await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let mut stream = queue(&test).watch_queue(api::WatchQueueRequest {}).await.expect("a watch").into_inner();
    let first = within("the queue", stream.message()).await.expect("a message").expect("one").queue.expect("a queue");
    assert_eq!((first.queued, first.executing), (0, 0));
    let running = client.start(&Work::of(&["watched"])).await;
    within("a change", async {
        loop {
            let queue = stream.message().await.expect("a message").expect("one").queue.expect("a queue");
            if queue.queued == 1 {
                return;
            }
        }
    })
    .await;
    let id = executions(&test).await.remove(0).id;
    let request = api::WatchExecutionRequest { id: id.clone() };
    let mut one = queue(&test).watch_execution(request).await.expect("a watch").into_inner();
    let mut stages = Vec::new();
    let mut task = None;
    while let Some(message) = within("the execution", one.message()).await.expect("a message") {
        let stage = message.execution.expect("it").stage();
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
        match (stage, &task) {
            (api::ExecutionStage::Queued, None) => task = Some(runner.fetch().await),
            (api::ExecutionStage::InputFetch, Some(task)) => {
                runner.says(task, Stage::Executing).await.expect("taken");
            }
            (api::ExecutionStage::Executing, Some(task)) => runner.succeeds(task, "").await,
            _ => {}
        }
    }
    let wanted = [
        api::ExecutionStage::Queued,
        api::ExecutionStage::InputFetch,
        api::ExecutionStage::Executing,
        api::ExecutionStage::Done,
    ];
    assert_eq!(stages, wanted, "and the stream is over");
    running.done().await;
    drop(stream);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_s_token_sees_its_own_executions_alone() {
    let test = TestApp::with_tokens().await;
    let (mine, theirs) = (Client::within(&test, "mine"), Client::within(&test, "theirs"));
    let own = mine.start(&Work::of(&["own"]).platform(&[("Secret", "mine")])).await;
    let other = theirs.start(&Work::of(&["other"]).platform(&[("Secret", "theirs")])).await;
    let other_id = executions(&test).await.into_iter().find(|one| one.instance == "theirs").expect("it").id;
    for role in [Role::Read, Role::Execute] {
        let token = test.token_for(role, "mine").await;
        let mut queue = QueueServiceClient::new(test.wire_with(Some(&token)))
            .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
        let listed = queue.list_executions(api::ListExecutionsRequest::default()).await.expect("a list").into_inner();
        let instances: Vec<&str> = listed.executions.iter().map(|one| one.instance.as_str()).collect();
        assert_eq!(instances, ["mine"]);
        let asked = api::ListExecutionsRequest { instance: Some("theirs".into()), ..Default::default() };
        assert!(queue.list_executions(asked).await.expect("a list").into_inner().executions.is_empty());
        let get = api::GetExecutionRequest { id: other_id.clone() };
        assert_eq!(queue.get_execution(get).await.expect_err("hidden").code(), Code::NotFound);
        let watch = api::WatchExecutionRequest { id: other_id.clone() };
        assert_eq!(queue.watch_execution(watch).await.expect_err("hidden").code(), Code::NotFound);
        let seen = queue.get_queue(api::GetQueueRequest {}).await.expect("the queue").into_inner().queue.expect("one");
        let asked: Vec<&str> = seen.unmatched.iter().map(|group| group.properties[0].value.as_str()).collect();
        assert_eq!(asked, ["mine"], "not what others ask for");
        let cancel = api::CancelExecutionRequest { id: listed.executions[0].id.clone() };
        assert_eq!(queue.cancel_execution(cancel).await.expect_err("no").code(), Code::PermissionDenied);
    }
    // An administrator of one project changes that project's alone.
    let token = test.token_for(Role::Admin, "mine").await;
    let mut queue = QueueServiceClient::new(test.wire_with(Some(&token)));
    let cancel = api::CancelExecutionRequest { id: other_id };
    assert_eq!(queue.cancel_execution(cancel).await.expect_err("hidden").code(), Code::NotFound);
    drop((own, other));
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_important_ones_go_first() {
    let test = patient(&[]).await;
    let client = Client::of(&test);
    let runner = FakeRunner::start(&test, "alpha").await;
    let mut running = Vec::new();
    for (word, priority) in [("later", 5), ("first", -5), ("second", 0)] {
        let action = client.store(&Work::of(&[word])).await;
        let policy = bazel_remote_apis::build::bazel::remote::execution::v2::ExecutionPolicy { priority };
        let mut request = client.request(&action);
        request.execution_policy = Some(policy);
        running.push(client.ask(request).await.expect("taken"));
    }
    for word in ["first", "second", "later"] {
        let task = runner.fetch().await;
        assert_eq!(crate::fake_runner::command_of(&task).arguments, [word]);
        runner.ends(&task, &failed(Code::Aborted, word)).await.expect("taken");
    }
    for running in running {
        assert_eq!(status(&running.done().await).0, Code::Aborted as i32);
    }
    test.close().await;
}
