//! The tree that shows what is staged over what lies below, resolved by us: a link leads within the tree and nowhere else.

use super::{
    nodes::{Below, Node, Nodes},
    spool::{Content, Spool, inline},
};
use crate::{
    Entry, EntryPath, Error, Kind, Tree, failure::bad_entry, folders::components, limits::LINKS_MAX,
};
use std::{
    collections::{BTreeSet, HashMap},
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

/// Lookups in the lower tree that are remembered; packages come in path order, so older ones are not missed.
const CACHED: usize = 4096;

/// The tree below. It never changes, so what was seen there once holds.
pub(crate) struct Lower {
    pub(crate) tree: Arc<dyn Tree>,
    known: Mutex<HashMap<EntryPath, Option<Entry>>>,
}

impl Lower {
    pub(crate) fn new(tree: Arc<dyn Tree>) -> Self {
        Lower { tree, known: Mutex::default() }
    }

    /// What it has at a path that leads through real folders of it.
    pub(crate) fn entry(&self, path: &EntryPath) -> Result<Option<Entry>, Error> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known().get(path) {
            return Ok(entry.clone());
        }
        let entry = self.tree.entry(path, false)?;
        let mut known = known();
        if known.len() >= CACHED {
            known.clear();
        }
        known.insert(path.clone(), entry.clone());
        Ok(entry)
    }

    pub(crate) fn has_folder(&self, path: &EntryPath) -> Result<bool, Error> {
        Ok(self.entry(path)?.is_some_and(|entry| entry.kind == Kind::Directory))
    }
}

/// What is staged, and what lies below. Copies are cheap, and a copy does not see what is staged after it was made.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) lower: Arc<Lower>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) spool: Arc<Spool>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// A folder; whether names of the lower tree show in it.
    Folder(bool),
    /// A symbolic link.
    Link(Vec<u8>),
    /// Something else.
    Thing,
}

/// Where resolving a path ended: with no link on the way to it.
pub(crate) struct Resolved {
    pub(crate) path: EntryPath,
    pub(crate) found: Found,
    /// Whether names of the lower tree show in the folder that it lies in.
    pub(crate) shows: bool,
    /// What could not be resolved any more, the next component last.
    pub(crate) ahead: Vec<Vec<u8>>,
}

impl View {
    /// What is at a path in a real folder of the view.
    pub(crate) fn found(&self, path: &EntryPath, shows: bool) -> Result<Found, Error> {
        let of = |kind: &Kind| match kind {
            Kind::Symlink { target } => Found::Link(target.clone()),
            _ => Found::Thing,
        };
        Ok(match self.nodes.get(path) {
            Some(Node::Gone) => Found::Nothing,
            Some(Node::Folder(folder)) => Found::Folder(folder.below == Below::Shown),
            Some(Node::File(_)) => Found::Thing,
            Some(Node::Other(entry)) => of(&entry.kind),
            None if !shows => Found::Nothing,
            None => match self.lower.entry(path)? {
                None => Found::Nothing,
                Some(entry) if entry.kind == Kind::Directory => Found::Folder(true),
                Some(entry) => of(&entry.kind),
            },
        })
    }

    /// Follows links on the way, and in the last component if `follow`.
    pub(crate) fn resolve(&self, asked: &EntryPath, follow: bool) -> Result<Resolved, Error> {
        let mut trail = vec![(EntryPath::root(), true)];
        let mut ahead = components(asked.as_bytes());
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            if part == b".." {
                trail.truncate(trail.len().max(2) - 1);
                continue;
            }
            let Some((here, shows)) = trail.last() else { break };
            let (path, shows) = (here.join(&part)?, *shows);
            match self.found(&path, shows)? {
                Found::Folder(shows) => trail.push((path, shows)),
                Found::Link(target) if follow || !ahead.is_empty() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(bad_entry(asked, "too many levels of symbolic links"));
                    }
                    if target.starts_with(b"/") {
                        trail.truncate(1);
                    }
                    ahead.extend(components(&target));
                }
                found => return Ok(Resolved { path, found, shows, ahead }),
            }
        }
        let (path, below) = trail.pop().unwrap_or_default();
        let shows = trail.last().is_none_or(|(_, shows)| *shows);
        Ok(Resolved { path, found: Found::Folder(below), shows, ahead })
    }

    /// What is at a path that resolving led to.
    pub(crate) fn entry_at(&self, resolved: &Resolved) -> Result<Option<Entry>, Error> {
        let path = &resolved.path;
        Ok(match self.nodes.get(path) {
            _ if resolved.found == Found::Nothing || !resolved.ahead.is_empty() => None,
            Some(Node::Gone) => None,
            Some(Node::Folder(folder)) => Some(folder.entry.clone()),
            Some(Node::File(file)) => Some(Entry { path: path.clone(), ..file.entry.clone() }),
            Some(Node::Other(entry)) => Some(entry.clone()),
            None => self.lower.entry(path)?,
        })
    }

    pub(crate) fn read(&self, content: &Content) -> Result<Box<dyn Read + Send>, Error> {
        Ok(match content {
            Content::Inline(bytes) => Box::new(inline(bytes)),
            Content::Spooled { at, size } => Box::new(self.spool.read(*at, *size)),
            Content::Lower(path) => self.lower.tree.open(path)?,
        })
    }

    /// Names in a real folder of the view.
    pub(crate) fn names(
        &self,
        folder: &EntryPath,
        shows: bool,
        max: usize,
    ) -> Result<BTreeSet<Vec<u8>>, Error> {
        let below = if shows { self.lower.tree.list(folder, max)? } else { Vec::new() };
        let mut names: BTreeSet<Vec<u8>> = below.into_iter().collect();
        for (name, node) in self.nodes.names(folder) {
            match node {
                Node::Gone => names.remove(name),
                _ => names.insert(name.to_vec()),
            };
            if names.len() > max {
                return Err(bad_entry(folder, format!("more than {max} names in it")));
            }
        }
        Ok(names)
    }
}

impl Tree for View {
    fn entry(&self, path: &EntryPath, follow: bool) -> Result<Option<Entry>, Error> {
        self.entry_at(&self.resolve(path, follow)?)
    }

    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, Error> {
        let resolved = self.resolve(path, true)?;
        let entry = self.entry_at(&resolved)?.ok_or_else(|| bad_entry(path, "no such file"))?;
        if !matches!(entry.kind, Kind::File { .. }) {
            return Err(bad_entry(path, "not a regular file"));
        }
        match self.nodes.get(&resolved.path) {
            Some(Node::File(file)) => self.read(&file.content),
            _ => self.lower.tree.open(&resolved.path),
        }
    }

    fn list(&self, path: &EntryPath, max_names: usize) -> Result<Vec<Vec<u8>>, Error> {
        let resolved = self.resolve(path, true)?;
        match resolved.found {
            Found::Folder(shows) => Ok(self.names(&resolved.path, shows, max_names)?.into_iter().collect()),
            Found::Nothing => Err(bad_entry(path, "no such directory")),
            Found::Link(_) | Found::Thing => Err(bad_entry(path, "not a directory")),
        }
    }
}
