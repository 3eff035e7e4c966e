//! [`Findings`](report::Findings) + [`Inventory`](inventory::Inventory) + [`Policy`] → [`Plan`]; [`Plan`] + the inventory read
//! back after the run → [`Outcome`]s. Pure and deterministic.

use version::PackageName;

/// What the user allows.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Patch although the report was made for another image.
    pub allow_mismatch: bool,
    /// Go on with the other packages when one cannot be fixed.
    pub ignore_errors: bool,
}

/// What shall be done to one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Named fixes, or everything.
    pub scope: Scope,
    /// Findings that ask for nothing, each with its reason, in report order.
    pub left_out: Vec<Settled>,
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
    /// Vulnerability id.
    pub vulnerability: String,
    /// The version from which this very vulnerability is fixed.
    pub fixed: String,
    /// Severity in the scanner's words.
    pub severity: Option<String>,
}

/// What became of one finding (DESIGN §8).
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
