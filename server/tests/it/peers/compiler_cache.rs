//! ccache and sccache with our server as their remote storage: what was compiled once is not compiled again. Both go
//! silent when the storage is broken, so it is their own figures that count.

use std::path::{Path, PathBuf};

use millrace_server::auth::Role;
use millrace_server::config::RawCacheConfig;
use serde_json::Value;
use tokio::process::Command;

use super::tool::{command, fixture, installed, on_path, succeeded};
use crate::app::{Options, TestApp};

/// The two files of C++ to compile, in a folder of their own.
fn sources(test: &TestApp) -> PathBuf {
    let folder = test.scratch().join("sources");
    std::fs::create_dir_all(folder.join("lib")).expect("a folder");
    for file in ["lib/greeting.cc", "lib/greeting.h"] {
        std::fs::copy(fixture("bazel_workspace").join(file), folder.join(file)).expect("copied");
    }
    folder
}

/// Compiles by way of a cache; the object file.
async fn compile(mut cache: Command, folder: &Path) -> Vec<u8> {
    let object = folder.join("greeting.o");
    let _ = std::fs::remove_file(&object);
    let compiler = on_path("g++");
    cache.arg(compiler).args(["-I.", "-c", "lib/greeting.cc", "-o", "greeting.o"]).current_dir(folder);
    succeeded(&mut cache).await;
    std::fs::read(object).expect("compiled")
}

/// ccache without a local cache: all it has is the server.
fn ccache(test: &TestApp, storage: &str) -> Command {
    let mut ccache = command(&installed("python/bin/ccache"));
    ccache.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    ccache.env("HOME", test.scratch()).env("CCACHE_DIR", test.scratch().join("ccache"));
    ccache.env("CCACHE_REMOTE_ONLY", "1").env("CCACHE_REMOTE_STORAGE", storage);
    // Its time limits are 100 ms: right for users, not for a machine where tests run.
    ccache.current_dir(test.scratch());
    ccache
}

async fn ccache_hits(test: &TestApp, storage: &str) {
    let storage = format!("{storage} connect-timeout=10000 operation-timeout=30000");
    let folder = sources(test);
    succeeded(ccache(test, &storage).arg("--zero-stats")).await;
    let first = compile(ccache(test, &storage), &folder).await;
    let second = compile(ccache(test, &storage), &folder).await;
    assert!(first == second, "another object file came back: {storage}");
    let figures = succeeded(ccache(test, &storage).arg("--print-stats")).await.out;
    let figure = |name: &str| {
        let line = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
        line.unwrap_or_else(|| panic!("{name}: {figures}")).parse::<u32>().expect("a number")
    };
    for (name, wanted) in [
        ("cache_miss", 1),
        ("direct_cache_hit", 1),
        ("remote_storage_miss", 1),
        ("remote_storage_hit", 1),
        // A manifest and a result.
        ("remote_storage_write", 2),
        ("remote_storage_read_hit", 2),
        ("remote_storage_error", 0),
        ("remote_storage_timeout", 0),
    ] {
        assert_eq!(figure(name), wanted, "{name}, {storage}: {figures}");
    }
}

#[tokio::test]
async fn ccache_compiles_once() {
    let test = TestApp::open().await;
    ccache_hits(&test, &format!("{}/cache layout=flat", test.url)).await;
    ccache_hits(&test, &format!("{}/team/app/cache layout=subdirs", test.url)).await;
    test.close().await;
}

#[tokio::test]
async fn ccache_shows_its_token() {
    let test = TestApp::with_tokens().await;
    let token = test.token(Role::CacheWrite).await;
    ccache_hits(&test, &format!("{}/team/app/cache bearer-token={token}", test.url)).await;
    test.close().await;
}

/// Its third layout has ccache's own bytes where Bazel has action results: a server takes that only when told to.
#[tokio::test]
async fn ccache_compiles_once_in_the_layout_of_bazel() {
    let cache = RawCacheConfig { opaque_actions: true, ..Default::default() };
    let test = TestApp::start(Options { cache, ..Options::default() }).await;
    ccache_hits(&test, &format!("{} layout=bazel", test.url)).await;
    test.close().await;
}

/// sccache with a server process of its own, which is reached by a socket in the test's folder.
struct Sccache<'a> {
    test: &'a TestApp,
    settings: Vec<(&'static str, String)>,
}

impl Sccache<'_> {
    fn command(&self) -> Command {
        let mut sccache = command(&installed("bin/sccache"));
        sccache.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.test.scratch());
        sccache
            .env("SCCACHE_SERVER_UDS", self.test.scratch().join("sccache.socket"))
            .env("SCCACHE_IDLE_TIMEOUT", "300");
        sccache.envs(self.settings.iter().map(|(name, value)| (name, value))).current_dir(self.test.scratch());
        sccache
    }

    /// Compiles the same file twice, and its figures afterwards.
    async fn compiles_once(&self) {
        let folder = sources(self.test);
        succeeded(self.command().arg("--start-server")).await;
        let first = compile(self.command(), &folder).await;
        // What is not stored yet when the second compilation asks would be a miss.
        let stored = |figures: &Value| figures["cache_writes"] == 1 || figures["cache_write_errors"] != 0;
        while !stored(&self.figures().await) {}
        let second = compile(self.command(), &folder).await;
        let figures = self.figures().await;
        succeeded(self.command().arg("--stop-server")).await;
        assert!(first == second, "another object file came back");
        let hits = (&figures["cache_hits"]["counts"]["C/C++"], &figures["cache_misses"]["counts"]["C/C++"]);
        assert_eq!(hits, (&1.into(), &1.into()), "{figures:#}");
        for name in ["cache_write_errors", "cache_read_errors", "cache_timeouts"] {
            assert_eq!(figures[name], 0, "{figures:#}");
        }
        assert_eq!(figures["cache_writes"], 1, "{figures:#}");
    }

    async fn figures(&self) -> Value {
        let said = succeeded(self.command().args(["--show-stats", "--stats-format=json"])).await;
        let figures: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.all()));
        figures["stats"].clone()
    }
}

impl Drop for Sccache<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.command().arg("--stop-server").as_std_mut().output();
        }
    }
}

#[tokio::test]
async fn sccache_compiles_once() {
    let test = TestApp::open().await;
    let settings = vec![("SCCACHE_WEBDAV_ENDPOINT", format!("{}/cache", test.url))];
    Sccache { test: &test, settings }.compiles_once().await;
    test.close().await;
}

#[tokio::test]
async fn sccache_shows_its_token() {
    let test = TestApp::with_tokens().await;
    let token = test.token(Role::CacheWrite).await;
    for proof in [
        vec![("SCCACHE_WEBDAV_TOKEN", token.clone())],
        vec![("SCCACHE_WEBDAV_USERNAME", "any".to_owned()), ("SCCACHE_WEBDAV_PASSWORD", token.clone())],
    ] {
        let prefix = format!("cache/{}", proof[0].0);
        let mut settings =
            vec![("SCCACHE_WEBDAV_ENDPOINT", format!("{}/team/app/", test.url)), ("SCCACHE_WEBDAV_KEY_PREFIX", prefix)];
        settings.extend(proof);
        Sccache { test: &test, settings }.compiles_once().await;
    }
    test.close().await;
}
