//! `copa cache`.

use super::{duration::parse_duration, size::parse_size};
use std::time::Duration;

/// Look at or clean the cache
#[derive(Debug, Clone, clap::Args)]
pub struct CacheArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// What to do with the cache. What help says of each stands at its arguments.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum CacheCommand {
    Ls(ListArgs),
    Prune(PruneArgs),
}

const LIST_EXAMPLES: &str = "\
Examples:
  copa cache ls
  copa cache ls --json";

/// List what the cache holds
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = LIST_EXAMPLES)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  copa cache prune --older-than 7d
  copa cache prune --max-size 10GB --dry-run
  copa cache prune --all";

/// Remove what is not in use
///
/// What a running copa uses is never removed. One of --all, --older-than and --max-size is needed; with the last two
/// together, both bounds are kept.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["all", "older_than", "max_size"]))]
pub struct PruneArgs {
    /// Everything
    #[arg(long, conflicts_with_all = ["older_than", "max_size"])]
    pub all: bool,

    /// What was not used for that long (12h, 7d, 4w)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub older_than: Option<Duration>,

    /// Least recently used first, until no more than this is left (500MB, 10GB)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_size: Option<u64>,

    /// Only show what would be removed
    #[arg(long)]
    pub dry_run: bool,
}
