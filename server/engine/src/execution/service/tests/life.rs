//! An execution from Execute to its response.

use super::*;

#[tokio::test]
async fn an_action_is_queued_run_cached_and_told() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    let mut watch = scene.execute(action).await.expect("is taken");
    let first = watch.state();
    assert_eq!((first.stage, first.name), (Stage::Queued, format!("main/operations/{}", first.id)));
    assert_eq!(scene.store.load().await.expect("loads").len(), 1, "it is written before it is told");

    let lease = scene.claim("r").await.expect("a lease");
    assert_eq!((lease.action, lease.epoch), (action, 1));
    assert_eq!(lease.action_bytes, scene.room.whole(&scene.main, &action, 1 << 20).await.expect("reads"));
    assert_eq!(scene.store.load().await.expect("loads")[0].standing.epoch, 1);
    assert!(scene.claim("r").await.expect("the same").repeated);
    assert!(scene.claim("other").await.is_none());
    let state = watch.changed().await.expect("a state");
    assert_eq!(state.stage, Stage::InputFetch);
    assert_eq!(state.stdout_stream_name, format!("main/logstreams/{}", lease.stdout_stream_id));

    let executing = ActionReported { stage: Some(Stage::Executing), ..word(&lease) };
    assert_eq!(scene.execution.report(executing).await.expect("is heard"), ReportAnswer::default());
    assert_eq!(watch.changed().await.expect("a state").stage, Stage::Executing);

    assert!(scene.finish(&lease, exited(0)).await.expect("is taken").ended);
    assert!(scene.is_cached(&action).await, "before the runner is answered");
    assert!(scene.store.load().await.expect("loads").is_empty());
    let state = end(&mut watch).await;
    let response = state.response.clone().expect("is done");
    let result = response.result.as_option().expect("a result");
    assert_eq!((state.stage, code(&state), response.cached_result), (Stage::Done, 0, false));
    assert_eq!(result.execution_metadata.as_option().expect("metadata").worker, "linux");
    assert_eq!(result.stdout_raw, Bytes::from_static(b"hello"));

    let commits = scene.store.commits();
    let again = scene.execute(action).await.expect("is cached").state();
    assert!(again.response.expect("is done").cached_result);
    assert_eq!(scene.store.commits(), commits, "the store is not asked");
    let found = scene.execution.get(&scene.main, &again.id).await.expect("is remembered");
    assert_eq!((found.stage, found.execution_id.as_str()), (Stage::Done, ""));
    let snapshot = scene.execution.snapshot();
    assert_eq!((snapshot.finished_last_minute, snapshot.cached_last_minute), (1, 1));
}

#[tokio::test]
async fn a_thousand_who_ask_for_the_same_share_one_execution() {
    let scene = Arc::new(scene().await);
    let action = scene.salted("a").await;
    let asks = (0..1_000).map(|_| {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move { end(&mut scene.execute(action).await.expect("is taken")).await })
    });
    let asks: Vec<_> = asks.collect();
    let lease = loop {
        if let Some(lease) = scene.claim("").await {
            break lease;
        }
        tokio::task::yield_now().await;
    };
    scene.finish(&lease, exited(0)).await.expect("is taken");
    let mut ids = std::collections::HashSet::new();
    for ask in asks {
        let state = ask.await.expect("joins");
        assert_eq!(code(&state), 0);
        ids.insert(state.id);
    }
    assert_eq!(ids.len(), 1_000, "each has an operation of its own");
    assert!(scene.claim("").await.is_none(), "nothing else was queued");
}

