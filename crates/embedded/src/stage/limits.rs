//! Bounds on what the sandbox may use of the machine.

use rustix::{
    fs::{Mode, OFlags, openat},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::{fs::File, io::Write as _, os::fd::AsFd};

/// Open files of one process. Enough for any package tool; tools that close "all" descriptors one by one stay quick.
const OPEN_FILES_MAX: u64 = 65_536;
/// The usual soft limit, which old programs that use `select` rely on.
const OPEN_FILES: u64 = 1024;
/// The first kernel in which `pid_max` belongs to a process namespace; before, it is the host's.
const OWN_PID_MAX_SINCE: (u32, u32) = (6, 14);

/// Limits of one process, inherited by all. A limit that is already lower stays. Bounding processes of uid 0 this way only
/// works in a user namespace; outside, [`cap_processes`] does it.
pub(super) fn apply(processes_max: u32) {
    lower(Resource::Core, 0, 0);
    lower(Resource::Nofile, OPEN_FILES, OPEN_FILES_MAX);
    lower(Resource::Nproc, processes_max.into(), processes_max.into());
}

fn lower(resource: Resource, soft: u64, hard: u64) {
    let now = getrlimit(resource);
    let least = |a: Option<u64>, b: u64| Some(a.map_or(b, |a| a.min(b)));
    let maximum = least(now.maximum, hard);
    let current = least(maximum, soft);
    // Lowering is always allowed.
    setrlimit(resource, Rlimit { current, maximum }).ok();
}

/// Whether [`cap_processes`] does anything on this kernel.
pub(crate) fn processes_are_capped() -> bool {
    release().is_some_and(|version| version >= OWN_PID_MAX_SINCE)
}

/// Bounds the numbers of processes of this process namespace, and with them the processes.
pub(super) fn cap_processes(proc: impl AsFd, most: u32) {
    if !processes_are_capped() {
        return;
    }
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(setting) = openat(proc, "sys/kernel/pid_max", flags, Mode::empty()) {
        File::from(setting).write_all(most.to_string().as_bytes()).ok();
    }
}

/// Major and minor number of the running kernel.
fn release() -> Option<(u32, u32)> {
    parsed(rustix::system::uname().release().to_str().ok()?)
}

fn parsed(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_read() {
        let cases =
            [("6.18.44-fc", Some((6, 18))), ("5.15.0-91-generic", Some((5, 15))), ("6", None), ("x", None)];
        for (text, want) in cases {
            assert_eq!(parsed(text), want, "{text}");
        }
        assert!((6, 2) < OWN_PID_MAX_SINCE);
    }
}
