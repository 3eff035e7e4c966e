//! Flags on packages: which, and where they come from.

use super::lifecycle::LifecycleArgs;
use std::path::PathBuf;

/// Which packages, and where they come from.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Packages")]
pub struct PackageArgs {
    /// Patch only packages with such names; * and ? stand for any text and any character (repeatable)
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',')]
    pub include: Vec<String>,

    /// Leave packages with such names as they are (repeatable)
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',')]
    pub exclude: Vec<String>,

    /// Let this vulnerability be (repeatable)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub ignore: Vec<String>,

    /// Let vulnerabilities be that are listed in FILE: an id a line, as in a .trivyignore
    ///
    /// Text after # is the reason that the result gives; exp:2027-01-31 after an id ends it on that day.
    #[arg(long, value_name = "FILE")]
    pub ignore_file: Option<PathBuf>,

    /// Let findings be that are less severe: low, medium, high, critical
    #[arg(long, value_name = "SEVERITY")]
    pub min_severity: Option<String>,

    /// Take only what the repositories mark as security updates (apt, dnf, zypper)
    #[arg(long)]
    pub security_only: bool,

    /// Let fixes take packages away
    #[arg(long)]
    pub allow_removals: bool,

    /// Unpack packages although scripts of theirs would have to run (images without a package tool)
    #[arg(long)]
    pub skip_scripts: bool,

    /// Repository configuration for images without a package tool: a folder with etc/apt, etc/yum.repos.d or etc/apk
    ///
    /// Takes the place of what the image, or our own table, has. Keys lie where the configuration says, below the same
    /// folder: usr/share/keyrings, etc/pki/rpm-gpg, etc/apk/keys.
    #[arg(long, value_name = "DIR")]
    pub repositories: Option<PathBuf>,

    /// Image whose package tool works on images that have none [default: the distribution's own of the same release]
    #[arg(long, value_name = "IMAGE")]
    pub tooling_image: Option<String>,

    /// Take packages of releases at their end from the archives, which nobody keeps up
    #[arg(long)]
    pub allow_archived: bool,

    /// What to do where the release is no longer kept up.
    #[command(flatten)]
    pub lifecycle: LifecycleArgs,
}
