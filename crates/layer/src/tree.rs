//! Layer directories seen as one tree, as overlayfs shows them, but resolved by us: a link leads within the tree and nowhere else.

use crate::{
    Entry, EntryPath, Error, Kind, Tree,
    failure::{bad_entry, refused},
    folders::components,
    limits::LINKS_MAX,
    object::{Glance, LayerDir},
};
use rustix::{
    fd::OwnedFd,
    fs::{Dir, FileType, OFlags, fstat},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::Read,
    sync::{Arc, Mutex, PoisonError},
};

/// Folders remembered; lookups come in path order, so older ones are not missed.
const CACHED: usize = 4096;

/// A folder of the merged tree.
#[derive(Debug, Clone)]
struct Merged {
    /// The layers that it consists of, topmost first; one at least.
    parts: Arc<[usize]>,
    /// The topmost layer that describes it, or else simply the topmost.
    described_in: usize,
}

/// Several layer directories as one tree. They must not change while it lives.
#[derive(Debug)]
pub struct Overlay {
    layers: Vec<Arc<LayerDir>>,
    root: Option<Merged>,
    folders: Mutex<HashMap<EntryPath, Found>>,
}

/// What a path leads to in the merged tree.
#[derive(Debug, Clone)]
enum Found {
    Nothing,
    Folder(Merged),
    /// Something else, in this layer.
    Other(usize, FileType),
}

/// Where resolving a path ended: with no link on the way to it.
struct Resolved {
    path: EntryPath,
    found: Found,
}

impl Overlay {
    /// The tree of these layers, topmost first.
    pub fn new(layers: Vec<Arc<LayerDir>>) -> Result<Self, Error> {
        let tree = Overlay { layers, root: None, folders: Mutex::default() };
        let every: Vec<usize> = (0..tree.layers.len()).collect();
        match tree.merge(&every, &EntryPath::root())? {
            Found::Folder(root) => Ok(Overlay { root: Some(root), ..tree }),
            _ => Ok(tree),
        }
    }

    /// Folders that overlayfs would show otherwise than they are: the topmost layer that has them does not describe them, and
    /// one below does. Runtimes that apply layers one after another leave such a folder as it is. With the folders that lead
    /// there, but the root; parents before children.
    pub fn inherited(&self) -> Result<Vec<Entry>, Error> {
        let undescribed: BTreeSet<&EntryPath> =
            self.layers.iter().flat_map(|layer| layer.record.undescribed()).collect();
        let mut entries = BTreeMap::new();
        for path in undescribed {
            if let Some(entry) = self.otherwise(path)? {
                self.lead_to(path, &mut entries)?;
                entries.insert(path.clone(), entry);
            }
        }
        Ok(entries.into_values().collect())
    }

    /// The folder at a path, if its own part looks otherwise than it.
    fn otherwise(&self, asked: &EntryPath) -> Result<Option<Entry>, Error> {
        let Resolved { path, found: Found::Folder(folder) } = self.resolve(asked, false)? else {
            return Ok(None);
        };
        let shown = folder.parts.first().copied().unwrap_or(folder.described_in);
        // With a link on the way, the path leads to another folder now.
        if path != *asked || path.is_root() || folder.described_in == shown {
            return Ok(None);
        }
        let entry = self.entry_in(folder.described_in, &path)?;
        Ok(if entry == self.entry_in(shown, &path)? { None } else { Some(entry) })
    }

    fn lead_to(&self, path: &EntryPath, entries: &mut BTreeMap<EntryPath, Entry>) -> Result<(), Error> {
        let mut above = path.parent();
        while let Some(folder) = above.filter(|f| !f.is_root() && !entries.contains_key(f)) {
            above = folder.parent();
            if let Some(entry) = self.entry(&folder, false)? {
                entries.insert(folder, entry);
            }
        }
        Ok(())
    }

