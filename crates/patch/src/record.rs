//! Values of the line as records of the result document.

use crate::result::{
    Counters, DeliveryRecord, FetchRecord, FindingRecord, FixRecord, PackageRecord, ResultDocument,
    SCHEMA_VERSION, Status, StepRecord,
};
use endpoint::{Load, Receipt, Written};
use engine::{Fetch, FetchKind, StepResult};
use plan::{Outcome, Plan, Scope, Settled, Upgrade};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Where an image was written.
pub(crate) fn deliveries(receipt: &Receipt) -> Vec<DeliveryRecord> {
    let word = |load| match load {
        Load::Thin => "thin".to_owned(),
        Load::Full => "full".to_owned(),
    };
    let record = |written: Written| DeliveryRecord {
        reference: written.reference,
        digest: written.digest.to_string(),
        load: written.load.map(word),
    };
    receipt.written().into_iter().map(record).collect()
}

/// A document that says nothing yet.
pub(crate) fn blank(tool_version: &str, engine: &str) -> ResultDocument {
    ResultDocument {
        schema_version: SCHEMA_VERSION.to_owned(),
        tool_version: tool_version.to_owned(),
        status: Status::Failed,
        error: None,
        image: Default::default(),
        patched: None,
        deliveries: Vec::new(),
        scope: String::new(),
        plan: Vec::new(),
        packages: Vec::new(),
        findings: Vec::new(),
        summary: BTreeMap::new(),
        not_considered: BTreeMap::new(),
        engine: engine.to_owned(),
        strategy: String::new(),
        lifecycle: None,
        tooling: None,
        indexes: Vec::new(),
        steps: Vec::new(),
        fetches: Vec::new(),
        counters: Default::default(),
        timings_ms: BTreeMap::new(),
        notes: Vec::new(),
        index: None,
        platforms: Vec::new(),
        preserved: Vec::new(),
    }
}

pub(crate) fn scope(plan: &Plan) -> String {
    match plan.scope {
        Scope::UpdateAll => "update-all".to_owned(),
        Scope::Fixes(_) => "report".to_owned(),
    }
}

pub(crate) fn fixes(plan: &Plan) -> Vec<FixRecord> {
    let Scope::Fixes(fixes) = &plan.scope else { return Vec::new() };
    let record = |fix: &plan::Fix| FixRecord {
        package: fix.package.to_string(),
        installed: fix.installed.clone(),
        at_least: fix.at_least.clone(),
        vulnerabilities: fix.findings.iter().map(|f| f.vulnerability.clone()).collect(),
    };
    fixes.iter().map(record).collect()
}

pub(crate) fn packages(upgrades: &[Upgrade]) -> Vec<PackageRecord> {
    let record = |upgrade: &Upgrade| PackageRecord {
        name: upgrade.package.to_string(),
        architecture: upgrade.architecture.clone(),
        from: upgrade.from.clone(),
        to: upgrade.to.clone(),
    };
    upgrades.iter().map(record).collect()
}

/// The word for an outcome, and what more there is to say.
pub(crate) fn outcome(outcome: &Outcome) -> (&'static str, Option<String>) {
    match outcome {
        Outcome::Fixed => ("fixed", None),
        Outcome::AlreadyFixed => ("already-fixed", None),
        Outcome::NotInstalled => ("not-installed", None),
        Outcome::NoFixKnown => ("no-fix-known", None),
        Outcome::RepositoryBehind { reached } => {
            ("repository-behind", Some(format!("the repositories have nothing above {reached}")))
        }
        Outcome::Held => ("held", None),
        Outcome::Excluded { why } => ("excluded", Some(why.clone())),
        Outcome::Failed { reason } => ("failed", Some(reason.clone())),
    }
}

pub(crate) fn findings(settled: &[Settled]) -> Vec<FindingRecord> {
    let record = |s: &Settled| {
        let (word, reason) = outcome(&s.outcome);
        FindingRecord {
            vulnerability: s.vulnerability.clone(),
            package: s.package.to_string(),
            installed: s.installed.clone(),
            fixed: s.fixed.clone(),
            now: s.now.clone(),
            severity: s.severity.clone(),
            outcome: word.to_owned(),
            reason,
        }
    };
    settled.iter().map(record).collect()
}

