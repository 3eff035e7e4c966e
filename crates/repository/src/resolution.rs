//! What a resolution comes to: which packages, from which verified indexes, and why.

use fetch::client::Url;
use oci::Digest;
use std::collections::BTreeMap;
use version::PackageName;

/// The packages to take, and on whose word.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// Sorted by name and architecture. Empty where nothing is newer.
    pub packages: Vec<Chosen>,
    /// The indexes that were looked into, in the order of the configuration.
    pub indexes: Vec<IndexRecord>,
    /// What the user should know: what was kept back or passed over, and what the image's configuration weakens.
    pub notes: Vec<String>,
}

/// A signed index that was looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRecord {
    /// URL of its signed head, without user and query.
    pub url: String,
    /// Digest of that head.
    pub digest: Digest,
    /// Fingerprint of the key that signed it, upper-case hexadecimal, or for apk the name of its file; `None` where the
    /// image's own configuration trusts it without a signature.
    pub signed_by: Option<String>,
    /// When it was made, in seconds since 1970; for apk when its newest package was built.
    pub date: i64,
}

/// One package to take.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Its name, without architecture.
    pub name: PackageName,
    /// The version, as the index writes it.
    pub version: String,
    /// Its architecture, in the distribution's words.
    pub architecture: String,
    /// Where it can be had; the same bytes everywhere.
    pub urls: Vec<Url>,
    /// The form of its file.
    pub format: Format,
    /// Its bytes.
    pub size: u64,
    /// The digest of its file. Of an [`Format::Apk`], whose index has none, the digest of what the index has: the cache knows the
    /// package by it, and the file is judged by the checksum in [`Chosen::record`].
    pub digest: Digest,
    /// Why it is here.
    pub why: Why,
    /// Its stanza in the index: fields as they are named there, values with their continuation lines.
    pub record: BTreeMap<String, String>,
}

/// The form of a package's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// deb(5).
    Deb,
    /// apk-v2(5).
    Apk,
    /// An RPM package, and who must have signed it.
    Rpm(crate::rpm::Provenance),
}

/// Why a package is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It was asked for.
    Asked,
    /// This package needs it.
    Dependency(PackageName),
}
