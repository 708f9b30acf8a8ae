//! Bazel with our remote cache: whatever was built once comes from the cache after a clean, with the same bytes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use millrace_server::auth::Role;

use super::tool::{Said, command, copy_folder, fixture, on_path, said, succeeded};
use crate::app::TestApp;

/// What there is to do in `bazel_workspace`, all of it cacheable: 28 genrules and rules of its own, C++ twice (for the
/// target and for the tool that a genrule runs), a test and its report.
const ACTIONS: u32 = 39;
/// Exit code: a wrong command line or remote cache, nothing was built.
const REMOTE_ERROR: i32 = 34;

/// A Bazel of its own: workspace, server and output are below the test's folder.
pub struct Bazel {
    program: PathBuf,
    /// Its sources.
    pub workspace: PathBuf,
    output: PathBuf,
    ended: bool,
}

/// "N processes: A remote cache hit, B local, C remote" of one build.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Processes {
    /// Whose results came from the remote cache.
    pub hits: u32,
    /// That ran on this machine.
    pub local: u32,
    /// That the server's runners ran.
    pub remote: u32,
}

impl Bazel {
    /// With a copy of `bazel_workspace`.
    pub fn new(test: &TestApp) -> Self {
        let workspace = test.scratch().join("workspace");
        copy_folder(&fixture("bazel_workspace"), &workspace);
        Self { program: on_path("bazel"), workspace, output: test.scratch().join("bazel"), ended: false }
    }

    fn startup(&self) -> Vec<String> {
        let mut options: Vec<_> =
            ["--nohome_rc", "--max_idle_secs=300", "--host_jvm_args=-Xmx512m"].map(String::from).into();
        options.push(format!("--output_user_root={}", self.output.display()));
        options.push(format!("--output_base={}", self.output.join("base").display()));
        options
    }

    /// Runs a command of it.
    pub async fn run(&self, arguments: &[&str]) -> Said {
        said(command(&self.program).args(self.startup()).args(arguments).current_dir(&self.workspace)).await
    }

    /// Builds and tests everything.
    async fn test_all(&self, flags: &[&str]) -> Said {
        self.run(&[&["test", "//...", "--symlink_prefix=/"], flags].concat()).await
    }

    /// Builds and tests everything, and says how much was done and how much came from the cache.
    async fn processes(&self, flags: &[&str]) -> Processes {
        let said = self.test_all(flags).await;
        assert_eq!(said.code, 0, "{}", said.all());
        assert!(!said.err.contains("WARNING"), "{}", said.all());
        assert!(said.all().contains("said on stdout") && said.err.contains("said on stderr"), "{}", said.all());
        assert!(said.out.contains("//:greeting_test") && said.out.contains("PASSED"), "{}", said.all());
        Processes::of(&said)
    }

    /// Forgets what was built.
    pub async fn clean(&self) {
        let said = self.run(&["clean"]).await;
        assert_eq!(said.code, 0, "{}", said.all());
    }

    /// All that was built of `bazel_workspace`: for each path whether it is executable, and its bytes.
    pub async fn built(&self) -> BTreeMap<PathBuf, (bool, Vec<u8>)> {
        let said = self.run(&["info", "bazel-bin"]).await;
        let bin = PathBuf::from(said.out.trim());
        let mut files = BTreeMap::new();
        for name in
            ["large.bin", "empty.txt", "talkative.txt", "greeting.txt", "summary.txt", "hello", "several", "tree"]
        {
            collect(&bin.join(name), &bin, &mut files);
        }
        assert_eq!(files.len(), 6 + 2 + 3 * 27 + 1, "{:?}", files.keys());
        files
    }

    /// Ends its server and removes what it wrote.
    pub async fn end(mut self) {
        let said = self.run(&["clean", "--expunge"]).await;
        assert_eq!(said.code, 0, "{}", said.all());
        self.ended = true;
    }
}

impl Drop for Bazel {
    fn drop(&mut self) {
        if !self.ended {
            let mut bazel = std::process::Command::new(&self.program);
            let _ = bazel.args(self.startup()).arg("shutdown").current_dir(&self.workspace).output();
        }
    }
}

impl Processes {
    /// As it says them in its last lines.
    pub fn of(said: &Said) -> Self {
        let line = said.err.lines().find(|line| line.contains(" process")).unwrap_or_else(|| panic!("{}", said.all()));
        let counts = line.split_once(": ").and_then(|(_, rest)| rest.split_once(": ")).expect("counts").1;
        let mut processes = Self::default();
        for part in counts.trim_end_matches('.').split(", ") {
            let (number, kind) = part.split_once(' ').expect("a number and a word");
            let number = number.parse().expect("a number");
            match kind {
                "remote cache hit" => processes.hits = number,
                "local" => processes.local = number,
                "remote" => processes.remote = number,
                "internal" => {}
                _ => panic!("{kind:?} in {line}"),
            }
        }
        processes
    }
}

