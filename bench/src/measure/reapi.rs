//! A measurement of cache or execution as the command line asks for it: which servers, which load.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tokio::process::Child;

use super::limits::{EACH, Limits};
use super::own_runner::{start_runner, wait_for_runner};
use crate::Arguments;
use crate::reapi::workload::Name;
use crate::reapi::{Load, Side, measure};
use crate::report::Report;
use crate::target::Target;

/// How many actions the bench's own runner runs at once, at the least: it waits more than it works.
const SLOTS_MIN: usize = 32;

/// Measures the target, and the peer if there is one; prints tables.
pub async fn measure_reapi(target: &mut Target, arguments: &Arguments, execution: bool) -> Result<()> {
    let options = &arguments.reapi;
    let mut sides = vec![Side {
        name: "target".to_owned(),
        url: target.url.clone(),
        token: target.token().to_owned(),
        instance: options.instance.clone(),
        pid: target.pid,
    }];
    sides.extend(options.compare.iter().map(|url| Side {
        name: "peer".to_owned(),
        url: url.clone(),
        token: String::new(),
        instance: options.compare_instance.clone().unwrap_or_else(|| options.instance.clone()),
        pid: options.compare_pid,
    }));
    let load = Load {
        names: if options.only.is_empty() { default_names(execution) } else { options.only.clone() },
        seconds: arguments.seconds as f64,
        connections: options.connections.max(1),
        at_once: options.calls.max(1),
        // A large blob has a first message and a last one.
        messages: options.large_mib.max(2),
        seed: options.seed.unwrap_or_else(rand::random),
    };
    let each = EACH.min(Duration::from_secs(arguments.seconds));
    let limits = Limits::measure(target.folder.path(), each, load.messages << 20).await?;
    let mut report = Report::new("limits: what this machine can do at all");
    limits.add_to(&mut report);
    report.print(arguments.json);
    let runner = if execution { own_runner(target, options.sandbox).await? } else { None };
    let title = if execution { "execute" } else { "cache" };
    let table = measure(title, &sides, &load).await?;
    if let Some(mut runner) = runner {
        runner.kill().await?;
    }
    table.print(&limits, arguments.json);
    if !table.is_whole() {
        bail!("not every call was answered rightly");
    }
    Ok(())
}

/// All of one kind.
fn default_names(execution: bool) -> Vec<Name> {
    Name::value_variants().iter().copied().filter(|name| name.is_execution() == execution).collect()
}

/// A server of the bench's own has no worker: the runner beside this program becomes one.
async fn own_runner(target: &Target, sandbox: bool) -> Result<Option<Child>> {
    if !target.is_own() {
        return Ok(None);
    }
    let runner = target.runner.clone().context("there is no millrace-runner beside this program")?;
    let slots = SLOTS_MIN.max(std::thread::available_parallelism().map_or(1, usize::from));
    let more = ["--slots", &slots.to_string(), "--sandbox", if sandbox { "on" } else { "off" }].map(str::to_owned);
    let program = start_runner(target, &runner, "bench-worker", &more)?;
    wait_for_runner(&target.client, "bench-worker").await?;
    Ok(Some(program))
}
