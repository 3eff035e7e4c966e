//! Filesystem entries ↔ tar layers: strict reading, confined extraction, whiteouts, xattrs, packing, compression.
//!
//! Blocking and synchronous. Every path is bytes relative to a root, never resolved as a string on the host.

mod changes;
mod compress;
mod confined;
mod decompress;
mod dress;
mod extract;
mod failure;
mod flavor;
mod folders;
mod gunzip;
mod gzip;
pub mod limits;
mod object;
mod order;
mod pack;
mod pax;
mod place;
mod recompress;
mod record;
mod remove;
mod select;
mod sparse;
mod staged;
mod tar_header;
mod tar_reader;
mod tar_writer;
mod tree;
mod verified;
mod xattr;

pub use changes::DirChanges;
pub use compress::{GZIP_LEVEL, ZSTD_LEVEL, levels};
pub use confined::Confined;
pub use decompress::{Uncompressed, decompress};
pub use extract::{Extracted, Extractor};
pub use flavor::{DEVICE_XATTR, Flavor, HELD_XATTR, OWN_XATTRS, OWNER_XATTR};
pub use gunzip::Gunzip;
pub use gzip::ParallelGzip;
pub use limits::Limits;
pub use object::LayerDir;
pub use pack::{PackOptions, Packed, pack};
pub use recompress::{RecompressOptions, Recompressed, recompress};
pub use record::{Device, Facts, Record};
pub use remove::remove_tree;
pub use staged::{STAGED_TIME, STAGED_WINDOW, Staged, StagedChanges};
pub use tar_reader::TarReader;
pub use tar_writer::TarWriter;
pub use tree::Overlay;
pub use verified::Verified;

use std::{collections::BTreeMap, fmt, io::Read, sync::Arc};

/// A path relative to a root: no leading slash, no `.` or `..` component, no empty component, no NUL. Empty is the root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryPath(Vec<u8>);

/// One filesystem object, as a layer records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: EntryPath,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, setuid, setgid and sticky included (`& 0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes by full name (`security.capability`), overlay's own left out.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Regular file of so many bytes.
    File {
        /// Its size.
        size: u64,
    },
    /// Directory.
    Directory,
    /// Symbolic link; the target is any bytes and is not resolved.
    Symlink {
        /// Where it points.
        target: Vec<u8>,
    },
    /// Another name of an entry of the same layer.
    Hardlink {
        /// The first name.
        target: EntryPath,
    },
    /// Character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Named pipe.
    Fifo,
}

/// A read-only tree that resolves every path inside itself, links included.
pub trait Tree: Send + Sync {
    /// The object at a path. Links on the way are followed inside the tree; in the last component only if `follow`.
    /// `None` where nothing is there. `Kind::Hardlink` is never returned.
    fn entry(&self, path: &EntryPath, follow: bool) -> Result<Option<Entry>, Error>;

    /// Opens the regular file at a path for reading, following links inside the tree. An error where it is none.
    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, Error>;

    /// Names in a directory, sorted; an error above `max_names`.
    fn list(&self, path: &EntryPath, max_names: usize) -> Result<Vec<Vec<u8>>, Error>;

    /// The whole of a regular file, or `None` where nothing is there; an error above `max_bytes` or where it is no regular file.
    fn read(&self, path: &EntryPath, max_bytes: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(entry) = self.entry(path, true)? else { return Ok(None) };
        let Kind::File { size } = entry.kind else {
            return Err(Error::Entry { path: path.clone(), why: "not a regular file".into() });
        };
        let too_large = || Error::Entry { path: path.clone(), why: format!("larger than {max_bytes} bytes") };
        if size > max_bytes {
            return Err(too_large());
        }
        let mut content = Vec::new();
        let read = self.open(path)?.take(max_bytes + 1).read_to_end(&mut content);
        read.map_err(|source| Error::Io { doing: format!("reading {path}"), source })?;
        if content.len() as u64 > max_bytes { Err(too_large()) } else { Ok(Some(content)) }
    }
}

impl<T: Tree + ?Sized> Tree for Arc<T> {
    fn entry(&self, path: &EntryPath, follow: bool) -> Result<Option<Entry>, Error> {
        (**self).entry(path, follow)
    }

    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, Error> {
        (**self).open(path)
    }

    fn list(&self, path: &EntryPath, max_names: usize) -> Result<Vec<Vec<u8>>, Error> {
        (**self).list(path, max_names)
    }
}

/// One difference between a tree and what lies below it.
pub enum Change<'a> {
    /// The object is now this. Content is given for regular files.
    Set(Entry, Option<&'a mut dyn Read>),
    /// What was at this path below is gone.
    Remove(EntryPath),
    /// The directory at this path hides everything that was in it below. Comes right after its `Set`.
    Opaque(EntryPath),
}

/// A raw difference that can be walked, as often as asked, in path order (parents before children).
pub trait Changes: Send {
    /// Calls `visit` for every change.
    fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error>;
}

/// Why a layer or tree could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The blob is not what its descriptor says (digest, size, trailing bytes, diff id).
    #[error("{0}")]
    Verification(String),
    /// The tar stream is malformed or ambiguous.
    #[error("malformed layer at byte {offset}: {why}")]
    Malformed {
        /// Offset in the uncompressed stream.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// One entry is not acceptable, or could not be read or written.
    #[error("{path}: {why}")]
    Entry {
        /// Which.
        path: EntryPath,
        /// Why.
        why: String,
    },
    /// A limit was reached.
    #[error("limit reached: {0}")]
    Limit(String),
    /// Told to stop.
    #[error("interrupted")]
    Cancelled,
    /// The system refused.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl EntryPath {
    /// The root itself.
    pub fn root() -> Self {
        EntryPath::default()
    }

    /// A path from bytes: a leading `/` or `./`, doubled slashes and `.` components are dropped; `..` and NUL are refused.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Entry { path: EntryPath(bytes.to_vec()), why: why.to_owned() };
        if bytes.contains(&0) {
            return Err(refuse("path has a NUL byte"));
        }
        let mut clean: Vec<u8> = Vec::with_capacity(bytes.len());
        for part in bytes.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".") {
            if part == b".." {
                return Err(refuse("path leaves the root"));
            }
            if !clean.is_empty() {
                clean.push(b'/');
            }
            clean.extend_from_slice(part);
        }
        Ok(EntryPath(clean))
    }

    /// The bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder it lies in; `None` for the root.
    pub fn parent(&self) -> Option<EntryPath> {
        if self.is_root() {
            return None;
        }
        let at = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(EntryPath(self.0[..at].to_vec()))
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|b| *b == b'/').next().unwrap_or(b"")
    }

    /// The path of a name in this folder. The name must be one plain component.
    pub fn join(&self, name: &[u8]) -> Result<EntryPath, Error> {
        let path = if self.0.is_empty() { name.to_vec() } else { [&self.0[..], b"/", name].concat() };
        if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
            return Err(Error::Entry { path: EntryPath(path), why: "not a plain file name".into() });
        }
        Ok(EntryPath(path))
    }
}

impl fmt::Display for EntryPath {
    /// Printable: bytes that are not plain ASCII are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
