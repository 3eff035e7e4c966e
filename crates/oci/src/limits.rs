//! Bounds on what a registry or layout may make us hold or do. Beyond a bound is an error that names it.

/// Largest manifest or index, as the distribution specification lets registries refuse above.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Largest image config.
pub const CONFIG_BYTES_MAX: u64 = 4 << 20;
/// Most layers of one image. Runtimes stop at [`RUN_LAYERS_MAX`]; this leaves room for images that only we touch, and for a patch on
/// one of 500.
pub const LAYERS_MAX: usize = 512;
/// Most layers that docker and containerd mount: overlayfs takes its options from one page.
pub const RUN_LAYERS_MAX: usize = 127;
/// Most entries of one index.
pub const INDEX_ENTRIES_MAX: usize = 1000;
/// Largest single blob (256 GiB): above this a declared size is a lie or a mistake.
pub const BLOB_BYTES_MAX: u64 = 256 << 30;
