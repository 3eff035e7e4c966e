//! `copa doctor`.

const EXAMPLES: &str = "\
Examples:
  copa doctor
  copa doctor --json | jq '.rungs[] | select(.state != \"ok\")'";

/// Show what the embedded engine can do on this host, and how to get what is missing
///
/// Each thing that the engine needs, or makes use of, is tried by doing it. The exit code is 6 where the embedded engine
/// cannot work here. Docker, podman and containerd are looked for too; none of them is needed.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
