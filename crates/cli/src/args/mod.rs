//! The command line as typed: one file a command. Doc comments are the help texts; nothing is decided here.

mod cache;
mod completion;
mod docs;
mod doctor;
mod duration;
mod format;
mod generate;
mod inspect;
mod lifecycle;
mod packages;
mod patch;
mod plan;
mod registries;
mod run;
mod size;

pub use cache::{CacheArgs, CacheCommand, ListArgs, PruneArgs};
pub use completion::CompletionArgs;
pub use docs::GenerateDocsArgs;
pub use doctor::DoctorArgs;
pub use duration::go_text;
pub use format::{Compression, FormatArgs, ReferrersChoice};
pub use generate::{ContextArgs, GenerateArgs};
pub use inspect::InspectArgs;
pub use packages::PackageArgs;
pub use patch::{Loader, PatchArgs, TargetArgs};
pub use plan::PlanArgs;
pub use registries::RegistryArgs;
pub use run::{EngineChoice, OutputArgs, RunArgs, SubjectArgs};

use std::path::PathBuf;

/// Patch container images without rebuilding them.
///
/// copa takes an image and, if given, a vulnerability report; lets the distribution's own package tool install the
/// fixed packages in a sandbox; puts exactly the changed files into one layer on top of the unchanged original layers;
/// and proves from the package database what became of every finding. No daemon and no root needed.
#[derive(Debug, clap::Parser)]
#[command(
    name = "copa",
    bin_name = "copa",
    version = concat!("version ", env!("CARGO_PKG_VERSION")),
    max_term_width = 110,
    after_help = "Run 'copa COMMAND --help' for all there is to say about a command.",
    after_long_help = EXAMPLES
)]
pub struct Cli {
    /// Settings of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  # Scan, patch what the report names, push as nginx:1.21.6-patched
  trivy image --format json --output nginx.json registry.example/nginx:1.21.6
  copa patch -i registry.example/nginx:1.21.6 -r nginx.json --push

  # What would be done?
  copa plan -i registry.example/nginx:1.21.6 -r nginx.json

  # What can this host do?
  copa doctor

Every flag can also be set as environment variable (--cache-dir as COPA_CACHE_DIR) or in the configuration file.";

/// Settings of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct GlobalArgs {
    /// Tell what happens inside; keep temporary files; plain progress
    #[arg(long, global = true, help_heading = "Global options")]
    pub debug: bool,

    /// Where layers and packages are kept [default: $XDG_CACHE_HOME/copa]
    ///
    /// Layers are unpacked once and shared by all images that have them. Safe to delete when no copa runs.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub cache_dir: Option<PathBuf>,
}

/// The commands. What help says of each stands at its arguments.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Patch(Box<PatchArgs>),
    Plan(Box<PlanArgs>),
    Generate(Box<GenerateArgs>),
    Inspect(Box<InspectArgs>),
    Doctor(DoctorArgs),
    Cache(CacheArgs),
    Completion(CompletionArgs),
    #[command(hide = true)]
    GenerateDocs(GenerateDocsArgs),
}

/// The grammar.
pub fn grammar() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_grammar_is_sound() {
        super::grammar().debug_assert();
    }
}
