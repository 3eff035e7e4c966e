//! Repositories of RPM packages: `repodata` and the packages that it names, for images whose record of packages is a list.

mod advisories;
mod capabilities;
mod chain;
mod cpio;
mod defaults;
mod keys;
#[cfg(test)]
mod mutation;
pub(crate) mod open;
pub(crate) mod payload;
mod primary;
mod relation;
mod replaced;
mod repomd;
mod resolve;
mod rich;
mod solve;
mod source;
mod universe;
mod world;
mod xml;

pub use crate::apt::Wanted;
pub use replaced::Provenance;
pub(crate) use resolve::resolve;

use inventory::rpm::repositories::Configuration;
use std::collections::{BTreeMap, BTreeSet};
use version::PackageName;

/// What is to be resolved for one image.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the image says of itself.
    pub os: inventory::OsRelease,
    /// The image's architecture in rpm's words (`x86_64`, `aarch64`).
    pub architecture: String,
    /// The image's repositories. Where it has none, the distribution's own are used, if they are known here.
    pub repositories: Configuration,
    /// Files of the image by absolute path: the keys that the repositories name, and everything in `/etc/pki/rpm-gpg`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What is installed.
    pub installed: Vec<Installed>,
    /// What to bring up to date.
    pub wanted: Wanted,
    /// Packages that must stay as they are, by name.
    pub excluded: BTreeSet<PackageName>,
    /// Of what is to be brought up to date take only what a security advisory names; dependencies may be any.
    pub security_only: bool,
}

/// An installed package, of which only this is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its name.
    pub name: PackageName,
    /// `[epoch:]version-release`.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// It must stay at its version.
    pub held: bool,
}
