//! The memory of a process.

use std::fs;

use crate::fail;

/// Resident memory in KiB.
pub fn resident_kib(process: u32) -> u64 {
    kib(process, "VmRSS:")
}

/// Resident memory that is no file's, in KiB.
pub fn anonymous_kib(process: u32) -> u64 {
    kib(process, "RssAnon:")
}

fn kib(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.unwrap_or_else(|error| fail(&format!("cannot read the memory of process {process}: {error}")));
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or_else(|| fail(&format!("process {process} has ended, so its memory cannot be read")))
}
