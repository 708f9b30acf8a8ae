//! Linux: finds and kills what a task left behind, by /proc. Knows nothing of how it was started.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::MARK_VARIABLE;

/// How long what was killed may take to be gone.
pub const SWEEP_MAX_MS: u64 = 10_000;
const SWEEP_PAUSE_MS: u64 = 5;

/// What a task's processes are known by.
#[derive(Clone, Default)]
pub struct Known {
    /// Their sessions and groups.
    pub groups: Vec<i32>,
    /// Their mark; empty: none.
    pub mark: String,
    /// Single ones that were seen to descend from others.
    pub strays: Vec<Stray>,
}

/// A process that was seen; its start tells it from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    pid: i32,
    started: u64,
}

/// Kills every process that is known or descends from one that is, until there is none; returns how many are left
/// after [`SWEEP_MAX_MS`].
pub async fn sweep(mut known: Known) -> usize {
    let until = Instant::now() + Duration::from_millis(SWEEP_MAX_MS);
    loop {
        let looked = known.clone();
        let found = tokio::task::spawn_blocking(move || kill(&looked)).await.unwrap_or_default();
        if found.is_empty() || Instant::now() >= until {
            return found.len();
        }
        // Once its parent is dead, nothing else may tell that a process was the task's.
        known.strays.extend(found);
        tokio::time::sleep(Duration::from_millis(SWEEP_PAUSE_MS)).await;
    }
}

/// Kills every process of a session, and what descends from one; returns how many are left.
pub async fn sweep_session(session: i32) -> usize {
    sweep(Known { groups: vec![session], ..Default::default() }).await
}

/// Kills them once; returns whom.
pub fn kill(known: &Known) -> Vec<Stray> {
    let found = find(known);
    for stray in &found {
        if let Some(pid) = Pid::from_raw(stray.pid) {
            // It may have ended between the look and the kill.
            let _gone = kill_process(pid, Signal::KILL);
        }
    }
    found
}

/// Every living process that is known or descends from one that is.
pub fn find(known: &Known) -> Vec<Stray> {
    let own = std::process::id().cast_signed();
    let processes = processes();
    let is_known = |process: &Process| {
        known.groups.contains(&process.group)
            || known.groups.contains(&process.session)
            || known.strays.contains(&process.stray)
            || carries(process.stray.pid, &known.mark)
    };
    let others = || processes.iter().filter(|process| process.stray.pid != own);
    let mut found =
        others().filter(|process| is_known(process)).map(|process| process.stray.pid).collect::<HashSet<_>>();
    // Descendants: at most as many rounds as there are generations.
    loop {
        let before = found.len();
        for process in others() {
            if found.contains(&process.parent) {
                found.insert(process.stray.pid);
            }
        }
        if found.len() == before {
            return others().map(|process| process.stray).filter(|stray| found.contains(&stray.pid)).collect();
        }
    }
}

struct Process {
    stray: Stray,
    parent: i32,
    group: i32,
    session: i32,
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
    let mut number = || fields.next()?.parse::<i32>().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    // The 22nd field, which is the 16th after the session.
    let started = fields.nth(15)?.parse().ok()?;
    Some(Process { stray: Stray { pid, started }, parent, group, session })
}

fn carries(pid: i32, mark: &str) -> bool {
    if mark.is_empty() {
        return false;
    }
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment.split(|byte| *byte == 0).any(|variable| {
        let Some((name, value)) = std::str::from_utf8(variable).ok().and_then(|text| text.split_once('=')) else {
            return false;
        };
        name == MARK_VARIABLE && value.split(' ').any(|one| one == mark || one.starts_with(&format!("{mark}/")))
    })
}
