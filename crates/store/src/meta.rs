//! What is noted beside an unpacked layer or a blob. A layer without its note is not whole.

use oci::{DiffId, Digest};
use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

/// Version of the way layers are unpacked. One of another version is unpacked anew.
pub(crate) const FORMAT: u32 = 2;
/// Bytes of a note: all notes are far smaller.
pub(crate) const NOTE_BYTES_MAX: u64 = 64 << 10;

/// What is known of an unpacked layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerMeta {
    /// See [`FORMAT`].
    pub(crate) format: u32,
    /// The layer.
    pub diff_id: DiffId,
    /// Digest of the blob it came from.
    pub source: Digest,
    /// Bytes of that blob.
    pub source_size: u64,
    /// Bytes of file content.
    pub unpacked_bytes: u64,
    /// Bytes of the tar.
    pub uncompressed_size: u64,
    /// Entries, removals included.
    pub entries: u64,
    /// Whether it hides everything below it, which overlayfs does not heed on a root: leave out the layers below.
    pub opaque_root: bool,
    /// In which boot it was written; trusted in another boot only once it has reached the disk.
    pub(crate) boot: Option<String>,
    /// Whether it has reached the disk.
    pub(crate) synced: bool,
}

impl LayerMeta {
    /// Whether it can be taken for what was once written.
    pub(crate) fn is_sound(&self, diff_id: &DiffId, boot: Option<&String>) -> bool {
        let there = self.synced || (boot.is_some() && self.boot.as_ref() == boot);
        self.format == FORMAT && self.diff_id == *diff_id && there
    }
}

/// How a blob's file was when it was last hashed. Any change to it shows, if only in its change time, which nobody can set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    size: i64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    boot: Option<String>,
}

impl Seal {
    pub(crate) fn of(stat: &Stat, boot: Option<&String>) -> Self {
        Seal {
            size: stat.st_size,
            inode: stat.st_ino,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime, stat.st_ctime_nsec as i64),
            boot: boot.cloned(),
        }
    }
}
