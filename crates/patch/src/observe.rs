//! Reads what must be known of an image before planning: distribution, adapter, facts. And counts what packing asks of
//! the base.

use crate::Error;
use adapter::{Adapter, Facts};
use layer::{Entry, EntryPath, Tree};
use std::{
    io::Read,
    sync::atomic::{AtomicU64, Ordering},
};

/// The adapter for an image, and what it learned of it.
pub(crate) struct Observed {
    pub(crate) adapter: &'static dyn Adapter,
    pub(crate) facts: Facts,
}

/// Reads os-release, chooses the adapter, and lets it read its facts.
pub(crate) fn observe(tree: &dyn Tree, name: &str, engine: &'static str) -> Result<Observed, Error> {
    let adapter_error = |source| Error::Adapter { name: name.to_owned(), source };
    let engine_error = |source| Error::Engine { engine, source };
    let os_files = engine::collect(tree, &adapter::os_looks()).map_err(engine_error)?;
    let os = adapter::os_release(&os_files).map_err(adapter_error)?;
    let adapter = adapter::choose(&os).map_err(adapter_error)?;
    let evidence = engine::collect(tree, &adapter.looks()).map_err(engine_error)?;
    let facts = adapter.facts(os, &evidence).map_err(adapter_error)?;
    Ok(Observed { adapter, facts })
}

/// A tree that counts how often a directory of it is listed: packing must look the base up by path, never walk it.
pub(crate) struct Counted<'a> {
    tree: &'a dyn Tree,
    lists: AtomicU64,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(tree: &'a dyn Tree) -> Self {
        Counted { tree, lists: AtomicU64::new(0) }
    }

    pub(crate) fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }
}

impl Tree for Counted<'_> {
    fn entry(&self, path: &EntryPath, follow: bool) -> Result<Option<Entry>, layer::Error> {
        self.tree.entry(path, follow)
    }

    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, layer::Error> {
        self.tree.open(path)
    }

    fn list(&self, path: &EntryPath, max_names: usize) -> Result<Vec<Vec<u8>>, layer::Error> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.tree.list(path, max_names)
    }
}
