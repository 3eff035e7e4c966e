//! Repositories of apk's form 2: a signed `APKINDEX.tar.gz`, and packages that it names by the checksum of their control part.
//!
//! Alpine's, Wolfi's and Chainguard's repositories are of this form, also where apk 3 is in the images. apk 3's own form (ADB) is
//! named as newer than is known. An index has no date: what is told of one that was seen before is in `chain`.

mod chain;
mod checksum;
mod defaults;
mod index;
mod kept;
mod keys;
mod member;
mod package;
mod resolve;
mod signature;
mod solve;
mod state;
#[cfg(test)]
pub(crate) mod testing;
mod unit;
mod universe;

pub use checksum::{Checksum, Hashing, Kind};
pub(crate) use kept::{check, keep, known};
pub use package::information_of;
pub(crate) use package::open;
pub(crate) use resolve::resolve;
pub use unit::admits;

use inventory::apk::installed::Record;
use std::collections::{BTreeMap, BTreeSet};
use version::PackageName;

/// What is to be resolved for one image.
#[derive(Debug, Clone)]
pub struct Request {
    /// What the image says of itself.
    pub os: inventory::OsRelease,
    /// The image's architecture in apk's words (`x86_64`).
    pub architecture: String,
    /// Files of the image by absolute path: `/etc/apk/world`, `/etc/apk/repositories`, and all in `repositories.d` and `keys`
    /// of `/etc/apk` and `/lib/apk`. Where no repository is named, the distribution's own are used; where there is no key at
    /// all, Alpine's own.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What is installed.
    pub installed: Vec<Record>,
    /// What to bring up to date.
    pub wanted: Wanted,
    /// Packages that must stay as they are, by name. What the world pins stays of itself.
    pub excluded: BTreeSet<PackageName>,
}

/// What to bring up to date.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Everything that has a newer version; what cannot be is kept back with a note.
    All,
    /// These, each to its candidate; a note says where that is below the version given, or where there is none. One that
    /// has a candidate which cannot be installed is an error.
    Named(Vec<(PackageName, String)>),
}
