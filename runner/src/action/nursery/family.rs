//! Everything that descends from this process: counted, told to end, killed until nothing is left. Only for a process
//! that is a subreaper and has a single thread. Knows nothing of why.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait};

/// How long what was killed may take to be gone.
pub const KILL_MAX_MS: u64 = 10_000;
/// The pause between two looks.
const LOOK_AGAIN_NANOSECONDS: i64 = 500_000;

/// What became of the family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cleared {
    /// How the first child ended; none: it is still there.
    pub status: Option<WaitStatus>,
    /// How many others were killed.
    pub killed: u32,
    /// How many are still there.
    pub left: u32,
}

/// Kills the first child's group, then everything there is, until there is nothing. Cheap when nothing was left.
pub fn clear(first: Pid) -> Cleared {
    // Before it is waited for: later the number may be another's.
    let _gone = kill_process_group(first, Signal::KILL);
    let mut cleared = Cleared::default();
    let until = Instant::now() + Duration::from_millis(KILL_MAX_MS);
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == first => cleared.status = Some(status),
            Ok(Some(_)) => cleared.killed += 1,
            Ok(None) => {
                let found = descendants();
                for pid in &found {
                    kill(*pid, Signal::KILL);
                }
                if Instant::now() >= until {
                    cleared.left = found.len() as u32;
                    return cleared;
                }
                pause();
            }
            Err(Errno::INTR) => {}
            // No child any more; what lost its parent would be our child.
            Err(_) => return cleared,
        }
    }
}

/// A signal to everything there is.
pub fn signal(first: Pid, signal: Signal) {
    let _gone = kill_process_group(first, signal);
    for pid in descendants() {
        kill(pid, signal);
    }
}

fn kill(pid: Pid, signal: Signal) {
    // It may have ended between the look and the signal.
    let _gone = kill_process(pid, signal);
}

fn pause() {
    let pause = Timespec { tv_sec: 0, tv_nsec: LOOK_AGAIN_NANOSECONDS };
    // Woken too early is only a look too early.
    let _woken = poll(&mut [], Some(&pause));
}

/// Children, their children, and so on. What moves meanwhile is found by the next look.
fn descendants() -> Vec<Pid> {
    let own = std::process::id().cast_signed();
    let children: Box<dyn Fn(i32) -> Vec<i32>> = if std::fs::exists(children_file(own, own)).unwrap_or(false) {
        Box::new(children_of)
    } else {
        let parents = parents();
        Box::new(move |parent| parents.get(&parent).cloned().unwrap_or_default())
    };
    let (mut found, mut at) = (children(own), 0);
    while at < found.len() {
        for child in children(found[at]) {
            if !found.contains(&child) {
                found.push(child);
            }
        }
        at += 1;
    }
    found.into_iter().filter_map(Pid::from_raw).collect()
}

fn children_file(process: i32, thread: i32) -> String {
    format!("/proc/{process}/task/{thread}/children")
}

/// The children of all threads of a process.
fn children_of(process: i32) -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let threads = threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let texts = threads.filter_map(|thread| std::fs::read_to_string(children_file(process, thread)).ok());
    texts
        .flat_map(|text| text.split_ascii_whitespace().filter_map(|one| one.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Every process by its parent, for kernels that do not list children.
fn parents() -> HashMap<i32, Vec<i32>> {
    let mut parents = HashMap::<i32, Vec<i32>>::new();
    let Ok(entries) = std::fs::read_dir("/proc") else { return parents };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name is in brackets and may hold brackets itself; then the state, then the parent.
        let parent = stat.rfind(')').and_then(|at| stat[at + 1..].split_ascii_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            parents.entry(parent).or_default().push(pid);
        }
    }
    parents
}