    fn child(&self, folder: &Merged, path: &EntryPath) -> Result<Found, Error> {
        if let Some(found) = self.folders.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(found.clone());
        }
        let found = self.merge(&folder.parts, path)?;
        if !matches!(found, Found::Other(..)) {
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            if folders.len() >= CACHED {
                folders.clear();
            }
            folders.insert(path.clone(), found.clone());
        }
        Ok(found)
    }

    /// One name through the layers: the topmost that says anything decides; folders join until one is opaque. How a folder looks
    /// can be said below even that one, which hides no more than what is in it.
    fn merge(&self, among: &[usize], path: &EntryPath) -> Result<Found, Error> {
        let (mut joined, mut closed, mut described_in) = (Vec::new(), false, None);
        for &index in among {
            let layer = &self.layers[index];
            match layer.glance(path)? {
                Glance::Nothing => {}
                Glance::Is(FileType::Directory, handle) => {
                    if !closed {
                        joined.push(index);
                        closed = layer.is_opaque(path, &handle)?;
                    }
                    described_in = described_in.or(layer.record.describes(path).then_some(index));
                    if closed && described_in.is_some() {
                        break;
                    }
                }
                Glance::Is(kind, _) if joined.is_empty() => return Ok(Found::Other(index, kind)),
                Glance::Is(..) | Glance::Whiteout => break,
            }
        }
        let Some(&topmost) = joined.first() else { return Ok(Found::Nothing) };
        let described_in = described_in.unwrap_or(topmost);
        Ok(Found::Folder(Merged { parts: joined.into(), described_in }))
    }

    fn resolve(&self, asked: &EntryPath, follow: bool) -> Result<Resolved, Error> {
        let nothing = || Resolved { path: asked.clone(), found: Found::Nothing };
        let Some(root) = &self.root else { return Ok(nothing()) };
        let mut trail = vec![(EntryPath::root(), root.clone())];
        let mut ahead = components(asked.as_bytes());
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            if part == b".." {
                trail.truncate(trail.len().max(2) - 1);
                continue;
            }
            let Some((here, folder)) = trail.last() else { break };
            let next = here.join(&part)?;
            match self.child(folder, &next)? {
                Found::Folder(folder) => trail.push((next, folder)),
                Found::Other(layer, FileType::Symlink) if follow || !ahead.is_empty() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(bad_entry(asked, "too many levels of symbolic links"));
                    }
                    let target = self.target(layer, &next)?;
                    if target.starts_with(b"/") {
                        trail.truncate(1);
                    }
                    ahead.extend(components(&target));
                }
                found if ahead.is_empty() => return Ok(Resolved { path: next, found }),
                _ => return Ok(Resolved { path: next, found: Found::Nothing }),
            }
        }
        Ok(trail.pop().map_or_else(nothing, |(path, folder)| Resolved { path, found: Found::Folder(folder) }))
    }

    fn target(&self, layer: usize, path: &EntryPath) -> Result<Vec<u8>, Error> {
        match self.entry_in(layer, path)?.kind {
            Kind::Symlink { target } => Ok(target),
            _ => Err(changed(path)),
        }
    }

    fn entry_in(&self, layer: usize, path: &EntryPath) -> Result<Entry, Error> {
        let layer = &self.layers[layer];
        match layer.glance(path)? {
            Glance::Is(_, handle) => layer.object(path, &handle).map(|object| object.entry),
            _ => Err(changed(path)),
        }
    }

    /// The names that one layer has in a folder, and whether each is there or removed.
    fn names_in(
        &self,
        layer: usize,
        folder: &EntryPath,
        seen: &mut BTreeMap<Vec<u8>, bool>,
        max: usize,
    ) -> Result<(), Error> {
        let fail = |e| refused("listing", folder, e);
        let layer = &self.layers[layer];
        let handle = layer.at.open(folder, OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
        for listed in Dir::new(handle).map_err(fail)? {
            let listed = listed.map_err(fail)?;
            let name = listed.file_name().to_bytes();
            if name == b"." || name == b".." || seen.contains_key(name) {
                continue;
            }
            let may_be_removed = matches!(listed.file_type(), FileType::CharacterDevice | FileType::Unknown);
            let removed = may_be_removed && matches!(layer.glance(&folder.join(name)?)?, Glance::Whiteout);
            seen.insert(name.to_vec(), !removed);
            if seen.len() > max {
                return Err(bad_entry(folder, format!("more than {max} names in it")));
            }
        }
        Ok(())
    }
}

fn changed(path: &EntryPath) -> Error {
    bad_entry(path, "changed while it was read")
}

impl Tree for Overlay {
    fn entry(&self, path: &EntryPath, follow: bool) -> Result<Option<Entry>, Error> {
        let Resolved { path, found } = self.resolve(path, follow)?;
        match found {
            Found::Nothing => Ok(None),
            Found::Folder(folder) => self.entry_in(folder.described_in, &path).map(Some),
            Found::Other(layer, _) => self.entry_in(layer, &path).map(Some),
        }
    }

    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, Error> {
        let Resolved { path: real, found } = self.resolve(path, true)?;
        let Found::Other(layer, FileType::RegularFile) = found else {
            let why = if matches!(found, Found::Nothing) { "no such file" } else { "not a regular file" };
            return Err(bad_entry(path, why));
        };
        if !matches!(self.entry_in(layer, &real)?.kind, Kind::File { .. }) {
            return Err(bad_entry(path, "not a regular file"));
        }
        open_regular(&self.layers[layer], &real).map(|file| Box::new(file) as Box<dyn Read + Send>)
    }

    fn list(&self, path: &EntryPath, max_names: usize) -> Result<Vec<Vec<u8>>, Error> {
        let Resolved { path: real, found } = self.resolve(path, true)?;
        let Found::Folder(folder) = found else {
            let why = if matches!(found, Found::Nothing) { "no such directory" } else { "not a directory" };
            return Err(bad_entry(path, why));
        };
        let mut seen = BTreeMap::new();
        for &layer in folder.parts.iter() {
            self.names_in(layer, &real, &mut seen, max_names)?;
        }
        Ok(seen.into_iter().filter_map(|(name, there)| there.then_some(name)).collect())
    }
}

/// Opens a file that was seen to be a regular one. Never waits and never touches a device, should it have become another.
pub(crate) fn open_regular(layer: &LayerDir, path: &EntryPath) -> Result<File, Error> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd: OwnedFd = layer.at.open(path, flags).map_err(|e| refused("opening", path, e))?;
    let stat = fstat(&fd).map_err(|e| refused("examining", path, e))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(File::from(fd)),
        _ => Err(bad_entry(path, "not a regular file")),
    }
}
