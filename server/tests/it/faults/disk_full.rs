//! The server's disk is full for a while: rows are refused with a reason, what is there can be read, and when there is
//! space again everything goes on. The disk is a small tmpfs in a mount namespace of the server's own: it goes with it.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use millrace_bench::agent::{Agent, Task};
use millrace_bench::program::ServerProgram;
use millrace_bench::wire::millrace_v1::State;
use tonic::{Code, Status};

use super::scene::{Scene, assert_counted, counting, eventually};

/// The whole disk. The journal alone takes up to four times 64 MiB when there is much to write.
pub const DISK_MAX_BYTES: u64 = 48 << 20;
/// Rows of a call.
const ROWS: i64 = 2_000;
const ROW_BYTES: usize = 100;
/// More calls than the disk takes.
const CALLS_MAX: i64 = 2 * DISK_MAX_BYTES as i64 / (ROWS * ROW_BYTES as i64);

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_rows_and_goes_on_when_there_is_space() {
    const LINES: u32 = 3_000;
    let mut scene = Scene::new().await;
    scene.lease_seconds = 120;
    let server = serve_on_small_disk(&scene).await;
    let runner = scene.runner("one").await;
    let agent = scene.agent("agent").await;
    let of_agent =
        scene.run("on: workflow_dispatch\njobs:\n  one:\n    runs-on: agent\n    steps:\n      - run: 'true'\n").await;
    let task = agent.fetch("", 20_000).await.expect("fetches").expect("a task");
    agent.report(&task, "running", "running").await.expect("reports");
    let of_runner = scene.run(&counting(LINES, 10, "0.01")).await;
    let begun = |run: &millrace_bench::wire::millrace_v1::Run| !run.jobs[0].steps[0].log_id.is_empty();
    let begun = scene.until(&of_runner.id, "the step has begun", begun).await;
    let mut stored = send_rows(&agent, &task, 0).await.expect("there is space for the first rows");

    let filler = Filler::fill(&inside(&server, &scene.data().join("filler")));
    // The journal has some space that it took before.
    let refused = loop {
        match send_rows(&agent, &task, stored).await {
            Ok(more) => stored = more,
            Err(refused) => break refused,
        }
        assert!(stored < CALLS_MAX * ROWS, "the disk never was full");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("space") || refused.message().contains("full"), "{refused}");
    // Reading goes on, and what was acknowledged is there.
    assert!(scene.get(&of_agent.id).await.is_some());
    let rows = scene.log(&task.log_id(0)).await;
    assert!(rows.len() as i64 >= stored, "{} rows of {stored}", rows.len());
    assert!(!scene.log(&begun.jobs[0].steps[0].log_id).await.is_empty());

    drop(filler);
    stored = eventually("rows are taken again", async || send_rows(&agent, &task, stored).await.ok()).await;
    agent.log(&task, stored, Vec::new(), true).await.expect("the log ends");
    agent.report(&task, "success", "success").await.expect("the task ends");
    let wanted: Vec<String> = (0..stored).map(row).collect();
    assert!(scene.log(&task.log_id(0)).await == wanted, "each row once, in order");
    assert_eq!(scene.finished(&of_agent.id).await.state(), State::Success);
    let run = scene.finished(&of_runner.id).await;
    assert_eq!((run.state(), run.jobs[0].executions), (State::Success, 1), "{run:#?}");
    assert_counted("the runner's log", &scene.log(&run.jobs[0].steps[0].log_id).await, LINES);
    scene.finish(server, vec![runner]).await;
}

/// The next rows; answers how many are stored.
async fn send_rows(agent: &Agent, task: &Task, from: i64) -> Result<i64, Status> {
    agent.log(task, from, (from..from + ROWS).map(row).collect(), false).await
}

fn row(number: i64) -> String {
    format!("row {number} {}", "x".repeat(ROW_BYTES))
}

/// A server whose data folder is a small disk. What was in the folder (the token's key) is put there first.
pub async fn serve_on_small_disk(scene: &Scene) -> ServerProgram {
    let script = format!(
        "set -e; cp -a '{data}' '{data}.old'; mount -t tmpfs -o size={DISK_MAX_BYTES} tmpfs '{data}'; \
         cp -a '{data}.old/.' '{data}'; exec \"$@\"",
        data = scene.data().display()
    );
    // Root makes a mount namespace; anybody else makes it within a user namespace.
    let root = std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    let unshare: &[&str] = if root { &["unshare", "-m"] } else { &["unshare", "-r", "-m"] };
    let under: Vec<&str> = unshare.iter().copied().chain(["sh", "-c", &script, "sh"]).collect();
    match ServerProgram::start(scene.serve_command(&under)).await {
        Ok(server) => server,
        Err(error) => panic!(
            "a small disk can't be mounted here: this test needs root or user namespaces (unshare -r -m). {error:#}; {}",
            scene.said()
        ),
    }
}

/// A path as the server's process sees it.
pub fn inside(server: &ServerProgram, path: &Path) -> PathBuf {
    let root = PathBuf::from(format!("/proc/{}/root", server.pid().expect("it runs")));
    root.join(path.strip_prefix("/").expect("an absolute path"))
}

/// Takes all the space there is, until it is dropped.
pub struct Filler(PathBuf);

impl Filler {
    /// Fills the disk of this file.
    pub fn fill(path: &Path) -> Self {
        let mut file = File::create(path).expect("a file");
        let mut length = 1 << 20;
        let block = vec![7; length];
        // Down to the last byte.
        while length > 0 {
            match file.write(&block[..length]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => length /= 2,
                Err(error) => panic!("filling the disk: {error}"),
            }
        }
        Self(path.to_owned())
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        // The server's end takes the whole disk away, if it comes first.
        let _gone = std::fs::remove_file(&self.0);
    }
}
