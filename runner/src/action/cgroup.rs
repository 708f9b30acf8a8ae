//! Linux: limits of memory and processes for each slot, by control groups (version 2) that were delegated to the runner.
//! Knows nothing of what runs in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where control groups are.
const MOUNT: &str = "/sys/fs/cgroup";
/// The group that the runner itself moves to: a group with groups below it may have no process of its own.
const RUNNER_GROUP: &str = "millrace-runner";

/// The limits of a slot; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all processes together.
    pub memory_max_bytes: u64,
    /// Processes and threads.
    pub pids_max: u64,
}

/// Makes a group for each slot below the runner's own; says why it can't.
pub fn prepare(limits: Limits, slots: u32) -> Result<Vec<PathBuf>, String> {
    let mount = Path::new(MOUNT);
    if !mount.join("cgroup.controllers").exists() {
        return Err("the system has no control groups of version 2".into());
    }
    let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).ok_or("the runner is in no control group")?;
    prepare_below(&mount.join(own), limits, slots, std::process::id())
}

fn prepare_below(own: &Path, limits: Limits, slots: u32, runner: u32) -> Result<Vec<PathBuf>, String> {
    let controllers = fs::read_to_string(own.join("cgroup.controllers"));
    let controllers = controllers.map_err(|error| format!("{}: {error}", own.display()))?;
    let needed = [("memory", limits.memory_max_bytes > 0), ("pids", limits.pids_max > 0)];
    let needed = needed.into_iter().filter_map(|(name, is_needed)| is_needed.then_some(name)).collect::<Vec<_>>();
    if let Some(missing) = needed.iter().find(|name| !controllers.split_whitespace().any(|one| one == **name)) {
        return Err(format!("{}: the controller {missing} is not delegated to the runner", own.display()));
    }
    let make = || -> io::Result<Vec<PathBuf>> {
        let runners = own.join(RUNNER_GROUP);
        make_folder(&runners)?;
        fs::write(runners.join("cgroup.procs"), runner.to_string())?;
        let wish = needed.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
        fs::write(own.join("cgroup.subtree_control"), wish)?;
        (0..slots).map(|slot| slot_group(own, slot, limits)).collect()
    };
    make().map_err(|error| format!("{}: {error}", own.display()))
}

fn slot_group(own: &Path, slot: u32, limits: Limits) -> io::Result<PathBuf> {
    let group = own.join(format!("{RUNNER_GROUP}-slot-{slot}"));
    make_folder(&group)?;
    if limits.memory_max_bytes > 0 {
        fs::write(group.join("memory.max"), limits.memory_max_bytes.to_string())?;
        // Where there is no swap, there is nothing to limit.
        let _no_swap = fs::write(group.join("memory.swap.max"), "0");
    }
    if limits.pids_max > 0 {
        // The nursery is one of them.
        fs::write(group.join("pids.max"), limits.pids_max.saturating_add(1).to_string())?;
    }
    Ok(group)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_for_each_slot_with_the_limits() {
        let own = tempfile::tempdir().expect("a folder");
        fs::write(own.path().join("cgroup.controllers"), "cpu memory pids\n").expect("writes");
        let limits = Limits { memory_max_bytes: 1_000_000, pids_max: 50 };
        let groups = prepare_below(own.path(), limits, 2, 77).expect("makes");
        assert_eq!(groups.len(), 2);
        let read = |path: PathBuf| fs::read_to_string(path).expect("written");
        for group in &groups {
            assert_eq!(read(group.join("memory.max")), "1000000");
            assert_eq!(read(group.join("pids.max")), "51");
        }
        assert_eq!(read(own.path().join(RUNNER_GROUP).join("cgroup.procs")), "77");
        assert_eq!(read(own.path().join("cgroup.subtree_control")), "+memory +pids");
        assert_eq!(prepare_below(own.path(), limits, 2, 77).expect("again"), groups);
    }

    #[test]
    fn what_is_not_delegated_is_said() {
        let own = tempfile::tempdir().expect("a folder");
        fs::write(own.path().join("cgroup.controllers"), "cpu pids\n").expect("writes");
        let limits = Limits { memory_max_bytes: 1, pids_max: 0 };
        let error = prepare_below(own.path(), limits, 1, 1).expect_err("no memory");
        assert!(error.contains("memory"), "{error}");
    }
}
