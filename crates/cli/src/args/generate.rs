//! `copa generate`.

use super::{
    packages::PackageArgs,
    run::{OutputArgs, RunArgs, SubjectArgs},
};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  # The patch as a build context, built by whoever builds images here
  copa generate -i registry.example/nginx:1.21.6 -r nginx.json | docker build -t nginx:1.21.6-patched -

  # Into a file
  copa generate -i registry.example/nginx:1.21.6 -r nginx.json --output-context nginx-patch.tar";

/// Write the patch as a docker build context instead of an image
///
/// A tar with a Dockerfile that begins with the image and copies the changed files over it. What COPY cannot do is refused:
/// a patch that removes files, and an image that is patched already. The digest in --result is that of the image 'copa patch'
/// would make; a build makes another.
#[derive(Debug, Clone, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct GenerateArgs {
    /// What to patch.
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Where to.
    #[command(flatten)]
    pub context: ContextArgs,
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

/// Where the build context goes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Build context")]
pub struct ContextArgs {
    /// Write the build context to FILE [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output_context: Option<PathBuf>,
}
