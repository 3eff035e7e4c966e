//! What the installed version of a package brought, by the header of its own package, where that could be had.

use super::incoming::Incoming;
use crate::Error;
use inventory::rpm::{
    Header, Tag,
    contents::{self, FILE_GHOST},
};
use layer::{EntryPath, Kind, Tree};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    io::{self, Read},
};

/// `PGPHASHALGO_SHA256` (RFC 9580 §9.5); other digests are not compared.
const SHA256: u64 = 8;

const TYPE: u16 = 0o170_000;
const REGULAR: u16 = 0o100_000;
const LINK: u16 = 0o120_000;

/// One file of the installed version, but for folders and what was never brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Brought {
    /// SHA-256 in hexadecimal of a regular file.
    pub(super) digest: Option<String>,
    /// Where a link leads.
    pub(super) link: Option<Vec<u8>>,
}

/// The files of the installed version.
pub(super) type Known = HashMap<EntryPath, Brought>;

/// Of a package that takes the place of another; none where that is not known.
pub(super) fn of(incoming: &Incoming<'_>) -> Result<Option<Known>, Error> {
    let Some(bytes) = incoming.old.and(incoming.archive.replaced_header()) else { return Ok(None) };
    let wrong = |why: inventory::Error| incoming.error(format!("its installed version: {why}"));
    let header = Header::parse(bytes).map_err(wrong)?;
    let comparable = header.number(Tag::FILE_DIGEST_ALGO).map_err(wrong)? == Some(SHA256);
    let files = contents::files(&header).map_err(wrong)?;
    let brought = files.iter().filter(|f| f.flags & FILE_GHOST == 0 && f.mode & TYPE != 0o040_000);
    let one = |file: &contents::File<'_>| {
        let digest = String::from_utf8_lossy(file.digest).into_owned();
        let brought = Brought {
            digest: (comparable && file.mode & TYPE == REGULAR).then_some(digest),
            link: (file.mode & TYPE == LINK).then(|| file.link.to_vec()),
        };
        EntryPath::new(&file.path()).map(|path| (path, brought)).map_err(|why| incoming.error(why))
    };
    brought.map(one).collect::<Result<Known, Error>>().map(Some)
}

impl Brought {
    /// Whether what is there now is what was brought.
    pub(super) fn is_unchanged(&self, path: &EntryPath, tree: &dyn Tree) -> Result<bool, layer::Error> {
        let there = tree.entry(path, false)?;
        Ok(match there.map(|entry| entry.kind) {
            Some(Kind::File { .. }) => match &self.digest {
                Some(digest) => digest_of(path, tree)? == *digest,
                None => false,
            },
            Some(Kind::Symlink { target }) => self.link.as_ref() == Some(&target),
            _ => false,
        })
    }
}

fn digest_of(path: &EntryPath, tree: &dyn Tree) -> Result<String, layer::Error> {
    let failed = |source: io::Error| layer::Error::Io { doing: format!("reading {path}"), source };
    let (mut file, mut hasher, mut buffer) = (tree.open(path)?, Sha256::new(), vec![0; 64 << 10]);
    while let count @ 1.. = file.read(&mut buffer).map_err(failed)? {
        hasher.update(&buffer[..count]);
    }
    Ok(hex(&hasher.finalize()))
}

/// SHA-256 of bytes, in hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
