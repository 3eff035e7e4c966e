//! What a run starts on: the base below, and an upper with an earlier patch in it and the folders that would otherwise show
//! wrongly, the root first of all.

use crate::{
    errors,
    failure::{Doing as _, Failure},
    opened::{Stack, topmost_first},
    ready::Layer,
    stage::times,
    upper::Upper,
};
use engine::Error;
use layer::{Change, Changes, DirChanges, Entry, EntryPath, Extractor, Limits, Overlay, Record, Tree as _};
use rustix::{
    fs::{AtFlags, fstat, futimens, unlinkat},
    io::Errno,
};
use std::{collections::HashSet, path::PathBuf};

/// Layers to mount, lowest first. A layer that stands twice counts where it stands highest: everything that it sets or
/// hides, it sets or hides there again, and overlayfs takes no folder twice.
pub(crate) fn paths(base: &[Layer]) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let mut paths = Vec::new();
    for layer in base.iter().rev() {
        if seen.insert(layer.path()) {
            paths.push(layer.path());
        }
        // Overlayfs heeds this mark on any folder but the root.
        if layer.stored.meta().opaque_root {
            break;
        }
    }
    paths.reverse();
    paths
}

/// The image as it was before the run.
pub(crate) fn whole(stack: &Stack) -> Result<Overlay, Error> {
    let layers: Vec<Layer> = stack.base.iter().chain(&stack.earlier).cloned().collect();
    Overlay::new(topmost_first(&layers, None)).map_err(errors::of_layer)
}

/// Fills a fresh upper; what it cannot hold itself.
pub(crate) fn start(stack: &Stack, upper: &Upper, cancel: &dyn Fn() -> bool) -> Result<Record, Error> {
    let folders = folders(&whole(stack)?).map_err(errors::of_layer)?;
    let folder = upper.changes().map_err(errors::of_setup)?;
    start_tooling(stack, upper, cancel)?;
    let mut extractor = Extractor::new(folder, stack.options.store.flavor(), Limits::default(), cancel);
    for layer in &stack.earlier {
        extractor.changes(&mut DirChanges::new(layer.dir.clone())).map_err(errors::of_layer)?;
    }
    extractor.changes(&mut Folders(folders)).map_err(errors::of_layer)?;
    let extracted = extractor.finish().map_err(errors::of_layer)?;
    if extracted.opaque_root { Err(hides_all()) } else { Ok(extracted.record) }
}

/// The same for a tooling image, where there is one. What its upper cannot hold is lost: nothing of it is kept.
fn start_tooling(stack: &Stack, upper: &Upper, cancel: &dyn Fn() -> bool) -> Result<(), Error> {
    if stack.tooling.is_empty() {
        return Ok(());
    }
    let tooling = Overlay::new(topmost_first(&stack.tooling, None)).map_err(errors::of_layer)?;
    let folder = upper.for_tooling().map_err(errors::of_setup)?;
    let mut extractor = Extractor::new(folder, stack.options.store.flavor(), Limits::default(), cancel);
    let folders = folders(&tooling).map_err(errors::of_layer)?;
    extractor.changes(&mut Folders(folders)).map_err(errors::of_layer)?;
    extractor.finish().map(drop).map_err(errors::of_layer)
}

/// What is said of an earlier patch that leaves nothing of the image.
pub(crate) fn hides_all() -> Error {
    let why = "it hides the whole image below it".to_owned();
    Error::Image { item: "the layer of an earlier patch".to_owned(), why }
}

/// Takes away the folders that were made for mounts. The time of the root stays.
pub(crate) fn restore(upper: &Upper, made: &[String]) -> Result<(), Failure> {
    if made.is_empty() {
        return Ok(());
    }
    let doing = "taking away the folders made for mounts";
    let folder = upper.changes()?;
    let before = times(&fstat(&folder).doing(doing)?);
    for name in made {
        match unlinkat(&folder, name.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error).doing(doing),
        }
    }
    futimens(&folder, &before).doing(doing)
}

/// Folders that the upper must have so that they show as the image's do: the root, which overlayfs takes from the upper alone,
/// and those that a layer uses without describing them.
fn folders(image: &Overlay) -> Result<Vec<Entry>, layer::Error> {
    let root = image.entry(&EntryPath::root(), false)?;
    Ok(root.into_iter().chain(image.inherited()?).collect())
}

/// Folders as the only changes, parents before children.
pub(crate) struct Folders(pub(crate) Vec<Entry>);

impl Changes for Folders {
    fn walk(
        &mut self,
        visit: &mut dyn FnMut(Change<'_>) -> Result<(), layer::Error>,
    ) -> Result<(), layer::Error> {
        self.0.iter().try_for_each(|folder| visit(Change::Set(folder.clone(), None)))
    }
}
