//! What is staged, by path, in the order of a walk.

use super::spool::Content;
use crate::{Entry, EntryPath, order};
use std::{cmp::Ordering, collections::BTreeMap, ops::Bound, sync::Arc};

/// What is staged at one path.
#[derive(Clone)]
pub(crate) enum Node {
    /// What the lower tree has there is gone.
    Gone,
    Folder(Folder),
    /// A regular file; its other names share it.
    File(Arc<StagedFile>),
    /// Link, device or pipe.
    Other(Entry),
}

#[derive(Clone)]
pub(crate) struct Folder {
    pub(crate) entry: Entry,
    pub(crate) below: Below,
}

/// What the lower tree has where a folder is staged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Below {
    /// A folder, whose names show unless others are staged over them.
    Shown,
    /// A folder that was removed before this one was made: none of its names show.
    Hidden,
    /// No folder.
    Nothing,
}

pub(crate) struct StagedFile {
    /// As its first name says; the path is that of whoever asks.
    pub(crate) entry: Entry,
    pub(crate) content: Content,
}

/// All of it. The folders above whatever is staged are staged too, except the root.
#[derive(Clone, Default)]
pub(crate) struct Nodes(BTreeMap<Key, Node>);

#[derive(Clone, PartialEq, Eq)]
struct Key(EntryPath);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        order::compare(&self.0, &other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Nodes {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, path: &EntryPath) -> Option<&Node> {
        self.0.get(&Key(path.clone()))
    }

    pub(crate) fn folder(&mut self, path: &EntryPath) -> Option<&mut Folder> {
        match self.0.get_mut(&Key(path.clone())) {
            Some(Node::Folder(folder)) => Some(folder),
            _ => None,
        }
    }

    pub(crate) fn insert(&mut self, path: EntryPath, node: Node) {
        self.0.insert(Key(path), node);
    }

    pub(crate) fn remove(&mut self, path: &EntryPath) {
        self.0.remove(&Key(path.clone()));
    }

    /// Forgets everything below a folder.
    pub(crate) fn clear_below(&mut self, folder: &EntryPath) {
        let doomed: Vec<EntryPath> = self.below(folder).map(|(path, _)| path.clone()).collect();
        doomed.iter().for_each(|path| self.remove(path));
    }

    /// The names right in a folder.
    pub(crate) fn names<'n>(&'n self, folder: &'n EntryPath) -> impl Iterator<Item = (&'n [u8], &'n Node)> {
        self.below(folder).filter_map(|(path, node)| {
            let rest = rest(folder, path)?;
            (!rest.contains(&b'/')).then_some((rest, node))
        })
    }

    /// Everything, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&EntryPath, &Node)> {
        self.0.iter().map(|(key, node)| (&key.0, node))
    }

    fn below<'n>(&'n self, folder: &'n EntryPath) -> impl Iterator<Item = (&'n EntryPath, &'n Node)> {
        let after = (Bound::Excluded(Key(folder.clone())), Bound::Unbounded);
        self.0
            .range(after)
            .map(|(key, node)| (&key.0, node))
            .take_while(|(path, _)| rest(folder, path).is_some())
    }
}

/// A path as seen from a folder that it is below.
fn rest<'p>(folder: &EntryPath, path: &'p EntryPath) -> Option<&'p [u8]> {
    if folder.is_root() {
        return (!path.is_root()).then_some(path.as_bytes());
    }
    path.as_bytes().strip_prefix(folder.as_bytes())?.strip_prefix(b"/")
}