#[tokio::test]
async fn do_not_cache_is_neither_merged_nor_cached_and_failures_are_not_cached() {
    let scene = scene().await;
    let action = scene.action(|action, _| action.do_not_cache = true).await;
    let mut first = scene.execute(action).await.expect("is taken");
    let _second = scene.execute(action).await.expect("is taken");
    let (one, two) = (scene.claim("").await.expect("one"), scene.claim("").await.expect("two"));
    assert_ne!(one.execution_id, two.execution_id);
    scene.finish(&one, exited(0)).await.expect("is taken");
    assert_eq!(code(&end(&mut first).await), 0);
    assert!(!scene.is_cached(&action).await);

    let failing = scene.salted("fails").await;
    let mut watch = scene.execute(failing).await.expect("is taken");
    let lease = scene.claim("").await.expect("a lease");
    scene.finish(&lease, exited(1)).await.expect("is taken");
    let state = end(&mut watch).await;
    assert_eq!(code(&state), 0, "that a process fails is no error");
    assert!(!scene.is_cached(&failing).await);

    let late = scene.salted("late").await;
    let mut watch = scene.execute(late).await.expect("is taken");
    let lease = scene.claim("").await.expect("a lease");
    let status = Status { code: Code::DEADLINE_EXCEEDED as i32, ..Default::default() };
    scene.finish(&lease, ExecuteResponse { status: status.into(), ..exited(0) }).await.expect("is taken");
    let state = end(&mut watch).await;
    assert_eq!(code(&state), Code::DEADLINE_EXCEEDED as i32);
    assert!(state.response.expect("is done").result.is_set(), "with what there is");
    assert!(!scene.is_cached(&late).await);
}

#[tokio::test]
async fn who_skips_the_cache_runs_it_again_or_joins_who_does() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    scene.actions.update(&scene.main, &action, ActionResult::default(), Origin::default()).await.expect("stores");
    let skipping = ExecuteAsk { skip_cache_lookup: true, ..scene.ask(action) };
    let first = scene.execution.execute(skipping.clone()).await.expect("is taken");
    let second = scene.execution.execute(skipping).await.expect("is taken");
    assert_eq!(first.state().execution_id, second.state().execution_id);
    assert_ne!(first.state().id, second.state().id);
    let lease = scene.claim("").await.expect("a lease");
    scene.finish(&lease, exited(0)).await.expect("is taken");
    let now = scene.execute(action).await.expect("is cached").state().response.expect("is done");
    assert_eq!(now.result.as_option().expect("a result").stdout_raw, Bytes::from_static(b"hello"), "overwritten");
}

#[tokio::test]
async fn a_final_word_said_twice_is_taken_once_and_a_stale_one_never() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    let mut watch = scene.execute(action).await.expect("is taken");
    let stale = scene.claim("").await.expect("a lease");
    scene.pass(scene.options.lease_ms);
    scene.execution.tick().await.expect("ticks");
    let lease = scene.claim("").await.expect("it is queued again");
    assert_eq!(lease.epoch, 2);
    assert!(matches!(scene.finish(&stale, exited(7)).await, Err(Error::Denied(_))));
    assert!(scene.execution.holds(&lease.execution_id, "linux-uuid", 2));
    assert!(!scene.execution.holds(&lease.execution_id, "linux-uuid", 1));
    for _ in 0..2 {
        assert!(scene.finish(&lease, exited(0)).await.expect("is taken").ended);
    }
    assert!(matches!(scene.finish(&stale, exited(7)).await, Err(Error::Denied(_))));
    let stranger = ActionReported { runner_uuid: Some("other".into()), ..word(&lease) };
    assert!(matches!(scene.execution.report(stranger).await, Err(Error::Denied(_))));
    let state = end(&mut watch).await;
    let response = state.response.expect("is done");
    assert_eq!(response.result.as_option().expect("a result").exit_code, 0);
}

