//! The points about execution that need a command to run: with a real runner in this process.

use std::path::Path;

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use prost::Message;
use tonic::Code;

use crate::app::TestApp;
use crate::execute_client::{Client, Work, status};

/// A server with a runner of two slots, and a client.
async fn started() -> (TestApp, Client) {
    let mut test = TestApp::open().await;
    test.start_runner(2, &[]).await;
    let client = Client::within(&test, "points");
    (test, client)
}

/// Runs and expects a result.
async fn run(client: &Client, work: &Work) -> re::ActionResult {
    let response = client.start(work).await.done().await;
    response.result.clone().unwrap_or_else(|| panic!("no result: {response:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The standard output, whether it came inline or not.
async fn stdout(client: &Client, result: &re::ActionResult) -> String {
    match &result.stdout_digest {
        Some(digest) if result.stdout_raw.is_empty() => {
            text(&client.remote.read(&client.remote.read_name(digest)).await.expect("it is in the CAS"))
        }
        _ => text(&result.stdout_raw),
    }
}

/// The content of an output file.
async fn file(client: &Client, result: &re::ActionResult, path: &str) -> String {
    let found = result.output_files.iter().find(|file| file.path == path);
    let digest = found.unwrap_or_else(|| panic!("{path} is not in {result:?}")).digest.clone().expect("a digest");
    text(&client.remote.read(&client.remote.read_name(&digest)).await.expect("it is in the CAS"))
}

#[tokio::test(flavor = "multi_thread")]
async fn point_24_a_timeout_ends_the_command_with_what_there_is() {
    let (test, client) = started().await;
    let mut work = Work::script("echo before; echo kept > out; exec sleep 1000").outputs(&["out"]);
    work.action.timeout = Some(bazel_remote_apis::google::protobuf::Duration { seconds: 1, nanos: 0 });
    let action = client.store(&work).await;
    let response = client.ask(client.request(&action)).await.expect("taken").done().await;
    let (code, message) = status(&response);
    assert_eq!(code, Code::DeadlineExceeded as i32, "{message}");
    let result = response.result.expect("what there is");
    assert_eq!(stdout(&client, &result).await, "before\n");
    let metadata = result.execution_metadata.expect("metadata");
    let (start, end) =
        (metadata.execution_start_timestamp.expect("a start"), metadata.execution_completed_timestamp.expect("an end"));
    let ran_ms = (end.seconds - start.seconds) * 1_000 + i64::from(end.nanos - start.nanos) / 1_000_000;
    assert!((900..30_000).contains(&ran_ms), "{ran_ms} ms: the time of the command alone");
    assert_eq!(client.remote.action(&action).await.expect_err("not cached").code(), Code::NotFound);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(deprecated, reason = "older clients set the older fields")]
async fn point_26_output_paths_beat_the_older_fields_and_missing_outputs_are_left_out() {
    let (test, client) = started().await;
    let mut work =
        Work::script("ls -d deep/er; ls; echo 1 > deep/er/file; mkdir folder; echo 2 > folder/two; echo 3 > older");
    work.command.output_paths = vec!["deep/er/file".into(), "folder".into(), "missing".into()];
    work.command.output_files = vec!["older".into()];
    let result = run(&client, &work).await;
    assert_eq!(result.exit_code, 0, "{result:?}");
    let seen = stdout(&client, &result).await;
    assert!(seen.contains("deep/er\n"), "parents of outputs are there: {seen:?}");
    assert!(!seen.contains("folder"), "outputs are not: {seen:?}");
    assert_eq!(file(&client, &result, "deep/er/file").await, "1\n");
    let paths: Vec<&str> = result.output_files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["deep/er/file"], "neither the older field's nor what is missing");
    assert_eq!(result.output_directories[0].path, "folder");

    // The older fields alone.
    let mut work = Work::script("echo 3 > older; mkdir dir; echo 4 > dir/four; echo 5 > other");
    work.command.output_files = vec!["older".into()];
    work.command.output_directories = vec!["dir".into()];
    let result = run(&client, &work).await;
    assert_eq!(file(&client, &result, "older").await, "3\n");
    assert_eq!((result.output_files.len(), result.output_directories.len()), (1, 1));

    // The root as an output.
    let mut work = Work::script("echo 6 > six").outputs(&[""]);
    work.files = vec![("input", b"in")];
    let result = run(&client, &work).await;
    assert_eq!(result.output_directories[0].path, "");
    let tree = result.output_directories[0].tree_digest.clone().expect("a tree");
    let tree = client.remote.read(&client.remote.read_name(&tree)).await.expect("it is in the CAS");
    let root = re::Tree::decode(tree.as_slice()).expect("a Tree").root.expect("a root");
    let names: Vec<&str> = root.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["input", "six"]);
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_26_the_working_directory_counts_for_outputs_and_for_the_program() {
    let (test, client) = started().await;
    // A program in the input root, named relative to the working directory; outputs relative to it, with `..` inside the root.
    let script: &[u8] = b"#!/bin/sh\npwd > here\necho up > ../sibling/up\n";
    let program = client.remote.put_one(script).await;
    let tool = re::FileNode { name: "tool".into(), digest: Some(program), is_executable: true, ..Default::default() };
    let bin = re::Directory { files: vec![tool], ..Default::default() };
    let bin = client.remote.put_one(&bin.encode_to_vec()).await;
    let node = re::DirectoryNode { name: "bin".into(), digest: Some(bin) };
    let root = re::Directory { directories: vec![node], ..Default::default() };
    let root = client.remote.put_one(&root.encode_to_vec()).await;
    let mut work = Work::of(&["../bin/tool"]).outputs(&["here", "../sibling/up"]);
    work.command.working_directory = "work".into();
    let command = client.remote.put_one(&work.command.encode_to_vec()).await;
    let action = re::Action { command_digest: Some(command), input_root_digest: Some(root), ..Default::default() };
    let action = client.remote.put_one(&action.encode_to_vec()).await;
    let response = client.ask(client.request(&action)).await.expect("taken").done().await;
    let result = response.result.clone().unwrap_or_else(|| panic!("{response:?}"));
    assert_eq!(result.exit_code, 0, "{response:?}");
    let here = file(&client, &result, "here").await;
    assert_eq!(Path::new(here.trim()).file_name().expect("a name"), "work");
    assert_eq!(file(&client, &result, "../sibling/up").await, "up\n", "as it was asked for");

    // Without a slash it is looked up in the command's own PATH.
    let result = run(&client, &Work::of(&["echo", "found"])).await;
    assert_eq!(stdout(&client, &result).await, "found\n");
    let mut lost = Work::of(&["echo", "found"]);
    lost.command.environment_variables =
        vec![re::command::EnvironmentVariable { name: "PATH".into(), value: "/nowhere".into() }];
    let response = client.start(&lost).await.done().await;
    let failed = status(&response).0 != 0 || response.result.as_ref().is_some_and(|result| result.exit_code != 0);
    assert!(failed, "{response:?}");

    // The environment is exactly the command's.
    let mut work = Work::of(&["env"]);
    work.command
        .environment_variables
        .push(re::command::EnvironmentVariable { name: "ONLY".into(), value: "this".into() });
    let seen = stdout(&client, &run(&client, &work).await).await;
    let mut names: Vec<&str> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.retain(|name| !matches!(*name, "PWD" | "_" | "SHLVL"));
    names.sort_unstable();
    assert_eq!(names, ["ONLY", "PATH"], "{seen}");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(deprecated, reason = "older clients read the older fields")]
async fn point_27_folders_are_trees_and_symlinks_are_in_the_older_fields_too() {
    let (test, client) = started().await;
    let script = "mkdir -p out/sub; echo x > out/sub/x; chmod +x out/sub/x; ln -s sub/x out/link; ln -s out/sub/x flink; ln -s out dlink";
    let mut work = Work::script(script).outputs(&["out", "flink", "dlink"]);
    let result = run(&client, &work).await;
    let folder = &result.output_directories[0];
    assert!(folder.root_directory_digest.is_none(), "nobody asked for it");
    let tree = folder.tree_digest.clone().expect("a tree");
    let tree = client.remote.read(&client.remote.read_name(&tree)).await.expect("it is in the CAS");
    let tree = re::Tree::decode(tree.as_slice()).expect("a Tree");
    let root = tree.root.expect("a root");
    assert_eq!((root.symlinks[0].name.as_str(), root.symlinks[0].target.as_str()), ("link", "sub/x"));
    assert!(tree.children[0].files[0].is_executable);
    let links = |links: &[re::OutputSymlink]| {
        let mut paths: Vec<(String, String)> = links.iter().map(|one| (one.path.clone(), one.target.clone())).collect();
        paths.sort();
        paths
    };
    let pair = |path: &str, target: &str| (path.to_owned(), target.to_owned());
    assert_eq!(links(&result.output_symlinks), [pair("dlink", "out"), pair("flink", "out/sub/x")]);
    let mut older = links(&result.output_file_symlinks);
    older.extend(links(&result.output_directory_symlinks));
    older.sort();
    assert_eq!(older, links(&result.output_symlinks), "the same in the two older fields");
    assert_eq!(links(&result.output_directory_symlinks), [pair("dlink", "out")]);

    for (format, has_tree, has_root) in [
        (re::command::OutputDirectoryFormat::DirectoryOnly, false, true),
        (re::command::OutputDirectoryFormat::TreeAndDirectory, true, true),
    ] {
        work.command.output_directory_format = format.into();
        let result = run(&client, &work).await;
        let folder = &result.output_directories[0];
        assert_eq!(
            (folder.tree_digest.is_some(), folder.root_directory_digest.is_some()),
            (has_tree, has_root),
            "{format:?}"
        );
        let root = folder.root_directory_digest.clone().expect("a digest");
        let pages = client.remote.tree(&root, 0, "").await.expect("its Directories are in the CAS");
        assert_eq!(pages.iter().map(|page| page.directories.len()).sum::<usize>(), 2);
    }
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_28_a_real_action_s_output_is_read_while_it_runs() {
    let (test, client) = started().await;
    let mut running = client.start(&Work::script("echo early; sleep 3; echo late")).await;
    let seen = running.until("executing", |seen| !seen.metadata.stdout_stream_name.is_empty()).await;
    let request = bazel_remote_apis::google::bytestream::ReadRequest {
        resource_name: seen.metadata.stdout_stream_name,
        ..Default::default()
    };
    let mut reader = client.remote.bytes.clone().read(request).await.expect("a stream").into_inner();
    let first = crate::app::within("live output", reader.message()).await.expect("bytes").expect("some").data;
    assert_eq!(text(&first), "early\n");
    assert!(!client.get(&running.now.name).await.expect("known").done, "while it runs");
    let mut content = first;
    while let Some(answer) = crate::app::within("the rest", reader.message()).await.expect("bytes") {
        content.extend(answer.data);
    }
    assert_eq!(text(&content), "early\nlate\n");
    let response = running.done().await;
    assert_eq!(stdout(&client, &response.result.expect("a result")).await, "early\nlate\n");
    test.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn point_29_who_leaves_a_running_command_has_it_killed() {
    let execution = millrace_server::config::RawExecutionConfig { client_grace: Some(1), ..Default::default() };
    let mut test = TestApp::start(crate::app::Options { execution, ..Default::default() }).await;
    test.start_runner(1, &[]).await;
    let client = Client::of(&test);
    let mut running = client.start(&Work::script("exec sleep 1000")).await;
    running.until("executing", |seen| seen.metadata.stage() == re::execution_stage::Value::Executing).await;
    drop(running);
    // Its slot is free again: the only one there is.
    let result = run(&client, &Work::of(&["echo", "next"])).await;
    assert_eq!(stdout(&client, &result).await, "next\n");
    test.close().await;
}
