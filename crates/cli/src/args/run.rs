//! Flags that `patch` and `plan` share.

use super::{RegistryArgs, duration::parse_duration};
use std::{path::PathBuf, time::Duration};

/// What to look at.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Image and report")]
pub struct SubjectArgs {
    /// Image to patch: a reference, as docker takes it, or an address
    ///
    /// docker://REFERENCE for its registry only, docker-daemon:NAME, podman:NAME, containerd:NAME, oci:DIR[:TAG],
    /// oci-archive:FILE[:TAG], docker-archive:FILE[:REFERENCE], - for a tar on standard input.
    #[arg(short, long, value_name = "IMAGE")]
    pub image: Option<String>,

    /// Vulnerability report (JSON file), or a folder with one for each platform; without, everything is updated
    #[arg(short, long, value_name = "FILE|DIR")]
    pub report: Option<PathBuf>,

    /// Platform to patch, others stay as they are (repeatable) [default: all, or those that the reports are for]
    ///
    /// As os/architecture[/variant]: linux/amd64, linux/arm/v7. Everything else in the image's index is preserved bit for
    /// bit. A report is for one platform; without this flag the result is then an image of that platform alone.
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub platform: Vec<oci::Platform>,

    /// Who made the report: trivy, native, or NAME of a plugin 'copa-NAME' on PATH
    #[arg(short, long, value_name = "NAME", default_value = "trivy")]
    pub scanner: String,

    /// Patch although the report was made for another image
    #[arg(long)]
    pub allow_mismatch: bool,

    /// Go on with the other packages when one cannot be patched
    #[arg(long)]
    pub ignore_errors: bool,
}

/// How to run.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Run")]
pub struct RunArgs {
    /// Longest time for the whole operation (Go duration: 90s, 10m, 1h30m)
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Folder for temporary files [default: inside the cache]
    ///
    /// Made (only for you, mode 0700) where it is not there. What copa puts there is removed at the end, except with
    /// --debug.
    #[arg(short, long, value_name = "DIR")]
    pub working_folder: Option<PathBuf>,

    /// How progress is shown: auto, tty, plain, quiet, rawjson
    #[arg(long, value_name = "STYLE", default_value = "auto")]
    pub progress: String,

    /// What runs the package tool
    #[arg(long, value_name = "ENGINE", default_value = "auto")]
    pub engine: EngineChoice,

    /// Platforms worked on side by side, at most [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: Option<u8>,

    /// Host the package tool may reach beside the image's own repositories (repeatable)
    ///
    /// The sandbox's only way out is a proxy of copa's. It lets through the hosts of the image's repository
    /// configuration, unless they are addresses of this machine or link-local, or private ones asked by https at another
    /// port than 443. Name such a host here, or one that the configuration does not name.
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',', help_heading = "Network")]
    pub allow_host: Vec<String>,

    /// Registry to be reached by plain http (repeatable); loopback registries always may be
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',', help_heading = "Network")]
    pub plain_http: Vec<String>,

    /// Extra CA certificates (PEM file) for registries and package repositories
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub ca_cert: Option<PathBuf>,

    /// The way to registries.
    #[command(flatten)]
    pub registries: RegistryArgs,
}

/// What to tell.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Write what became of everything as JSON to FILE (- is standard output)
    #[arg(long, value_name = "FILE")]
    pub result: Option<PathBuf>,

    /// Tell by exit code: 0 all patched, 20 nothing to do, 21 patched but findings remain
    #[arg(long)]
    pub detailed_exit_code: bool,
}

/// What runs the package tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineChoice {
    /// The best there is on this host
    Auto,
    /// In this process: namespaces and overlayfs, no daemon
    Embedded,
}