#[tokio::test]
async fn cancelling_one_operation_leaves_the_others() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    let mut first = scene.execute(action).await.expect("is taken");
    let mut second = scene.execute(action).await.expect("is taken");
    let lease = scene.claim("").await.expect("a lease");
    scene.execution.cancel(&scene.main, &first.state().id).await.expect("cancels");
    assert_eq!(code(&end(&mut first).await), Code::CANCELLED as i32);
    assert!(!scene.execution.report(word(&lease)).await.expect("is heard").cancelled);
    scene.execution.cancel(&scene.main, &second.state().id).await.expect("cancels");
    assert!(scene.execution.report(word(&lease)).await.expect("is heard").cancelled);
    assert_eq!(code(&end(&mut second).await), Code::CANCELLED as i32);
    let status = Status { code: Code::CANCELLED as i32, ..Default::default() };
    let killed = ExecuteResponse { status: status.into(), ..Default::default() };
    assert!(scene.finish(&lease, killed).await.expect("is taken").ended);
    let done = scene.execution.execution(&lease.execution_id).await.expect("is remembered");
    assert_eq!((done.stage, done.status_code), (Stage::Done, Code::CANCELLED as i32));
    let unknown = scene.execution.cancel(&scene.main, "6f7a2a6e-0000-7000-8000-000000000000").await;
    assert!(matches!(unknown, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn an_operation_that_nobody_watches_is_cancelled_after_the_grace() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    let watch = scene.execute(action).await.expect("is taken");
    let id = watch.state().id;
    drop(watch);
    scene.pass(scene.options.client_grace_ms - 1);
    scene.execution.tick().await.expect("ticks");
    // One who comes in time keeps it.
    let watch = scene.execution.wait(&scene.main, &id).await.expect("is there");
    scene.pass(scene.options.client_grace_ms);
    scene.execution.tick().await.expect("ticks");
    assert_eq!(watch.state().stage, Stage::Queued);
    drop(watch);
    scene.pass(scene.options.client_grace_ms);
    scene.execution.tick().await.expect("ticks");
    let state = scene.execution.get(&scene.main, &id).await.expect("is remembered");
    assert_eq!(code(&state), Code::CANCELLED as i32);
    assert!(scene.claim("").await.is_none());
}

#[tokio::test]
async fn what_can_not_be_written_is_not_told_and_is_written_later() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    scene.store.fail(true);
    assert!(matches!(scene.execute(action).await, Err(Error::Unavailable(_))));
    assert!(matches!(scene.execution.claim(claim("r")).await, Err(Error::Unavailable(_))));
    scene.store.fail(false);
    // The client asks again and joins what its first call left.
    let mut watch = scene.execute(action).await.expect("is taken");
    let lease = scene.claim("r").await.expect("the same request has it");
    assert!(lease.repeated);
    scene.store.fail(true);
    assert!(matches!(scene.finish(&lease, exited(0)).await, Err(Error::Unavailable(_))));
    assert_eq!(watch.state().stage, Stage::InputFetch);
    let told = scene.execution.get(&scene.main, &watch.state().id).await.expect("is there");
    assert!(told.response.is_none(), "nobody is told of an end that is not written");
    scene.store.fail(false);
    assert!(scene.finish(&lease, exited(0)).await.expect("is taken").ended);
    assert_eq!(code(&end(&mut watch).await), 0);
    assert!(scene.store.load().await.expect("loads").is_empty());
}

#[tokio::test]
async fn a_result_that_lies_about_its_contents_is_an_error_of_the_runner() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    let mut watch = scene.execute(action).await.expect("is taken");
    let lease = scene.claim("").await.expect("a lease");
    let mut lying = exited(0);
    lying.result.get_or_insert_default().stdout_digest = wire(&Digest::of(SHA256, b"other")).into();
    scene.finish(&lease, lying).await.expect("is taken");
    assert_eq!(code(&end(&mut watch).await), Code::INTERNAL as i32);
    assert!(!scene.is_cached(&action).await);
}

#[tokio::test]
async fn after_the_close_nothing_is_taken() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    scene.execution.close().await;
    assert!(matches!(scene.execute(action).await, Err(Error::Unavailable(_))));
    assert!(matches!(scene.execution.claim(claim("")).await, Err(Error::Unavailable(_))));
    assert!(matches!(scene.execution.tick().await, Err(Error::Unavailable(_))));
}
