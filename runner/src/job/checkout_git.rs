//! The source is a git repository: fetches one commit, by default without history, and checks it out. Addresses and
//! refs come from people: none can be taken for an option or for a program to run. Knows nothing of folders on this
//! machine.

use std::path::Path;

use tokio::process::Command;

use super::action::Performed;
use super::checkout::Wanted;
use super::environment::Environment;
use super::process::ProcessEnd;
use super::run::Job;
use super::shell::find_program;
use crate::logs::LogWriter;
use crate::platform::Ended;

/// The transports that git may use.
const TRANSPORTS: &str = "https:http:ssh:git:file";
/// The longest address or ref.
pub const GIT_ARGUMENT_MAX_BYTES: usize = 4096;

/// Fetches and checks out.
pub async fn perform(
    job: &mut Job,
    wanted: &Wanted,
    url: &str,
    reference: &str,
    environment: &Environment,
    log: LogWriter,
) -> (LogWriter, Performed) {
    if let Err(error) = check_url(url).and_then(|()| check_reference(reference)) {
        return (log, Performed::failure(error));
    }
    let Some(git) = find_program("git", environment, &wanted.folder) else {
        return (log, Performed::failure("git was not found in the job's PATH on this runner"));
    };
    if let Err(error) = std::fs::create_dir_all(&wanted.folder) {
        return (log, Performed::failure(format!("{}: {error}", wanted.folder.display())));
    }
    let reference = if reference.is_empty() { "HEAD" } else { reference };
    let depth = format!("--depth={}", wanted.depth);
    let mut fetch = vec!["fetch", "--no-tags", "--no-recurse-submodules", "--force"];
    if wanted.depth > 0 {
        fetch.push(&depth);
    }
    fetch.extend(["--", url, reference]);
    let mut run = Run { job, git: &git, folder: &wanted.folder, environment };
    let (log, performed) = run.git(&["init", "--quiet", "."], log).await;
    if !performed.is_success() {
        return (log, performed);
    }
    let (mut log, mut performed) = run.git(&fetch, log).await;
    if !performed.is_success() && is_commit(reference) && run.job.stop.now() == super::Stop::No {
        // Many servers give no single commits: fetch all that has a name, and the commit is among it.
        log.say(&format!("The server does not give the single commit {reference}: fetching all branches and tags"))
            .await;
        let all = ["fetch", "--force", "--tags", "--", url, "+refs/heads/*:refs/remotes/origin/*"];
        (log, performed) = run.git(&all, log).await;
        if performed.is_success() {
            return run.git(&["checkout", "--quiet", "--force", "--detach", reference, "--"], log).await;
        }
    }
    if !performed.is_success() {
        return (log, performed);
    }
    run.git(&["checkout", "--quiet", "--force", "--detach", "FETCH_HEAD", "--"], log).await
}

struct Run<'r> {
    job: &'r mut Job,
    git: &'r Path,
    folder: &'r Path,
    environment: &'r Environment,
}

impl Run<'_> {
    async fn git(&mut self, arguments: &[&str], log: LogWriter) -> (LogWriter, Performed) {
        let mut command = Command::new(self.git);
        command.args(["-c", "protocol.ext.allow=never", "-c", "protocol.version=2", "-c", "advice.detachedHead=false"]);
        command.args(arguments).current_dir(self.folder).env_clear().envs(self.environment.iter());
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ALLOW_PROTOCOL", TRANSPORTS);
        let (log, end) = self.job.processes.run(command, log, None).await;
        let performed = match end {
            Ok(ProcessEnd::Itself(Ended::Code(0))) => Performed::success(),
            Ok(ProcessEnd::Itself(Ended::Code(code))) => {
                Performed::failure(format!("git {} failed with exit code {code}", arguments[0]))
            }
            Ok(ProcessEnd::Itself(Ended::Signal(signal))) => {
                Performed::failure(format!("git {} was ended by signal {signal}", arguments[0]))
            }
            Ok(ProcessEnd::Stopped | ProcessEnd::TimedOut) => Performed::cancelled("stopped while fetching"),
            Err(error) => Performed::failure(format!("git could not be started: {error}")),
        };
        (log, performed)
    }
}

fn check_url(url: &str) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("the source `{}`: {why}", url.escape_debug()));
    if url.is_empty() || url.len() > GIT_ARGUMENT_MAX_BYTES {
        return wrong(&format!("it must have 1 to {GIT_ARGUMENT_MAX_BYTES} bytes"));
    }
    if url.starts_with('-') || url.chars().any(char::is_control) {
        return wrong("not an address");
    }
    // `transport::address` runs a program of the name git-remote-transport.
    let scheme = url.find("://").map(|at| &url[..at]);
    let before_slash = url.split('/').next().unwrap_or_default();
    if before_slash.contains("::") || scheme.is_some_and(|scheme| !TRANSPORTS.split(':').any(|known| known == scheme)) {
        return wrong(&format!("not one of {}", TRANSPORTS.replace(':', ", ")));
    }
    // `ssh://-oProxyCommand=..` and `-o..@host:path` once ran programs.
    let host = scheme.map_or(before_slash, |scheme| url[scheme.len() + 3..].split('/').next().unwrap_or_default());
    if host.starts_with('-') || host.rsplit('@').next().is_some_and(|host| host.starts_with('-')) {
        return wrong("the host begins with `-`");
    }
    Ok(())
}

fn check_reference(reference: &str) -> Result<(), String> {
    let bad = |character: char| character.is_control() || " ~^:?*[\\".contains(character);
    if reference.len() > GIT_ARGUMENT_MAX_BYTES
        || reference.starts_with(['-', '+'])
        || reference.contains("..")
        || reference.contains(bad)
    {
        return Err(format!("ref: `{}` is not the name of a branch, tag or commit", reference.escape_debug()));
    }
    Ok(())
}

fn is_commit(reference: &str) -> bool {
    matches!(reference.len(), 40 | 64) && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for url in ["https://host/a.git", "ssh://git@host:22/a", "git@host:a/b.git", "/srv/a", "file:///srv/a", "C:\\a"]
        {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in
            ["", "-u", "--upload-pack=x", "ext::sh -c x", "foo::bar", "ftp://h/a", "ssh://-oProxyCommand=x/a", "u@-h:a"]
        {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn references() {
        for reference in ["", "main", "v1.0", "refs/pull/1/head", "feature/a-b"] {
            assert_eq!(check_reference(reference), Ok(()), "{reference}");
        }
        for reference in ["-x", "+main", "a:b", "a..b", "a b", "a\nb", "a~1", "*"] {
            assert!(check_reference(reference).is_err(), "{reference}");
        }
    }
}
