//! What a run left, judged: the package database, and what pacman said.

use super::{REFRESH_TITLE, UPGRADING, database, facts::configuration};
use crate::{Error, Facts};
use engine::{Evidence, StepResult};
use inventory::{Inventory, printable};

/// How pacman before 6 says, with exit code 0 where one repository of several was fetched, that it goes on without another.
const WITHOUT_REPOSITORY: [&str; 2] = ["error: failed to update ", "error: failed to synchronize "];

/// How pacman says, with exit code 0, that a script failed.
const SCRIPT_FAILED: &str = "error: command failed to execute correctly";

/// How it says which package is being worked on, before the output of that package's script.
const PACKAGE_WORK: [&str; 4] = ["installing ", "upgrading ", "reinstalling ", "removing "];

/// Where hooks begin. Those are nobody's package: many need a running machine, and pacman goes on without them by design.
const HOOKS: &str = ":: Running ";
const PACKAGES: &str = ":: Processing package changes";

pub(super) fn steps(steps: &[StepResult]) -> Result<(), Error> {
    for step in steps.iter().filter(|step| step.exit == Some(0)) {
        let (title, tail) = (&step.title, step.tail.as_str());
        if title == REFRESH_TITLE
            && let Some(line) = tail.lines().map(str::trim).find(|line| is_failure(line))
        {
            return Err(Error::Repositories { title: title.clone(), line: printable(line) });
        }
        if title.starts_with(UPGRADING)
            && let Some(line) = failed_script(tail)
        {
            let why = format!("a package's script failed ({})", printable(line));
            return Err(Error::Tool { title: title.clone(), why });
        }
    }
    Ok(())
}

fn is_failure(line: &str) -> bool {
    WITHOUT_REPOSITORY.iter().any(|start| line.starts_with(start))
}

/// The work on a package during which a script failed.
fn failed_script(tail: &str) -> Option<&str> {
    let mut doing = None;
    for line in tail.lines().map(str::trim) {
        if line.starts_with(HOOKS) || line.starts_with(PACKAGES) {
            doing = None;
        } else if line.ends_with("...") && PACKAGE_WORK.iter().any(|work| line.starts_with(work)) {
            doing = Some(line);
        } else if line == SCRIPT_FAILED && doing.is_some() {
            return doing;
        }
    }
    None
}

/// The inventory after the run.
pub(super) fn after(facts: &Facts, evidence: &Evidence) -> Result<Inventory, Error> {
    let read = database(evidence, &configuration(&facts.files)?)?;
    Ok(Inventory { packages: read.packages, notes: read.notes, ..facts.inventory.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pacman::{CONF, DATABASE, VERSION};
    use std::time::Duration;

    fn step(title: &str, tail: &str) -> StepResult {
        StepResult { title: title.into(), exit: Some(0), tail: tail.into(), took: Duration::ZERO }
    }

    #[test]
    fn a_refresh_that_lacks_a_repository_is_a_failure() {
        let lacking = ":: Synchronizing package databases...\n core is up to date\n\
            error: failed to update extra (download library error)\n";
        let error = steps(&[step(REFRESH_TITLE, lacking)]).unwrap_err().to_string();
        assert_eq!(
            error,
            "Updating package database: error: failed to update extra (download library error)"
        );
        // A mirror that fails where another does not.
        let other =
            "error: failed retrieving file 'core.db' from mirror.example : 404\n core downloading...\n";
        assert_eq!(steps(&[step(REFRESH_TITLE, other), step("other", lacking)]), Ok(()));
    }

    #[test]
    fn the_script_of_a_package_must_not_fail_and_a_hook_may() {
        let output = |before: &str| format!(":: Processing package changes...\n{before}{SCRIPT_FAILED}\n");
        for (tail, expected) in [
            (output("upgrading openssl...\nno room\n"), Some("upgrading openssl...")),
            (output("installing fips...\nupgrading demo...\n"), Some("upgrading demo...")),
            (output("upgrading openssl...\n:: Running post-transaction hooks...\n(1/1) Arming...\n"), None),
            ("upgrading openssl...\n".into(), None),
        ] {
            assert_eq!(failed_script(&tail), expected, "{tail}");
        }
        let failed = output("upgrading openssl...\n");
        let error = steps(&[step("Upgrading 1 package", &failed)]).unwrap_err().to_string();
        assert_eq!(error, "Upgrading 1 package: a package's script failed (upgrading openssl...)");
    }

    #[test]
    fn the_database_is_read_back_and_what_is_ignored_stays_held() {
        let files = [(CONF.to_owned(), b"[options]\nIgnorePkg = a\n".to_vec())].into();
        let facts = Facts { files, ..Facts::default() };
        let desc = b"%NAME%\na\n\n%VERSION%\n2-1\n\n%ARCH%\nany\n\n".to_vec();
        let mut evidence: Evidence = [(format!("{DATABASE}/a-2-1/desc"), desc)].into();
        let without = after(&facts, &evidence).unwrap_err().to_string();
        assert!(without.starts_with("/var/lib/pacman/local/ALPM_DB_VERSION: not there"), "{without}");
        evidence.insert(VERSION.to_owned(), b"9\n".to_vec());
        let inventory = after(&facts, &evidence).unwrap();
        assert!(inventory.packages[0].held && inventory.packages[0].version == "2-1");
    }
}
