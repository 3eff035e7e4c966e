//! The gzip members that an index or a package is put together of (apk-v2(5)): each is read alone and within bounds.

use crate::section::Section;
use flate2::bufread::GzDecoder;
use layer::{Kind, Limits, TarReader};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
};

/// How the files of apk 3's own format begin: `ADB` and how it is packed.
const BINARY: &[u8] = b"ADB";

/// Whether bytes are of apk 3's own format.
pub(super) fn is_binary(beginning: &[u8]) -> bool {
    beginning.starts_with(BINARY)
}

/// What the member at the beginning of `input` unpacks to, and the input behind it; `None` where that is more than `max` bytes.
pub(super) fn unpacked<R: BufRead>(input: R, max: u64) -> Result<Option<(Vec<u8>, R)>, String> {
    let mut decoder = GzDecoder::new(input);
    let mut plain = Vec::new();
    decoder.by_ref().take(max + 1).read_to_end(&mut plain).map_err(|e| format!("not whole gzip: {e}"))?;
    Ok((plain.len() as u64 <= max).then(|| (plain, decoder.into_inner())))
}

/// The same of a file: what it unpacks to, the member itself, and the rest.
pub(super) fn first(file: &Section, max: u64) -> Result<(Vec<u8>, Section, Section), String> {
    let found = unpacked(BufReader::new(file.clone()), max)?;
    let (plain, rest) = found.ok_or_else(|| format!("a member unpacks to more than {max} bytes"))?;
    let left = rest.get_ref().len() + rest.buffer().len() as u64;
    let end = file.len() - left;
    let parts = file.part(0, end).zip(file.part(end, left)).ok_or("a member beyond the end of its file")?;
    Ok((plain, parts.0, parts.1))
}

/// The plain files of a member, by name. No folders, and no name twice.
pub(super) fn files(plain: &[u8], max: usize) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut tar = TarReader::new(plain, &Limits { entries: max as u64, ..Limits::default() });
    let mut files = BTreeMap::new();
    while let Some(entry) = tar.next_entry().map_err(|e| e.to_string())? {
        let in_root = entry.path.parent().is_some_and(|parent| parent.is_root());
        if !in_root || !matches!(entry.kind, Kind::File { .. }) {
            return Err(format!("{} is no plain file", entry.path));
        }
        let name = String::from_utf8(entry.path.as_bytes().to_vec()).map_err(|e| e.to_string())?;
        let mut content = Vec::new();
        tar.read_to_end(&mut content).map_err(|e| e.to_string())?;
        if files.insert(name, content).is_some() {
            return Err(format!("{} is there twice", entry.path));
        }
    }
    Ok(files)
}
