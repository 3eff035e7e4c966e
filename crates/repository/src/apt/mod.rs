//! Repositories of Debian's form: what is asked, in apt's own words.

mod ar;
pub(crate) mod deb;
mod deb822;

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
    /// These, at least at this version each; one that cannot be is an error.
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
