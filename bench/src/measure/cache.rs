//! The cache measurement as the command line asks for it: which servers, which load.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::limits::{EACH, Limits};
use crate::Arguments;
use crate::cache::workload::Name;
use crate::cache::{Load, Side, cache};
use crate::report::Report;
use crate::target::Target;

/// Measures the target, and the peer if there is one; prints tables.
pub async fn measure_cache(target: &Target, arguments: &Arguments) -> Result<()> {
    let options = &arguments.cache;
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
        names: if options.only.is_empty() { Name::value_variants().to_vec() } else { options.only.clone() },
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
    let table = cache(&sides, &load).await?;
    table.print(&limits, arguments.json);
    if !table.is_whole() {
        bail!("not every call was answered rightly");
    }
    Ok(())
}
