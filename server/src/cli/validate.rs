//! `millrace validate FILE`: what the server has to say about a workflow file, as `file:line:column: error: ...`.

use std::path::{Path, PathBuf};

use clap::Args;
use millrace_proto::millrace::v1::{Diagnostic, ValidateRequest, ValidateResponse, diagnostic::Severity};

use super::{
    client::{Server, ServerArgs},
    exit::{CliError, Exit},
    output::Output,
    run::read_workflow,
};

/// Arguments of `millrace validate`.
#[derive(Args, Debug)]
pub struct ValidateArgs {
    /// The workflow file; - reads standard input
    pub file: PathBuf,
    /// The server's answer as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What a check found.
pub struct Checked {
    /// A run of it can be started.
    pub valid: bool,
    /// A line for each thing found.
    pub lines: Vec<String>,
    answer: ValidateResponse,
}

/// Checks a workflow file.
pub async fn validate(args: ValidateArgs) -> Result<Exit, CliError> {
    let server = Server::new(&args.server)?;
    let workflow = read_workflow(&args.file)?;
    let checked = check(&server, &args.file, &workflow).await?;
    let mut output = Output::stdout();
    if args.json {
        output.json(&serde_json::to_value(&checked.answer).unwrap_or_default())?;
    } else {
        for line in &checked.lines {
            output.line(line)?;
        }
        if checked.valid {
            let jobs = checked.answer.jobs.len();
            let plural = if jobs == 1 { "" } else { "s" };
            output.line(&format!("{}: valid, {jobs} job{plural}", args.file.display()))?;
        }
    }
    output.flush()?;
    Ok(if checked.valid { Exit::Success } else { Exit::Usage })
}

/// Asks the server about a workflow.
pub async fn check(server: &Server, file: &Path, workflow: &str) -> Result<Checked, CliError> {
    let file_name = file.display().to_string();
    let request = ValidateRequest { workflow: workflow.to_owned(), file_name: file_name.clone(), ..Default::default() };
    let answer = server.pipelines().validate(request).await.map_err(|error| server.explain(&error))?.into_owned();
    let lines = answer.diagnostics.iter().map(|diagnostic| line(diagnostic, &file_name)).collect();
    Ok(Checked { valid: answer.valid, lines, answer })
}

/// As compilers write it, so that editors find the place.
fn line(diagnostic: &Diagnostic, file_name: &str) -> String {
    let severity = match diagnostic.severity.as_known() {
        Some(Severity::Warning) => "warning",
        Some(Severity::Error | Severity::Unspecified) | None => "error",
    };
    let file = if diagnostic.file.is_empty() { file_name } else { &diagnostic.file };
    let mut text = format!("{file}:{}:{}: {severity}: {}", diagnostic.line, diagnostic.column, diagnostic.message);
    if !diagnostic.suggestion.is_empty() {
        text = format!("{text} (did you mean `{}`?)", diagnostic.suggestion);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_read_like_a_compilers() {
        let diagnostic = Diagnostic {
            severity: Severity::Error.into(),
            line: 7,
            column: 3,
            message: "unknown key `step`".to_owned(),
            suggestion: "steps".to_owned(),
            ..Default::default()
        };
        assert_eq!(line(&diagnostic, "ci.yml"), "ci.yml:7:3: error: unknown key `step` (did you mean `steps`?)");
        let warning = Diagnostic { severity: Severity::Warning.into(), suggestion: String::new(), ..diagnostic };
        assert_eq!(line(&warning, "ci.yml"), "ci.yml:7:3: warning: unknown key `step`");
    }
}
