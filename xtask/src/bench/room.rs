//! Where a bench works: a mount namespace of its own, with a tmpfs if there is memory for it, that is gone when it ends.

use crate::failure::Failure;
use std::fs;
use std::path::Path;
use std::process::Command;
use testkit::{command::argv, probe};

/// Two images of more than a gigabyte, packed, in a registry and unpacked twice, with room beside.
const MEMORY_WANTED_KIB: u64 = 12 << 20;

/// Starts the command again in a mount namespace.
pub fn enter(arguments: &[String]) -> Result<(), Failure> {
    probe::root().map_err(|reason| Failure::new(format!("{reason}: the floor is a chroot")))?;
    let folder = tempfile::tempdir().map_err(Failure::file("temporary folder"))?;
    let program = std::env::current_exe().map_err(Failure::file("xtask"))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]).arg(program).arg("bench").args(arguments);
    command.arg("--inside").arg(folder.path()).env("TMPDIR", folder.path());
    let status = command.status().map_err(Failure::file("unshare"))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("it ended with {status}"))) }
}

/// Mounts a tmpfs on the folder if there is memory for it.
pub fn furnish(folder: &Path) -> Result<(), Failure> {
    let available = available_kib(&fs::read_to_string("/proc/meminfo").unwrap_or_default()).unwrap_or(0);
    if available < MEMORY_WANTED_KIB {
        println!(
            "works on disk: {} GiB of memory are available, {} wanted",
            available >> 20,
            MEMORY_WANTED_KIB >> 20
        );
        return Ok(());
    }
    let size = format!("size={available}k");
    argv("mount", ["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).stdout()?;
    println!("works on a tmpfs");
    Ok(())
}

fn available_kib(meminfo: &str) -> Option<u64> {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read() {
        assert_eq!(available_kib("MemTotal:  9 kB\nMemAvailable:   2048 kB\n"), Some(2048));
        assert_eq!(available_kib(""), None);
    }
}
