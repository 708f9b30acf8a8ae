//! `millrace runs`: the newest runs, a line each.

use clap::Args;
use millrace_proto::millrace::v1::{ListRunsRequest, Run};

use super::{
    client::{Server, ServerArgs},
    exit::{CliError, Exit},
    output::{Output, say},
    state::{between, human, known, millis, paint, sign, utc, word},
};

/// The most runs that the server puts into one page.
const PAGE_MAX: u32 = 500;

/// Arguments of `millrace runs`.
#[derive(Args, Debug)]
pub struct RunsArgs {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    pub lines: u32,
    /// Only this project's
    #[arg(long, default_value = "")]
    pub project: String,
    /// As a JSON array, as the API has them
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Lists runs, newest first.
pub async fn runs(args: RunsArgs) -> Result<Exit, CliError> {
    let server = Server::new(&args.server)?;
    let (runs, more) = list(&server, &args).await?;
    let mut output = Output::stdout();
    if args.json {
        output.json(&serde_json::to_value(&runs).unwrap_or_default())?;
        output.flush()?;
        return Ok(Exit::Success);
    }
    for run in &runs {
        let text = row(run, output.colour());
        output.line(&text)?;
    }
    output.flush()?;
    if runs.is_empty() {
        say("no runs yet; start one with `millrace run FILE`");
    } else if more {
        say(&format!("there are more; -n {} shows them", args.lines.saturating_mul(2)));
    }
    Ok(Exit::Success)
}

async fn list(server: &Server, args: &RunsArgs) -> Result<(Vec<Run>, bool), CliError> {
    let mut runs = Vec::new();
    let mut page_token = String::new();
    loop {
        let missing = args.lines - u32::try_from(runs.len()).unwrap_or(u32::MAX).min(args.lines);
        if missing == 0 {
            return Ok((runs, !page_token.is_empty()));
        }
        let request = ListRunsRequest {
            project: args.project.clone(),
            page_size: missing.min(PAGE_MAX),
            page_token,
            ..Default::default()
        };
        let answer = server.pipelines().list_runs(request).await.map_err(|error| server.explain(&error))?.into_owned();
        runs.extend(answer.runs);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok((runs, false));
        }
    }
}

fn row(run: &Run, colour: bool) -> String {
    let state = known(run.state);
    let state_text = paint(state, &format!("{} {:<9}", sign(state), word(state)), colour);
    let created = run.created_at.as_option().map_or_else(|| "-".to_owned(), |time| utc(millis(time)));
    let time = between(run.created_at.as_option(), run.finished_at.as_option())
        .map_or_else(|| format!("{}/{} jobs", run.jobs_done, run.jobs_total), human);
    let number = if run.attempt > 1 { format!("#{}.{}", run.number, run.attempt) } else { format!("#{}", run.number) };
    let name = if run.name.is_empty() { &run.file_name } else { &run.name };
    format!("{number:<7} {state_text} {time:>12}  {created}  {}  {name}", run.id)
}

#[cfg(test)]
mod tests {
    use buffa_types::google::protobuf::Timestamp;
    use millrace_proto::millrace::v1::State;

    use super::*;

    #[test]
    fn a_row_says_what_became_of_a_run() {
        let run = Run {
            id: "019a".to_owned(),
            number: 12,
            attempt: 2,
            name: "hello".to_owned(),
            state: State::Success.into(),
            created_at: Timestamp::from_unix_secs(0).into(),
            finished_at: Timestamp::from_unix_secs(3).into(),
            ..Default::default()
        };
        assert_eq!(row(&run, false), "#12.2   ✓ success          3.0 s  1970-01-01T00:00:00.000Z  019a  hello");
    }
}
