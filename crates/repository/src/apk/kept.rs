//! Packages in the cache. The index knows a package by its control part only, so what is noted is which file was found to be it;
//! a note is believed only as far as the file bears it out.

use super::package;
use crate::{Chosen, Error, section::Section};
use oci::Digest;
use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};
use store::Store;

/// The folder in the proxy's cache, where the bound of the cache holds for it.
const FOLDER: &str = "apks";
/// Bytes of a note, which is a digest.
const NOTE_BYTES_MAX: u64 = 256;

/// Sees that a file is the package that was chosen.
pub(crate) fn check(chosen: &Chosen, file: &Section) -> Result<(), Error> {
    let item = inventory::printable(&format!("{} {}", chosen.name, chosen.version));
    package::open(file, chosen, &item).map(drop)
}

/// The digest of the file that is noted for a package.
pub(crate) fn known(store: &Store, chosen: &Chosen) -> Option<Digest> {
    let mut text = String::new();
    let file = fs::File::open(path(store, chosen)).ok()?;
    file.take(NOTE_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

/// Notes the file of a package.
pub(crate) fn keep(store: &Store, chosen: &Chosen, digest: &Digest) -> Result<(), Error> {
    let target = path(store, chosen);
    let doing = || format!("writing {}", target.display());
    let folder = store.http_dir().join(FOLDER);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|e| Error::io(doing(), e))?;
    let temp = store.temp_dir()?;
    let part = temp.path().join("note");
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
    let written = file.and_then(|mut file| file.write_all(digest.as_str().as_bytes()));
    written.and_then(|()| fs::rename(&part, &target)).map_err(|e| Error::io(doing(), e))
}

fn path(store: &Store, chosen: &Chosen) -> PathBuf {
    store.http_dir().join(FOLDER).join(chosen.digest.hex())
}
