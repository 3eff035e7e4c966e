//! What this machine can do, found by doing it; what it cannot is a reason to skip.

use crate::{command::argv, mirror, tools};
use std::io::Write;

/// Says on stderr why something cannot run here. Goes past the capture of the test harness, so that the runner counts it.
pub fn report_skip(reason: &str) {
    let line = format!("skipped: {}\n", reason.replace('\n', " "));
    // Where stderr is gone nobody is left to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Says on stderr that a stand-in does the work of a program that cannot be had. Goes past the capture of the test harness, so that the
/// runner counts the test apart from those with real programs.
pub fn report_stand_in(program: &str) {
    // Where stderr is gone nobody is left to tell.
    let _ = std::io::stderr().write_all(format!("stand-in: {program}\n").as_bytes());
}

/// The first reason among `needs`, if there is one.
pub fn first_reason(needs: impl IntoIterator<Item = Result<(), String>>) -> Result<(), String> {
    needs.into_iter().collect()
}

/// Whether this is root.
pub fn root() -> Result<(), String> {
    if effective_uid() == Some(0) { Ok(()) } else { Err("needs root".to_owned()) }
}

/// Whether a process may make a user namespace.
pub fn user_namespace() -> Result<(), String> {
    let made = argv("unshare", ["--user", "--map-root-user", "true"]).stdout();
    made.map(drop).map_err(|error| format!("no user namespaces: {error}"))
}

/// Whether root may make mount and network namespaces, and mount an overlay there.
pub fn mounting() -> Result<(), String> {
    let made = argv("unshare", ["--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).stdout();
    made.map(drop).map_err(|error| format!("no mounting: {error}"))
}

/// Whether `user` has a range of subordinate ids, and the programs that map them.
pub fn subordinate_ids(user: &str) -> Result<(), String> {
    tools::need(&["newuidmap", "newgidmap"])?;
    ["/etc/subuid", "/etc/subgid"].iter().try_for_each(|file| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let found = text.lines().any(|line| line.split(':').next() == Some(user));
        if found { Ok(()) } else { Err(format!("{user} has no range in {file}")) }
    })
}

/// Whether the programs are there.
pub fn programs(programs: &[&str]) -> Result<(), String> {
    tools::need(programs)
}

/// Whether Debian roots can be made: the tools, and a mirror in this machine's own apt configuration.
pub fn debian_roots() -> Result<(), String> {
    tools::need(&["mmdebstrap", "dpkg", "apt-get"])?;
    if effective_uid() != Some(0) {
        let user = argv("id", ["-un"]).text().map_err(|error| error.to_string())?;
        user_namespace().and_then(|()| subordinate_ids(user.trim()))?;
    }
    mirror::Mirror::of_this_machine().map(drop).map_err(|error| error.to_string())
}

/// The user this process acts as.
pub fn effective_uid() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_wins() {
        assert_eq!(first_reason([Ok(()), Err("a".to_owned()), Err("b".to_owned())]), Err("a".to_owned()));
        assert_eq!(first_reason([Ok(())]), Ok(()));
        assert!(subordinate_ids("nobody-of-that-name").is_err());
        assert!(effective_uid().is_some());
    }
}
