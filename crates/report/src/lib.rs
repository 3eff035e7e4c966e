//! Scanner bytes to [`Findings`]: one file a format, every number bounded, nothing about images.

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
