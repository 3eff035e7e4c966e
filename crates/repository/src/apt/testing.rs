//! Readers of this module as functions of bytes, for the tests that change bytes at random.

use super::{
    deb822, index::Index, pins::Pins, release::Release, settings::Settings, source::Sources, unit::Unit,
};

pub(crate) fn release(bytes: &[u8]) {
    drop(Release::parse(&String::from_utf8_lossy(bytes)));
}

pub(crate) fn list(bytes: &[u8]) {
    let Ok(index) = Index::of(bytes.to_vec()) else { return };
    for stanza in ["a", "b"].iter().flat_map(|name| index.named(name)).chain(index.providing("v")) {
        if let Ok(fields) = deb822::fields(index.text(stanza)) {
            drop(Unit::of(&fields));
        }
    }
}

pub(crate) fn configuration(path: &str, bytes: &[u8]) {
    let files = [(path.to_owned(), bytes.to_vec())].into();
    let settings = Settings::of(&files);
    drop(Pins::of(&files, &settings));
    drop(Sources::of(&files, "amd64"));
    drop(super::wanted_files(&files));
}
