//! `copa generate-docs`, for the project itself.

use std::path::PathBuf;

/// Write the reference documentation
#[derive(Debug, Clone, clap::Args)]
pub struct GenerateDocsArgs {
    /// Folder to write to
    pub dir: PathBuf,
}