/// Findings of a plan that is not carried out: what is left out has its outcome, the rest is planned.
pub(crate) fn planned_findings(plan: &Plan) -> Vec<FindingRecord> {
    let mut records = findings(&plan.left_out);
    let Scope::Fixes(fixes) = &plan.scope else { return records };
    for fix in fixes {
        for finding in &fix.findings {
            records.push(FindingRecord {
                vulnerability: finding.vulnerability.clone(),
                package: fix.package.to_string(),
                installed: fix.installed.clone(),
                fixed: Some(finding.fixed.clone()),
                now: None,
                severity: finding.severity.clone(),
                outcome: "planned".to_owned(),
                reason: None,
            });
        }
    }
    records
}

pub(crate) fn summary(findings: &[FindingRecord]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.outcome.clone()).or_default() += 1;
    }
    counts
}

pub(crate) fn steps(results: &[StepResult]) -> Vec<StepRecord> {
    let record = |r: &StepResult| StepRecord { title: r.title.clone(), exit: r.exit, took_ms: ms(r.took) };
    results.iter().map(record).collect()
}

pub(crate) fn fetches(fetches: &[Fetch]) -> Vec<FetchRecord> {
    let record = |fetch: &Fetch| {
        let (how, why) = match &fetch.how {
            FetchKind::Hit => ("hit", None),
            FetchKind::Revalidated => ("revalidated", None),
            FetchKind::Miss => ("miss", None),
            FetchKind::Passed => ("passed", None),
            FetchKind::Tunnel => ("tunnel", None),
            FetchKind::Refused(why) => ("refused", Some(why.clone())),
            FetchKind::Failed(why) => ("failed", Some(why.clone())),
        };
        let (method, target) = (fetch.method.clone(), fetch.target.clone());
        FetchRecord { method, target, status: fetch.status, bytes: fetch.bytes, how: how.to_owned(), why }
    };
    fetches.iter().map(record).collect()
}

/// How many suites' indexes came in full from upstream, at least in part. Repositories keep them below `dists/SUITE`
/// (Debian's repository format), packages below `pool/`.
pub(crate) fn index_fetches(fetches: &[Fetch]) -> u64 {
    let full = |f: &&Fetch| {
        matches!(f.how, FetchKind::Miss | FetchKind::Passed) && f.status == 200 && f.method == "GET"
    };
    let suites: BTreeSet<&str> = fetches.iter().filter(full).filter_map(|f| suite(&f.target)).collect();
    suites.len() as u64
}

/// The URL of the suite that a URL belongs to.
fn suite(url: &str) -> Option<&str> {
    const FOLDER: &str = "/dists/";
    let name = url.find(FOLDER)? + FOLDER.len();
    let end = url[name..].find('/').map_or(url.len(), |at| name + at);
    Some(&url[..end])
}

/// Adds up what was counted of several platforms.
pub(crate) fn add(sum: &mut Counters, one: &Counters) {
    sum.layers_reencoded += one.layers_reencoded;
    sum.base_bytes_uploaded += one.base_bytes_uploaded;
    sum.lower_tree_walks += one.lower_tree_walks;
    sum.index_fetches += one.index_fetches;
    sum.bytes_uploaded += one.bytes_uploaded;
    sum.base_bytes_downloaded += one.base_bytes_downloaded;
    sum.fsync_in_sandbox = match (sum.fsync_in_sandbox, one.fsync_in_sandbox) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    };
}

pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_fetches_are_counted_by_suite_and_only_where_they_came_in_full() {
        let fetch = |target: &str, how, status| Fetch {
            method: "GET".into(),
            target: target.into(),
            status,
            bytes: 1,
            how,
        };
        let fetches = [
            fetch("http://m/debian/dists/a/InRelease", FetchKind::Miss, 200),
            fetch("http://m/debian/dists/a/main/binary-amd64/by-hash/SHA256/00", FetchKind::Passed, 200),
            fetch("http://m/security/dists/a/InRelease", FetchKind::Miss, 200),
            fetch("http://m/debian/dists/b/InRelease", FetchKind::Revalidated, 200),
            fetch("http://m/debian/dists/c/InRelease", FetchKind::Hit, 200),
            fetch("http://m/debian/dists/d/InRelease", FetchKind::Passed, 404),
            fetch("http://m/debian/pool/x.deb", FetchKind::Miss, 200),
        ];
        assert_eq!(index_fetches(&fetches), 2);
    }
}
