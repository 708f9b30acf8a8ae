//! A server that is killed and starts again.

use super::*;

#[tokio::test]
async fn what_was_queued_held_and_done_still_is() {
    let scene = scene().await;
    let (queued, held, done) = (scene.salted("queued").await, scene.salted("held").await, scene.salted("done").await);
    let done = scene.execute(done).await.expect("is taken").state();
    let lease = scene.claim("").await.expect("a lease");
    scene.finish(&lease, exited(3)).await.expect("is taken");
    let finished = lease;
    let held = scene.execute(held).await.expect("is taken").state();
    let lease = scene.claim("r").await.expect("a lease");
    let waiting = scene.execute(queued).await.expect("is taken").state();
    let joined = scene.execute(queued).await.expect("joins").state();

    let scene = scene.restarted().await;
    let mut watch = scene.execution.wait(&scene.main, &held.id).await.expect("is there");
    assert_eq!(watch.state().stage, Stage::InputFetch);
    assert!(scene.claim("r").await.expect("the same").repeated);
    assert!(scene.finish(&lease, exited(0)).await.expect("its runner's word counts").ended);
    assert_eq!(code(&end(&mut watch).await), 0);

    let mut again = scene.execution.wait(&scene.main, &joined.id).await.expect("is there");
    assert_eq!(scene.execution.get(&scene.main, &waiting.id).await.expect("is there").stage, Stage::Queued);
    let lease = scene.claim("").await.expect("it is still queued");
    assert_eq!((lease.action, lease.action_bytes.is_empty()), (queued, false));
    scene.finish(&lease, exited(0)).await.expect("is taken");
    assert_eq!(code(&end(&mut again).await), 0);

    let state = scene.execution.get(&scene.main, &done.id).await.expect("is history");
    let response = state.response.expect("is done");
    assert_eq!(response.result.as_option().expect("a result").exit_code, 3);
    assert!(scene.finish(&finished, exited(3)).await.expect("its last word, once more").ended);
    assert!(scene.claim("").await.is_none());
}

#[tokio::test]
async fn whose_client_does_not_come_back_is_cancelled_after_the_grace() {
    let scene = scene().await;
    let action = scene.salted("a").await;
    let state = scene.execute(action).await.expect("is taken").state();
    let scene = scene.restarted().await;
    scene.pass(scene.options.client_grace_ms);
    scene.execution.tick().await.expect("ticks");
    let state = scene.execution.get(&scene.main, &state.id).await.expect("is remembered");
    assert_eq!(code(&state), Code::CANCELLED as i32);
}
