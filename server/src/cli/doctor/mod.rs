//! `millrace doctor`: a line a check, with the cause and the fix of each failure.

mod connection;
mod disk;
mod runners;

use std::{path::PathBuf, time::SystemTime};

use clap::Args;
use serde_json::{Value, json};

use super::{
    client::{Server, ServerArgs},
    exit::{CliError, Exit},
    output::Output,
};

/// Arguments of `millrace doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// The server's data folder, when it is on this machine: checks the disk space
    #[arg(long, value_name = "DIR", env = "MILLRACE_DATA")]
    pub data: Option<PathBuf>,
    /// A workflow file: checks that runners online match its jobs
    #[arg(long, value_name = "FILE")]
    pub workflow: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Fine,
    /// Works, but is worth a look.
    Warning,
    Failed,
    /// Could not be checked, because of another failure or a missing permission.
    NotChecked,
}

/// A check and what it found.
#[derive(Debug)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was found; for a failure: its cause.
    found: String,
    /// What to do about it; empty when all is well.
    fix: String,
}

impl Check {
    fn fine(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fine, found: found.into(), fix: String::new() }
    }

    fn warning(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, found: found.into(), fix: fix.into() }
    }

    fn failed(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Failed, found: found.into(), fix: fix.into() }
    }

    fn not_checked(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::NotChecked, found: why.into(), fix: String::new() }
    }

    fn line(&self, colour: bool) -> String {
        let (sign, word, code) = match self.verdict {
            Verdict::Fine => ("✓", "ok", "32"),
            Verdict::Warning => ("!", "warning", "33"),
            Verdict::Failed => ("✗", "failed", "31"),
            Verdict::NotChecked => ("-", "not checked", "2"),
        };
        let verdict = format!("{sign} {word:<11}");
        let verdict = if colour { format!("\x1b[{code}m{verdict}\x1b[0m") } else { verdict };
        let fix = if self.fix.is_empty() { String::new() } else { format!("\n    fix: {}", self.fix) };
        format!("{verdict}  {:<9}  {}{fix}", self.name, self.found)
    }

    fn json(&self) -> Value {
        let verdict = match self.verdict {
            Verdict::Fine => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
            Verdict::NotChecked => "not checked",
        };
        json!({ "check": self.name, "result": verdict, "found": self.found, "fix": self.fix })
    }
}

/// Checks all there is to check; each line is shown as soon as it is known.
pub async fn doctor(args: DoctorArgs) -> Result<Exit, CliError> {
    let server = Server::new(&args.server)?;
    let mut report = DoctorReport { output: Output::stdout(), json: args.json, checks: Vec::new() };
    let http1 = connection::http1(&args.server).await;
    let reached = http1.verdict == Verdict::Fine;
    report.add(http1)?;
    if reached {
        report.add(connection::http2(&args.server).await)?;
        report.add(connection::encryption(&server))?;
        report.add(connection::version(&server).await)?;
        report.add(connection::clock(&server, SystemTime::now()).await)?;
        report.add(connection::token(&server, args.server.token.is_some()).await)?;
        report.add(runners::online(&server).await)?;
        report.add(runners::matching(&server, args.workflow.as_deref()).await)?;
    } else {
        for name in ["http2", "tls", "version", "clock", "token", "runners", "matching"] {
            report.add(Check::not_checked(name, "the server was not reached"))?;
        }
    }
    if let Some(data) = &args.data {
        report.add(disk::space(data))?;
    }
    report.finish()
}

struct DoctorReport {
    output: Output,
    json: bool,
    checks: Vec<Check>,
}

impl DoctorReport {
    fn add(&mut self, check: Check) -> Result<(), CliError> {
        if !self.json {
            let line = check.line(self.output.colour());
            self.output.line(&line)?;
            self.output.flush()?;
        }
        self.checks.push(check);
        Ok(())
    }

    fn finish(mut self) -> Result<Exit, CliError> {
        let failed = self.checks.iter().filter(|check| check.verdict == Verdict::Failed).count();
        if self.json {
            let checks: Vec<_> = self.checks.iter().map(Check::json).collect();
            self.output.json(&json!({ "ok": failed == 0, "checks": checks }))?;
        } else if failed == 0 {
            self.output.line("all is well")?;
        } else {
            self.output.line(&format!("{failed} failed"))?;
        }
        self.output.flush()?;
        Ok(if failed == 0 { Exit::Success } else { Exit::Internal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_its_cause_and_its_fix() {
        let check = Check::failed("clock", "93 s behind the server", "set it");
        assert_eq!(check.line(false), "✗ failed       clock      93 s behind the server\n    fix: set it");
        assert_eq!(check.json()["result"], "failed");
        assert_eq!(Check::fine("http1", "12 ms").line(false), "✓ ok           http1      12 ms");
    }
}
