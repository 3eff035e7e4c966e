//! Where an object of a package goes: its folder found or made, what is in the way judged.

use super::{Below, Content, Folder, Found, Node, STAGED_TIME, Staged, nodes::StagedFile, view::Resolved};
use crate::{
    Entry, EntryPath, Error, Kind,
    extract::WHITEOUT,
    failure::bad_entry,
    flavor::is_private,
    limits::{NAME_BYTES_MAX, PATH_BYTES_MAX, XATTR_NAME_BYTES_MAX, XATTR_VALUE_BYTES_MAX, XATTRS_MAX},
};
use std::{collections::BTreeMap, io::Read, sync::Arc};

/// Permission bits of a folder that is made because something goes below it.
const IMPLICIT_MODE: u32 = 0o755;
/// Permission bits of a symbolic link, which has no others on Linux whatever an archive says.
const LINK_MODE: u32 = 0o777;

impl Staged {
    /// Refuses what no layer or file system could hold.
    pub(super) fn check(&self, entry: &Entry) -> Result<(), Error> {
        if (self.cancel)() {
            return Err(Error::Cancelled);
        }
        check_path(&entry.path)?;
        if let Kind::Symlink { target } = &entry.kind
            && (target.is_empty() || target.len() > PATH_BYTES_MAX || target.contains(&0))
        {
            return Err(bad_entry(&entry.path, "a link to what cannot be a path"));
        }
        if matches!(entry.kind, Kind::Char { major: 0, minor: 0 } | Kind::Block { major: 0, minor: 0 }) {
            return Err(bad_entry(&entry.path, "device 0:0 would stand for a removal"));
        }
        let too_large = |(name, value): (&Vec<u8>, &Vec<u8>)| {
            name.len() > XATTR_NAME_BYTES_MAX || value.len() > XATTR_VALUE_BYTES_MAX
        };
        if entry.xattrs.len() > XATTRS_MAX || entry.xattrs.iter().any(too_large) {
            return Err(bad_entry(&entry.path, "too many or too large extended attributes"));
        }
        Ok(())
    }

    /// The real folder that a path leads to, made where it is missing; whether names of the lower tree show in it.
    pub(super) fn folder(&mut self, asked: &EntryPath) -> Result<(EntryPath, bool), Error> {
        let at = self.view.resolve(asked, true)?;
        match at.found {
            Found::Folder(shows) => Ok((at.path, shows)),
            Found::Nothing => {
                let path = joined(asked, &at)?;
                check_path(&path)?;
                self.make_folders(&at, &path)?;
                Ok((path, false))
            }
            Found::Link(_) | Found::Thing => Err(bad_entry(asked, format!("{} is no directory", at.path))),
        }
    }

    /// Makes the first missing folder and all that follow up to this one.
    fn make_folders(&mut self, missing: &Resolved, last: &EntryPath) -> Result<(), Error> {
        let mut paths = vec![last.clone()];
        let mut above = last.parent();
        while let Some(path) = above.filter(|_| paths.last() != Some(&missing.path)) {
            above = path.parent();
            paths.push(path);
        }
        self.touch(&missing.path.parent().unwrap_or_default())?;
        let mut shows = missing.shows;
        for path in paths.into_iter().rev() {
            let entry = made(&path, Kind::Directory, IMPLICIT_MODE);
            let node = self.new_folder(shows, entry)?;
            self.insert(path, node)?;
            shows = false;
        }
        Ok(())
    }

    /// A folder where none is.
    pub(super) fn new_folder(&self, shows: bool, entry: Entry) -> Result<Node, Error> {
        let hides = shows && self.view.lower.has_folder(&entry.path)?;
        let below = if hides { Below::Hidden } else { Below::Nothing };
        Ok(Node::Folder(Folder { entry, below }))
    }

    /// The directory that a link leads to.
    pub(super) fn linked_folder(&self, link: &EntryPath) -> Result<EntryPath, Error> {
        let at = self.view.resolve(link, true)?;
        match at.found {
            Found::Folder(_) => Ok(at.path),
            _ => Err(bad_entry(link, "is a link to no directory, and cannot become one")),
        }
    }

