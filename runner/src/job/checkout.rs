//! The built-in `actions/checkout`: the run's files into the workspace. Knows nothing of how a folder is copied or a
//! repository cloned.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use millrace_proto::task_content::{Source, Uses};

use super::action::{Performed, is_below};
use super::environment::Environment;
use super::run::Job;
use super::{checkout_directory, checkout_git};
use crate::logs::LogWriter;

/// The name it is used by.
pub const CHECKOUT: &str = "actions/checkout";
/// The inputs that mean something here.
const INPUTS: &[&str] = &["path", "ref", "fetch-depth"];
/// Inputs of GitHub's that change nothing here: no token is ever left behind, and a workspace is always fresh.
const WITHOUT_EFFECT: &[&str] = &["clean", "persist-credentials", "set-safe-directory", "show-progress"];

/// Where to, and what of it.
pub struct Wanted {
    /// The folder, in the workspace.
    pub folder: PathBuf,
    /// Branch, tag or commit; empty: the run's own.
    pub reference: String,
    /// How many commits of history; 0: all.
    pub depth: u32,
}

/// Carries out the built-in that is named.
pub async fn perform(
    job: &mut Job,
    uses: &Uses,
    environment: &Environment,
    mut log: LogWriter,
) -> (LogWriter, Performed) {
    let inputs = evaluate(job, uses);
    log.say(&format!("##[group]Run {}", uses.name)).await;
    if let Ok(inputs) = &inputs
        && !inputs.is_empty()
    {
        log.say("with:").await;
        for (name, value) in inputs {
            log.say(&format!("  {name}: {value}")).await;
        }
    }
    log.say("##[endgroup]").await;
    let wanted = inputs.and_then(|inputs| wanted(job, uses, &inputs));
    let (mut log, performed) = match (wanted, job.content.source.clone()) {
        (Err(error), _) => (log, Performed::failure(error)),
        (Ok(_), None) => (log, Performed::failure("this run has no source to check out")),
        (Ok(wanted), Some(Source::Directory(from))) => {
            checkout_directory::perform(job, &wanted, &from, environment, log).await
        }
        (Ok(wanted), Some(Source::Git { url, r#ref })) => {
            let reference = if wanted.reference.is_empty() { r#ref } else { wanted.reference.clone() };
            checkout_git::perform(job, &wanted, &url, &reference, environment, log).await
        }
    };
    if !performed.is_success() {
        log.error(performed.message()).await;
    }
    (log, performed)
}

fn evaluate(job: &Job, uses: &Uses) -> Result<BTreeMap<String, String>, String> {
    let evaluated = uses.with.iter().map(|(name, template)| match job.contexts.text(template) {
        Ok(value) => Ok((name.clone(), value)),
        Err(error) => Err(format!("with: {name}: {error}")),
    });
    evaluated.collect()
}

fn wanted(job: &Job, uses: &Uses, inputs: &BTreeMap<String, String>) -> Result<Wanted, String> {
    if uses.name != CHECKOUT {
        return Err(format!("uses: `{}` is not built into this runner; `{CHECKOUT}` is", uses.name));
    }
    if let Some(name) =
        inputs.keys().find(|name| !INPUTS.contains(&name.as_str()) && !WITHOUT_EFFECT.contains(&name.as_str()))
    {
        return Err(format!("with: `{name}` is not supported; {} are", INPUTS.join(", ")));
    }
    let text = |name: &str| inputs.get(name).map(|value| value.trim()).unwrap_or_default();
    let depth = match text("fetch-depth") {
        "" => 1,
        number => number.parse().map_err(|_| format!("with: fetch-depth: `{number}` is not a number from 0"))?,
    };
    let folder = inside(&job.folders.workspace, text("path"))?;
    Ok(Wanted { folder, reference: text("ref").to_owned(), depth })
}

/// The folder for `path`, if it is in the workspace.
fn inside(workspace: &Path, path: &str) -> Result<PathBuf, String> {
    let relative = Path::new(path);
    let folder = workspace.join(relative);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if plain && is_below(workspace, &folder) {
        Ok(folder)
    } else {
        Err(format!("with: path: `{path}` is not in the workspace"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_workspace() {
        let folder = tempfile::tempdir().expect("a folder");
        let workspace = folder.path().join("w");
        std::fs::create_dir_all(workspace.join("sub")).expect("makes");
        for path in ["", ".", "sub", "new/deep"] {
            assert!(inside(&workspace, path).is_ok(), "{path}");
        }
        for path in ["..", "sub/../..", "/etc", "../w2"] {
            assert!(inside(&workspace, path).is_err(), "{path}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/tmp", workspace.join("link")).expect("links");
            assert!(inside(&workspace, "link/x").is_err());
        }
    }
}
