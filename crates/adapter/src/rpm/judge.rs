//! What a run left, judged: how the steps ended and what they said, and the package database.

use super::{database, recipe::ZYPPER_MARK};
use crate::{Error, Facts};
use engine::{Evidence, StepResult};
use inventory::{Inventory, Package, printable};
use std::collections::BTreeSet;

/// How tools say, with exit code 0, that they went on without a repository.
const SKIPPED: [&str; 8] = [
    "Ignoring repositories: ",
    ">>> Usable URL not found",
    "Error: Failed to download metadata for repo ",
    "Error: Failed to synchronize cache for repo ",
    "Failed to synchronize cache for repo ",
    "Disabling Repo: ",
    "Skipping repository ",
    "Could not refresh the repositories because of errors",
];

/// How tools say, with exit code 0, that a script of a package that is now installed has failed. Those of packages that went
/// (`%preun`, `%postun`) leave nothing half-done of what stays.
const SCRIPTS: [&str; 5] = ["%pre(", "%post(", "%pretrans(", "%posttrans(", "%triggerin("];

/// What is said of such a script.
const SCRIPT_FAILED: &str = "scriptlet failed";

/// zypper's exit codes of a success: done; done, and a machine should reboot, or run it again (zypper(8)).
const ZYPPER_DONE: [i32; 3] = [0, 102, 103];

/// The exit code of an installation in which a `%post` script failed.
const ZYPPER_SCRIPT_FAILED: i32 = 107;

/// How lines begin that zypper says after the one with the cause.
const ZYPPER_ASIDE: [&str; 4] = [
    "Abort, retry, ignore? ",
    "Problem occurred during or after installation or removal of packages",
    "Installation has been aborted as directed",
    "Please see the above error message for a hint",
];

pub(super) fn steps(steps: &[StepResult]) -> Result<(), Error> {
    steps.iter().try_for_each(|step| {
        repositories(step)?;
        scripts(step)
    })?;
    zypper(steps)
}

fn repositories(step: &StepResult) -> Result<(), Error> {
    let skipped = step.tail.lines().map(str::trim).find(|l| SKIPPED.iter().any(|start| l.starts_with(start)));
    skipped
        .map_or(Ok(()), |line| Err(Error::Repositories { title: step.title.clone(), line: printable(line) }))
}

fn scripts(step: &StepResult) -> Result<(), Error> {
    let said = |line: &&str| line.contains(SCRIPT_FAILED) && SCRIPTS.iter().any(|kind| line.contains(kind));
    step.tail.lines().map(str::trim).find(said).map_or(Ok(()), |line| {
        let why = format!("a script of a package failed: {}", printable(line));
        Err(Error::Tool { title: step.title.clone(), why })
    })
}

/// zypper's steps may fail as far as the engine is concerned, since its exit code also tells other things. The last that ran
/// counts: it repeats what the one before left undone.
fn zypper(steps: &[StepResult]) -> Result<(), Error> {
    let ran = steps.iter().filter(|s| s.title.ends_with(ZYPPER_MARK));
    let Some((step, code)) = ran.filter_map(|s| Some((s, s.exit?))).next_back() else { return Ok(()) };
    match ZYPPER_DONE.contains(&code) {
        true => Ok(()),
        false => {
            let tells =
                |line: &&str| !line.is_empty() && !ZYPPER_ASIDE.iter().any(|start| line.starts_with(start));
            let why = step.tail.lines().rev().map(str::trim).find(tells).unwrap_or("it said nothing");
            let what =
                if code == ZYPPER_SCRIPT_FAILED { "a script of a package failed" } else { "zypper failed" };
            let why = format!("{what} (exit code {code}): {}", printable(why));
            Err(Error::Tool { title: step.title.clone(), why })
        }
    }
}

