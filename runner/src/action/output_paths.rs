//! The paths that a command names, relative to the input root: what it may write, and where it starts. Pure; knows
//! nothing of what is there.

use std::collections::HashSet;

use millrace_proto::reapi::Command;

use super::directories::check_name;
use super::error::{ActionError, Result};

/// The most outputs of one command.
pub const OUTPUTS_MAX: usize = 100_000;

/// An output that may be there when the command has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPath {
    /// As the command names it; so it is called in the result.
    pub asked: String,
    /// From the input root, with slashes between names; empty for the root itself.
    pub path: String,
    /// Whether it is expected to be a directory; only the older fields say.
    pub directory: bool,
}

/// The outputs of a command, each once: `output_paths`, or the two older fields when there are none in it.
pub fn outputs(command: &Command) -> Result<Vec<OutputPath>> {
    let root = working_directory(command)?;
    let mut fields = vec![("command.output_paths", &command.output_paths, false)];
    if command.output_paths.is_empty() {
        fields = vec![
            ("command.output_files", &command.output_files, false),
            ("command.output_directories", &command.output_directories, true),
        ];
    }
    let count: usize = fields.iter().map(|(_, paths, _)| paths.len()).sum();
    if count > OUTPUTS_MAX {
        return Err(ActionError::invalid(fields[0].0, format!("{count} outputs; the limit is {OUTPUTS_MAX}")));
    }
    let (mut seen, mut outputs) = (HashSet::with_capacity(count), Vec::with_capacity(count));
    for (field, paths, directory) in fields {
        for asked in paths {
            let path = join(field, &root, asked)?;
            if seen.insert(asked) {
                outputs.push(OutputPath { asked: asked.clone(), path, directory });
            }
        }
    }
    Ok(outputs)
}

/// Where a command starts, from the input root.
pub fn working_directory(command: &Command) -> Result<String> {
    join("command.working_directory", "", &command.working_directory)
}

/// Where a path is from another one; it may go up as long as it stays below the root.
fn join(field: &str, from: &str, path: &str) -> Result<String> {
    let bad = |why: &str| Err(ActionError::invalid(field, format!("{path:?}: {why}")));
    if path.starts_with('/') {
        return bad("it has to be relative");
    }
    let mut names: Vec<_> = from.split('/').filter(|name| !name.is_empty()).collect();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                if names.pop().is_none() {
                    return bad("it leads out of the input root");
                }
            }
            name => {
                if let Err(why) = check_name(name) {
                    return bad(why);
                }
                names.push(name);
            }
        }
    }
    Ok(names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(from: &str, paths: &[&str]) -> Command {
        let output_paths = paths.iter().map(ToString::to_string).collect();
        Command { working_directory: from.into(), output_paths, ..Command::default() }
    }

    #[test]
    fn paths_stay_below_the_root_and_keep_their_spelling() {
        let paths = ["out", "a/b", "../../../install", "", ".", "a//b/", "a/../c"];
        let found = outputs(&command("w/x/y", &paths)).expect("good paths");
        let real: Vec<_> = found.iter().map(|output| output.path.as_str()).collect();
        assert_eq!(real, ["w/x/y/out", "w/x/y/a/b", "install", "w/x/y", "w/x/y", "w/x/y/a/b", "w/x/y/c"]);
        let asked: Vec<_> = found.iter().map(|output| output.asked.as_str()).collect();
        assert_eq!(asked, paths);
    }

    #[test]
    fn paths_that_leave_the_root_are_refused_with_their_field() {
        for bad in ["/etc/passwd", "../../../../x", "..", "a/../../b", "a\0b"] {
            let from = if bad.starts_with("../../") { "w/x/y" } else { "" };
            let error = outputs(&command(from, &[bad])).expect_err(bad);
            assert!(error.to_string().starts_with("command.output_paths: "), "{error}");
        }
        for bad in ["/", "..", "a/../.."] {
            let error = outputs(&command(bad, &["x"])).expect_err(bad);
            assert!(error.to_string().starts_with("command.working_directory: "), "{error}");
        }
    }

    #[test]
    fn output_paths_go_before_the_older_fields() {
        let mut older = command("", &[]);
        older.output_files = vec!["f".into(), "f".into()];
        older.output_directories = vec!["d".into()];
        let kinds: Vec<_> = outputs(&older).unwrap().into_iter().map(|out| (out.path, out.directory)).collect();
        assert_eq!(kinds, [("f".to_owned(), false), ("d".to_owned(), true)]);
        older.output_paths = vec!["p".into()];
        assert_eq!(outputs(&older).unwrap().len(), 1);
    }
}
