//! A real C project, zstd, compiled by Execute calls alone: each source on a runner, then the library, then a program
//! that uses it, which runs there, too. The sources are those that the build of this workspace has fetched anyway.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bazel_remote_apis::build::bazel::remote::execution::v2 as re;
use bazel_remote_apis::build::bazel::remote::execution::v2::execution_client::ExecutionClient;
use bazel_remote_apis::google::longrunning::operation;
use futures::StreamExt;
use prost::Message;

use super::tool::{command, on_path, succeeded};
use crate::app::TestApp;
use crate::cas_client::Remote;

const INSTANCE: &str = "team/zstd";
/// How many compilers are asked for at once.
const JOBS: usize = 8;
/// Compresses a text, and prints what comes out again.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <string.h>
#include "zstd.h"
int main(void) {
    const char *text = "the same the same the same the same the same";
    char packed[256], unpacked[256];
    size_t size = ZSTD_compress(packed, sizeof packed, text, strlen(text), 3);
    if (ZSTD_isError(size) || size >= strlen(text)) return 1;
    size_t back = ZSTD_decompress(unpacked, sizeof unpacked, packed, size);
    printf("%zu %.*s\n", back, (int)back, unpacked);
    return 0;
}
"#;

/// Files by their paths, to be a tree of Directories.
#[derive(Clone, Default)]
struct Tree {
    files: BTreeMap<String, (re::Digest, bool)>,
}

impl Tree {
    fn with(&self, path: &str, digest: &re::Digest) -> Self {
        let mut tree = self.clone();
        tree.files.insert(path.to_owned(), (digest.clone(), true));
        tree
    }

    /// Uploads the Directories; the digest of the top.
    async fn root(&self, remote: &Remote) -> re::Digest {
        let mut below: BTreeMap<String, re::Directory> = BTreeMap::from([(String::new(), re::Directory::default())]);
        for (path, (digest, is_executable)) in &self.files {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            for (end, _) in folder.match_indices('/').chain([(folder.len(), "")]) {
                below.entry(folder[..end].to_owned()).or_default();
            }
            below.entry(folder.to_owned()).or_default().files.push(re::FileNode {
                name: name.to_owned(),
                digest: Some(digest.clone()),
                is_executable: *is_executable,
                ..Default::default()
            });
        }
        // The deepest first: a Directory names the digests of those below.
        let mut paths: Vec<String> = below.keys().filter(|path| !path.is_empty()).cloned().collect();
        paths.sort_by_key(|path| std::cmp::Reverse(path.matches('/').count()));
        for path in paths {
            let digest = remote.upload(&below[&path].encode_to_vec()).await;
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let node = re::DirectoryNode { name: name.to_owned(), digest: Some(digest) };
            let parent = below.get_mut(folder).expect("every parent is there");
            parent.directories.push(node);
            parent.directories.sort_by(|one, other| one.name.cmp(&other.name));
        }
        remote.upload(&below[""].encode_to_vec()).await
    }
}

/// Runs a command over a tree; it must succeed.
async fn execute(
    test: &TestApp,
    remote: &Remote,
    tree: &Tree,
    arguments: &[&str],
    outputs: &[&str],
) -> re::ActionResult {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    let command = re::Command {
        arguments: words(arguments),
        output_paths: words(outputs),
        environment_variables: vec![re::command::EnvironmentVariable {
            name: "PATH".to_owned(),
            value: "/usr/local/bin:/usr/bin:/bin".to_owned(),
        }],
        ..Default::default()
    };
    let action = re::Action {
        command_digest: Some(remote.upload(&command.encode_to_vec()).await),
        input_root_digest: Some(tree.root(remote).await),
        ..Default::default()
    };
    let request = re::ExecuteRequest {
        instance_name: INSTANCE.to_owned(),
        action_digest: Some(remote.upload(&action.encode_to_vec()).await),
        inline_stdout: true,
        ..Default::default()
    };
    let mut operations = ExecutionClient::new(test.wire()).execute(request).await.expect("accepted").into_inner();
    let mut last = None;
    while let Some(operation) = operations.message().await.expect("the stream goes on") {
        last = Some(operation);
    }
    let last = last.expect("an operation");
    let Some(operation::Result::Response(any)) = last.result else { panic!("no response: {last:?}") };
    let response = re::ExecuteResponse::decode(any.value.as_slice()).expect("an ExecuteResponse");
    let result = response.result.clone().unwrap_or_else(|| panic!("no result: {response:?}"));
    assert_eq!(result.exit_code, 0, "{arguments:?}: {response:?}");
    result
}

