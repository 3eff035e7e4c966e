//! What is staged, as the difference that it is.

use super::{
    nodes::{Below, Node, StagedFile},
    view::View,
};
use crate::{Change, Changes, Entry, EntryPath, Error, Kind};
use std::{collections::HashMap, io::Read, sync::Arc};

/// What was staged when this was asked for, relative to the lower tree: as an upper directory of overlayfs would have it.
///
/// A further name of a staged file is a [`Kind::Hardlink`]; its content is given all the same, for whoever leaves the first
/// name out.
pub struct StagedChanges(pub(super) View);

impl Changes for StagedChanges {
    fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let mut first_names = HashMap::new();
        for (path, node) in self.0.nodes.all() {
            match node {
                Node::Gone => visit(Change::Remove(path.clone()))?,
                Node::Other(entry) => visit(Change::Set(entry.clone(), None))?,
                Node::Folder(folder) => {
                    visit(Change::Set(folder.entry.clone(), None))?;
                    if folder.below == Below::Hidden {
                        visit(Change::Opaque(path.clone()))?;
                    }
                }
                Node::File(file) => {
                    let mut content = self.0.read(&file.content)?;
                    let entry = named(file, path, &mut first_names);
                    visit(Change::Set(entry, Some(&mut content as &mut dyn Read)))?;
                }
            }
        }
        Ok(())
    }
}

/// A file under one of its names: a link where it had a name before.
fn named(file: &Arc<StagedFile>, path: &EntryPath, first_names: &mut HashMap<usize, EntryPath>) -> Entry {
    let entry = Entry { path: path.clone(), ..file.entry.clone() };
    if Arc::strong_count(file) == 1 {
        return entry;
    }
    match first_names.get(&Arc::as_ptr(file).addr()) {
        Some(first) => Entry { kind: Kind::Hardlink { target: first.clone() }, ..entry },
        None => {
            first_names.insert(Arc::as_ptr(file).addr(), path.clone());
            entry
        }
    }
}
