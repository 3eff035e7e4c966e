//! A control group of a daemon's own for its containers, below the root of each hierarchy.

use std::fs;
use std::path::{Path, PathBuf};

/// Where hierarchies are mounted.
const MOUNTED: &str = "/sys/fs/cgroup";

/// Groups below a group of a daemon: one for a container, and one below it.
const DEPTH: usize = 3;

/// Whether groups can be made; a reason to skip where they cannot.
pub(super) fn needs() -> Result<(), String> {
    let hierarchy = hierarchies().into_iter().next().ok_or("no control groups are mounted")?;
    let group = tempfile::Builder::new().prefix("copa-testkit-").tempdir_in(&hierarchy);
    let group = group.map_err(|error| format!("no control groups can be made: {error}"))?.keep();
    fs::remove_dir(&group).map_err(|error| format!("{}: {error}", group.display()))
}

/// Removes a group and those below it, as far as nothing runs in them.
pub(super) fn remove(name: &str) {
    for hierarchy in hierarchies() {
        remove_below(&hierarchy.join(name), DEPTH);
    }
}

fn remove_below(group: &Path, depth: usize) {
    if depth > 0 {
        folders(group).iter().for_each(|below| remove_below(below, depth - 1));
    }
    // What is in use stays; that it is gone is for a test to say.
    let _ = fs::remove_dir(group);
}

/// The roots of all hierarchies: one where they are unified, else one for each controller.
fn hierarchies() -> Vec<PathBuf> {
    let mounted = PathBuf::from(MOUNTED);
    if mounted.join("cgroup.controllers").exists() { vec![mounted] } else { folders(&mounted) }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
