//! Findings and inventory to a plan: each finding either asks for a package at least at a version, or is left out with
//! its reason.

use crate::{Error, FindingRef, Fix, ImageFacts, Outcome, Plan, Policy, Scope, Settled, fit};
use inventory::{ByName, Inventory, Package};
use report::{Finding, Findings};
use std::collections::{BTreeMap, BTreeSet};
use version::{PackageName, Scheme, Version};

/// The plan for an image. Without a report: everything. What the image's records leave in doubt comes first in the notes.
pub fn make(
    findings: Option<&Findings>,
    inventory: &Inventory,
    image: &ImageFacts,
    policy: &Policy,
) -> Result<Plan, Error> {
    let mut notes = inventory.notes.clone();
    notes.extend(held_note(inventory));
    notes.extend(policy.idle_notes(inventory, findings.is_some()));
    let Some(findings) = findings else {
        return Ok(Plan {
            scope: Scope::UpdateAll,
            left_out: Vec::new(),
            excluded: excluded(inventory, policy, true),
            notes,
        });
    };
    notes.extend(fit::check(findings, &inventory.os, image, policy)?);
    let mut draft = Draft::new(inventory, policy);
    for (position, finding) in findings.os.iter().enumerate() {
        draft.add(position, finding);
    }
    Ok(Plan {
        scope: Scope::Fixes(draft.fixes.into_values().collect()),
        left_out: draft.left_out,
        excluded: excluded(inventory, policy, false),
        notes,
    })
}

fn held_note(inventory: &Inventory) -> Option<String> {
    let held: Vec<_> = inventory.packages.iter().filter(|p| p.held).map(|p| p.name.as_str()).collect();
    (!held.is_empty()).then(|| format!("held by the image's administrator, not patched: {}", held.join(", ")))
}

/// Installed packages that the user wants left as they are. Without a report those that are not among the ones to patch too:
/// with one they may move where a fix needs them.
fn excluded(inventory: &Inventory, policy: &Policy, everything: bool) -> BTreeSet<PackageName> {
    let stays = |name: &str| policy.excludes(name).is_some() || (everything && !policy.includes(name));
    let packages = inventory.packages.iter().filter(|p| stays(p.name.as_str()));
    packages.map(|p| p.name.clone()).collect()
}

/// The plan in the making.
struct Draft<'a> {
    policy: &'a Policy,
    by_name: ByName<'a>,
    scheme: Scheme,
    /// The architecture that the package tool means when none is given.
    native: Option<&'a str>,
    fixes: BTreeMap<PackageName, Fix>,
    left_out: Vec<Settled>,
}

/// What one installed package needs of one finding.
enum Need<'a> {
    Nothing,
    Fix(&'a Package, Version),
    Stays(Outcome),
}

impl<'a> Draft<'a> {
    fn new(inventory: &'a Inventory, policy: &'a Policy) -> Self {
        let dpkg = inventory.packages.iter().find(|p| p.name.as_str() == "dpkg");
        Draft {
            policy,
            by_name: inventory.by_name(),
            scheme: inventory.scheme,
            native: dpkg.map(|p| p.architecture.as_str()),
            fixes: BTreeMap::new(),
            left_out: Vec::new(),
        }
    }

    fn add(&mut self, position: usize, finding: &Finding) {
        let packages = self.installed(&finding.package);
        let Some(first) = packages.first() else {
            let outcome = self.absent(finding);
            return self.leave_out(finding, None, outcome);
        };
        if finding.fixed.is_empty() {
            return self.leave_out(finding, Some(first), Outcome::NoFixKnown);
        }
        let needs: Vec<_> = packages.iter().map(|package| need(finding, package, self.scheme)).collect();
        // Copies of one package on several architectures move together or not at all.
        let stays = needs
            .iter()
            .find_map(|n| if let Need::Stays(outcome) = n { Some(outcome.clone()) } else { None });
        if let Some(outcome) = stays {
            return self.leave_out(finding, Some(first), outcome);
        }
        if needs.iter().all(|need| matches!(need, Need::Nothing)) {
            return self.leave_out(finding, Some(first), Outcome::AlreadyFixed);
        }
        if let Some(why) = self.policy.lets_be(finding, first.name.as_str()) {
            return self.leave_out(finding, Some(first), Outcome::Excluded { why });
        }
        for need in needs {
            if let Need::Fix(package, bound) = need {
                self.ask(position, finding, package, bound);
            }
        }
    }

