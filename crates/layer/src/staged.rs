//! Changes staged in memory over a tree: what packages bring is placed without a directory on disk, a mount or a program run.

mod difference;
mod nodes;
mod place;
mod seed;
mod spool;
mod view;

pub use difference::StagedChanges;

use crate::{
    Changes, Entry, EntryPath, Error, Kind, Tree,
    failure::bad_entry,
    limits::{DIRECTORY_NAMES_MAX, HELD_BYTES_MAX, Limits},
};
use nodes::{Below, Folder, Node, Nodes};
use spool::{Content, Incoming, Spool};
use std::{fs::File, io::Read, sync::Arc};
use view::{Found, Lower, View};

/// The time that files, folders and touched folders of our own making carry: nobody looked at a clock. Who packs the changes
/// gives [`STAGED_WINDOW`] as the window of the run, so that they get the latest time of what packages brought.
pub const STAGED_TIME: (i64, u32) = (0, 0);

/// The window of a run in which nothing ran: that of [`STAGED_TIME`].
pub const STAGED_WINDOW: (i64, i64) = (0, 0);

/// Bytes that one staged path takes beside its names.
const NODE_BYTES: usize = 256;

/// Changes staged over a lower tree, which must not change. Is itself the tree that results, and gives the difference.
///
/// Contents lie in one file, small ones in memory. A copy is cheap; what is staged afterwards shows in neither the other copy
/// nor in [`changes`](Self::changes) asked for before.
#[derive(Clone)]
pub struct Staged {
    view: View,
    limits: Limits,
    held: u64,
    cancel: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Staged {
    /// Nothing staged yet over this tree. The file takes contents: empty, and used by nobody else.
    pub fn over(lower: impl Into<Arc<dyn Tree>>, spool: File) -> Self {
        let view = View {
            lower: Arc::new(Lower::new(lower.into())),
            nodes: Arc::default(),
            spool: Arc::new(Spool::new(spool)),
        };
        Staged { view, limits: Limits::default(), held: 0, cancel: Arc::new(|| false) }
    }

    /// With other limits: of paths staged, and of bytes of all contents taken, replaced ones included.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Staged { limits, ..self }
    }

    /// Stops with [`Error::Cancelled`] where this says so.
    #[must_use]
    pub fn stopped_by(self, cancel: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Staged { cancel: Arc::new(cancel), ..self }
    }

    /// The tree below.
    pub fn lower(&self) -> Arc<dyn Tree> {
        self.view.lower.tree.clone()
    }

    /// What is staged now, relative to the lower tree. Folders that lead to something staged are in it.
    pub fn changes(&self) -> StagedChanges {
        StagedChanges(self.view.clone())
    }

    /// An earlier patch's changes, relative to the lower tree, become the start. Its paths mean just what they say: no link is
    /// followed. Nothing else must be staged yet.
    pub fn seed(&mut self, earlier: &mut dyn Changes) -> Result<(), Error> {
        earlier.walk(&mut |change| self.apply(change))
    }

    /// Places an object of a package, and says where: the folders on its way are followed through links inside the tree, and
    /// made where they are missing (0755, root).
    ///
    /// A directory onto a directory, or onto a link to one, keeps what is there with its owner and mode. Anything else onto a
    /// directory is an error, as is a directory onto anything else. A hardlink's target must be a regular file of the tree. A
    /// file's content must have all of its bytes; no more than those are read. Attributes that belong to overlayfs, to us or to
    /// the host are left out.
    pub fn put(&mut self, entry: Entry, content: Option<&mut dyn Read>) -> Result<EntryPath, Error> {
        self.check(&entry)?;
        if entry.path.is_root() {
            let is_folder = entry.kind == Kind::Directory;
            return if is_folder { Ok(entry.path) } else { Err(bad_entry(&entry.path, "is a directory")) };
        }
        let (folder, shows) = self.folder(&entry.path.parent().unwrap_or_default())?;
        let path = folder.join(entry.path.name())?;
        place::check_path(&path)?;
        match (&entry.kind, self.view.found(&path, shows)?) {
            (Kind::Directory, Found::Folder(_)) => return Ok(path),
            (Kind::Directory, Found::Link(_)) => return self.linked_folder(&path),
            (Kind::Directory, Found::Thing) => {
                return Err(bad_entry(&path, "is no directory, and cannot become one"));
            }
            (_, Found::Folder(_)) => return Err(bad_entry(&path, "is a directory, and cannot be replaced")),
            _ => {}
        }
        let node = self.node(&path, shows, entry, content)?;
        self.place(&folder, path.clone(), node)?;
        Ok(path)
    }