/// The one output file of a result.
fn output(result: &re::ActionResult) -> re::Digest {
    assert_eq!(result.output_files.len(), 1, "{result:?}");
    result.output_files[0].digest.clone().expect("a digest")
}

/// The sources of zstd, where cargo keeps them.
async fn sources() -> PathBuf {
    let mut cargo = command(Path::new(env!("CARGO")));
    cargo.args(["metadata", "--format-version", "1", "--offline", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let metadata: serde_json::Value = serde_json::from_str(&succeeded(&mut cargo).await.out).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let zstd = packages.iter().find(|package| package["name"] == "zstd-sys").expect("zstd-sys is a dependency");
    Path::new(zstd["manifest_path"].as_str().expect("a path")).parent().expect("a folder").join("zstd/lib")
}

#[tokio::test]
async fn a_c_project_is_compiled_by_execute_calls() {
    let mut test = TestApp::open().await;
    test.start_runner(4, &[]).await;
    let remote = Remote::within(&test, INSTANCE);
    let compiler = on_path("gcc").display().to_string();
    let folder = sources().await;
    let mut tree = Tree::default();
    let mut units = Vec::new();
    for below in ["", "common", "compress", "decompress"] {
        for entry in
            std::fs::read_dir(folder.join(below)).expect("a folder").map(|entry| entry.expect("an entry").path())
        {
            let extension = entry.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if !["c", "h", "S"].contains(&extension) {
                continue;
            }
            let name = entry.strip_prefix(&folder).expect("below").to_str().expect("UTF-8").to_owned();
            let digest = remote.upload(&std::fs::read(&entry).expect("readable")).await;
            tree.files.insert(name.clone(), (digest, false));
            if extension == "c" {
                units.push(name);
            }
        }
    }
    assert!(units.len() > 20, "{units:?}");
    let (tree, units) = (&tree, &units);
    let compile = |unit: &String| {
        let (object, unit) = (unit.replace(".c", ".o"), unit.clone());
        let (test, remote, compiler) = (&test, &remote, &compiler);
        async move {
            let arguments = [compiler, "-O1", "-DZSTD_DISABLE_ASM", "-I.", "-c", &unit, "-o", &object];
            (object.clone(), output(&execute(test, remote, tree, &arguments, &[&object]).await))
        }
    };
    let objects: Vec<_> = futures::stream::iter(units.iter().map(compile)).buffer_unordered(JOBS).collect().await;
    let mut library = Tree::default();
    for (name, digest) in &objects {
        library.files.insert(name.clone(), (digest.clone(), false));
    }
    let names: Vec<&str> = objects.iter().map(|(name, _)| name.as_str()).collect();
    let archive = [&["/usr/bin/ar", "rcs", "libzstd.a"], &names[..]].concat();
    let archive = output(&execute(&test, &remote, &library, &archive, &["libzstd.a"]).await);
    let program = remote.upload(PROGRAM.as_bytes()).await;
    let whole = tree.with("libzstd.a", &archive).with("program.c", &program);
    let link = [&compiler, "-O1", "-I.", "program.c", "libzstd.a", "-o", "bin/program"];
    let program = output(&execute(&test, &remote, &whole, &link, &["bin/program"]).await);
    let run = Tree::default().with("program", &program);
    let ran = execute(&test, &remote, &run, &["./program"], &[]).await;
    assert_eq!(String::from_utf8_lossy(&ran.stdout_raw), "44 the same the same the same the same the same\n");
    test.close().await;
}
