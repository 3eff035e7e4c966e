//! Scanner bytes to [`Findings`]: one file a format, every number bounded, nothing about images.

mod collect;
mod error;
mod grammar;
mod guard;
mod native;
pub mod plugin;
mod trivy;

pub use error::Error;
pub use guard::limits;

use guard::Guard;
use std::io::Read;
use version::PackageName;

/// Everything a report says, in the order it says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// What the report says it was made for.
    pub subject: Subject,
    /// Operating-system packages' vulnerabilities, fixable or not.
    pub os: Vec<Finding>,
    /// Vulnerabilities of other kinds of package (language libraries): counted by kind, not patched yet.
    pub other: std::collections::BTreeMap<String, u64>,
}

/// The image a report was made for, as far as it says so. Untrusted: compared with the image, never used to choose one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Distribution family as the scanner names it (`debian`).
    pub os_family: Option<String>,
    /// Distribution version as the scanner names it (`12.5`).
    pub os_version: Option<String>,
    /// Architecture in OCI's words (`amd64`).
    pub architecture: Option<String>,
    /// Variant of the architecture (`v8`).
    pub variant: Option<String>,
    /// The name the image was scanned under.
    pub artifact_name: Option<String>,
    /// Image id (config digest) as the scanner read it.
    pub image_id: Option<String>,
    /// Manifest digests (`repo@sha256:…`) as the scanner read them.
    pub repo_digests: Vec<String>,
}

/// One vulnerability on one installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `CVE-…`, `GHSA-…`, `DSA-…`, as the scanner writes it; printable ASCII, bounded.
    pub vulnerability: String,
    /// The installed (binary) package.
    pub package: PackageName,
    /// Version the scanner saw installed. Empty where the report gives none.
    pub installed: String,
    /// Versions that fix it, any one being enough (a comma-separated list in the report). Empty: no fix known.
    pub fixed: Vec<String>,
    /// Severity in the scanner's words, where given.
    pub severity: Option<String>,
}

/// Which scanner wrote a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `trivy image --format json`.
    Trivy,
    /// Copa's own manifest (`apiVersion` `v1alpha1` or `v1alpha2`), which plugins print.
    Native,
}

/// Reads a report from its first byte to its last. Stops at the first limit or error; memory does not grow with what is
/// passed over.
pub fn read(mut source: impl Read, format: Format) -> Result<Findings, Error> {
    let mut guard = Guard::new(&mut source);
    match format {
        Format::Trivy => guard.parse(trivy::ReportSeed)?.findings(),
        Format::Native => guard.parse(native::ManifestSeed)?.findings(),
    }
}
