//! The entries of a package: what its header says of each file, and the content that the archive within has for it.

use super::{capabilities, cpio};
use crate::{Error, Visit};
use inventory::{
    printable,
    rpm::{Header, Tag, contents},
};
use layer::{Entry, EntryPath, Kind};
use oci::Hasher;
use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Read},
};

/// `PGPHASHALGO_SHA256` (RFC 9580 §9.5). Digests of other kinds are left to that of the whole content.
const SHA256: u64 = 8;

const TYPE: u32 = 0o170_000;

/// Files that are several names of one.
#[derive(Default)]
struct Group {
    /// Names that are still to come.
    left: usize,
    /// The name that the content was placed under.
    first: Option<EntryPath>,
    /// Names that came before the content.
    waiting: Vec<Entry>,
}

struct Unpacking<'h, 'v, 'w> {
    files: HashMap<Vec<u8>, contents::File<'h>>,
    groups: BTreeMap<u64, Group>,
    sha256: bool,
    visit: &'v mut Visit<'w>,
}

/// Why it ended: what is wrong with the package, or the visitor's own error.
enum Failure {
    Malformed(String),
    Visitor(Error),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Failure::Malformed(why)
    }
}

impl From<io::Error> for Failure {
    fn from(why: io::Error) -> Self {
        Failure::Malformed(why.to_string())
    }
}

/// Calls `visit` for every entry of the archive, its owner being root: the header has names only.
pub(crate) fn entries(
    header: &[u8],
    stream: impl Read,
    item: &str,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    match visit_all(header, stream, visit) {
        Ok(()) => Ok(()),
        Err(Failure::Visitor(error)) => Err(error),
        Err(Failure::Malformed(why)) => Err(Error::Archive { item: item.to_owned(), why: printable(&why) }),
    }
}

fn visit_all(header: &[u8], stream: impl Read, visit: &mut Visit<'_>) -> Result<(), Failure> {
    let header = Header::parse(header).map_err(|e| e.to_string())?;
    let all = contents::files(&header).map_err(|e| e.to_string())?;
    let kind = header.number(Tag::FILE_DIGEST_ALGO).map_err(|e| e.to_string())?;
    let mut groups: BTreeMap<u64, Group> = BTreeMap::new();
    let brought = all.iter().filter(|file| file.flags & contents::FILE_GHOST == 0);
    for file in brought.clone().filter(|file| u32::from(file.mode) & TYPE == 0o100_000) {
        groups.entry(file.inode).or_default().left += 1;
    }
    let files = brought.map(|file| (file.path(), *file)).collect();
    let sha256 = kind == Some(SHA256);
    let mut unpacking = Unpacking { files, groups, sha256, visit };
    let mut archive = cpio::Reader::new(stream);
    while let Some(member) = archive.next()? {
        unpacking.member(&member, &mut archive)?;
    }
    unpacking.finish()
}

impl Unpacking<'_, '_, '_> {
    fn member(&mut self, member: &cpio::Member, content: &mut dyn Read) -> Result<(), Failure> {
        let path = EntryPath::new(&member.name).map_err(|e| e.to_string())?;
        let absolute = [b"/", path.as_bytes()].concat();
        let file = self
            .files
            .remove(&absolute)
            .ok_or_else(|| format!("{path} is not in its header, or twice in it"))?;
        if member.mode & TYPE != u32::from(file.mode) & TYPE {
            return Err(format!("{path} is of another type than its header says").into());
        }
        let mut entry = entry(path, &file)?;
        match &entry.kind {
            Kind::File { .. } => self.regular(entry, &file, member.size, content),
            Kind::Symlink { target } => {
                let mut own = Vec::new();
                content.take(member.size.min(contents::PATH_BYTES_MAX as u64 + 1)).read_to_end(&mut own)?;
                match own == *target && !own.is_empty() {
                    true => self.give(entry, None),
                    false => Err(format!("{} is another link than its header says", entry.path).into()),
                }
            }
            _ => {
                entry.xattrs.clear();
                self.give(entry, None)
            }
        }
    }

    fn regular(
        &mut self,
        entry: Entry,
        file: &contents::File<'_>,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), Failure> {
        let group = self.groups.entry(file.inode).or_default();
        group.left = group.left.saturating_sub(1);
        if let Some(first) = group.first.clone().filter(|_| size == 0) {
            return self.give(Entry { kind: Kind::Hardlink { target: first }, ..entry }, None);
        }
        if size == 0 && file.size > 0 && group.left > 0 && group.first.is_none() {
            group.waiting.push(entry);
            return Ok(());
        }
        if size != file.size || group.first.is_some() {
            return Err(format!("{} has {size} bytes where its header says {}", entry.path, file.size).into());
        }
        group.first = Some(entry.path.clone());
        let (waiting, path) = (std::mem::take(&mut group.waiting), entry.path.clone());
        let mut summed = Summed { input: content, hasher: Hasher::default() };
        self.give(entry, Some(&mut summed))?;
        io::copy(&mut summed, &mut io::sink())?;
        let digest = summed.hasher.finish();
        if self.sha256 && digest.hex().as_bytes() != file.digest {
            return Err(format!("{path} has another digest than its header says").into());
        }
        for other in waiting {
            self.give(Entry { kind: Kind::Hardlink { target: path.clone() }, ..other }, None)?;
        }
        Ok(())
    }

    fn give(&mut self, entry: Entry, content: Option<&mut dyn Read>) -> Result<(), Failure> {
        (self.visit)(entry, content).map_err(Failure::Visitor)
    }

    /// Nothing may be missing.
    fn finish(self) -> Result<(), Failure> {
        if self.groups.values().any(|group| !group.waiting.is_empty()) {
            return Err("a file without its content".to_owned().into());
        }
        match self.files.keys().min() {
            Some(path) => Err(format!("it has no {}", String::from_utf8_lossy(path)).into()),
            None => Ok(()),
        }
    }
}

fn entry(path: EntryPath, file: &contents::File<'_>) -> Result<Entry, String> {
    let mode = u32::from(file.mode);
    let device = || (u32::from(file.device >> 8), u32::from(file.device & 0xff));
    let kind = match mode & TYPE {
        0o100_000 => Kind::File { size: file.size },
        0o040_000 => Kind::Directory,
        0o120_000 => Kind::Symlink { target: file.link.to_vec() },
        0o020_000 => Kind::Char { major: device().0, minor: device().1 },
        0o060_000 => Kind::Block { major: device().0, minor: device().1 },
        0o010_000 => Kind::Fifo,
        _ => return Err(format!("{path} is of a type that no image has")),
    };
    let mut xattrs = BTreeMap::new();
    if !file.capabilities.is_empty() {
        let value = capabilities::attribute(file.capabilities).map_err(|why| format!("{path}: {why}"))?;
        xattrs.insert(capabilities::XATTR.to_vec(), value);
    }
    let modified = i64::try_from(file.modified).map_err(|_| format!("{path} has an impossible time"))?;
    Ok(Entry { path, kind, mode: mode & 0o7777, uid: 0, gid: 0, mtime: (modified, 0), xattrs })
}

/// Sums what passes.
struct Summed<'r> {
    input: &'r mut dyn Read,
    hasher: Hasher,
}

impl Read for Summed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(out)?;
        self.hasher.update(&out[..count]);
        Ok(count)
    }
}
