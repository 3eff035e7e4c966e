//! An archive as an OCI layout: what a name leads to.

use super::{
    load_tar::{CONTAINERD_NAME, REF_NAME},
    opened::{Contents, Opened},
};
use crate::{
    Error, Named,
    layout::index_file::{among, entries},
};
use oci::{Descriptor, Index, limits::MANIFEST_BYTES_MAX};
use std::collections::BTreeMap;

/// What a name leads to in an archive that must be a layout.
pub(super) fn contents(archive: &Opened, address: String, tag: Option<&str>) -> Result<Contents, Error> {
    let wrong = |why: &str| Error::Layout { dir: archive.shown.clone(), why: why.into() };
    let (index, bytes) = archive.layout_index()?.ok_or_else(|| wrong("it has no file oci-layout"))?;
    let found = named_entries(archive, &index, tag)?;
    let named = match found.as_slice() {
        [entry] => of_entry(archive, address, entry)?,
        _ => among(address, &bytes, found)?,
    };
    Ok(Contents { named, stored: BTreeMap::new() })
}

/// The entries of a name; a name that no entry has may be a whole one, as docker and containerd write it beside.
fn named_entries(archive: &Opened, index: &Index, tag: Option<&str>) -> Result<Vec<Descriptor>, Error> {
    let mut found = entries(&format!("oci-archive:{}", archive.shown), index, tag);
    if let (Err(Error::NotFound { .. }), Some(tag)) = (&found, tag) {
        let whole = |entry: &&Descriptor| containerd_name(entry) == Some(tag);
        let whole: Vec<Descriptor> = index.manifests.iter().filter(whole).cloned().collect();
        if !whole.is_empty() {
            found = Ok(whole);
        }
    }
    let mut found = found?;
    // One image under several names.
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|entry| seen.insert(entry.digest.clone()));
    Ok(found)
}

/// The whole name of an entry.
pub(super) fn containerd_name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.as_ref()?.get(CONTAINERD_NAME).map(String::as_str)
}

/// What one entry of `index.json` leads to. Annotations that name it, or say where a daemon had it from, are the archive's
/// and not the image's.
pub(super) fn of_entry(archive: &Opened, address: String, entry: &Descriptor) -> Result<Named, Error> {
    let item = || format!("manifest {} in {}", entry.digest, archive.shown);
    let bytes = archive.blob(entry, MANIFEST_BYTES_MAX)?;
    let bytes = bytes.ok_or_else(|| Error::NotFound { item: item(), there: Vec::new() })?;
    let mut named = Named::new(address, bytes, Some(&entry.media_type))?;
    let of_archive =
        |key: &str| key == REF_NAME || key.starts_with("io.containerd.") || key.starts_with("containerd.io/");
    let own = entry.annotations.clone().map(|mut own| {
        own.retain(|key, _| !of_archive(key));
        own
    });
    named.descriptor.annotations = own.filter(|own| !own.is_empty());
    Ok(named)
}
