//! BuildGrid's command `bgd` with remote execution: a command runs on a real runner, operations are listed, asked for,
//! waited for and cancelled.

use std::path::Path;

use super::tool::{Said, command, installed, said, succeeded};
use crate::app::{TestApp, within};

const INSTANCE: &str = "team/app";

fn bgd(test: &TestApp, group: &str, arguments: &[&str]) -> tokio::process::Command {
    let mut bgd = command(&installed("python/bin/bgd"));
    bgd.args([group, "--remote", &test.url, "--instance-name", INSTANCE]).args(arguments);
    bgd.current_dir(test.scratch());
    bgd
}

async fn run(test: &TestApp, group: &str, arguments: &[&str]) -> Said {
    succeeded(&mut bgd(test, group, arguments)).await
}

fn make_inputs(folder: &Path) {
    std::fs::create_dir_all(folder.join("lib")).expect("folders");
    std::fs::write(folder.join("lib/words.txt"), "three small words\n").expect("written");
}

#[tokio::test]
async fn bgd_runs_a_command_on_a_runner() {
    let mut test = TestApp::open().await;
    test.start_runner(2, &[]).await;
    make_inputs(&test.scratch().join("inputs"));
    let outputs = test.scratch().join("outputs");
    let script = "tr a-z A-Z < lib/words.txt > lib/loud.txt; echo done";
    let done = run(
        &test,
        "execute",
        &[
            "command",
            "--output-directory",
            "outputs",
            "--output-file",
            "lib/loud.txt",
            "inputs",
            "--",
            "/bin/sh",
            "-c",
            script,
        ],
    )
    .await;
    assert!(!done.all().contains("Error"), "{}", done.all());
    let loud = std::fs::read_to_string(outputs.join("lib/loud.txt")).expect("the output came back");
    assert_eq!(loud, "THREE SMALL WORDS\n");
    test.close().await;
}

#[tokio::test]
async fn bgd_lists_waits_for_and_cancels_operations() {
    let mut test = TestApp::open().await;
    test.start_runner(2, &[]).await;
    make_inputs(&test.scratch().join("inputs"));
    let mut long = bgd(&test, "execute", &["command", "inputs", "--", "/bin/sh", "-c", "echo begun; sleep 600"])
        .spawn()
        .expect("bgd");
    let name = within("an operation in the list", async {
        loop {
            let list = run(&test, "operation", &["list"]).await;
            if let Some(name) = list.out.split_whitespace().find(|word| word.contains("operations/")) {
                return name.trim_end_matches([':', ',']).to_owned();
            }
        }
    })
    .await;
    let status = run(&test, "operation", &["status", &name]).await;
    assert!(status.out.contains("Executing") || status.out.contains("Queued"), "{}", status.all());
    run(&test, "operation", &["cancel", &name]).await;
    let waited = said(&mut bgd(&test, "operation", &["wait", &name])).await;
    assert!(waited.all().to_uppercase().contains("CANCEL"), "{}", waited.all());
    let _ended = within("the client's end", long.wait()).await;
    test.close().await;
}
