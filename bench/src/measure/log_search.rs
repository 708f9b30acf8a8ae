//! Search of one large log, before and after it was compressed: to the first hit and to the end, beside `grep -c` on the same
//! text in a file.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use millrace_bench::wire::millrace_v1::SearchRequest;
use tokio::process::Command;

use super::big_log::{BigLog, FREQUENT, MISS, RARE, REGEX};
use crate::report::Report;
use crate::target::Target;

/// The longest times for a log of 1 GB, in seconds.
const GOAL_FIRST_S: f64 = 1.0;
const GOAL_ALL_S: f64 = 3.0;

/// What is searched for.
struct Case {
    name: &'static str,
    pattern: &'static str,
    regex: bool,
    folded: bool,
    /// What `grep` is told besides.
    grep: &'static str,
}

const CASES: [Case; 5] = [
    Case { name: "rare text", pattern: RARE, regex: false, folded: false, grep: "-cF" },
    Case { name: "rare text, any case", pattern: RARE, regex: false, folded: true, grep: "-ciF" },
    Case { name: "frequent text", pattern: FREQUENT, regex: false, folded: false, grep: "-cF" },
    Case { name: "regular expression", pattern: REGEX, regex: true, folded: false, grep: "-cE" },
    Case { name: "no such text", pattern: MISS, regex: false, folded: false, grep: "-cF" },
];

/// Measures Search.
pub async fn log_search(target: &mut Target, bytes: u64) -> Result<Report> {
    let mut report =
        Report::new("log-search: Search of one log, first hit and all, and grep -c on the same file (LC_ALL=C)");
    let log = BigLog::fill(target, bytes, &mut report).await?;
    round(target, &log, "as written", &mut report).await?;
    log.compressed(target, &mut report).await?;
    round(target, &log, "compressed", &mut report).await?;
    Ok(report)
}

async fn round(target: &Target, log: &BigLog, state: &str, report: &mut Report) -> Result<()> {
    for case in &CASES {
        // Both warm: the first of each does not count.
        grep(case, &log.file).await?;
        search(target, log, case).await?;
        let (counted, by_grep) = grep(case, &log.file).await?;
        let Searched { first, all, matching } = search(target, log, case).await?;
        ensure!(matching == counted, "{}: {matching} lines were found, grep has {counted}", case.name);
        let name = format!("{state}, {}", case.name);
        if let Some(first) = first {
            report.figure_with_goal(format!("{name}: first hit"), first.as_secs_f64(), "s", GOAL_FIRST_S);
        }
        report.figure_with_goal(format!("{name}: all"), all.as_secs_f64(), "s", GOAL_ALL_S);
        report.figure(format!("{name}: lines"), matching as f64, "");
        report.figure(format!("{name}: grep -c"), by_grep.as_secs_f64(), "s");
        report.figure(format!("{name}: all / grep -c"), all.as_secs_f64() / by_grep.as_secs_f64(), "");
    }
    Ok(())
}

struct Searched {
    first: Option<Duration>,
    all: Duration,
    matching: u64,
}

async fn search(target: &Target, log: &BigLog, case: &Case) -> Result<Searched> {
    let request = SearchRequest {
        log_id: log.id.clone(),
        pattern: case.pattern.to_owned(),
        regex: case.regex,
        case_sensitive: !case.folded,
        with_text: true,
        ..SearchRequest::default()
    };
    let began = Instant::now();
    let mut stream = target.client.logs().search(request).await.context("Search")?.into_inner();
    let (mut first, mut last) = (None, None);
    while let Some(message) = stream.message().await? {
        if !message.hits.is_empty() {
            first.get_or_insert_with(|| began.elapsed());
        }
        last = Some(message);
    }
    let last = last.context("no answer")?;
    ensure!(
        last.done && last.lines_searched == log.lines,
        "{} of {} lines were searched",
        last.lines_searched,
        log.lines
    );
    Ok(Searched { first, all: began.elapsed(), matching: last.matching_lines })
}

/// How many lines have it, and how long it took.
async fn grep(case: &Case, file: &Path) -> Result<(u64, Duration)> {
    let began = Instant::now();
    let mut command = Command::new("grep");
    command.env("LC_ALL", "C").args([case.grep, "-e", case.pattern]).arg(file);
    let output = command.output().await.context("grep")?;
    let took = began.elapsed();
    let count = String::from_utf8_lossy(&output.stdout).trim().parse();
    Ok((count.context("grep did not count")?, took))
}
