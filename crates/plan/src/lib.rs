//! [`Findings`](report::Findings) + [`Inventory`](inventory::Inventory) + [`Policy`] → [`Plan`]; [`Plan`] + the inventory read
//! back after the run → [`Outcome`]s. Pure and deterministic.

mod changes;
mod counts;
mod fit;
mod make;
mod policy;
mod settle;
#[cfg(test)]
mod testing;

pub use changes::{Upgrade, Violation, upgrades, violations};
pub use counts::Counts;
pub use make::make;
pub use policy::{Pattern, PatternError, Policy, Severity, SeverityError};
pub use settle::settle;

use std::collections::BTreeSet;
use version::PackageName;

/// The image as it is, for comparison with what the report says of its subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The image as it was asked for.
    pub name: String,
    /// Architecture in OCI's words.
    pub architecture: String,
    /// Variant of the architecture.
    pub variant: Option<String>,
    /// Digest of the config.
    pub image_id: String,
    /// Digest of the manifest.
    pub manifest_digest: String,
    /// Digest of what its name leads to: of the index it was chosen from, where there is one.
    pub name_digest: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Report and image disagree on what the image is.
    #[error("{what}: the report says {report}, the image is {image}")]
    Mismatch {
        /// What they disagree on (`distribution`, `architecture`, …).
        what: &'static str,
        /// The report's side, printable.
        report: String,
        /// The image's side, printable.
        image: String,
    },
    /// The report names no distribution or release, so nothing can be compared.
    #[error("the report has findings but does not say {0}")]
    Incomplete(&'static str),
}

/// What shall be done to one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Named fixes, or everything.
    pub scope: Scope,
    /// Findings that ask for nothing, each with its reason, in report order.
    pub left_out: Vec<Settled>,
    /// Installed packages that must stay as they are although nothing in the image holds them: the user excluded them.
    pub excluded: BTreeSet<PackageName>,
    /// What the user should know (held packages, mismatches that were allowed).
    pub notes: Vec<String>,
}

/// Named fixes, or everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// No report: every package that the repositories have newer.
    UpdateAll,
    /// A report: these packages, sorted by name.
    Fixes(Vec<Fix>),
}

/// One package that must reach at least a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Package as the tool is to be asked for it; architecture qualifier where needed to be unambiguous.
    pub package: PackageName,
    /// Version installed now, from the image's own database.
    pub installed: String,
    /// Lowest version that settles every one of its findings.
    pub at_least: String,
    /// The findings it settles.
    pub findings: Vec<FindingRef>,
}

/// A finding within a fix: each has its own bound, so that each gets its own outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRef {
    /// Its place in the report, counted from 0. A finding on several architectures of a package has the same in each fix.
    pub position: usize,
    /// Package, as the report names it.
    pub package: PackageName,
    /// Vulnerability id.
    pub vulnerability: String,
    /// The version from which this very vulnerability is fixed.
    pub fixed: String,
    /// Severity in the scanner's words.
    pub severity: Option<String>,
}

/// What became of one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The database of the patched root has it at or above the fixed version, and it was below before.
    Fixed,
    /// It was at or above the fixed version before.
    AlreadyFixed,
    /// The package is not installed.
    NotInstalled,
    /// The report names no fixed version.
    NoFixKnown,
    /// The repositories have nothing that reaches the fixed version.
    RepositoryBehind {
        /// What is installed after the run.
        reached: String,
    },
    /// The administrator of the image holds the package.
    Held,
    /// The user's policy leaves it out.
    Excluded {
        /// The rule.
        why: String,
    },
    /// Something else went wrong.
    Failed {
        /// What.
        reason: String,
    },
}

/// A finding with its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Vulnerability id.
    pub vulnerability: String,
    /// Package, as the report names it.
    pub package: PackageName,
    /// Version before, from the image's database; the report's where not installed.
    pub installed: String,
    /// Version that fixes it, where known.
    pub fixed: Option<String>,
    /// Version after the run, where installed.
    pub now: Option<String>,
    /// Severity in the scanner's words.
    pub severity: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}
