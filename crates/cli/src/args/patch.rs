//! `copa patch`.

use super::{
    format::FormatArgs,
    packages::PackageArgs,
    run::{OutputArgs, RunArgs, SubjectArgs},
};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  # Patch what a Trivy report names; push the result beside the original as TAG-patched
  copa patch -i registry.example/nginx:1.21.6 -r nginx.json --push

  # Update everything, no report; write an OCI layout instead of pushing
  copa patch -i debian:12 --oci-dir ./patched -t 12-updated

  # An image of the local docker daemon; the patched one is beside it as app:1-patched
  copa patch -i app:1 -r app.json

  # An image of an OCI layout; the patched one goes into the same layout
  copa patch -i oci:./layout:v1 -r report.json -t v1-patched

  # With VEX document and machine-readable result
  copa patch -i registry.example/app:1 -r app.json --push -o app.vex.json --result app.result.json

A full reference as --tag sends the result to another repository or registry:
  copa patch -i docker.io/library/nginx:1.21.6 -r nginx.json --push -t registry.example/nginx:1.21.6-1";

/// Patch an image: install the fixed packages as one new layer
///
/// With a report, the packages it names are brought to their fixed versions; without one, everything is updated.
/// Nothing is removed and nothing is downgraded. Held packages stay as they are and are reported. The original layers
/// stay as they are, byte for byte; patching a patched image replaces its patch layer.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PatchArgs {
    /// What to patch.
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Where to.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Which packages, and where they come from.
    #[command(flatten)]
    pub packages: PackageArgs,
    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,
    /// What to tell.
    #[command(flatten)]
    pub output: OutputArgs,
    /// What to tell about the findings.
    #[command(flatten)]
    pub vex: VexArgs,
}

/// Where the patched image goes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Patched image")]
pub struct TargetArgs {
    /// Tag, or full reference, of the patched image [default: the image's tag with the suffix]
    #[arg(short, long, value_name = "TAG|REFERENCE")]
    pub tag: Option<String>,

    /// What the image's own tag gets at its end where no --tag is given
    #[arg(long, value_name = "SUFFIX", default_value = "patched")]
    pub tag_suffix: String,

    /// Push the patched image to its registry
    ///
    /// The image is then taken from the registry too. Without --push, --oci-dir and --to it is taken from a daemon of this
    /// machine that has it, else from its registry, and the patched one goes to where it was, or to the daemon there is.
    #[arg(short, long)]
    pub push: bool,

    /// Write the patched image into this OCI layout folder
    #[arg(long, value_name = "DIR")]
    pub oci_dir: Option<PathBuf>,

    /// Write the patched image there (repeatable)
    ///
    /// docker-daemon:NAME, podman:NAME, containerd:NAME, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REFERENCE],
    /// docker://REFERENCE for a registry, - for a tar on standard output. What names no tag gets the one of --tag and --tag-suffix.
    #[arg(long, value_name = "ADDRESS")]
    pub to: Vec<String>,

    /// Daemon to load the patched image into, where it goes to one [default: where it was, else docker, else podman]
    #[arg(short, long, value_name = "DAEMON")]
    pub loader: Option<Loader>,

    /// Let the patched image take the place of the original under its name
    #[arg(long)]
    pub overwrite: bool,

    /// Only show what would be done, as 'copa plan' does
    #[arg(long)]
    pub dry_run: bool,

    /// What it is made of.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Daemons that keep images on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Loader {
    /// Docker
    Docker,
    /// Podman
    Podman,
    /// containerd
    Containerd,
}

/// The VEX document.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct VexArgs {
    /// Write a VEX document of what became of the findings to FILE (needs --report)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Format of the VEX document
    #[arg(short, long, value_name = "FORMAT", default_value = "openvex")]
    pub format: VexFormat,
}

/// Formats of VEX documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum VexFormat {
    /// OpenVEX 0.2 JSON
    Openvex,
}
