//! Repositories of Debian's form: what is asked, in apt's own words.

mod ar;
mod chain;
mod date;
pub(crate) mod deb;
mod deb822;
mod defaults;
mod index;
mod pins;
mod relation;
mod release;
mod resolve;
mod settings;
mod solve;
mod source;
mod state;
#[cfg(test)]
pub(crate) mod testing;
mod unit;
mod universe;

pub use defaults::{InArchive, in_archive};
pub(crate) use resolve::resolve;
pub use resolve::wanted_files;

use std::collections::{BTreeMap, BTreeSet};
use version::PackageName;

/// What is to be resolved for one image.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the image says of itself.
    pub os: inventory::OsRelease,
    /// The image's architecture in Debian's words (`amd64`).
    pub architecture: String,
    /// Files of the image by absolute path: everything in and below `/etc/apt`, `/usr/share/keyrings`, `/etc/apt/keyrings`,
    /// and whatever else [`wanted_files`] names. Where no repository is configured, the distribution's own are used.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What is installed.
    pub installed: Vec<Installed>,
    /// What to bring up to date.
    pub wanted: Wanted,
    /// Packages that must stay as they are, by name.
    pub excluded: BTreeSet<PackageName>,
    /// Of what is to be brought up to date take only what a security archive has; dependencies may come from anywhere.
    pub security_only: bool,
}

/// What to bring up to date.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Everything that has a newer version; what cannot be is kept back with a note, as apt does.
    All,
    /// These, each to its candidate; a note says where that is below the version given, or where there is none. One that
    /// has a candidate which cannot be installed is an error.
    Named(Vec<(PackageName, String)>),
}

/// An installed package: the stanza of dpkg's `status` or of a file in `status.d`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// Fields by their name in lower case; `package`, `version` and `architecture` must be there, and what is read beside
    /// them are the relation fields, `provides`, `multi-arch` and `essential`.
    pub fields: BTreeMap<String, String>,
    /// It must stay at its version.
    pub held: bool,
}

/// A truth value as apt reads it.
fn truth(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word));
    match () {
        () if is(&["yes", "true", "with", "on", "enable", "1"]) => Some(true),
        () if is(&["no", "false", "without", "off", "disable", "0"]) => Some(false),
        () => None,
    }
}
