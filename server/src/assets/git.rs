//! Git repositories: a commit or a branch is fetched by the `git` program into a bare repository that goes again, and its
//! tree walked. Before git is started, the repository is asked for by our own client, with all its checks, and git is
//! told to connect to the address that was checked and to follow no redirect. Submodules stay empty folders, filters
//! (LFS) and hooks don't run, nothing is checked out.

use millrace_engine::assets::{Brought, Fault, Landing, Qualifiers, Upstream, Violation, Wanted};
use url::Url;

use super::dial::{Dialer, shown};
use super::download::{Order, resolve};
use super::git_process::Git;
use super::git_tree;
use super::headers::headers_for;

/// What every server of git answers, below the repository's URL.
const PROBE: &str = "/info/refs";
/// The same with its query.
const PROBE_QUERY: &str = "service=git-upload-pack";
/// The longest name of a branch or a commit.
const NAME_MAX_BYTES: usize = 250;
/// Where what was fetched is in the bare repository.
const FETCHED: &str = "refs/fetched";

/// The revision that is wanted.
struct Revision<'a> {
    branch: Option<&'a str>,
    commit: Option<&'a str>,
}

/// Looks at `vcs.branch` and `vcs.commit`.
pub fn check(qualifiers: &Qualifiers) -> Vec<Violation> {
    let wrong = |name: &str| {
        let value = qualifiers.get(name)?;
        let description = format!("{name} {value:?} is no name of a branch or commit");
        (!is_name(value)).then(|| Violation { field: "qualifiers.value".into(), description })
    };
    ["vcs.branch", "vcs.commit"].into_iter().filter_map(wrong).collect()
}

/// Brings in a repository's tree.
pub async fn bring(
    dialer: &Dialer,
    wanted: &Wanted,
    index: usize,
    landing: &Landing,
    max_bytes: u64,
    below: &str,
) -> Result<Brought, Fault> {
    let uri = &wanted.uris[index];
    let url = Url::parse(uri).map_err(|error| Fault::upstream(Upstream::NotFound, format!("{uri:?}: {error}")))?;
    let headers = headers_for(&wanted.qualifiers, &wanted.uris, index)
        .map_err(|violation| Fault::upstream(Upstream::Aborted, violation.description))?;
    let mut probe = url.clone();
    probe.set_path(&format!("{}{PROBE}", url.path().trim_end_matches('/')));
    probe.set_query(Some(PROBE_QUERY));
    // git authenticates by itself with its own headers; those of the request go along.
    let order = Order { url: probe, headers: headers.clone(), integrity: None, max_bytes };
    let mut base = resolve(dialer, &order).await?;
    let path = base.path().strip_suffix(PROBE).map(ToOwned::to_owned);
    let Some(path) = path else {
        let message = format!("{}: redirects to what is no git repository", shown(&url));
        return Err(Fault::upstream(Upstream::Aborted, message));
    };
    base.set_path(&path);
    base.set_query(None);
    let headers = if base.origin() == url.origin() { headers } else { super::headers::without_secrets(&headers) };
    let addresses = dialer.addresses(&base).await?;
    let git = Git::new(&base, &addresses, &headers, max_bytes).await?;
    let revision =
        Revision { branch: wanted.qualifiers.get("vcs.branch"), commit: wanted.qualifiers.get("vcs.commit") };
    let commit = fetch(&git, &base, &revision).await?;
    git_tree::bring(&git, &commit, landing, max_bytes, below).await
}

/// Fetches a revision; the full name of its commit.
async fn fetch(git: &Git, base: &Url, revision: &Revision<'_>) -> Result<String, Fault> {
    match revision {
        Revision { branch: None, commit: None } => get(git, base, &["HEAD"], true).await?,
        Revision { branch: Some(branch), commit: None } => {
            get(git, base, &[&format!("refs/heads/{branch}")], true).await?;
        }
        Revision { branch: None, commit: Some(commit) } => {
            // Many servers give any commit by its full name. Else all that can be reached is searched for it.
            if !is_full(commit) || get(git, base, &[commit], true).await.is_err() {
                get(git, base, &["refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"], false).await?;
                return commit_named(git, commit).await;
            }
            return commit_named(git, commit).await;
        }
        Revision { branch: Some(branch), commit: Some(commit) } => {
            get(git, base, &[&format!("refs/heads/{branch}")], false).await?;
            let commit = commit_named(git, commit).await?;
            if git.run(&["merge-base", "--is-ancestor", &commit, FETCHED]).await.is_err() {
                let message = format!("the commit {commit} is not on the branch {branch}");
                return Err(Fault::upstream(Upstream::Aborted, message));
            }
            return Ok(commit);
        }
    }
    commit_named(git, FETCHED).await
}

async fn get(git: &Git, base: &Url, what: &[&str], shallow: bool) -> Result<(), Fault> {
    let one = what.len() == 1;
    let refspecs = what.iter().map(|what| if one { format!("+{what}:{FETCHED}") } else { format!("+{what}") });
    let refspecs: Vec<_> = refspecs.collect();
    let mut arguments = vec!["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"];
    if shallow {
        arguments.push("--depth=1");
    }
    arguments.extend(["--", base.as_str()]);
    arguments.extend(refspecs.iter().map(String::as_str));
    git.run(&arguments).await.map(|_| ())
}

/// The full name of the commit that a name means here.
async fn commit_named(git: &Git, name: &str) -> Result<String, Fault> {
    let wanted = format!("{name}^{{commit}}");
    let found = git.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).await;
    let Ok(found) = found else {
        return Err(Fault::upstream(Upstream::NotFound, format!("the repository has no commit {name:?}")));
    };
    Ok(String::from_utf8_lossy(&found).trim().to_owned())
}

/// Whether this is the whole hash of a commit.
fn is_full(commit: &str) -> bool {
    matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What git lets a branch be called, and nothing that means more than a name.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b'+' | b'#' | b'=' | b'%' | b',')
    };
    !name.is_empty()
        && name.len() <= NAME_MAX_BYTES
        && name.bytes().all(allowed)
        && !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("//")
        && !name.contains("/.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_nothing_else() {
        for name in ["main", "release/1.0", "v1.2.3", "b5123b1bb2853393c7b9aa43236db924d7e32d61", "fix#12", "a-b_c"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "-u",
            "--upload-pack=x",
            "a b",
            "a..b",
            "HEAD~1",
            "a^",
            "a:b",
            "+a:b",
            "*",
            "@{0}",
            "/a",
            "a/",
            "a//b",
            "a/.b",
            ".a",
            "a\n",
            &"x".repeat(251),
        ] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(is_full("b5123b1bb2853393c7b9aa43236db924d7e32d61") && !is_full("main") && !is_full("b5123b1"));
    }
}
