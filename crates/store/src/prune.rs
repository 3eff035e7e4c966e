//! What the store holds, and making it smaller. What is in use stays.

use crate::{
    Error, Store,
    layers::meta_of,
    temp::{claim, names},
};
use oci::DiffId;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// How deep the proxy's cache may be nested.
const HTTP_DEPTH_MAX: usize = 4;

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// An unpacked layer.
    Layer,
    /// A blob.
    Blob,
    /// An object of the proxy's cache.
    Http,
}

/// One thing held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Diff id or digest in hexadecimal, or path in the proxy's cache.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was last used (a layer) or written.
    pub used: SystemTime,
}

/// How much is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of unpacked layers.
    pub layers: u64,
    /// Bytes of blobs.
    pub blobs: u64,
    /// Bytes of the proxy's cache.
    pub http: u64,
}

impl Usage {
    /// Bytes of everything.
    pub fn total(&self) -> u64 {
        self.layers + self.blobs + self.http
    }
}

/// What to remove.
#[derive(Debug, Clone, Default)]
pub struct PruneOptions {
    /// Everything that is not in use.
    pub all: bool,
    /// What was last used before this moment.
    pub older_than: Option<SystemTime>,
    /// What was used longest ago, until no more than this is held.
    pub size_max: Option<u64>,
    /// Layers to keep whatever is said above.
    pub keep: Vec<DiffId>,
    /// Only count what would be removed; what is in use is not told apart.
    pub dry_run: bool,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Things removed.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Things that would have been removed but are in use.
    pub in_use: u64,
}

impl Store {
    /// Everything held, what was used longest ago first.
    pub fn list(&self) -> Result<Vec<Item>, Error> {
        let mut items = self.layer_items()?;
        items.extend(self.blob_items()?);
        items.extend(self.http_items()?);
        items.sort_by(|a, b| (a.used, &a.name).cmp(&(b.used, &b.name)));
        Ok(items)
    }

    /// How much is held.
    pub fn usage(&self) -> Result<Usage, Error> {
        let mut usage = Usage::default();
        for item in self.list()? {
            match item.kind {
                ItemKind::Layer => usage.layers += item.bytes,
                ItemKind::Blob => usage.blobs += item.bytes,
                ItemKind::Http => usage.http += item.bytes,
            }
        }
        Ok(usage)
    }

    /// Removes what the options say.
    pub fn prune(&self, options: &PruneOptions) -> Result<Pruned, Error> {
        let items = self.list()?;
        let mut held: u64 = items.iter().map(|item| item.bytes).sum();
        let mut pruned = Pruned::default();
        for item in items {
            let old = options.older_than.is_some_and(|moment| item.used < moment);
            let over = options.size_max.is_some_and(|max| held > max);
            let kept = item.kind == ItemKind::Layer && options.keep.iter().any(|id| id.0.hex() == item.name);
            if kept || !(options.all || old || over) {
                continue;
            }
            if options.dry_run || self.remove(&item)? {
                held -= item.bytes;
                pruned.items += 1;
                pruned.bytes += item.bytes;
            } else {
                pruned.in_use += 1;
            }
        }
        if options.all {
            self.remove_locks()?;
        }
        Ok(pruned)
    }

    /// Removes the files of locks that nobody holds. Whoever is about to take one notices that it is gone.
    fn remove_locks(&self) -> Result<(), Error> {
        let shown = self.dir().join("locks");
        for name in names(&self.inner.locks, &shown)? {
            if let Ok(Some(_held)) = claim(&self.inner.locks, &name) {
                let removed = layer::remove_tree(&self.inner.locks, name.as_bytes());
                removed.map_err(|e| Error::io("removing", &shown.join(&name), e))?;
            }
        }
        Ok(())
    }

    pub(crate) fn shrink(&self, size_max: u64) -> Result<(), Error> {
        self.prune(&PruneOptions { size_max: Some(size_max), ..PruneOptions::default() }).map(drop)
    }

    fn remove(&self, item: &Item) -> Result<bool, Error> {
        match item.kind {
            ItemKind::Layer => self.remove_layer(&item.name),
            ItemKind::Blob => self.remove_blob(&item.name).map(|()| true),
            ItemKind::Http => match std::fs::remove_file(self.http_dir().join(&item.name)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::io("removing", &self.http_dir().join(&item.name), e))
                }
                _ => Ok(true),
            },
        }
    }

    fn layer_items(&self) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        for name in names(&self.inner.layers, &self.layers_path())? {
            let Ok(stat) = statat(&self.inner.layers, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let bytes = meta_of(&self.inner.layers, &name).map_or(0, |meta| meta.unpacked_bytes);
            let used = moment(stat.st_mtime, stat.st_mtime_nsec as u32);
            items.push(Item { kind: ItemKind::Layer, name, bytes, used });
        }
        Ok(items)
    }

    fn blob_items(&self) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        for name in names(&self.inner.blobs, &self.blobs_path())? {
            let Ok(stat) = statat(&self.inner.blobs, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if name.ends_with(".json") {
                continue;
            }
            let used = moment(stat.st_mtime, stat.st_mtime_nsec as u32);
            items.push(Item { kind: ItemKind::Blob, name, bytes: stat.st_size.cast_unsigned(), used });
        }
        Ok(items)
    }

    fn http_items(&self) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        let mut ahead = vec![(PathBuf::new(), 0)];
        while let Some((folder, depth)) = ahead.pop() {
            let shown = self.http_dir().join(&folder);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(fd) = openat(rustix::fs::CWD, &shown, flags, Mode::empty()) else { continue };
            for entry in Dir::read_from(&fd).map_err(|e| Error::io("listing", &shown, e))? {
                let entry = entry.map_err(|e| Error::io("listing", &shown, e))?;
                let Ok(name) = entry.file_name().to_str() else { continue };
                let Ok(stat) = statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory if !matches!(name, "." | "..") && depth < HTTP_DEPTH_MAX => {
                        ahead.push((folder.join(name), depth + 1));
                    }
                    FileType::RegularFile => items.push(Item {
                        kind: ItemKind::Http,
                        name: folder.join(name).to_string_lossy().into_owned(),
                        bytes: stat.st_size.cast_unsigned(),
                        used: moment(stat.st_mtime, stat.st_mtime_nsec as u32),
                    }),
                    _ => {}
                }
            }
        }
        Ok(items)
    }
}

fn moment(seconds: i64, nanos: u32) -> SystemTime {
    let since = Duration::new(seconds.unsigned_abs(), nanos);
    SystemTime::UNIX_EPOCH + if seconds < 0 { Duration::ZERO } else { since }
}