    /// Replaces a regular file, which keeps its owner, mode and attributes, or makes one (this mode, root) with the folders that
    /// lead to it. Links are followed, in the last component too.
    pub fn write(&mut self, path: &EntryPath, content: &[u8], mode: u32) -> Result<(), Error> {
        let at = self.view.resolve(path, true)?;
        let known = match at.found {
            Found::Nothing => None,
            Found::Thing if at.ahead.is_empty() => self.view.entry_at(&at)?,
            _ => return Err(bad_entry(path, "not a regular file")),
        };
        if known.as_ref().is_some_and(|entry| !matches!(entry.kind, Kind::File { .. })) {
            return Err(bad_entry(path, "not a regular file"));
        }
        let real = place::joined(path, &at)?;
        let (folder, _) = self.folder(&real.parent().unwrap_or_default())?;
        let kind = Kind::File { size: content.len() as u64 };
        let entry = match known {
            Some(known) => Entry { path: real.clone(), kind, mtime: STAGED_TIME, ..known },
            None => place::made(&real, kind, mode),
        };
        self.check(&entry)?;
        let file = self.file(entry, Some(&mut &*content))?;
        self.place(&folder, real, file)
    }

    /// Removes a file, a link or an empty directory, and says whether it was there. Links on the way are followed, the last
    /// component is not.
    pub fn remove(&mut self, path: &EntryPath) -> Result<bool, Error> {
        let at = self.view.resolve(path, false)?;
        if at.path.is_root() {
            return Err(bad_entry(path, "the root cannot be removed"));
        }
        if at.found == Found::Nothing || !at.ahead.is_empty() {
            return Ok(false);
        }
        if let Found::Folder(below) = at.found
            && !self.view.names(&at.path, below, DIRECTORY_NAMES_MAX)?.is_empty()
        {
            return Err(bad_entry(path, "directory not empty"));
        }
        self.touch(&at.path.parent().unwrap_or_default())?;
        self.take_away(&at.path, at.shows)?;
        Ok(true)
    }

    /// Stages the absence of what is at a path of a real folder.
    fn take_away(&mut self, path: &EntryPath, shows: bool) -> Result<(), Error> {
        self.nodes().clear_below(path);
        if shows && self.view.lower.entry(path)?.is_some() {
            return self.insert(path.clone(), Node::Gone);
        }
        self.nodes().remove(path);
        Ok(())
    }

    fn nodes(&mut self) -> &mut Nodes {
        Arc::make_mut(&mut self.view.nodes)
    }

    /// Stages something, within the limits.
    fn insert(&mut self, path: EntryPath, node: Node) -> Result<(), Error> {
        if (self.cancel)() {
            return Err(Error::Cancelled);
        }
        let entry = match &node {
            Node::Gone => None,
            Node::Folder(folder) => Some(&folder.entry),
            Node::File(file) => Some(&file.entry),
            Node::Other(entry) => Some(entry),
        };
        let bytes = NODE_BYTES + 2 * path.as_bytes().len() + entry.map_or(0, place::bytes);
        self.held = self.held.saturating_add(bytes as u64);
        if self.held > HELD_BYTES_MAX {
            return Err(Error::Limit(format!("staged names of more than {HELD_BYTES_MAX} bytes")));
        }
        if self.view.nodes.len() as u64 >= self.limits.entries {
            return Err(Error::Limit(format!("more than {} staged entries", self.limits.entries)));
        }
        self.nodes().insert(path, node);
        Ok(())
    }

    /// A regular file with its content taken in.
    fn file(&mut self, entry: Entry, content: Option<&mut dyn Read>) -> Result<Node, Error> {
        let Kind::File { size } = entry.kind else {
            return Err(bad_entry(&entry.path, "not a regular file"));
        };
        let most = self.limits.unpacked_bytes;
        if self.view.spool.bytes().saturating_add(size) > most {
            return Err(Error::Limit(format!(
                "with {} the staged files have more than {most} bytes",
                entry.path
            )));
        }
        let cancel = self.cancel.clone();
        let from = match content {
            Some(from) => from,
            None if size == 0 => &mut std::io::empty(),
            None => return Err(bad_entry(&entry.path, "a file without its content")),
        };
        let incoming = Incoming { path: &entry.path, size, from, cancel: &*cancel };
        let content = self.view.spool.take(incoming)?;
        Ok(Node::File(Arc::new(nodes::StagedFile { entry, content })))
    }
}

impl Tree for Staged {
    fn entry(&self, path: &EntryPath, follow: bool) -> Result<Option<Entry>, Error> {
        self.view.entry(path, follow)
    }

    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, Error> {
        self.view.open(path)
    }

    fn list(&self, path: &EntryPath, max_names: usize) -> Result<Vec<Vec<u8>>, Error> {
        self.view.list(path, max_names)
    }
}