    /// What an object becomes at this path, where no directory is.
    pub(super) fn node(
        &mut self,
        path: &EntryPath,
        shows: bool,
        entry: Entry,
        content: Option<&mut dyn Read>,
    ) -> Result<Node, Error> {
        let is_link = matches!(entry.kind, Kind::Symlink { .. });
        let mode = if is_link { LINK_MODE } else { entry.mode & 0o7777 };
        let mut entry = Entry { path: path.clone(), mode, ..entry };
        entry.xattrs.retain(|name, _| !is_private(name));
        match &entry.kind {
            Kind::File { .. } => self.file(entry, content),
            Kind::Directory => self.new_folder(shows, entry),
            Kind::Hardlink { target } => self.linked_file(path, target).map(Node::File),
            _ => Ok(Node::Other(entry)),
        }
    }

    /// The file that a hardlink is another name of; one of the lower tree is staged, as a file system would copy it up.
    fn linked_file(&mut self, path: &EntryPath, target: &EntryPath) -> Result<Arc<StagedFile>, Error> {
        let at = self.view.resolve(target, false)?;
        let entry = self.view.entry_at(&at)?;
        let Some(entry) = entry.filter(|entry| matches!(entry.kind, Kind::File { .. })) else {
            return Err(bad_entry(path, format!("a hardlink to {target}, which is no regular file")));
        };
        if at.path == *path {
            return Err(bad_entry(path, "a hardlink to itself"));
        }
        if let Some(Node::File(file)) = self.view.nodes.get(&at.path) {
            return Ok(file.clone());
        }
        let file = Arc::new(StagedFile { entry, content: Content::Lower(at.path.clone()) });
        self.raise(&at.path.parent().unwrap_or_default())?;
        self.insert(at.path, Node::File(file.clone()))?;
        Ok(file)
    }

    /// Puts a name into a real folder.
    pub(super) fn place(&mut self, folder: &EntryPath, path: EntryPath, node: Node) -> Result<(), Error> {
        self.touch(folder)?;
        self.insert(path, node)
    }

    /// Stages a real folder as it is, with those above it.
    pub(super) fn raise(&mut self, folder: &EntryPath) -> Result<(), Error> {
        let mut unstaged = Vec::new();
        let mut at = Some(folder.clone());
        while let Some(path) = at.filter(|path| !path.is_root() && self.view.nodes.get(path).is_none()) {
            at = path.parent();
            unstaged.push(path);
        }
        for path in unstaged.into_iter().rev() {
            let gone = || bad_entry(&path, "changed while changes were staged over it");
            let entry = self.view.lower.entry(&path)?.ok_or_else(gone)?;
            self.insert(path, Node::Folder(Folder { entry, below: Below::Shown }))?;
        }
        Ok(())
    }

    /// Stages a real folder as one whose names changed.
    pub(super) fn touch(&mut self, folder: &EntryPath) -> Result<(), Error> {
        self.raise(folder)?;
        if let Some(folder) = self.nodes().folder(folder) {
            folder.entry.mtime = STAGED_TIME;
        }
        Ok(())
    }
}

/// The whole path that a resolution came to, with what it could not resolve for want of a folder.
pub(super) fn joined(asked: &EntryPath, at: &Resolved) -> Result<EntryPath, Error> {
    let mut path = at.path.clone();
    for part in at.ahead.iter().rev() {
        // Only a link leads back out of a folder that is not there.
        path = path.join(part).map_err(|_| bad_entry(asked, "leads through a folder that is not there"))?;
    }
    Ok(path)
}

/// Refuses a path that is too long, or would stand for a removal in a layer.
pub(super) fn check_path(path: &EntryPath) -> Result<(), Error> {
    let bytes = path.as_bytes();
    if bytes.len() > PATH_BYTES_MAX || bytes.split(|b| *b == b'/').any(|name| name.len() > NAME_BYTES_MAX) {
        return Err(bad_entry(&shortened(path)?, "name too long"));
    }
    match bytes.split(|b| *b == b'/').any(|name| name.starts_with(WHITEOUT)) {
        true => Err(bad_entry(path, "its name would stand for a removal in a layer")),
        false => Ok(()),
    }
}

/// As much of a path as a message needs.
fn shortened(path: &EntryPath) -> Result<EntryPath, Error> {
    EntryPath::new(&path.as_bytes()[..path.as_bytes().len().min(NAME_BYTES_MAX)])
}

/// Something of our own making.
pub(super) fn made(path: &EntryPath, kind: Kind, mode: u32) -> Entry {
    let mode = mode & 0o7777;
    Entry { path: path.clone(), kind, mode, uid: 0, gid: 0, mtime: STAGED_TIME, xattrs: BTreeMap::new() }
}

/// Bytes that an entry holds beside its path.
pub(super) fn bytes(entry: &Entry) -> usize {
    let target = if let Kind::Symlink { target } = &entry.kind { target.len() } else { 0 };
    target + entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}
