//! Who the runner is: registers once, declares at each start, and knows when it is not wanted.

use millrace_runner::{Config, Exit, Shutdown};

use crate::fake_server::FakeServer;
use crate::fixture::{Fixture, config, folder, sh, task};

#[tokio::test(flavor = "multi_thread")]
async fn registers_once_and_declares_at_each_start() {
    let (server, data) = (FakeServer::start().await, folder());
    for start in 1..=2 {
        let shutdown = Shutdown::new();
        let mut config = config(&server, &data);
        config.labels = vec!["gpu".to_owned(), " ".to_owned()];
        config.slots = 2;
        let running = tokio::spawn(millrace_runner::run(config, shutdown.clone()));
        server.wait_for("a start", |heard| (heard.declarations.len() == start).then_some(())).await;
        server.wait_for("a poll", |heard| (heard.fetches.len() >= start).then_some(())).await;
        shutdown.drain();
        assert_eq!(running.await.expect("no panic").expect("ends well"), Exit::Drained);
    }
    let heard = server.heard();
    assert_eq!((heard.registrations.len(), heard.declarations.len()), (1, 2));
    assert_eq!(heard.registrations[0].name, "test-runner");
    let declared = &heard.declarations[1];
    for label in ["self-hosted", std::env::consts::OS, "gpu"] {
        assert!(declared.labels.iter().any(|known| known == label), "{label}");
    }
    assert_eq!((declared.slots, declared.os.as_str()), (2, std::env::consts::OS));
    assert!(!declared.version.is_empty() && !declared.arch.is_empty() && !declared.uuid.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_runner_registers_anew_when_it_can() {
    let (server, data) = (FakeServer::start().await, folder());
    let start = |config: Config, shutdown: &Shutdown| tokio::spawn(millrace_runner::run(config, shutdown.clone()));
    let shutdown = Shutdown::new();
    let running = start(config(&server, &data), &shutdown);
    server.wait_for("a poll", |heard| (!heard.fetches.is_empty()).then_some(())).await;
    shutdown.drain();
    running.await.expect("no panic").expect("ends well");
    server.forget_runners();

    let without_token = Config { token: None, ..config(&server, &data) };
    let error = start(without_token, &Shutdown::new()).await.expect("no panic").expect_err("not wanted");
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("registration token"), "{error}");

    let shutdown = Shutdown::new();
    let running = start(config(&server, &data), &shutdown);
    server.wait_for("a second registration", |heard| (heard.registrations.len() == 2).then_some(())).await;
    shutdown.drain();
    running.await.expect("no panic").expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_while_it_polls() {
    let mut fixture = Fixture::start().await;
    fixture.server.wait_for("a poll", |heard| (!heard.fetches.is_empty()).then_some(())).await;
    fixture.server.forget_runners();
    // It registered a moment ago: doing so again at once would go in circles.
    assert_eq!(fixture.ended().await.expect_err("not wanted").exit_code(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_starts_have_their_exit_codes() {
    let (server, data) = (FakeServer::start().await, folder());
    let run = |config: Config| async { millrace_runner::run(config, Shutdown::new()).await.expect_err("cannot start") };
    let base = || config(&server, &data);
    assert_eq!(run(Config { token: Some("wrong".to_owned()), ..base() }).await.exit_code(), 4);
    assert_eq!(run(Config { token: None, ..base() }).await.exit_code(), 4);
    for server in ["nonsense", "ftp://host", "http://"] {
        assert_eq!(run(Config { server: server.to_owned(), ..base() }).await.exit_code(), 2, "{server}");
    }
    assert_eq!(run(Config { slots: 0, ..base() }).await.exit_code(), 2);
    assert_eq!(run(Config { name: String::new(), ..base() }).await.exit_code(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_runner_in_the_same_folder_is_refused() {
    let fixture = Fixture::start().await;
    let job = task([sh("echo hi")]);
    assert_eq!(fixture.run(&job).await.state, "success");
    let second = config(&fixture.server, &fixture.data);
    let error = millrace_runner::run(second, Shutdown::new()).await.expect_err("in use");
    assert_eq!(error.exit_code(), 2);
    fixture.finish().await;
}
