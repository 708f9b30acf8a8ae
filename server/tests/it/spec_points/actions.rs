//! The points about action results.

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use prost::Message;
use tonic::Code;

use crate::app::TestApp;
use crate::cas_client::{Remote, digest, noise, result};

#[tokio::test]
async fn point_14_a_result_has_metadata_and_inlines_what_fits() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let [small, large] = [b"small output".to_vec(), noise(3_900_000, 1)];
    let blobs = remote.put(&[&small, b"the standard output", b"the standard error"]).await;
    let large = remote.upload(&large).await;
    let stored = re::ActionResult {
        stdout_digest: Some(blobs[1].clone()),
        stderr_digest: Some(blobs[2].clone()),
        exit_code: 0,
        ..result(&[("small", &blobs[0]), ("large", &large)])
    };
    let action = digest(b"an action");
    let answer = remote.update_action(&action, stored.clone()).await.expect("stored");
    assert!(answer.execution_metadata.is_some(), "always there");
    let plain = remote.action(&action).await.expect("a hit");
    assert!(plain.execution_metadata.is_some(), "always there");
    assert_eq!((plain.output_files.len(), plain.stdout_raw.len()), (2, 0));
    let request = |inline_stdout, files: &[&str]| re::GetActionResultRequest {
        action_digest: Some(action.clone()),
        inline_stdout,
        inline_stderr: inline_stdout,
        inline_output_files: files.iter().map(|file| (*file).to_owned()).collect(),
        ..Default::default()
    };
    let inlined = remote.get_action(request(true, &["small", "no such file"])).await.expect("a hit");
    assert_eq!(inlined.stdout_raw, b"the standard output");
    assert_eq!(inlined.stderr_raw, b"the standard error");
    assert_eq!(inlined.output_files[0].contents, small);
    assert_eq!(inlined.stdout_digest, stored.stdout_digest, "the digest stays");
    assert!(inlined.output_files[1].contents.is_empty());
    // All that together is more than a message may be: what does not fit is left out.
    let second = remote.upload(&noise(3_900_000, 2)).await;
    remote.update_action(&action, result(&[("large", &large), ("second", &second)])).await.expect("stored");
    let inlined = remote.get_action(request(true, &["large", "second"])).await.expect("a hit");
    assert!(inlined.encoded_len() < 4 * 1024 * 1024, "{}", inlined.encoded_len());
    test.close().await;
}

#[tokio::test]
#[allow(deprecated, reason = "older clients set the older fields")]
async fn point_14_a_result_comes_back_as_it_went_in() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let content = remote.put_one(b"content").await;
    let symlink = |path: &str| re::OutputSymlink {
        path: path.into(),
        target: "../elsewhere".into(),
        node_properties: Some(re::NodeProperties {
            properties: vec![re::NodeProperty { name: "kept".into(), value: "as it is".into() }],
            ..Default::default()
        }),
    };
    let stored = re::ActionResult {
        output_files: vec![re::OutputFile {
            path: "../../bin/tool".into(),
            digest: Some(content.clone()),
            is_executable: true,
            node_properties: Some(re::NodeProperties {
                properties: vec![re::NodeProperty { name: "SubtreeReadOnly".into(), value: "true".into() }],
                ..Default::default()
            }),
            ..Default::default()
        }],
        output_symlinks: vec![symlink("a link")],
        output_file_symlinks: vec![symlink("an older link")],
        output_directory_symlinks: vec![symlink("a link to a folder")],
        exit_code: 7,
        stdout_raw: b"raw".to_vec(),
        execution_metadata: Some(re::ExecutedActionMetadata { worker: "somewhere".into(), ..Default::default() }),
        ..Default::default()
    };
    // What lies at an action's digest need not be an action, nor be there at all.
    let action = remote.put_one(b"no action").await;
    for action in [action, digest(b"nothing")] {
        remote.update_action(&action, stored.clone()).await.expect("stored");
        assert_eq!(remote.action(&action).await.expect("a hit"), stored);
    }
    test.close().await;
}

#[tokio::test]
async fn point_15_a_result_that_names_what_is_not_here_is_a_miss() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let here = remote.put_one(b"here").await;
    let absent = digest(b"absent");
    let tree = |file: &re::Digest| {
        let node = re::FileNode { name: "f".into(), digest: Some(file.clone()), ..Default::default() };
        let directory = re::Directory { files: vec![node], ..Default::default() };
        let child = re::DirectoryNode { name: "d".into(), digest: Some(digest(&directory.encode_to_vec())) };
        let root = re::Directory { directories: vec![child], ..Default::default() };
        re::Tree { root: Some(root), children: vec![directory] }.encode_to_vec()
    };
    let (whole, broken) = (remote.put_one(&tree(&here)).await, remote.put_one(&tree(&absent)).await);
    let folder = |tree: &re::Digest| re::ActionResult {
        output_directories: vec![re::OutputDirectory {
            path: "out".into(),
            tree_digest: Some(tree.clone()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let cases = [
        ("a file", result(&[("f", &here)]), true),
        ("a file that is not here", result(&[("f", &here), ("g", &absent)]), false),
        ("a tree", folder(&whole), true),
        ("a tree with a file that is not here", folder(&broken), false),
        ("a tree that is not here", folder(&absent), false),
        ("its output", re::ActionResult { stdout_digest: Some(absent.clone()), ..Default::default() }, false),
        ("its errors", re::ActionResult { stderr_digest: Some(absent.clone()), ..Default::default() }, false),
        ("nothing", re::ActionResult::default(), true),
    ];
    for (what, stored, hit) in cases {
        let action = digest(what.as_bytes());
        remote.update_action(&action, stored).await.expect(what);
        match remote.action(&action).await {
            Ok(_) => assert!(hit, "{what}"),
            Err(status) => assert_eq!((status.code(), hit), (Code::NotFound, false), "{what}: {status}"),
        }
    }
    // Once it is here, it is a hit.
    remote.put_one(b"absent").await;
    remote.action(&digest(b"a tree with a file that is not here")).await.expect("whole now");
    let unknown = remote.action(&digest(b"unknown")).await.expect_err("a miss");
    assert_eq!(unknown.code(), Code::NotFound, "{unknown}");
    test.close().await;
}

#[tokio::test]
async fn point_16_a_result_whose_action_is_not_here_is_taken() {
    let test = TestApp::open().await;
    let remote = Remote::of(&test);
    let action = digest(b"an action that is never uploaded");
    remote.update_action(&action, re::ActionResult { exit_code: 3, ..Default::default() }).await.expect("stored");
    assert_eq!(remote.action(&action).await.expect("a hit").exit_code, 3);
    remote.update_action(&action, re::ActionResult { exit_code: 4, ..Default::default() }).await.expect("replaced");
    assert_eq!(remote.action(&action).await.expect("a hit").exit_code, 4, "the newer one");
    test.close().await;
}
