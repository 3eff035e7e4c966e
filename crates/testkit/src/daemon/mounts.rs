//! Mounts that are left below a folder of this machine.

use crate::command::argv;
use std::fs;
use std::path::Path;

/// Undoes all mounts at or below `folder`, the last made first.
pub(super) fn undo_below(folder: &Path) {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1));
    let mut left: Vec<&Path> = points.map(Path::new).filter(|point| point.starts_with(folder)).collect();
    left.reverse();
    for point in left {
        // One that is busy is undone when it is no more.
        let _ = argv("umount", ["--lazy"]).arg(point).stdout();
    }
}