    /// What to say of a name that no installed package has. The name of a source package is not absent: its binary packages
    /// are there, and to call the vulnerability inapplicable would be wrong.
    fn absent(&self, finding: &Finding) -> Outcome {
        let name = finding.package.base();
        let of_source = |p: &&Package| p.source == name;
        let mut binaries: Vec<&str> =
            self.by_name.values().flatten().copied().filter(of_source).map(|p| p.name.as_str()).collect();
        binaries.dedup();
        // Of another architecture only: that copy is not there.
        let is_binary = self.by_name.contains_key(name);
        match is_binary || binaries.is_empty() {
            true => Outcome::NotInstalled,
            false => Outcome::Excluded {
                why: format!(
                    "{name} is a source package; installed from it: {}; reports must name those",
                    binaries.join(", ")
                ),
            },
        }
    }

    /// The installed packages that a name in a report means.
    fn installed(&self, name: &PackageName) -> Vec<&'a Package> {
        let all = self.by_name.get(name.base()).map_or(&[][..], Vec::as_slice);
        let wanted = |p: &&&Package| name.architecture().is_none_or(|a| a == p.architecture);
        // Of versions installed beside each other the highest is the one that runs.
        let surpassed = |p: &Package| p.install_only && all.iter().any(|other| self.surpasses(other, p));
        all.iter().filter(wanted).filter(|p| !surpassed(p)).copied().collect()
    }

    fn surpasses(&self, other: &Package, package: &Package) -> bool {
        let version = |p: &Package| self.scheme.parse(&p.version).ok();
        other.architecture == package.architecture && version(other) > version(package)
    }

    fn leave_out(&mut self, finding: &Finding, package: Option<&Package>, outcome: Outcome) {
        self.left_out.push(Settled {
            vulnerability: finding.vulnerability.clone(),
            package: finding.package.clone(),
            installed: package.map_or(&finding.installed, |p| &p.version).clone(),
            fixed: (!finding.fixed.is_empty()).then(|| finding.fixed.join(", ")),
            now: package.map(|p| p.version.clone()),
            severity: finding.severity.clone(),
            outcome,
        });
    }

    fn ask(&mut self, position: usize, finding: &Finding, package: &Package, bound: Version) {
        let name = self.asked_name(package);
        let fix = self.fixes.entry(name.clone()).or_insert_with(|| Fix {
            package: name,
            installed: package.version.clone(),
            at_least: bound.to_string(),
            findings: Vec::new(),
        });
        if self.scheme.parse(&fix.at_least).is_ok_and(|known| known < bound) {
            fix.at_least = bound.to_string();
        }
        fix.findings.push(FindingRef {
            position,
            package: finding.package.clone(),
            vulnerability: finding.vulnerability.clone(),
            fixed: bound.to_string(),
            severity: finding.severity.clone(),
        });
    }

    /// The name as the tool is to be asked for it.
    fn asked_name(&self, package: &Package) -> PackageName {
        let copies = self.by_name.get(package.name.as_str()).map_or(0, Vec::len);
        let foreign = package.architecture != "all" && self.native.is_some_and(|n| n != package.architecture);
        if copies < 2 && !foreign {
            return package.name.clone();
        }
        // A name at the length limit cannot take a qualifier; the tool then decides, and the database tells.
        format!("{}:{}", package.name, package.architecture).parse().unwrap_or_else(|_| package.name.clone())
    }
}

fn need<'a>(finding: &Finding, package: &'a Package, scheme: Scheme) -> Need<'a> {
    let Ok(installed) = scheme.parse(&package.version) else {
        let reason = format!("the installed version \"{}\" cannot be compared", package.version);
        return Need::Stays(Outcome::Failed { reason });
    };
    match bound(finding, &installed, scheme) {
        Err(reason) => Need::Stays(Outcome::Failed { reason }),
        Ok(None) => Need::Nothing,
        Ok(Some(_)) if package.held => Need::Stays(Outcome::Held),
        Ok(Some(bound)) => Need::Fix(package, bound),
    }
}

