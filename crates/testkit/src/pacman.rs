//! Arch-like material: packages for pacman with a signed database, and an image whose pacman is the real one of Debian. No file
//! of a real Arch is used; everything below pacman is Debian's, in one package of its own.

pub mod image;
mod judge;
mod package;
mod repository;
mod root;
pub mod scenario;

pub use judge::{broken, installed};
pub use package::PacmanSpec;
pub use repository::{PacmanRepository, Published};

use crate::{debs, probe, tools};

/// The name of the one repository that such an image has.
pub const REPOSITORY: &str = "core";

/// What must be installed to make packages and their database; a reason to skip where it is not.
pub fn needs() -> Result<(), String> {
    tools::need(&["pacman", "repo-add", "bsdtar", "zstd", "gpg", "gpgconf", "tar"])
}

/// What must be there to make an image.
pub fn image_needs() -> Result<(), String> {
    probe::first_reason([needs(), debs::needs(), probe::root()])
}

/// This machine's architecture, as pacman names it.
pub fn native_architecture() -> &'static str {
    std::env::consts::ARCH
}
