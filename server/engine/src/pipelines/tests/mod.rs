//! The workflow language by tables: files to diagnostics, matrices to rows, jobs to what a runner gets.

mod arbitrary;
mod bad_files;
mod expressions;
mod inputs;
mod jobs;
mod matrix;
mod needs;
mod plan;
mod syntax;

use super::{Diagnostic, Workflow};

/// A job that is right, to be put under `jobs:`.
const JOB: &str = "  a:\n    runs-on: linux\n    steps:\n      - run: echo\n";

/// The diagnostics of a file named w.yml, as lines.
fn findings(bytes: impl AsRef<[u8]>) -> Vec<String> {
    let found = match Workflow::parse("w.yml", bytes.as_ref()) {
        Ok((_, warnings)) => warnings,
        Err(diagnostics) => diagnostics,
    };
    found.iter().map(Diagnostic::to_string).collect()
}

/// Asserts the diagnostics of each file, without the file's name in front.
#[track_caller]
fn table(rows: &[(&str, &[&str])]) {
    for (text, expected) in rows {
        let found = findings(text);
        let found: Vec<&str> = found.iter().map(|line| line.strip_prefix("w.yml:").unwrap_or(line)).collect();
        assert_eq!(found, *expected, "\n{text}");
    }
}

/// The same for texts that stand in one job of a file, from line 3 on and four columns to the right.
#[track_caller]
fn job_table(rows: &[(&str, &[&str])]) {
    for (text, expected) in rows {
        let indented = concat(text.lines().map(|line| format!("    {line}\n")));
        table(&[(&format!("jobs:\n  a:\n{indented}"), expected)]);
    }
}

#[track_caller]
fn parsed(text: &str) -> Workflow {
    match Workflow::parse("w.yml", text.as_bytes()) {
        Ok((workflow, _)) => workflow,
        Err(diagnostics) => panic!("{diagnostics:#?}"),
    }
}

fn concat(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().concat()
}
