//! Gradle with our server as its HTTP build cache: what was compiled once comes from the cache.

use millrace_server::auth::Role;

use super::tool::{Said, command, copy_folder, fixture, on_path, succeeded};
use crate::app::TestApp;

/// A build from nothing but the sources and the remote cache.
async fn build(test: &TestApp, cache: &str, password: &str) -> Said {
    let project = test.scratch().join("gradle_project");
    if project.exists() {
        std::fs::remove_dir_all(&project).expect("removed");
    }
    copy_folder(&fixture("gradle_project"), &project);
    let mut gradle = command(&on_path("gradle"));
    gradle.args(["--no-daemon", "--build-cache", "--console=plain", "--max-workers=1", "compileJava"]);
    gradle.env("GRADLE_USER_HOME", test.scratch().join("gradle_home")).env("HOME", test.scratch());
    gradle.env("PEER_CACHE", cache).env("PEER_PASSWORD", password).current_dir(&project);
    succeeded(&mut gradle).await
}

#[tokio::test]
async fn gradle_compiles_once() {
    let test = TestApp::with_tokens().await;
    let token = test.token(Role::CacheWrite).await;
    let cache = format!("{}/team/app/cache/", test.url);
    let first = build(&test, &cache, &token).await;
    assert!(first.out.contains("1 actionable task: 1 executed"), "{}", first.all());
    let second = build(&test, &cache, &token).await;
    assert!(second.out.contains(":compileJava FROM-CACHE"), "{}\n{}", first.all(), second.all());
    for said in [first, second] {
        assert!(!said.all().contains("Could not"), "{}", said.all());
    }
    test.close().await;
}
