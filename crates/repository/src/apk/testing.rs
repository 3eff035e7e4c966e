//! Readers of this module as functions of bytes, for the tests that change bytes at random.

use super::{
    checksum::Checksum,
    index::Index,
    keys::{Key, Keys},
    member, package, signature,
    unit::Unit,
};
use crate::section::Section;
use std::collections::BTreeMap;

pub(crate) fn list(bytes: &[u8]) {
    let Ok(index) = Index::of(bytes.to_vec()) else { return };
    for name in ["a", "b", "so:a.so.1"] {
        index.named(name).for_each(|record| drop(Unit::of(&record)));
        index.providing(name).for_each(drop);
    }
}

/// What is signed of an index, if the signature counts.
pub(crate) fn signed(bytes: &[u8], files: &BTreeMap<String, Vec<u8>>) -> Option<Vec<u8>> {
    let keys = Keys::of(files, &inventory::OsRelease::default());
    signature::verified(bytes, &keys).ok().map(|(signed, _)| signed.to_vec())
}

pub(crate) fn key(bytes: &[u8]) -> bool {
    Key::parse(bytes).is_ok()
}

/// The checksum that an index has of a package.
pub(crate) fn checksum(file: &Section) -> Option<String> {
    let (first, _, rest) = member::first(file, 1 << 20).ok()?;
    let names = member::files(&first, 100).ok()?;
    assert!(names.keys().all(|name| signature::is_signature(name)));
    let (_, control, _) = member::first(&rest, 1 << 20).ok()?;
    Checksum::of(control, super::Kind::Sha1).ok().map(|sum| sum.to_string())
}

pub(crate) fn information(bytes: &[u8]) {
    drop(package::information_of(bytes));
}
