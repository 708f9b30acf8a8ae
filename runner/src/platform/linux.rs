//! Linux: finds and kills what a task left behind, by /proc. Knows nothing of how it was started.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::MARK_VARIABLE;

/// How long what was killed may take to be gone.
pub const SWEEP_MAX_MS: u64 = 10_000;
const SWEEP_PAUSE_MS: u64 = 5;

/// Kills every process that is in one of the sessions or groups, carries the mark, or descends from one that does,
/// until there is none; returns how many are left after [`SWEEP_MAX_MS`].
pub fn sweep(groups: &[i32], mark: &str) -> usize {
    let until = Instant::now() + Duration::from_millis(SWEEP_MAX_MS);
    loop {
        let found = find(groups, mark);
        for pid in &found {
            if let Some(pid) = Pid::from_raw(*pid) {
                // It may have ended between the look and the kill.
                let _gone = kill_process(pid, Signal::KILL);
            }
        }
        if found.is_empty() || Instant::now() >= until {
            return found.len();
        }
        std::thread::sleep(Duration::from_millis(SWEEP_PAUSE_MS));
    }
}

struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
}

fn find(groups: &[i32], mark: &str) -> Vec<i32> {
    let own = std::process::id().cast_signed();
    let processes = processes();
    let mut found = HashSet::new();
    for process in &processes {
        let ours = groups.contains(&process.group) || groups.contains(&process.session);
        if process.pid != own && (ours || carries(process.pid, mark)) {
            found.insert(process.pid);
        }
    }
    // Descendants: at most as many rounds as there are generations.
    loop {
        let before = found.len();
        for process in &processes {
            if process.pid != own && found.contains(&process.parent) {
                found.insert(process.pid);
            }
        }
        if found.len() == before {
            return found.into_iter().collect();
        }
    }
}

/// Every living process; zombies are dead already.
fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets and may hold brackets itself.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let mut number = || fields.next()?.parse().ok();
    Some(Process { pid, parent: number()?, group: number()?, session: number()? })
}

fn carries(pid: i32, mark: &str) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment.split(|byte| *byte == 0).any(|variable| {
        let Some((name, value)) = std::str::from_utf8(variable).ok().and_then(|text| text.split_once('=')) else {
            return false;
        };
        name == MARK_VARIABLE && value.split(' ').any(|one| one == mark || one.starts_with(&format!("{mark}/")))
    })
}
