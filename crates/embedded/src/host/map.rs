//! Which ids a user namespace has, and giving it ids.

use super::ids::Range;
use crate::failure::{Doing as _, Failure};
use rustix::process::Pid;
use std::{
    fs,
    io::ErrorKind,
    process::{Command, Stdio},
};

/// Ids that an image may use: system accounts, `nobody` at 65534.
const ENOUGH: u64 = 65_535;
/// All ids there are: the map of the machine's own user namespace.
const ALL: u64 = u32::MAX as u64;

/// How many ids are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Every one, to itself: no user namespace but the machine's own.
    Machine,
    /// As many as images use.
    Enough,
    /// Fewer.
    Few,
}

/// The ids of this process' user namespace.
pub(super) fn extent() -> Result<Extent, Failure> {
    let text = fs::read_to_string("/proc/self/uid_map").doing("reading /proc/self/uid_map")?;
    Ok(extent_of(&text))
}

fn extent_of(map: &str) -> Extent {
    let lines =
        map.lines().map(|l| l.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<u64>>());
    let (mut all, mut count) = (false, 0);
    for line in lines {
        all |= line == [0, 0, ALL];
        count += line.get(2).copied().unwrap_or(0);
    }
    match count {
        _ if all => Extent::Machine,
        ENOUGH.. => Extent::Enough,
        _ => Extent::Few,
    }
}

/// Which of the two maps of a namespace.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    /// Users.
    Users,
    /// Groups.
    Groups,
}

impl Side {
    fn file(self) -> &'static str {
        match self {
            Side::Users => "uid_map",
            Side::Groups => "gid_map",
        }
    }

    fn tool(self) -> &'static str {
        match self {
            Side::Users => "newuidmap",
            Side::Groups => "newgidmap",
        }
    }
}

/// Maps 0 to our own id and from 1 on the range, by the setuid tool of the system.
pub(super) fn by_tool(side: Side, of: Pid, own: u32, range: Range) -> Result<(), Failure> {
    let tool = side.tool();
    let numbers = [of.as_raw_nonzero().get() as u32, 0, own, 1, 1, range.first, range.count];
    let run = Command::new(tool).args(numbers.map(|n| n.to_string())).stdin(Stdio::null()).output();
    let doing = match &run {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            format!("running {tool} (of package uidmap or shadow-utils)")
        }
        _ => format!("running {tool}"),
    };
    let run = run.doing(&doing)?;
    if run.status.success() {
        return Ok(());
    }
    let said = crate::text::printable(run.stderr.trim_ascii());
    Err(std::io::Error::other(format!("{}: {said}", run.status))).doing(&doing)
}

/// Maps 0, and as many ids after it, to our own and those after it. More than one id takes real root.
pub(super) fn by_hand(side: Side, of: Pid, own: u32, count: u32) -> Result<(), Failure> {
    let path = format!("/proc/{}/{}", of.as_raw_nonzero(), side.file());
    fs::write(&path, format!("0 {own} {count}\n")).doing(&format!("writing {path}"))
}

/// Without `CAP_SETGID` outside, groups can be mapped only where the namespace cannot drop any.
pub(super) fn deny_setgroups(of: Pid) -> Result<(), Failure> {
    let path = format!("/proc/{}/setgroups", of.as_raw_nonzero());
    fs::write(&path, "deny").doing(&format!("writing {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_told_apart() {
        let cases = [
            ("         0          0 4294967295\n", Extent::Machine),
            ("         0       1000          1\n         1     100000      65536\n", Extent::Enough),
            ("         0          0      65536\n", Extent::Enough),
            ("         0       1000          1\n", Extent::Few),
            ("         0       1000          1\n         1     100000       1000\n", Extent::Few),
            ("", Extent::Few),
        ];
        for (map, want) in cases {
            assert_eq!(extent_of(map), want, "{map}");
        }
    }
}
