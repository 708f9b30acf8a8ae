//! What the kernel says of a process. Knows nothing of what it does.

use std::fs::read_to_string;

/// User and system time so far, in seconds.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    /// The kernel's unit of time in /proc, fixed for user space.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have spaces; the fields after it are counted from the third.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_A_SECOND)
}

/// Its memory that is resident now, in MB.
pub fn resident_megabytes(pid: u32) -> Option<f64> {
    status_megabytes(pid, "VmRSS:")
}

/// The most that was ever resident, in MB.
pub fn peak_megabytes(pid: u32) -> Option<f64> {
    status_megabytes(pid, "VmHWM:")
}

/// What it has handed over in write calls so far, in bytes. (Its `write_bytes` count a whole large page of the cache for
/// a few bytes in it.)
pub fn written_bytes(pid: u32) -> Option<f64> {
    let io = read_to_string(format!("/proc/{pid}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
}

fn status_megabytes(pid: u32, key: &str) -> Option<f64> {
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}