fn collect(path: &Path, root: &Path, files: &mut BTreeMap<PathBuf, (bool, Vec<u8>)>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder") {
            collect(&entry.expect("an entry").path(), root, files);
        }
        return;
    }
    let mode =
        std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode();
    let name = path.strip_prefix(root).expect("below").to_owned();
    files.insert(name, (mode & 0o100 != 0, std::fs::read(path).expect("readable")));
}

/// Build, clean, build: nothing is done twice, and the same bytes are there.
async fn builds_once(test: &TestApp, flags: &[&str]) {
    let bazel = Bazel::new(test);
    assert_eq!(bazel.processes(flags).await, Processes { hits: 0, local: ACTIONS, ..Processes::default() });
    let first = bazel.built().await;
    bazel.clean().await;
    assert_eq!(bazel.processes(flags).await, Processes { hits: ACTIONS, local: 0, ..Processes::default() });
    assert!(first == bazel.built().await, "the cache gave other bytes than were built");
    bazel.end().await;
}

/// The flag for compressed transfers, where this Bazel has it: 4 does not, 5 and later do.
async fn compression(test: &TestApp) -> Option<&'static str> {
    let mut help = command(&on_path("bazel"));
    help.args(["--nohome_rc", "--batch", "help", "build", "--short"]).current_dir(test.scratch());
    help.env("HOME", test.scratch());
    let help = succeeded(&mut help).await.out;
    ["experimental_remote_cache_compression", "remote_cache_compression"].into_iter().find(|name| help.contains(name))
}

#[tokio::test]
async fn bazel_over_grpc_builds_once() {
    let test = TestApp::open().await;
    let cache = format!("--remote_cache=grpc://{}", test.address());
    builds_once(&test, &[&cache, "--remote_instance_name=team/app"]).await;
    if let Some(flag) = compression(&test).await {
        builds_once(&test, &[&cache, "--remote_instance_name=compressed", &format!("--{flag}")]).await;
    }
    test.close().await;
}

#[tokio::test]
async fn bazel_over_http_builds_once() {
    let test = TestApp::open().await;
    builds_once(&test, &[&format!("--remote_cache={}/team/app", test.url)]).await;
    test.close().await;
}

#[tokio::test]
async fn bazel_that_may_only_read_builds_and_stores_nothing() {
    let test = TestApp::with_tokens().await;
    let header = |token: String| format!("--remote_header=authorization=Bearer {token}");
    let reader = header(test.token(Role::CacheRead).await);
    let writer = header(test.token(Role::CacheWrite).await);
    let http = format!("--remote_cache={}/team/app", test.url);
    let cache = format!("--remote_cache=grpc://{}", test.address());
    let grpc = [cache.as_str(), "--remote_instance_name=team/app"];
    let bazel = Bazel::new(&test);

    let stranger = bazel.test_all(&grpc).await;
    assert_eq!(stranger.code, REMOTE_ERROR, "{}", stranger.all());
    assert!(stranger.err.contains("UNAUTHENTICATED"), "{}", stranger.all());

    // By HTTP nobody can tell beforehand: Bazel tries to write, is refused, warns, and builds.
    let said = bazel.test_all(&[&http, &reader]).await;
    assert_eq!(
        (said.code, Processes::of(&said)),
        (0, Processes { hits: 0, local: ACTIONS, ..Processes::default() }),
        "{}",
        said.all()
    );
    bazel.clean().await;

    // By gRPC the capabilities say it. Bazel 5 and later then do not try; Bazel 4 wants to be told so.
    let mut may_read = [&grpc[..], &[&reader]].concat();
    let mut said = bazel.test_all(&may_read).await;
    if said.code == REMOTE_ERROR && said.err.contains("not authorized to write local results") {
        may_read.push("--remote_upload_local_results=false");
        said = bazel.test_all(&may_read).await;
    }
    assert_eq!(
        (said.code, Processes::of(&said)),
        (0, Processes { hits: 0, local: ACTIONS, ..Processes::default() }),
        "{}",
        said.all()
    );
    bazel.clean().await;

    // Nothing of that was stored; what someone stores who may, both ways of reading find.
    let may_write = [&grpc[..], &[&writer]].concat();
    assert_eq!(bazel.processes(&may_write).await, Processes { hits: 0, local: ACTIONS, ..Processes::default() });
    for flags in [&may_read[..], &[&http, &reader]] {
        bazel.clean().await;
        assert_eq!(bazel.processes(flags).await, Processes { hits: ACTIONS, local: 0, ..Processes::default() });
    }
    bazel.end().await;
    test.close().await;
}
