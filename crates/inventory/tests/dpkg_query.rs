//! Our reading of this machine's own status file against dpkg's.

use inventory::{PackageState, dpkg};
use std::{fs, process::Command};

const FORMAT: &str = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${db:Status-Want}\t\
    ${db:Status-Status}\t${Essential}\n";

#[test]
fn packages_are_those_that_dpkg_lists() {
    let listed = Command::new("dpkg-query").args(["--show", "--showformat", FORMAT]).output();
    let (Ok(listed), Ok(status)) = (listed, fs::read("/var/lib/dpkg/status")) else {
        eprintln!("skipped: no dpkg on this machine");
        return;
    };
    if status.is_empty() {
        eprintln!("skipped: dpkg has installed nothing on this machine");
        return;
    }
    let text = String::from_utf8(listed.stdout).expect("dpkg-query writes plain text");
    let on_disk = |line: &&str| !line.contains("\tconfig-files\t") && !line.contains("\tnot-installed\t");
    let mut theirs: Vec<String> = text.lines().filter(on_disk).map(str::to_owned).collect();
    let read = dpkg::parse_status(&status).expect("dpkg's own file is in order");
    let row = |p: &inventory::Package| {
        let want = if p.held { "hold" } else { "install" };
        let state = match p.state {
            PackageState::Installed => "installed",
            PackageState::Unfinished(state) => state,
        };
        let (source, source_version) = (&p.source, &p.source_version);
        let essential = if p.essential { "yes" } else { "" };
        format!(
            "{}\t{}\t{}\t{source}\t{source_version}\t{want}\t{state}\t{essential}",
            p.name, p.version, p.architecture
        )
    };
    let mut ours: Vec<String> = read.packages.iter().map(row).collect();
    // `Essential: no` and `deinstall` of what is still there are dpkg's to tell apart, not ours; `Protected` is not listed.
    for rows in [&mut ours, &mut theirs] {
        for row in rows.iter_mut() {
            *row = row
                .replace("\tdeinstall\t", "\tinstall\t")
                .trim_end_matches("yes")
                .trim_end_matches("no")
                .to_owned();
        }
        rows.sort();
    }
    assert_eq!(ours, theirs);
}
