//! What programs leave on this machine that work in a folder: processes that end a moment later, and mounts.

use crate::command::argv;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What ends by itself does so in much less.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How often it is looked whether something has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until no command line names `folder`: who works there yet would make again what is removed.
pub(super) fn await_ends(folder: &Path) {
    let begun = Instant::now();
    while is_named(folder) && begun.elapsed() < END_LIMIT {
        std::thread::sleep(PAUSE);
    }
}

fn is_named(folder: &Path) -> bool {
    let name = folder.to_string_lossy();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(&*name))
}

/// Undoes all mounts at or below `folder`, the last made first.
pub(super) fn undo_mounts(folder: &Path) {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1));
    let mut left: Vec<&Path> = points.map(Path::new).filter(|point| point.starts_with(folder)).collect();
    left.reverse();
    for point in left {
        // One that is busy is undone when it is no more.
        let _ = argv("umount", ["--lazy"]).arg(point).stdout();
    }
}
