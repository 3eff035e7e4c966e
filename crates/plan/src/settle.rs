//! Plan and the two inventories to outcomes: what became of every finding, read from the database and not from the request.

use crate::{FindingRef, Fix, Outcome, Plan, Scope, Settled};
use inventory::{Inventory, Package, PackageState};
use std::collections::BTreeMap;
use version::{PackageName, Scheme};

/// Every finding of the plan with its outcome, in report order. `failure` is what went wrong in a run that went on
/// nevertheless; it is the reason of findings whose package did not move.
pub fn settle(plan: &Plan, before: &Inventory, after: &Inventory, failure: Option<&str>) -> Vec<Settled> {
    let mut placed: BTreeMap<usize, Settled> = BTreeMap::new();
    if let Scope::Fixes(fixes) = &plan.scope {
        for (fix, finding) in fixes.iter().flat_map(|fix| fix.findings.iter().map(move |f| (fix, f))) {
            let settled = settle_one(fix, finding, (before, after), failure);
            let known = placed.entry(finding.position).or_insert_with(|| settled.clone());
            if worse(&settled.outcome, &known.outcome) {
                *known = settled;
            }
        }
    }
    merge(placed, plan.left_out.iter().map(|left| with_now(left, after)))
}

/// Findings of fixes stand at their places; those left out fill the places between them, in their own order.
fn merge(mut placed: BTreeMap<usize, Settled>, left_out: impl Iterator<Item = Settled>) -> Vec<Settled> {
    let mut all = Vec::new();
    for left in left_out {
        while let Some(next) = placed.remove(&all.len()) {
            all.push(next);
        }
        all.push(left);
    }
    all.extend(placed.into_values());
    all
}

fn settle_one(
    fix: &Fix,
    finding: &FindingRef,
    (before, after): (&Inventory, &Inventory),
    failure: Option<&str>,
) -> Settled {
    let was = find(before, &fix.package);
    let now = find(after, &fix.package);
    Settled {
        vulnerability: finding.vulnerability.clone(),
        package: finding.package.clone(),
        installed: was.map_or(&fix.installed, |p| &p.version).clone(),
        fixed: Some(finding.fixed.clone()),
        now: now.map(|p| p.version.clone()),
        severity: finding.severity.clone(),
        outcome: outcome(finding, (was, now), failure, after.scheme),
    }
}

fn outcome(
    finding: &FindingRef,
    (was, now): (Option<&Package>, Option<&Package>),
    failure: Option<&str>,
    scheme: Scheme,
) -> Outcome {
    let failed = |reason: String| Outcome::Failed { reason };
    let Some(now) = now else { return failed("the package was removed".into()) };
    if let PackageState::Unfinished(state) = now.state {
        return failed(format!("the package was left {state}"));
    }
    let reaches =
        scheme.parse(&now.version).and_then(|now| Ok(now >= scheme.parse_bound(&finding.fixed, &now)?));
    let Ok(reaches) = reaches else {
        return failed(format!("\"{}\" and \"{}\" cannot be compared", now.version, finding.fixed));
    };
    if reaches {
        return Outcome::Fixed;
    }
    // Where the package moved, the tool did its work and the repositories have no more; where it did not, a failure of the
    // tool explains it better.
    let stuck = was.is_none_or(|was| was.version == now.version);
    match failure {
        Some(reason) if stuck => failed(reason.to_owned()),
        _ => Outcome::RepositoryBehind { reached: now.version.clone() },
    }
}

/// Which of two outcomes of one finding, on two architectures, is to be told.
fn worse(a: &Outcome, b: &Outcome) -> bool {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Failed { .. } => 2,
        Outcome::RepositoryBehind { .. } => 1,
        _ => 0,
    };
    rank(a) > rank(b)
}

fn with_now(left: &Settled, after: &Inventory) -> Settled {
    Settled { now: find(after, &left.package).map(|p| p.version.clone()), ..left.clone() }
}

