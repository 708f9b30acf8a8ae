//! Bazel with remote execution: every action runs on a real runner, with the bytes that a local build has; what fails
//! says why.

use std::path::Path;

use super::bazel::{Bazel, Processes};
use super::tool::{Said, copy_folder, fixture};
use crate::app::TestApp;

/// What there is to do in `bazel_workspace`; see `bazel`.
const ACTIONS: u32 = 39;
/// What there is to do in `bazel_execution/many`.
const MANY: u32 = 500;
/// Exit code: the build failed.
const BUILD_FAILED: i32 = 1;
/// Bazel's exit code when remote execution itself failed.
const REMOTE_ERROR: i32 = 34;
/// Exit code: the build was well and a test was not.
const TESTS_FAILED: i32 = 3;

/// A server with a real runner, and a Bazel that builds there.
struct Scene {
    test: TestApp,
    bazel: Bazel,
    flags: Vec<String>,
}

impl Scene {
    async fn open(instance: &str) -> Self {
        let mut test = TestApp::open().await;
        test.start_runner(4, &[]).await;
        let bazel = Bazel::new(&test);
        copy_folder(&fixture("bazel_execution"), &bazel.workspace);
        let flags = vec![
            format!("--remote_executor=grpc://{}", test.address()),
            format!("--remote_instance_name={instance}"),
            "--spawn_strategy=remote".to_owned(),
            "--symlink_prefix=/".to_owned(),
            "--verbose_failures".to_owned(),
        ];
        Self { test, bazel, flags }
    }

    /// `bazel {verb} {what}` with the flags, and more of them.
    async fn bazel(&self, verb: &str, what: &[&str], more: &[&str]) -> Said {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.bazel.run(&[&[verb], &flags[..], more, &["--"], what].concat()).await
    }

    /// The same, which has to succeed; how much ran where.
    async fn processes(&self, verb: &str, what: &[&str], more: &[&str]) -> Processes {
        let said = self.bazel(verb, what, more).await;
        assert_eq!(said.code, 0, "{}", said.all());
        Processes::of(&said)
    }

    async fn end(self) {
        self.bazel.end().await;
        self.test.close().await;
    }
}

/// Everything of `bazel_workspace` but what is wrong on purpose.
const ALL: &[&str] = &["//...", "-//bad/...", "-//many/..."];

fn remote(count: u32) -> Processes {
    Processes { remote: count, ..Processes::default() }
}

fn hits(count: u32) -> Processes {
    Processes { hits: count, ..Processes::default() }
}

#[tokio::test]
async fn bazel_builds_and_tests_on_runners() {
    let scene = Scene::open("team/app").await;
    assert_eq!(scene.processes("test", ALL, &[]).await, remote(ACTIONS));
    let built = scene.bazel.built().await;
    scene.bazel.clean().await;
    assert_eq!(scene.processes("test", ALL, &[]).await, hits(ACTIONS));
    assert!(built == scene.bazel.built().await, "the cache gave other bytes than were built");
    // Without the cache's results, and without a byte of outputs on this side.
    scene.bazel.clean().await;
    let again = ["--noremote_accept_cached", "--remote_download_minimal"];
    assert_eq!(scene.processes("test", ALL, &again).await, remote(ACTIONS));
    let bin = scene.bazel.run(&["info", "bazel-bin"]).await;
    assert!(!Path::new(bin.out.trim()).join("large.bin").exists(), "an output was downloaded");
    scene.end().await;
}

#[tokio::test]
async fn bazel_builds_five_hundred_actions_on_runners() {
    let scene = Scene::open("").await;
    let many = ["//many/..."];
    assert_eq!(scene.processes("build", &many, &["--jobs=64"]).await, remote(MANY));
    scene.bazel.clean().await;
    assert_eq!(scene.processes("build", &many, &["--jobs=64"]).await, hits(MANY));
    let bin = scene.bazel.run(&["info", "bazel-bin"]).await;
    let sum = std::fs::read_to_string(Path::new(bin.out.trim()).join("many/sum.txt")).expect("the sum");
    assert_eq!(sum.trim(), (0..499).sum::<u32>().to_string());
    scene.end().await;
}

#[tokio::test]
async fn bazel_says_why_an_action_failed() {
    let scene = Scene::open("team/app").await;
    for _ in 0..2 {
        // Twice: a failure is not cached.
        let said = scene.bazel("build", &["//bad:fails"], &[]).await;
        assert_eq!(said.code, BUILD_FAILED, "{}", said.all());
        assert!(said.err.contains("the reason is here") && said.err.contains("Exit 7"), "{}", said.all());
    }
    let slow = scene.bazel("test", &["//bad:slow"], &["--test_timeout=2", "--test_output=errors"]).await;
    assert_eq!(slow.code, TESTS_FAILED, "{}", slow.all());
    assert!(slow.out.contains("TIMEOUT") && slow.out.contains("it began"), "{}", slow.all());
    let elsewhere = scene.bazel("build", &["//bad:elsewhere"], &["--remote_retries=0"]).await;
    // The action could not be run at all: to Bazel that is an error of remote execution, not of the build.
    assert_eq!(elsewhere.code, REMOTE_ERROR, "{}", elsewhere.all());
    for word in ["OSFamily", "plan9", "linux", "cores", "4096"] {
        assert!(elsewhere.err.contains(word), "{word} is not in {}", elsewhere.all());
    }
    let spoils = scene.bazel("build", &["//bad:writes_its_input"], &[]).await;
    assert_eq!(spoils.code, REMOTE_ERROR, "{}", spoils.all());
    assert!(spoils.err.contains("the command changed this input"), "{}", spoils.all());
    // Nothing of all that spoiled anything for others.
    assert_eq!(scene.processes("test", ALL, &[]).await, remote(ACTIONS));
    scene.end().await;
}
