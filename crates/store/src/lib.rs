//! Local cache: blobs, unpacked layers by diff id, locks, size bound, repair.
//!
//! Blocking. One store serves any number of processes at once; what they share is guarded by `flock`, which ends with its
//! holder. Nothing becomes visible under its name before it is whole and verified.
//!
//! ```text
//! layers/<flavor>/<hex of diff id>/{root/, record, meta.json}
//! blobs/<hex of digest>  with  blobs/<hex>.json beside
//! http/      the proxy's cache, and in heads/ what is remembered of signed package indexes
//! tmp/<unique>/   work in progress, locked while its owner lives
//! locks/     one download of a layer at a time
//! ```

mod blobs;
mod boot;
mod dirs;
mod error;
mod layers;
mod lock;
mod meta;
mod prune;
mod temp;

pub use blobs::Blob;
pub use error::Error;
pub use layers::{AddOptions, BlobSpec, StoredLayer};
pub use lock::Lock;
pub use meta::LayerMeta;
pub use prune::{Item, ItemKind, PruneOptions, Pruned, Usage};
pub use temp::TempDir;

use layer::Flavor;
use rustix::fd::OwnedFd;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Where it is. Made where it is missing; its parent must be there.
    pub dir: PathBuf,
    /// In which surroundings layers are unpacked and used.
    pub flavor: Flavor,
    /// After a layer is added, what was used longest ago is removed until no more than so many bytes are held.
    pub size_max: Option<u64>,
}

/// A store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: StoreOptions,
    pub(crate) layers: OwnedFd,
    pub(crate) blobs: OwnedFd,
    pub(crate) tmp: OwnedFd,
    pub(crate) locks: OwnedFd,
    pub(crate) boot: Option<String>,
}

impl Store {
    /// Opens or makes a store, and removes what dead processes left in it. Refuses directories that are links or belong to, or
    /// can be written by, anyone else.
    pub fn open(options: StoreOptions) -> Result<Self, Error> {
        let dir = &options.dir;
        let root = dirs::open_root(dir)?;
        let flavors = dirs::child(&root, dir, "layers")?;
        let layers = dirs::child(&flavors, &dir.join("layers"), options.flavor.name())?;
        dirs::child(&root, dir, "http")?;
        let inner = Inner {
            layers,
            blobs: dirs::child(&root, dir, "blobs")?,
            tmp: dirs::child(&root, dir, "tmp")?,
            locks: dirs::child(&root, dir, "locks")?,
            boot: boot::id(),
            options,
        };
        let store = Store { inner: Arc::new(inner) };
        store.collect_stale()?;
        Ok(store)
    }

    /// Where the store is.
    pub fn dir(&self) -> &Path {
        &self.inner.options.dir
    }

    /// In which surroundings its layers are.
    pub fn flavor(&self) -> Flavor {
        self.inner.options.flavor
    }

    /// Where the proxy keeps its cache.
    pub fn http_dir(&self) -> PathBuf {
        self.dir().join("http")
    }

    pub(crate) fn layers_path(&self) -> PathBuf {
        self.dir().join("layers").join(self.flavor().name())
    }

    pub(crate) fn blobs_path(&self) -> PathBuf {
        self.dir().join("blobs")
    }

    pub(crate) fn tmp_path(&self) -> PathBuf {
        self.dir().join("tmp")
    }
}
