//! Reads what must be known of an image before planning: distribution, adapter, facts. And counts what is asked of the base:
//! bytes downloaded, directories listed.

use crate::{Error, Request};
use adapter::{Adapter, Facts, Strategy};
use engine::Evidence;
use inventory::family::Family;
use layer::{Entry, EntryPath, Tree};
use std::{
    collections::BTreeMap,
    io::Read,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The adapter for an image, and what it learned of it.
pub(crate) struct Observed {
    pub(crate) family: &'static Family,
    pub(crate) adapter: &'static dyn Adapter,
    pub(crate) facts: Facts,
}

/// Reads os-release, chooses the adapter, and lets it read its facts.
pub(crate) fn observe(tree: &dyn Tree, request: &Request, engine: &'static str) -> Result<Observed, Error> {
    let adapter_error = |source| Error::Adapter { name: request.name.clone(), source };
    let engine_error = |source| Error::Engine { engine, source };
    let os_files = engine::collect(tree, &adapter::os_looks()).map_err(engine_error)?;
    let os = adapter::os_release(&os_files).map_err(adapter_error)?;
    let adapter = adapter::choose(&os).map_err(adapter_error)?;
    let unknown = || adapter_error(adapter::Error::Unsupported("an unknown distribution".to_owned()));
    let (family, _) = Family::of(&os).ok_or_else(unknown)?;
    let evidence = engine::collect(tree, &adapter.looks()).map_err(engine_error)?;
    let mut facts = adapter.facts(os.clone(), &evidence).map_err(adapter_error)?;
    if let Some(files) = &request.repositories.files {
        facts = match facts.strategy {
            Strategy::InPlace => return Err(adapter_error(own_tool())),
            Strategy::Outside | Strategy::Unpacked => {
                adapter.facts(os, &replaced(evidence, files)).map_err(adapter_error)?
            }
        };
    }
    Ok(Observed { family, adapter, facts })
}

/// Where images keep what package repositories they use.
const CONFIGURATION: [&str; 8] = [
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d/",
    "/etc/apt/mirrors/",
    "/etc/apt/preferences",
    "/etc/apk/repositories",
    "/etc/yum.repos.d/",
    "/etc/zypp/repos.d/",
    "/etc/tdnf/",
];

fn own_tool() -> adapter::Error {
    adapter::Error::State(
        "the image has its own package tool, which reads its own repository configuration and no other"
            .to_owned(),
    )
}

/// The evidence with other repository configuration in place of the image's own. Keys come beside those of the image.
fn replaced(evidence: Evidence, files: &Evidence) -> Evidence {
    let own = |path: &str| CONFIGURATION.iter().any(|at| path.starts_with(at));
    let rest = evidence.into_iter().filter(|(path, _)| !own(path));
    rest.chain(files.clone()).collect()
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

/// Compressed bytes of layers that were downloaded, as the engine's events tell.
#[derive(Default)]
pub(crate) struct Downloads(Mutex<BTreeMap<oci::Digest, u64>>);

impl Downloads {
    pub(crate) fn note(&self, event: &engine::Event) {
        let engine::Event::Layer { digest, done, stage, .. } = event else { return };
        let Ok(mut layers) = self.0.lock() else { return };
        // A layer that is ready without having been pulled was in the store.
        if *stage == engine::LayerStage::Pulling || layers.contains_key(digest) {
            let so_far = layers.entry(digest.clone()).or_default();
            *so_far = (*so_far).max(*done);
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.lock().map_or(0, |layers| layers.values().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::LayerStage;

    #[test]
    fn bytes_count_once_and_cached_layers_not_at_all() {
        let downloads = Downloads::default();
        for (name, done, stage) in [
            ("a", 10, LayerStage::Pulling),
            ("a", 30, LayerStage::Pulling),
            ("a", 50, LayerStage::Ready),
            ("b", 50, LayerStage::Cached),
        ] {
            let digest = oci::Digest::of(name.as_bytes());
            downloads.note(&engine::Event::Layer { digest, done, total: 50, stage });
        }
        assert_eq!(downloads.bytes(), 50);
    }
}