/// The inventory after the run. A package that the run left in two versions is one whose old one rpm could not remove; where
/// it was so before, it may stay so.
pub(super) fn after(facts: &Facts, evidence: &Evidence) -> Result<Inventory, Error> {
    let installed = database::read(evidence)?
        .ok_or_else(|| Error::State("the image has no rpm database any more".to_owned()))?;
    let before = doubles(&facts.inventory.packages);
    let now = doubles(&installed.packages);
    let left: Vec<String> = now.difference(&before).map(|(name, arch)| format!("{name}.{arch}")).collect();
    if !left.is_empty() {
        return Err(Error::State(format!(
            "packages were left half-done, in two versions at once: {}",
            left.join(", ")
        )));
    }
    let mut packages = installed.packages;
    let held: BTreeSet<_> =
        facts.inventory.packages.iter().filter(|p| p.held).map(|p| p.name.clone()).collect();
    packages.iter_mut().for_each(|p| p.held = held.contains(&p.name));
    Ok(Inventory { packages, notes: installed.notes, ..facts.inventory.clone() })
}

/// Name and architecture of packages that are there in several versions, though one takes the other's place.
fn doubles(packages: &[Package]) -> BTreeSet<(&str, &str)> {
    let mut seen = BTreeSet::new();
    let single = packages.iter().filter(|p| !p.install_only);
    single.map(|p| (p.name.as_str(), p.architecture.as_str())).filter(|key| !seen.insert(*key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn step(title: &str, exit: Option<i32>, tail: &str) -> StepResult {
        StepResult { title: title.into(), exit, tail: tail.into(), took: Duration::ZERO }
    }

    #[test]
    fn a_repository_that_was_skipped_is_a_failure() {
        for line in [
            "Error: Failed to download metadata for repo 'dead': Cannot download repomd.xml",
            ">>> Usable URL not found",
            "Ignoring repositories: dead",
            "Skipping repository 'dead' because of the above error.",
            "Disabling Repo: 'dead'",
        ] {
            let said = format!("base  2.3 MB/s |  35 kB\n{line}\nComplete!\n");
            let error = steps(&[step("Upgrading all packages", Some(0), &said)]).unwrap_err();
            assert_eq!(error.to_string(), format!("Upgrading all packages: {line}"));
        }
        let benign = "base  2.3 MB/s |  35 kB\nImporting GPG key 0x555E8CFC:\nNothing to do.\nComplete!\n";
        assert_eq!(steps(&[step("Upgrading all packages", Some(0), benign)]), Ok(()));
    }

    #[test]
    fn a_script_of_what_is_installed_must_not_fail() {
        let said = |line: &str| steps(&[step("Upgrading all packages", Some(0), line)]);
        for line in [
            "warning: %post(demo-1.0-2.x86_64) scriptlet failed, exit status 1",
            "  >>> [RPM] %posttrans(demo-1.0-2.x86_64) scriptlet failed, exit status 1",
        ] {
            let error = said(line).unwrap_err().to_string();
            assert!(
                error.contains("a script of a package failed") && error.contains("demo-1.0-2"),
                "{error}"
            );
        }
        assert_eq!(said("warning: %postun(demo-1.0-1.x86_64) scriptlet failed, exit status 1"), Ok(()));
    }

    #[test]
    fn the_last_exit_code_of_zypper_counts() {
        let marked = |code| step("Upgrading all packages (zypper)", code, "Loading\nwhy\n\n");
        for (codes, good) in [
            (&[Some(0), None][..], true),
            (&[Some(102), Some(0)], true),
            (&[Some(103), Some(0)], true),
            (&[Some(103), Some(102)], true),
            (&[Some(103), Some(4)], false),
            (&[Some(8), Some(8)], false),
            (&[Some(107), Some(107)], false),
        ] {
            let judged = steps(&codes.iter().map(|code| marked(*code)).collect::<Vec<_>>());
            assert_eq!(judged.is_ok(), good, "{codes:?} {judged:?}");
        }
        let error = steps(&[marked(Some(4))]).unwrap_err().to_string();
        assert_eq!(error, "Upgrading all packages (zypper): zypper failed (exit code 4): why");
        let said = "demo (updates): Signature verification failed\nAbort, retry, ignore? [a/r/i] (a): a\n\
                    Installation has been aborted as directed.\nPlease see the above error message for a hint.\n";
        let error = steps(&[step("Upgrading all packages (zypper)", Some(8), said)]).unwrap_err().to_string();
        assert!(error.ends_with("(exit code 8): demo (updates): Signature verification failed"), "{error}");
        assert_eq!(
            steps(&[step("Upgrading all packages", Some(1), "why")]),
            Ok(()),
            "the engine's or the policy's"
        );
    }
}
