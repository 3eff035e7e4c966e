//! What a run left, judged: the package database, and what apk said.

use super::{DATABASES, UPGRADING};
use crate::{Error, Facts};
use engine::{Evidence, StepResult};
use inventory::{Inventory, PackageState, apk::installed, printable};

/// How apk says, with exit code 0 where it is older than 2.14, that it goes on without a repository.
const WITHOUT_REPOSITORY: [&str; 5] = [
    "WARNING: Ignoring ",
    "WARNING: constructing url ",
    "WARNING: fetching ",
    "WARNING: opening ",
    "WARNING: updating ",
];

pub(super) fn steps(steps: &[StepResult]) -> Result<(), Error> {
    for step in steps.iter().filter(|step| step.title.starts_with(UPGRADING) && step.exit == Some(0)) {
        if let Some(line) = step.tail.lines().map(str::trim).find(|line| is_failure(line)) {
            return Err(Error::Repositories { title: step.title.clone(), line: printable(line) });
        }
    }
    Ok(())
}

/// Folders and media that are not there do not matter: what they would have had, nobody misses.
fn is_failure(line: &str) -> bool {
    let remote = || ["http://", "https://"].iter().any(|scheme| line.contains(scheme));
    WITHOUT_REPOSITORY.iter().any(|start| line.starts_with(start)) && remote()
}

/// The inventory after the run. A package that the run left broken is an error; one that was so before is not.
pub(super) fn after(facts: &Facts, evidence: &Evidence) -> Result<Inventory, Error> {
    let found = DATABASES.into_iter().find_map(|path| Some((path, evidence.get(path)?)));
    let (path, bytes) = found.ok_or_else(|| Error::database(DATABASES[0], "gone after the run"))?;
    let read = installed::parse(bytes).and_then(|database| database.packages());
    let mut read = read.map_err(|why| Error::database(path, why))?;
    let before = facts.inventory.by_name();
    let mut broken = Vec::new();
    for package in &mut read.packages {
        let was = before.get(package.name.as_str()).and_then(|known| known.first());
        package.held = was.is_some_and(|was| was.held);
        let PackageState::Unfinished(state) = package.state else { continue };
        if was.is_none_or(|was| was.state != package.state) {
            broken.push(format!("{} ({state})", package.name));
        }
    }
    match broken.is_empty() {
        true => Ok(Inventory { packages: read.packages, notes: read.notes, ..facts.inventory.clone() }),
        false => Err(Error::State(format!("apk left packages broken: {}", broken.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn judged(before: &str, now: Option<&str>) -> Result<Inventory, Error> {
        let packages = installed::parse(before.as_bytes()).unwrap().packages().unwrap().packages;
        let facts = Facts { inventory: Inventory { packages, ..Inventory::default() }, ..Facts::default() };
        after(&facts, &now.map(|text| (DATABASES[0].to_owned(), text.into())).into_iter().collect())
    }

    #[test]
    fn only_what_the_run_left_broken_is_an_error() {
        let (good, broken) = ("P:a\nV:1-r0\n\n", "P:a\nV:1-r0\nf:s\n\n");
        assert_eq!(judged(good, Some(good)).unwrap().packages.len(), 1);
        assert!(judged(broken, Some(broken)).is_ok() && judged(broken, Some(good)).is_ok());
        let error = judged(good, Some(broken)).unwrap_err().to_string();
        assert_eq!(error, "apk left packages broken: a (broken-script)");
        assert!(judged(good, Some("P:a\nV:1-r0\n\nP:b\nV:1-r0\nf:f\n\n")).is_err());
        let gone = judged(good, None).unwrap_err().to_string();
        assert_eq!(gone, "/lib/apk/db/installed: gone after the run");
        assert!(judged(good, Some("P:a\n")).is_err());
    }

    #[test]
    fn a_run_without_a_repository_is_a_failure() {
        let step = |title: &str, exit, tail: &str| StepResult {
            title: title.into(),
            exit: Some(exit),
            tail: tail.into(),
            took: Duration::ZERO,
        };
        let url = "http://mirror.example/main/x86_64/APKINDEX.tar.gz";
        for (line, failure) in [
            (format!("WARNING: Ignoring {url}: temporary error (try again later)"), true),
            (format!("WARNING: Ignoring {url}: No such file or directory"), true),
            (format!("WARNING: Ignoring {url}: BAD signature"), true),
            (format!("WARNING: fetching {url}: UNTRUSTED signature"), true),
            (format!("WARNING: updating and opening {url}: remote server returned error"), true),
            (
                "WARNING: Ignoring /media/cdrom/apks/x86_64/APKINDEX.tar.gz: No such file or directory"
                    .into(),
                false,
            ),
            (format!("fetch {url}"), false),
            ("WARNING: This apk-tools is OLD! Some packages might not function properly.".into(), false),
        ] {
            let tail = format!("fetch x\n{line}\nOK: 7 MiB in 15 packages\n");
            let result = steps(&[step("Upgrading 2 packages", 0, &tail), step("other", 0, &tail)]);
            assert_eq!(result.is_err(), failure, "{line}");
            if let Err(error) = result {
                assert_eq!(error.to_string(), format!("Upgrading 2 packages: {line}"));
            }
        }
    }
}
