//! Where the files of a run come from: what `--source` says, or what git knows of the folder of the workflow file.
//! Knows nothing of how a runner gets them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use millrace_proto::millrace::v1::Source;

use super::exit::CliError;

/// The source of a run and what is worth a warning about it.
#[derive(Debug, Default, PartialEq)]
pub struct Chosen {
    /// None: there is nothing to check out.
    pub source: Option<Source>,
    /// For standard error.
    pub warnings: Vec<String>,
}

/// What `--source` means: a folder, or a git address with an optional `#ref`.
pub fn given(text: &str, loopback: bool) -> Result<Chosen, CliError> {
    let path = Path::new(text);
    if path.is_dir() {
        let warnings = if loopback {
            Vec::new()
        } else {
            vec![format!("--source {text} is taken as a folder on the runner's machine")]
        };
        return Ok(Chosen { source: Some(directory(&absolute(path)?)), warnings });
    }
    let (url, git_ref) = text.rsplit_once('#').unwrap_or((text, ""));
    if looks_like_git(url) {
        return Ok(Chosen { source: Some(git(url, git_ref)), warnings: Vec::new() });
    }
    if !loopback && path.is_absolute() {
        return Ok(Chosen { source: Some(directory(path)), warnings: Vec::new() });
    }
    Err(CliError::usage(format!("--source {text}: neither a folder nor a git address"))
        .next("write a folder, or an address like https://host/repository.git#main"))
}

/// Without `--source`: for a server on this machine the git working tree around the workflow file as it is, else the
/// commit that is checked out there, from where it was cloned.
pub fn default_for(file: &Path, loopback: bool) -> Result<Chosen, CliError> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(top) = run_git(folder, &["rev-parse", "--show-toplevel"]) else {
        let warning = format!(
            "{} is not in a git repository: actions/checkout would find no files (--source names some)",
            file.display()
        );
        return Ok(Chosen { source: None, warnings: vec![warning] });
    };
    if loopback {
        return Ok(Chosen { source: Some(directory(&absolute(Path::new(&top))?)), warnings: Vec::new() });
    }
    Ok(commit_of(folder))
}

fn commit_of(folder: &Path) -> Chosen {
    let (Some(url), Some(commit)) =
        (run_git(folder, &["remote", "get-url", "origin"]), run_git(folder, &["rev-parse", "HEAD"]))
    else {
        let warning = "the repository has no remote `origin` that a runner could clone: actions/checkout would find no \
                       files (--source names some)";
        return Chosen { source: None, warnings: vec![warning.to_owned()] };
    };
    let mut warnings = Vec::new();
    if run_git(folder, &["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty()) {
        warnings.push("what is not committed is not in this run: the server is on another machine".to_owned());
    }
    if run_git(folder, &["branch", "--remotes", "--contains", &commit]).is_none_or(|branches| branches.is_empty()) {
        warnings
            .push(format!("commit {} is on no branch of `origin` yet; push it first", &commit[..12.min(commit.len())]));
    }
    Chosen { source: Some(git(&url, &commit)), warnings }
}

fn directory(path: &Path) -> Source {
    Source { directory: path.display().to_string(), ..Default::default() }
}

fn git(url: &str, git_ref: &str) -> Source {
    Source { git_url: url.to_owned(), git_ref: git_ref.to_owned(), ..Default::default() }
}

/// `scheme://...`, or `user@host:path` as git takes it for ssh.
fn looks_like_git(url: &str) -> bool {
    let is_scp = url.split_once(':').is_some_and(|(host, path)| host.contains('@') && !path.is_empty());
    url.contains("://") || is_scp
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path)
        .and_then(|path| path.canonicalize().map(|real| if cfg!(windows) { path } else { real }))
        .map_err(|error| CliError::usage(format!("{}: {error}", path.display())))
}

fn run_git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for arguments in [
            &["init", "--quiet"][..],
            &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--allow-empty", "-m", "x"],
        ] {
            run_git(folder.path(), arguments).expect("git works");
        }
        fs::create_dir(folder.path().join("ci")).unwrap();
        folder
    }

    #[test]
    fn a_folder_or_a_git_address() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().display().to_string();
        let real = folder.path().canonicalize().unwrap().display().to_string();
        assert_eq!(given(&text, true).unwrap().source.unwrap().directory, real);
        let source = given("https://host/repo.git#v1", true).unwrap().source.unwrap();
        assert_eq!((source.git_url.as_str(), source.git_ref.as_str()), ("https://host/repo.git", "v1"));
        let source = given("git@host:group/repo.git", true).unwrap().source.unwrap();
        assert_eq!((source.git_url.as_str(), source.git_ref.as_str()), ("git@host:group/repo.git", ""));
        assert!(given("no/such/folder", true).is_err());
        assert_eq!(given("/only/on/the/runner", false).unwrap().source.unwrap().directory, "/only/on/the/runner");
    }

    #[test]
    fn beside_the_server_the_working_tree_is_the_source() {
        let folder = repository();
        let chosen = default_for(&folder.path().join("ci/x.yml"), true).unwrap();
        let real = folder.path().canonicalize().unwrap().display().to_string();
        assert_eq!(chosen.source.unwrap().directory, real);
        assert!(chosen.warnings.is_empty());
    }

    #[test]
    fn elsewhere_the_commit_is_and_what_it_lacks_is_said() {
        let folder = repository();
        let file = folder.path().join("ci/x.yml");
        let chosen = default_for(&file, false).unwrap();
        assert!(chosen.source.is_none() && chosen.warnings[0].contains("no remote `origin`"), "{chosen:?}");
        run_git(folder.path(), &["remote", "add", "origin", "https://host/repo.git"]).unwrap();
        fs::write(&file, "x").unwrap();
        let chosen = default_for(&file, false).unwrap();
        assert_eq!(chosen.source.unwrap().git_url, "https://host/repo.git");
        assert_eq!(chosen.warnings.len(), 2, "{:?}", chosen.warnings);
    }

    #[test]
    fn outside_git_there_is_no_source_and_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let chosen = default_for(&folder.path().join("x.yml"), true).unwrap();
        assert!(chosen.source.is_none());
        assert!(chosen.warnings[0].contains("not in a git repository"));
    }
}
