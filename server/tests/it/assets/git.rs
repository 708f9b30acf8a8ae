//! FetchDirectory of git repositories, served by git's own program for web servers.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tonic::Code;

use super::upstream::{Reply, Request, Upstream, reply};
use super::{code, fetch_directory, listing, server};

/// Runs git in a folder.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let out = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("git runs");
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Answers as git's program does.
fn backend(root: &Path, request: &Request) -> Reply {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for (name, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.headers.get(name) {
            command.env(variable, value);
        }
    }
    let mut child = command.spawn().expect("git runs");
    child.stdin.take().expect("a pipe").write_all(&request.body).expect("taken");
    let out = child.wait_with_output().expect("it ends").stdout;
    let split = out.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&out[..split]).into_owned();
    let headers: Vec<_> = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let status = headers.iter().find(|(name, _)| *name == "Status").map_or("200 OK", |(_, value)| value);
    let rest: Vec<_> = headers.iter().copied().filter(|(name, _)| *name != "Status").collect();
    reply(status, &rest, &out[split + 4..])
}

#[tokio::test(flavor = "multi_thread")]
async fn point_33_repositories_become_directories() {
    let test = server().await;
    let work = test.scratch().join("repositories/project.git");
    std::fs::create_dir_all(work.join("sub")).expect("a folder");
    git(&work, &["init", "--quiet"]);
    std::fs::write(work.join("README"), "one").expect("written");
    std::fs::write(work.join("sub/tool"), "tool").expect("written");
    std::os::unix::fs::symlink("sub/tool", work.join("link")).expect("a link");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(work.join("sub/tool"), executable).expect("changed");
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "one"]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    git(&work, &["switch", "--quiet", "-c", "other"]);
    std::fs::write(work.join("README"), "two").expect("written");
    git(&work, &["commit", "--quiet", "-am", "two"]);
    git(&work, &["tag", "v2"]);
    let second = git(&work, &["rev-parse", "HEAD"]);
    git(&work, &["switch", "--quiet", "main"]);
    let root = test.scratch().join("repositories");
    let upstream = Upstream::start(move |request| match request.target.strip_prefix("/moved") {
        Some(rest) => reply("301 Moved Permanently", &[("location", rest)], b""),
        None => backend(&root, request),
    })
    .await;
    let url = upstream.url("/project.git/.git");
    let all = ["README", "link -> sub/tool", "sub/tool*"];
    let mut roots = Vec::new();
    for pairs in [
        &[("resource_type", "application/x-git")][..],
        &[("vcs.branch", "main")],
        &[("vcs.commit", &first)],
        &[("vcs.commit", &first[..10])],
        &[("vcs.branch", "other"), ("vcs.commit", &first)],
        &[("vcs.branch", "other")],
        &[("vcs.commit", "v2")],
        &[("vcs.commit", &second), ("http_header:X-Test", "yes")],
    ] {
        let found = fetch_directory(&test, &url, pairs).await.expect("an answer");
        assert_eq!(code(found.status.as_ref()), Code::Ok, "{pairs:?}: {:?}", found.status);
        let root = found.root_directory_digest.expect("a root");
        assert_eq!(listing(&test, &root).await, all, "{pairs:?}");
        roots.push(root);
    }
    assert!(roots[..5].iter().all(|root| *root == roots[0]) && roots[5..].iter().all(|root| *root == roots[5]));
    assert_ne!(roots[0], roots[5]);
    assert!(upstream.seen().iter().any(|one| one.method == "POST" && one.headers.contains_key("x-test")));
    let moved = upstream.url("/moved/project.git/.git");
    let found = fetch_directory(&test, &moved, &[("vcs.branch", "main"), ("directory", "sub")]).await.expect("found");
    assert_eq!(listing(&test, &found.root_directory_digest.expect("a root")).await, ["tool*"]);
    for (pairs, expected) in [
        (&[("vcs.branch", "nothing")][..], Code::NotFound),
        (&[("vcs.commit", "nothing")], Code::NotFound),
        (&[("vcs.branch", "main"), ("vcs.commit", &second)], Code::NotFound),
    ] {
        let failed = fetch_directory(&test, &url, pairs).await.expect("an answer");
        assert_eq!(code(failed.status.as_ref()), expected, "{pairs:?}: {:?}", failed.status);
    }
    for pair in [("vcs.branch", "--upload-pack=touch x"), ("vcs.commit", "-x"), ("checksum.sri", "sha256-x")] {
        let pairs = [pair, ("resource_type", "application/x-git")];
        let refused = fetch_directory(&test, &url, &pairs).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{pair:?}");
    }
    let none = fetch_directory(&test, &upstream.url("/none.git"), &[]).await.expect("an answer");
    assert_eq!(code(none.status.as_ref()), Code::NotFound);
    test.close().await;
}
