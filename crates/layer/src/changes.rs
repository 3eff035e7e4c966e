//! An upper directory of overlayfs, walked as the difference it is.

use crate::{
    Change, Changes, Entry, EntryPath, Error, Kind,
    failure::{bad_entry, refused},
    limits::{DIRECTORY_NAMES_MAX, PATH_BYTES_MAX},
    object::{Glance, LayerDir, Object},
    tree::open_regular,
};
use rustix::fs::{Dir, FileType, OFlags};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    sync::Arc,
};

/// The difference that an upper directory holds. It is walked depth first, names in byte order. Of the root itself
/// it says at most that it is opaque: its owner and mode in an upper directory mean nothing.
///
/// A name of a file met before is a [`Kind::Hardlink`]; its content is given all the same, for whoever leaves the
/// first name out.
///
/// A folder that the layer does not describe comes as it is on the disk: see [`Overlay::inherited`](crate::Overlay::inherited).
#[derive(Debug)]
pub struct DirChanges {
    layer: Arc<LayerDir>,
}

impl DirChanges {
    /// The difference in this directory.
    pub fn new(layer: Arc<LayerDir>) -> Self {
        DirChanges { layer }
    }

    /// Names in a folder, sorted, the first one last.
    fn names(&self, folder: &EntryPath) -> Result<Vec<Vec<u8>>, Error> {
        let fail = |e| refused("listing", folder, e);
        let handle = self.layer.at.open(folder, OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
        let mut names = Vec::new();
        for listed in Dir::new(handle).map_err(fail)? {
            let listed = listed.map_err(fail)?;
            let name = listed.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
            if names.len() > DIRECTORY_NAMES_MAX {
                return Err(Error::Limit(format!("more than {DIRECTORY_NAMES_MAX} names in {folder}")));
            }
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }

    fn visit(
        &self,
        path: &EntryPath,
        first_names: &mut HashMap<(u64, u64), EntryPath>,
        visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let handle = match self.layer.glance(path)? {
            Glance::Nothing => return Err(bad_entry(path, "vanished while it was read")),
            Glance::Whiteout => return visit(Change::Remove(path.clone())).map(|()| false),
            // No layer can hold a socket, and one that nobody listens on is worth nothing: it is left out, as everywhere.
            Glance::Is(FileType::Socket, _) => return visit(Change::Remove(path.clone())).map(|()| false),
            Glance::Is(_, handle) => handle,
        };
        let Object { mut entry, identity, names, opaque } = self.layer.object(path, &handle)?;
        if entry.kind == Kind::Directory {
            visit(Change::Set(entry, None))?;
            if opaque {
                visit(Change::Opaque(path.clone()))?;
            }
            return Ok(true);
        }
        let is_file = matches!(entry.kind, Kind::File { .. });
        if is_file && names > 1 {
            link(&mut entry, identity, first_names);
        }
        let mut content = Lazy { layer: &self.layer, path, file: None };
        visit(Change::Set(entry, is_file.then_some(&mut content as &mut dyn Read))).map(|()| false)
    }
}

/// Makes an entry a link where its object had a name before.
fn link(entry: &mut Entry, identity: (u64, u64), first_names: &mut HashMap<(u64, u64), EntryPath>) {
    match first_names.get(&identity) {
        Some(first) => entry.kind = Kind::Hardlink { target: first.clone() },
        None => drop(first_names.insert(identity, entry.path.clone())),
    }
}

impl Changes for DirChanges {
    fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let mut first_names = HashMap::new();
        let root = EntryPath::root();
        if let Glance::Is(_, handle) = self.layer.glance(&root)?
            && self.layer.is_opaque(&root, &handle)?
        {
            visit(Change::Opaque(root))?;
        }
        let mut ahead = vec![(EntryPath::root(), self.names(&EntryPath::root())?)];
        while let Some((folder, names)) = ahead.last_mut() {
            let Some(name) = names.pop() else {
                ahead.pop();
                continue;
            };
            let path = folder.join(&name)?;
            if path.as_bytes().len() > PATH_BYTES_MAX {
                return Err(bad_entry(folder, "a name in it is too deep for a layer"));
            }
            if self.visit(&path, &mut first_names, visit)? {
                let names = self.names(&path)?;
                ahead.push((path, names));
            }
        }
        Ok(())
    }
}

/// A file opened when it is first read.
struct Lazy<'a> {
    layer: &'a LayerDir,
    path: &'a EntryPath,
    file: Option<File>,
}

impl Read for Lazy<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let file = match self.file.take() {
            Some(file) => file,
            None => open_regular(self.layer, self.path).map_err(crate::failure::carry)?,
        };
        self.file.insert(file).read(out)
    }
}
