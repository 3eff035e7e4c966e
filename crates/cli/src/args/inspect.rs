//! `copa inspect`.

use super::{EngineChoice, RegistryArgs, RunArgs, duration::parse_duration};
use std::{path::PathBuf, time::Duration};

const EXAMPLES: &str = "\
Examples:
  copa inspect registry.example/nginx:1.21.6-patched
  copa inspect oci:./patched:12-updated --packages
  copa inspect registry.example/app:1 --json | jq '.platforms[] | {platform, origin}'";

/// Show whether and how an image was patched: its original, its patch layers, what they changed
///
/// For each platform: where the image comes from and whether that could be checked, the patch layers with when and by which version
/// they were made, and whether patching it again takes their place. Reads manifests and configs only; with --packages
/// the layers too. Nothing of the image is executed.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct InspectArgs {
    /// Image to look at: a registry reference, or oci:DIR[:TAG], docker-daemon:NAME, …
    #[arg(value_name = "IMAGE")]
    pub image: String,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Platform to look at (repeatable) [default: all]
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub platform: Vec<oci::Platform>,

    /// Read the package databases below and above the patch, and show what it changed
    #[arg(long)]
    pub packages: bool,

    /// The original of an image that another tool has patched, where it is not in the image's own repository
    #[arg(long, value_name = "IMAGE")]
    pub base: Option<String>,

    /// Take the image from its registry, whatever daemons of this machine have
    #[arg(long)]
    pub remote: bool,

    /// Longest time for the whole operation (Go duration: 90s, 10m, 1h30m)
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Registry to be reached by plain http (repeatable); loopback registries always may be
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',', help_heading = "Network")]
    pub plain_http: Vec<String>,

    /// Extra CA certificates (PEM file) for registries
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    pub ca_cert: Option<PathBuf>,

    /// The way to registries.
    #[command(flatten)]
    pub registries: RegistryArgs,
}

impl InspectArgs {
    /// As a run, for what runs and looking have in common.
    pub fn run(&self) -> RunArgs {
        RunArgs {
            timeout: self.timeout,
            working_folder: None,
            progress: "quiet".to_owned(),
            engine: EngineChoice::Auto,
            jobs: None,
            allow_host: Vec::new(),
            plain_http: self.plain_http.clone(),
            ca_cert: self.ca_cert.clone(),
            registries: self.registries.clone(),
        }
    }
}