/// The version a finding asks for: of the versions that fix it, each on its own branch, the lowest above what is installed.
/// None where what is installed is one of them, or above all.
fn bound(finding: &Finding, installed: &Version, scheme: Scheme) -> Result<Option<Version>, String> {
    let mut above = Vec::new();
    let mut reached = false;
    for text in &finding.fixed {
        let fixed = scheme.parse_bound(text, installed).map_err(|error| error.to_string())?;
        match fixed > *installed {
            true => above.push(fixed),
            false => reached |= fixed == *installed,
        }
    }
    Ok(above.into_iter().min().filter(|_| !reached))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finding, inventory, package};

    fn plan(findings: &[Finding], inventory: &Inventory) -> Plan {
        let findings =
            Findings { subject: crate::testing::subject(), os: findings.to_vec(), ..Findings::default() };
        make(Some(&findings), inventory, &ImageFacts::default(), &Policy::default()).unwrap()
    }

    fn fixes(plan: &Plan) -> Vec<(&str, &str)> {
        let Scope::Fixes(fixes) = &plan.scope else { panic!("{plan:?}") };
        fixes.iter().map(|f| (f.package.as_str(), f.at_least.as_str())).collect()
    }

    #[test]
    fn without_a_report_everything_is_updated_and_held_packages_are_named() {
        let mut held = package("b", "1");
        held.held = true;
        let mut inventory = inventory(&[package("a", "1"), held]);
        inventory.notes.push("in doubt".into());
        let plan = make(None, &inventory, &ImageFacts::default(), &Policy::default()).unwrap();
        assert_eq!(plan.scope, Scope::UpdateAll);
        assert_eq!(plan.notes, ["in doubt", "held by the image's administrator, not patched: b"]);
    }

    #[test]
    fn what_the_user_lets_be_is_told_and_only_where_there_is_something_to_fix() {
        let inventory = inventory(&[package("a", "1"), package("b", "3"), package("c", "1")]);
        let policy =
            Policy { exclude: vec!["a".parse().unwrap(), "b".parse().unwrap()], ..Policy::default() };
        let all = ["a", "b", "c"].map(|name| finding("CVE-1", name, &["2"]));
        let findings =
            Findings { subject: crate::testing::subject(), os: all.to_vec(), ..Findings::default() };
        let plan = make(Some(&findings), &inventory, &ImageFacts::default(), &policy).unwrap();
        assert_eq!(fixes(&plan), [("c", "2")]);
        let outcomes: Vec<_> = plan.left_out.iter().map(|s| &s.outcome).collect();
        let why = "packages named a are excluded".to_owned();
        assert_eq!(outcomes, [&Outcome::Excluded { why }, &Outcome::AlreadyFixed]);
        let names: Vec<_> = plan.excluded.iter().map(PackageName::as_str).collect();
        assert_eq!(names, ["a", "b"]);
        let only = Policy { include: vec!["c".parse().unwrap()], ..Policy::default() };
        let plan = make(None, &inventory, &ImageFacts::default(), &only).unwrap();
        assert_eq!(plan.excluded.len(), 2);
    }

    #[test]
    fn a_fix_takes_the_highest_of_its_findings_bounds() {
        let inventory = inventory(&[package("a", "1.0-1"), package("b", "1")]);
        let findings = [
            finding("CVE-1", "a", &["1.0-3"]),
            finding("CVE-2", "b", &["2"]),
            finding("CVE-3", "a", &["1.0-10"]),
        ];
        let plan = plan(&findings, &inventory);
        assert_eq!(fixes(&plan), [("a", "1.0-10"), ("b", "2")]);
        let Scope::Fixes(fixes) = &plan.scope else { unreachable!() };
        let own: Vec<_> = fixes[0].findings.iter().map(|f| (f.position, f.fixed.as_str())).collect();
        assert_eq!(own, [(0, "1.0-3"), (2, "1.0-10")]);
        assert!(plan.left_out.is_empty());
    }

    #[test]
    fn what_asks_for_nothing_is_left_out_with_its_reason() {
        let mut held = package("held", "1");
        held.held = true;
        let inventory = inventory(&[package("a", "1:1.0"), held, package("odd", "v1")]);
        let findings = [
            finding("CVE-1", "absent", &["2"]),
            finding("CVE-2", "a", &[]),
            finding("CVE-3", "a", &["2.0"]),
            finding("CVE-4", "held", &["2"]),
            finding("CVE-5", "held", &["1"]),
            finding("CVE-6", "a", &["1:1.0 || 2"]),
            finding("CVE-7", "odd", &["2"]),
        ];
        let plan = plan(&findings, &inventory);
        assert!(fixes(&plan).is_empty());
        let outcomes: Vec<_> = plan.left_out.iter().map(|s| &s.outcome).collect();
        assert_eq!(
            outcomes[..5],
            [
                &Outcome::NotInstalled,
                &Outcome::NoFixKnown,
                &Outcome::AlreadyFixed,
                &Outcome::Held,
                &Outcome::AlreadyFixed,
            ]
        );
        assert!(matches!(outcomes[5], Outcome::Failed { reason } if reason.contains("not allowed")));
        assert!(matches!(outcomes[6], Outcome::Failed { reason } if reason.contains("v1")));
        assert_eq!(plan.left_out[0].installed, "0.1");
        assert_eq!(plan.left_out[2].now.as_deref(), Some("1:1.0"));
    }

    #[test]
    fn of_several_branches_the_lowest_above_what_is_installed_counts() {
        for (fixed, installed, wanted) in [
            (&["1.2", "1.3"][..], "1.1", Some("1.2")),
            (&["1.3", "1.2"], "1.1", Some("1.2")),
            (&["1.2", "1.3"], "1.2.1", Some("1.3")),
            (&["1.2", "1.3"], "1.2", None),
            (&["1.2", "1.3"], "1.4", None),
        ] {
            let installed = Scheme::Deb.parse(installed).unwrap();
            let bound = bound(&finding("CVE-1", "a", fixed), &installed, Scheme::Deb).unwrap();
            assert_eq!(bound.as_ref().map(Version::as_str), wanted, "{fixed:?} {installed}");
        }
    }

    #[test]
    fn architectures_are_named_where_a_name_alone_is_ambiguous() {
        let on = |name: &str, architecture: &str| Package {
            architecture: architecture.into(),
            ..package(name, "1")
        };
        let inventory = inventory(&[
            on("dpkg", "amd64"),
            on("libc6", "amd64"),
            on("libc6", "i386"),
            on("lib32", "i386"),
            on("data", "all"),
            on("one", "amd64"),
        ]);
        let findings = [
            finding("CVE-1", "libc6", &["2"]),
            finding("CVE-2", "libc6:i386", &["3"]),
            finding("CVE-3", "lib32", &["2"]),
            finding("CVE-4", "data", &["2"]),
            finding("CVE-5", "one:amd64", &["2"]),
            finding("CVE-6", "one:arm64", &["2"]),
        ];
        let plan = plan(&findings, &inventory);
        let expected =
            [("data", "2"), ("lib32:i386", "2"), ("libc6:amd64", "2"), ("libc6:i386", "3"), ("one", "2")];
        assert_eq!(fixes(&plan), expected);
        assert_eq!(plan.left_out.len(), 1);
        assert_eq!(plan.left_out[0].outcome, Outcome::NotInstalled);
    }

    #[test]
    fn the_name_of_a_source_package_is_not_absent() {
        let library = inventory::Package { source: "openssl".into(), ..package("libssl3", "1") };
        let inventory = inventory(&[library]);
        let plan = plan(&[finding("CVE-1", "openssl", &["2"]), finding("CVE-2", "curl", &["2"])], &inventory);
        let Outcome::Excluded { why } = &plan.left_out[0].outcome else { panic!("{:?}", plan.left_out[0]) };
        assert!(why.contains("libssl3"), "{why}");
        assert_eq!(plan.left_out[1].outcome, Outcome::NotInstalled);
    }
}
