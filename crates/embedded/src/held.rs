//! Something to read that keeps something else from going away while it is read.

use layer::{Change, Changes, Entry, EntryPath, Error, Tree};
use std::{io::Read, sync::Arc};

/// `T`, and what it needs to live.
pub(crate) struct Held<T, K> {
    inner: T,
    _kept: Arc<K>,
}

impl<T, K> Held<T, K> {
    /// Keeps `kept` as long as `inner` lives.
    pub(crate) fn new(inner: T, kept: Arc<K>) -> Self {
        Held { inner, _kept: kept }
    }
}

impl<T: Tree, K: Send + Sync> Tree for Held<T, K> {
    fn entry(&self, path: &EntryPath, follow: bool) -> Result<Option<Entry>, Error> {
        self.inner.entry(path, follow)
    }

    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, Error> {
        self.inner.open(path)
    }

    fn list(&self, path: &EntryPath, max_names: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.inner.list(path, max_names)
    }
}

impl<T: Changes, K: Send + Sync> Changes for Held<T, K> {
    fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error> {
        self.inner.walk(visit)
    }
}
