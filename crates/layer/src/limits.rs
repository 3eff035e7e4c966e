//! The limits that hold when a layer is read, each with its reason.

/// Entries in one layer: several times the largest image known, and few enough to stop a bomb of empty files.
pub const ENTRIES_MAX: u64 = 5_000_000;

/// Unpacked bytes of one layer unless told otherwise.
pub const UNPACKED_BYTES_MAX: u64 = 50 << 30;

/// How many times larger than the blob its content may be, beyond [`RATIO_FREE_BYTES`]. Programs and text stay below 20;
/// deflate alone could reach 1032.
pub const RATIO_MAX: u64 = 200;

/// So much may come out of any blob, so that a layer with one large file of zeros still unpacks.
pub const RATIO_FREE_BYTES: u64 = 1 << 30;

/// Base-2 logarithm of the largest zstd window: 128 MiB, what `zstd --ultra -22` needs.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Members of one gzip blob. Seekable formats write one per file, hence as many as entries.
pub const GZIP_MEMBERS_MAX: u64 = ENTRIES_MAX;

/// Bytes of a gzip header's name or comment.
pub const GZIP_TEXT_BYTES_MAX: usize = 4096;

/// Bytes of one extension header (PAX records or a GNU long name), as Go's reader has it.
pub const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// Parts of one sparse file: a disk image of many gigabytes has some thousand.
pub const SPARSE_PARTS_MAX: usize = 1 << 17;

/// Bytes of a path: what one system call takes, without the closing NUL.
pub const PATH_BYTES_MAX: usize = 4095;

/// Bytes of one name in a path, as every Linux file system has it.
pub const NAME_BYTES_MAX: usize = 255;

/// Bytes of an extended attribute's name (the kernel's limit).
pub const XATTR_NAME_BYTES_MAX: usize = 255;

/// Bytes of an extended attribute's value (the kernel's limit).
pub const XATTR_VALUE_BYTES_MAX: usize = 64 << 10;

/// Extended attributes of one entry: far above any real use.
pub const XATTRS_MAX: usize = 256;

/// Bytes that are remembered until the end of an extraction: names of directories, and records.
pub const HELD_BYTES_MAX: u64 = 256 << 20;

/// Links followed while resolving one path, as the kernel has it.
pub const LINKS_MAX: usize = 40;

/// Names in one directory while walking a difference.
pub const DIRECTORY_NAMES_MAX: usize = 2_000_000;

/// The limits a caller may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries in one layer.
    pub entries: u64,
    /// Unpacked bytes of one layer.
    pub unpacked_bytes: u64,
    /// See [`RATIO_MAX`].
    pub ratio: u64,
    /// See [`RATIO_FREE_BYTES`].
    pub ratio_free_bytes: u64,
    /// Members of one gzip blob.
    pub gzip_members: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            entries: ENTRIES_MAX,
            unpacked_bytes: UNPACKED_BYTES_MAX,
            ratio: RATIO_MAX,
            ratio_free_bytes: RATIO_FREE_BYTES,
            gzip_members: GZIP_MEMBERS_MAX,
        }
    }
}
