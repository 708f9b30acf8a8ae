//! actions/checkout: the working tree as it is, another folder whole, a repository by git, and nothing by trickery.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use millrace_proto::task_content::{Action, Source, TaskContent, Uses};

use crate::fixture::{Fixture, folder, sh, task};

fn checkout(with: &[(&str, &str)]) -> Action {
    let with = with.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
    Action {
        name: "checkout".to_owned(),
        condition: true,
        uses: Some(Uses { name: "actions/checkout".to_owned(), with }),
        ..Default::default()
    }
}

fn with_source(source: Source, actions: Vec<Action>) -> TaskContent {
    TaskContent { source: Some(source), ..task(actions) }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]);
    let output = command.args(arguments).current_dir(folder).output().expect("git runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Committed, changed, deleted, new and ignored files.
fn dirty_tree() -> tempfile::TempDir {
    let folder = folder();
    let path = folder.path();
    git(path, &["init", "-q", "."]);
    std::fs::create_dir(path.join("sub")).expect("makes");
    for (name, text) in [("kept", "kept"), ("changed", "old"), ("deleted", "x"), (".gitignore", "ignored\n")] {
        std::fs::write(path.join(name), text).expect("writes");
    }
    std::fs::write(path.join("sub/run me.sh"), "echo it runs").expect("writes");
    git(path, &["add", "."]);
    git(path, &["update-index", "--chmod=+x", "sub/run me.sh"]);
    git(path, &["commit", "-q", "-m", "one"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path.join("sub/run me.sh"), executable).expect("sets");
        symlink("sub/run me.sh", path.join("link")).expect("links");
    }
    std::fs::write(path.join("changed"), "new").expect("writes");
    std::fs::remove_file(path.join("deleted")).expect("removes");
    std::fs::write(path.join("untracked"), "u").expect("writes");
    std::fs::write(path.join("ignored"), "i").expect("writes");
    folder
}

const LOOK: &str = "find . -not -name . | sort; cat changed; echo; test -x 'sub/run me.sh'; readlink link; sh ./link";

#[tokio::test(flavor = "multi_thread")]
async fn a_dirty_work_tree_as_it_is() {
    let (fixture, source) = (Fixture::start().await, dirty_tree());
    let path = source.path().to_string_lossy().into_owned();
    let job = with_source(Source::Directory(path), vec![checkout(&[]), sh(LOOK)]);
    assert_eq!(fixture.run(&job).await.state, "success");
    let found = fixture.server.texts(&job.tx_uuid, 1);
    let expected = [
        "./.gitignore",
        "./changed",
        "./kept",
        "./link",
        "./sub",
        "./sub/run me.sh",
        "./untracked",
        "new",
        "sub/run me.sh",
        "it runs",
    ];
    assert_eq!(found, expected);
    let log = fixture.server.texts(&job.tx_uuid, 0);
    assert!(log[0].starts_with("Copied 6 files (0.0 MiB) of the git work tree"), "{log:?}");
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_folder_whole_and_into_a_path() {
    let (fixture, source) = (Fixture::start().await, folder());
    std::fs::create_dir_all(source.path().join("a/empty")).expect("makes");
    std::fs::write(source.path().join("a/file"), "x").expect("writes");
    let source_path = source.path().to_string_lossy().into_owned();
    let job = with_source(
        Source::Directory(source_path),
        vec![checkout(&[("path", "${{ env.WHERE }}/deep")]), sh("find . -not -name . | sort")],
    );
    let job = TaskContent { env: BTreeMap::from([("WHERE".to_owned(), "to".to_owned())]), ..job };
    assert_eq!(fixture.run(&job).await.state, "success");
    let found = fixture.server.texts(&job.tx_uuid, 1);
    assert_eq!(found, ["./to", "./to/deep", "./to/deep/a", "./to/deep/a/empty", "./to/deep/a/file"]);
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runners_own_folder_is_not_copied_into_itself() {
    let source = folder();
    std::fs::write(source.path().join("file"), "x").expect("writes");
    let mut fixture = Fixture::start_with(|config| config.data = source.path().join("data")).await;
    let path = source.path().to_string_lossy().into_owned();
    let job = with_source(Source::Directory(path), vec![checkout(&[]), sh("ls -A")]);
    assert_eq!(fixture.run(&job).await.state, "success");
    assert_eq!(fixture.server.texts(&job.tx_uuid, 1), ["file"]);
    fixture.shutdown.drain();
    fixture.ended().await.expect("ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_by_branch_commit_and_depth() {
    let (fixture, source) = (Fixture::start().await, dirty_tree());
    let path = source.path();
    let first = git(path, &["rev-parse", "HEAD"]);
    git(path, &["commit", "-q", "-a", "-m", "two"]);
    git(path, &["branch", "side", &first]);
    let url = path.to_string_lossy().into_owned();
    let source = |reference: &str| Source::Git { url: url.clone(), r#ref: reference.to_owned() };
    let count = "git rev-list --count HEAD; git log -1 --format=%s";
    for (reference, with, expected) in [
        ("", vec![], ["1", "two"]),
        ("", vec![("fetch-depth", "0")], ["2", "two"]),
        ("side", vec![], ["1", "one"]),
        (first.as_str(), vec![], ["1", "one"]),
        ("", vec![("ref", "side")], ["1", "one"]),
    ] {
        let job = with_source(source(reference), vec![checkout(&with), sh(count)]);
        let finished = fixture.run(&job).await;
        assert_eq!(finished.state, "success", "{reference} {with:?} {:?}", fixture.server.texts(&job.tx_uuid, 0));
        assert_eq!(fixture.server.texts(&job.tx_uuid, 1), expected, "{reference} {with:?}");
    }
    fixture.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trickery_is_refused() {
    let (fixture, source) = (Fixture::start().await, folder());
    let directory = Source::Directory(source.path().to_string_lossy().into_owned());
    let git = |url: &str, reference: &str| Source::Git { url: url.to_owned(), r#ref: reference.to_owned() };
    let cases = [
        (directory.clone(), checkout(&[("path", "../out")]), "path: `../out` is not in the workspace"),
        (directory.clone(), checkout(&[("path", "/tmp")]), "is not in the workspace"),
        (directory.clone(), checkout(&[("lfs", "true")]), "with: `lfs` is not supported"),
        (directory, checkout(&[("fetch-depth", "x")]), "fetch-depth"),
        (Source::Directory("/no/such/folder".to_owned()), checkout(&[]), "is not a folder"),
        (git("ext::sh -c 'touch /tmp/x'", ""), checkout(&[]), "not one of https"),
        (git("--upload-pack=touch /tmp/x", ""), checkout(&[]), "not an address"),
        (git("/srv/a", "--exec=x"), checkout(&[]), "is not the name of a branch"),
        (git("/no/such/repository", ""), checkout(&[]), "git fetch failed"),
    ];
    for (source, action, expected) in cases {
        let job = with_source(source, vec![action]);
        let finished = fixture.run(&job).await;
        assert_eq!(finished.state, "failure", "{expected}");
        assert!(finished.message.contains(expected), "{expected}: {}", finished.message);
    }
    let job = task([checkout(&[])]);
    assert!(fixture.run(&job).await.message.contains("no source"));
    fixture.finish().await;
}
