//! Names and versions of packages: validated newtypes and the order of versions, one scheme a file.
//!
//! Knows nothing of reports, images or package managers. Nothing from outside becomes a name or a version but
//! through a constructor here, so that no option, path or shell word can stand where a name is expected.

pub mod apk;
pub mod deb;
mod name;
pub mod pacman;
pub mod rpm;
mod scheme;
mod written;

pub use name::{NAME_BYTES_MAX, NameError, PackageName};
pub use scheme::{Scheme, Version};
pub use written::{VERSION_BYTES_MAX, VersionError};
