//! What a run left, judged: the package database, and the output of the refresh.

use super::{STATUS, UPDATE_TITLE};
use crate::{Error, Facts};
use engine::{Evidence, StepResult};
use inventory::{Inventory, PackageState, dpkg, printable};

/// How apt says, with exit code 0 where it is old, that it did not get an index.
const FETCH_FAILURES: [&str; 5] = [
    "W: Failed to fetch ",
    "E: Failed to fetch ",
    "W: Some index files failed to download",
    "W: An error occurred during the signature verification",
    "W: GPG error",
];

pub(super) fn steps(steps: &[StepResult]) -> Result<(), Error> {
    for step in steps.iter().filter(|s| s.title == UPDATE_TITLE) {
        let failure =
            step.tail.lines().find(|l| FETCH_FAILURES.iter().any(|start| l.trim_start().starts_with(start)));
        if let Some(line) = failure {
            return Err(Error::Repositories { title: step.title.clone(), line: printable(line.trim()) });
        }
    }
    Ok(())
}

/// The inventory after the run. A package that the run left unfinished is an error; one that was so before is not.
pub(super) fn after(facts: &Facts, evidence: &Evidence) -> Result<Inventory, Error> {
    let bytes = evidence.get(STATUS).ok_or_else(|| Error::database(STATUS, "gone after the run"))?;
    let status = dpkg::parse_status(bytes).map_err(|why| Error::database(STATUS, why))?;
    let before = facts.inventory.by_name();
    let mut broken = Vec::new();
    for package in &status.packages {
        let PackageState::Unfinished(state) = package.state else { continue };
        let was = before.get(package.name.as_str()).into_iter().flatten();
        let was = was.filter(|p| p.architecture == package.architecture).map(|p| p.state).next();
        if !matches!(was, Some(PackageState::Unfinished(_))) {
            broken.push(format!("{} is {state}", package.name));
        }
    }
    if !broken.is_empty() {
        return Err(Error::State(format!("packages were left unfinished: {}", broken.join(", "))));
    }
    Ok(Inventory { packages: status.packages, notes: status.notes, ..facts.inventory.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn status(state: &str) -> Vec<u8> {
        format!("Package: a\nStatus: install ok {state}\nArchitecture: amd64\nVersion: 1\n\n").into_bytes()
    }

    fn judged(before: &str, now: Option<&str>) -> Result<Inventory, Error> {
        let packages = dpkg::parse_status(&status(before)).unwrap().packages;
        let facts = Facts { inventory: Inventory { packages, ..Inventory::default() }, ..Facts::default() };
        after(&facts, &now.map(|state| (STATUS.to_owned(), status(state))).into_iter().collect())
    }

    #[test]
    fn only_what_the_run_left_unfinished_is_an_error() {
        assert_eq!(judged("installed", Some("installed")).unwrap().packages.len(), 1);
        assert!(judged("half-configured", Some("half-configured")).is_ok());
        let error = judged("installed", Some("half-configured")).unwrap_err().to_string();
        assert_eq!(error, "packages were left unfinished: a is half-configured");
        assert!(judged("installed", Some("triggers-pending")).is_err());
        let gone = judged("installed", None).unwrap_err().to_string();
        assert_eq!(gone, "/var/lib/dpkg/status: gone after the run");
    }

    #[test]
    fn a_refresh_that_only_warned_is_a_failure() {
        let step = |title: &str, tail: &str| StepResult {
            title: title.into(),
            exit: Some(0),
            tail: tail.into(),
            took: Duration::ZERO,
        };
        let warned =
            "Err:1 http://h x\nW: Failed to fetch http://h/x  404\nW: Some index files failed to download.\n";
        let error = steps(&[step(UPDATE_TITLE, warned)]).unwrap_err().to_string();
        assert_eq!(error, "Updating package database: W: Failed to fetch http://h/x  404");
        let benign =
            "Get:1 http://h x\nW: Target Packages is configured multiple times\nReading package lists...\n";
        assert_eq!(steps(&[step(UPDATE_TITLE, benign), step("Installing", warned)]), Ok(()));
    }
}
