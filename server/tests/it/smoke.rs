//! The fixture itself: a run by a real runner, and nothing left over.

use millrace_bench::wire::millrace_v1::State;

use crate::app::TestApp;

#[tokio::test]
async fn a_run_on_a_real_runner_succeeds_and_nothing_is_left() {
    let mut test = TestApp::open().await;
    test.start_runner(1, &[]).await;
    let run = test.run("jobs:\n  one:\n    runs-on: self-hosted\n    steps:\n      - run: echo hello\n").await;
    let run = test.finished(&run.id).await;
    assert_eq!(run.state(), State::Success, "{run:#?}");
    test.close().await;
}

#[tokio::test]
async fn where_tokens_are_needed_the_fixture_has_one() {
    let mut test = TestApp::with_tokens().await;
    test.start_runner(1, &["special"]).await;
    let run = test.run("jobs:\n  one:\n    runs-on: special\n    steps:\n      - run: exit 3\n").await;
    let run = test.finished(&run.id).await;
    assert_eq!(run.state(), State::Failure, "{run:#?}");
    assert_eq!(run.jobs[0].steps[0].exit_code, Some(3));
    test.close().await;
}