/// The package a name means: of the architecture it gives, otherwise the first of that name. Of versions installed beside
/// each other the highest, which is the one that runs.
fn find<'a>(inventory: &'a Inventory, name: &PackageName) -> Option<&'a Package> {
    let named = |p: &&Package| p.name.as_str() == name.base();
    let fits = |p: &&Package| name.architecture().is_none_or(|a| a == p.architecture);
    let mut found = inventory.packages.iter().filter(named).filter(fits);
    let first = found.next()?;
    let beside = found.filter(|p| p.install_only && p.architecture == first.architecture);
    let version = |p: &Package| inventory.scheme.parse(&p.version).ok();
    Some(beside.fold(first, |best, p| if version(p) > version(best) { p } else { best }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finding, inventory, package, subject};
    use crate::{ImageFacts, Policy, make};
    use report::Findings;

    fn settled(
        findings: &[report::Finding],
        before: &Inventory,
        after: &[Package],
        failure: Option<&str>,
    ) -> Vec<(String, Outcome)> {
        let findings = Findings { subject: subject(), os: findings.to_vec(), ..Findings::default() };
        let plan = make(Some(&findings), before, &ImageFacts::default(), &Policy::default()).unwrap();
        let all = settle(&plan, before, &inventory(after), failure);
        all.into_iter().map(|s| (s.vulnerability, s.outcome)).collect()
    }

    #[test]
    fn each_finding_is_judged_by_its_own_version_in_report_order() {
        let before = inventory(&[package("a", "1"), package("b", "1"), package("c", "3")]);
        let findings = [
            finding("CVE-1", "c", &["2"]),
            finding("CVE-2", "b", &["2"]),
            finding("CVE-3", "absent", &["2"]),
            finding("CVE-4", "a", &["2"]),
            finding("CVE-5", "a", &["4"]),
            finding("CVE-6", "b", &[]),
        ];
        let after = [package("a", "3"), package("b", "1"), package("c", "3")];
        let behind = |reached: &str| Outcome::RepositoryBehind { reached: reached.into() };
        let expected = [
            ("CVE-1", Outcome::AlreadyFixed),
            ("CVE-2", behind("1")),
            ("CVE-3", Outcome::NotInstalled),
            ("CVE-4", Outcome::Fixed),
            ("CVE-5", behind("3")),
            ("CVE-6", Outcome::NoFixKnown),
        ];
        let got = settled(&findings, &before, &after, None);
        assert_eq!(got, expected.map(|(id, outcome)| (id.to_owned(), outcome)));
    }

    #[test]
    fn a_failure_explains_what_did_not_move() {
        let before =
            inventory(&[package("a", "1"), package("b", "1"), package("gone", "1"), package("half", "1")]);
        let findings = ["a", "b", "gone", "half"].map(|name| finding(&format!("CVE-{name}"), name, &["2"]));
        let half = Package { state: PackageState::Unfinished("half-configured"), ..package("half", "2") };
        let got =
            settled(&findings, &before, &[package("a", "2"), package("b", "1"), half], Some("dpkg said no"));
        let outcomes: Vec<_> = got.into_iter().map(|(_, outcome)| outcome).collect();
        let failed = |reason: &str| Outcome::Failed { reason: reason.into() };
        let expected = [
            Outcome::Fixed,
            failed("dpkg said no"),
            failed("the package was removed"),
            failed("the package was left half-configured"),
        ];
        assert_eq!(outcomes, expected);
    }

    #[test]
    fn of_two_architectures_the_worse_one_is_told_once() {
        let on = |version: &str, architecture: &str| Package {
            architecture: architecture.into(),
            ..package("l", version)
        };
        let before = inventory(&[on("1", "amd64"), on("1", "i386")]);
        let findings = [finding("CVE-1", "l", &["2"])];
        let got = settled(&findings, &before, &[on("2", "amd64"), on("1", "i386")], None);
        assert_eq!(got, [("CVE-1".to_owned(), Outcome::RepositoryBehind { reached: "1".into() })]);
        let got = settled(&findings, &before, &[on("2", "amd64"), on("2", "i386")], None);
        assert_eq!(got, [("CVE-1".to_owned(), Outcome::Fixed)]);
    }

    #[test]
    fn an_update_of_everything_has_no_findings() {
        let before = inventory(&[package("a", "1")]);
        let plan = make(None, &before, &ImageFacts::default(), &Policy::default()).unwrap();
        assert!(settle(&plan, &before, &inventory(&[package("a", "2")]), None).is_empty());
    }
}
