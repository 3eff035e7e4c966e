//! The limits that hold for what repositories serve, each with its reason.

/// Bytes of the signed head of an index. Debian's has 150 kB; of apk the head is the whole index, Wolfi's has above 10 MB.
pub const HEAD_BYTES_MAX: u64 = 64 << 20;

/// Bytes of a packed index. All of Debian sid has 12 MB in xz, 20 MB in gzip.
pub const INDEX_PACKED_BYTES_MAX: u64 = 128 << 20;

/// Bytes of an index. All of Debian sid has 60 MB.
pub const INDEX_BYTES_MAX: u64 = 512 << 20;

/// Bytes of one package. The largest in Debian has 1.7 GB.
pub const PACKAGE_BYTES_MAX: u64 = 4 << 30;

/// Bytes of what one package unpacks to.
pub const UNPACKED_BYTES_MAX: u64 = 16 << 30;

/// How many times larger than its packed form anything may be, beyond [`RATIO_FREE_BYTES`]. Text of indexes reaches 30.
pub const RATIO_MAX: u64 = 400;

/// So much may come out of anything packed.
pub const RATIO_FREE_BYTES: u64 = 64 << 20;

/// Memory of the xz decoder, in KiB: what `xz -9` needs is 65 MiB.
pub const XZ_MEMORY_KIB_MAX: u32 = 128 << 10;

/// Base-2 logarithm of the largest zstd window, as for layers.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Bytes of a package's control files together. The checksums of the largest package have 5 MB.
pub const CONTROL_BYTES_MAX: u64 = 32 << 20;

/// Control files of a package: there are some twenty kinds.
pub const CONTROL_FILES_MAX: usize = 256;

/// Packages downloaded at the same time.
pub const DOWNLOADS_AT_ONCE: usize = 6;

/// Packages of one resolution: more than any image has.
pub const PACKAGES_MAX: usize = 20_000;
