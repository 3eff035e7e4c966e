//! `oci-layout` and `index.json`: read strictly, edited without touching entries of other names.

use super::dir::LayoutDir;
use crate::{Error, Named};
use oci::{Descriptor, Document, Index, limits::MANIFEST_BYTES_MAX, media_type};
use std::{collections::BTreeMap, sync::Arc};

/// The annotation that names an entry.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The only version there is.
const LAYOUT_VERSION: &str = "1.0.0";
/// Largest `oci-layout`.
const MARKER_BYTES_MAX: u64 = 4 << 10;

/// Checks `oci-layout`; whether it is there at all.
pub(crate) fn check_marker(dir: &LayoutDir) -> Result<bool, Error> {
    let Some(bytes) = dir.read("oci-layout", MARKER_BYTES_MAX)? else { return Ok(false) };
    check_version(&bytes).map(|()| true).map_err(|why| dir.wrong(why))
}

/// Checks the content of `oci-layout`; else what is wrong with it.
pub(crate) fn check_version(marker: &[u8]) -> Result<(), String> {
    let value: serde_json::Value =
        serde_json::from_slice(marker).map_err(|e| format!("oci-layout is not valid: {e}"))?;
    match value.get("imageLayoutVersion").and_then(|v| v.as_str()) {
        Some(LAYOUT_VERSION) => Ok(()),
        Some(other) => Err(format!("layout version {} is not supported", other.escape_default())),
        None => Err("oci-layout names no version".into()),
    }
}

/// Writes `oci-layout`.
pub(crate) fn write_marker(dir: &Arc<LayoutDir>) -> Result<(), Error> {
    dir.replace("oci-layout", format!("{{\"imageLayoutVersion\":\"{LAYOUT_VERSION}\"}}").as_bytes())
}

/// Reads `index.json`, with its bytes; `None` where there is none.
pub(crate) fn read(dir: &LayoutDir) -> Result<Option<(Index, Vec<u8>)>, Error> {
    let Some(bytes) = dir.read("index.json", MANIFEST_BYTES_MAX)? else { return Ok(None) };
    parse(&bytes, &dir.shown()).map(|index| Some((index, bytes)))
}

/// Reads the content of the `index.json` of a place.
pub(crate) fn parse(bytes: &[u8], place: &str) -> Result<Index, Error> {
    let parsed = Document::parse(bytes, None);
    let item = || format!("{place}/index.json");
    match parsed.map_err(|source| Error::Image { item: item(), source })? {
        (Document::Index(index), _) => Ok(index),
        (Document::Manifest(_), _) => {
            Err(Error::Layout { dir: place.to_owned(), why: "index.json is a manifest, not an index".into() })
        }
    }
}

/// Writes `index.json`.
pub(crate) fn write(dir: &Arc<LayoutDir>, index: &Index) -> Result<(), Error> {
    let bytes =
        serde_json::to_vec(index).map_err(|e| dir.wrong(format!("index.json cannot be written: {e}")))?;
    dir.replace("index.json", &bytes)
}

/// An index without entries.
pub(crate) fn empty() -> Index {
    Index {
        schema_version: 2,
        media_type: Some(media_type::OCI_INDEX.to_owned()),
        manifests: Vec::new(),
        annotations: None,
        rest: serde_json::Map::new(),
    }
}

/// The name of an entry.
pub(crate) fn name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.as_ref()?.get(REF_NAME).map(String::as_str)
}

/// The entries that a name leads to. Without a name: the only entry, or all of them where none has a name (the
/// platforms of one image). `place` is the layout's address.
pub(crate) fn entries(place: &str, index: &Index, tag: Option<&str>) -> Result<Vec<Descriptor>, Error> {
    let all = &index.manifests;
    let named: Vec<&Descriptor> = match tag {
        Some(tag) => all.iter().filter(|e| name(e) == Some(tag)).collect(),
        None if all.len() == 1 || all.iter().all(|e| name(e).is_none()) => all.iter().collect(),
        None => Vec::new(),
    };
    if named.is_empty() {
        let mut there: Vec<String> =
            all.iter().filter_map(name).map(|n| n.escape_default().to_string()).collect();
        there.dedup();
        let item = match tag {
            Some(tag) => format!("{place}:{tag}"),
            None => format!("an image without name in {place}"),
        };
        return Err(Error::NotFound { item, there });
    }
    Ok(named.into_iter().cloned().collect())
}

/// Puts an entry under a name in place of those that had it; all others stay as they are.
pub(crate) fn set(index: &mut Index, mut entry: Descriptor, tag: Option<&str>) {
    entry.annotations = tag.map(|tag| BTreeMap::from([(REF_NAME.to_owned(), tag.to_owned())]));
    index.manifests.retain(|e| name(e) != tag);
    index.manifests.push(entry);
}

/// The entries of one name (the platforms of one image) as an index of their own; all that there are: the layout's index itself.
pub(crate) fn among(reference: String, layout_index: &[u8], found: Vec<Descriptor>) -> Result<Named, Error> {
    let named = Named::new(reference, layout_index.to_vec(), None)?;
    let Document::Index(index) = &named.document else { return Ok(named) };
    if index.manifests.len() == found.len() {
        return Ok(named);
    }
    let index = Index { manifests: found, ..empty() };
    let bytes = serde_json::to_vec(&index).expect("an index that was read can be written");
    Named::new(named.reference, bytes, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Descriptor {
        Descriptor::of(media_type::OCI_MANIFEST, text.as_bytes())
    }

    #[test]
    fn a_name_is_replaced_and_others_stay() {
        let mut index = empty();
        for (text, tag) in
            [("a", Some("one")), ("b", Some("two")), ("c", None), ("d", Some("one")), ("e", None)]
        {
            set(&mut index, entry(text), tag);
        }
        let have: Vec<_> = index.manifests.iter().map(|e| (e.digest.clone(), name(e))).collect();
        let want = [("b", Some("two")), ("d", Some("one")), ("e", None)].map(|(t, n)| (entry(t).digest, n));
        assert_eq!(have, want);
    }
}
