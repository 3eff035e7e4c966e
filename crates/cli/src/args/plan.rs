//! `copa plan`.

use super::{
    packages::PackageArgs,
    run::{OutputArgs, RunArgs, SubjectArgs},
};

const EXAMPLES: &str = "\
Examples:
  copa plan -i registry.example/nginx:1.21.6 -r nginx.json
  copa plan -i registry.example/nginx:1.21.6 -r nginx.json --result - | jq .plan";

/// Show what patching would do, without doing it
///
/// Reads the image's package database and the report, and prints the packages that would be upgraded, and every
/// finding that would be left with its reason. Nothing of the image is executed and nothing is written but the cache.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct PlanArgs {
    /// What to look at.
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Which packages, and where they come from.
    #[command(flatten)]
    pub packages: PackageArgs,
    /// How to run.
    #[command(flatten)]
    pub run: RunArgs,
    /// What to tell.
    #[command(flatten)]
    pub output: OutputArgs,
}
