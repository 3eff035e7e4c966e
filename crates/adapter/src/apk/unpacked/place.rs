//! One package's entries to their places in the tree, and what its record says of them.

use super::{
    incoming::Incoming,
    owners::{Owners, joined},
    protected::{Mode, Protected},
};
use crate::Error;
use layer::{Entry, EntryPath, Kind, Staged, Tree};
use repository::apk::{Checksum, Hashing, Kind as Hash};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

/// One folder of a package.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) path: String,
    /// `uid:gid:mode`, where it is not the usual.
    pub(super) access: Option<String>,
    pub(super) files: Vec<File>,
}

/// One file or link.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    /// `uid:gid:mode`, where it is not the usual.
    pub(super) access: Option<String>,
    pub(super) digest: Option<Checksum>,
}

/// What became of a package.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// Its folders, in its order.
    pub(super) folders: Vec<Folder>,
    /// Where its files are, links on the way followed.
    pub(super) at: BTreeSet<EntryPath>,
    /// Files that the image's maker changed, and that stay.
    pub(super) kept: Vec<EntryPath>,
}

/// What is needed to place a package.
pub(super) struct Placing<'a, 'o> {
    /// Its place among all.
    pub(super) at: usize,
    pub(super) incoming: &'a Incoming<'a>,
    pub(super) protected: &'a Protected,
    pub(super) owners: &'a mut Owners<'o>,
}

/// Places a package.
pub(super) fn place(placing: Placing<'_, '_>, staged: &mut Staged) -> Result<Placed, Error> {
    let incoming = placing.incoming;
    let files = incoming.old.map(inventory::apk::installed::Record::files).unwrap_or_default();
    let old = files
        .iter()
        .filter_map(|file| Some((joined(file.folder, file.name?), file.digest.and_then(Checksum::parse)?)));
    let (old, mut refused) = (old.collect(), None);
    let mut run = Run { placing, staged, old, placed: Placed::default(), digests: BTreeMap::new() };
    let visited = incoming.package.entries(&mut |entry, content| {
        run.entry(entry, content).map_err(|error| match error {
            Fault::Layer(error) => repository::Error::from(error),
            Fault::Ours(error) => {
                refused = Some(error);
                repository::Error::Cancelled
            }
        })
    });
    match (refused, visited) {
        (Some(error), _) => Err(error),
        (None, visited) => visited.map(|()| run.placed).map_err(|why| incoming.error(why)),
    }
}

enum Fault {
    Layer(layer::Error),
    Ours(Error),
}

impl From<layer::Error> for Fault {
    fn from(error: layer::Error) -> Self {
        Fault::Layer(error)
    }
}

struct Run<'a, 'o, 's> {
    placing: Placing<'a, 'o>,
    staged: &'s mut Staged,
    /// Digests of the old version's files.
    old: BTreeMap<String, Checksum>,
    placed: Placed,
    /// Digests of what the package has had so far, for its hard links.
    digests: BTreeMap<EntryPath, Checksum>,
}

impl Run<'_, '_, '_> {
    fn entry(&mut self, entry: Entry, content: Option<&mut dyn Read>) -> Result<(), Fault> {
        let in_root = entry.path.parent().is_some_and(|parent| parent.is_root());
        // What lies there is about the package, not in it.
        if entry.path.is_root() || (in_root && entry.path.name().starts_with(b".")) {
            return Ok(());
        }
        let incoming = self.placing.incoming;
        let path =
            std::str::from_utf8(entry.path.as_bytes()).ok().filter(|path| !path.contains(['\n', '\r']));
        let path = path.map(str::to_owned);
        let path = path.ok_or_else(|| {
            Fault::Ours(incoming.error(format!("{} is a name that apk cannot record", entry.path)))
        })?;
        if entry.kind == Kind::Directory {
            let access = access(&entry, 0o755);
            self.folder(&path).access = access;
            self.staged.put(entry, None)?;
            return Ok(());
        }
        if !self.placing.owners.gets(self.placing.at, &path).map_err(Fault::Ours)? {
            return Ok(());
        }
        let (access, textual) = (access(&entry, 0o644), entry.path.clone());
        let digest = self.put(&path, entry, content)?;
        if let Some(digest) = &digest {
            self.digests.insert(textual, digest.clone());
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        self.folder(folder).files.push(File { name: name.to_owned(), access, digest });
        Ok(())
    }

    fn folder(&mut self, path: &str) -> &mut Folder {
        let folders = &mut self.placed.folders;
        let at = folders.iter().rposition(|folder| folder.path == path).unwrap_or_else(|| {
            folders.push(Folder { path: path.to_owned(), ..Folder::default() });
            folders.len() - 1
        });
        &mut folders[at]
    }

    /// Places what is no folder, unless what is there stays. Gives its digest.
    fn put(
        &mut self,
        path: &str,
        entry: Entry,
        content: Option<&mut dyn Read>,
    ) -> Result<Option<Checksum>, Fault> {
        let link = match &entry.kind {
            Kind::Symlink { target } => Some(of_bytes(target)),
            Kind::Hardlink { target } => self.digests.get(target).cloned(),
            _ => None,
        };
        let there = self.staged.entry(&entry.path, false)?;
        let stays = match there.as_ref().filter(|there| there.kind != Kind::Directory) {
            Some(there) => self.stays(path, there)?,
            None => false,
        };
        let textual = entry.path.clone();
        let mut hashing = content.map(|content| Passing { content, hashing: Hashing::new(Hash::Sha1) });
        match (stays, &mut hashing) {
            (false, hashing) => {
                let content = hashing.as_mut().map(|passing| passing as &mut dyn Read);
                let at = self.staged.put(entry, content)?;
                self.placed.at.insert(at);
            }
            (true, Some(passing)) => {
                let read = io::copy(passing, &mut io::sink());
                read.map_err(|source| layer::Error::Io { doing: format!("reading {textual}"), source })?;
            }
            (true, None) => {}
        }
        let digest = match hashing {
            None => link,
            Some(passing) => {
                let made = passing.hashing.finish();
                let why =
                    || self.placing.incoming.error(format!("{textual} was made to collide with other bytes"));
                Some(made.ok_or_else(|| Fault::Ours(why()))?)
            }
        };
        if let Some(there) = there.filter(|_| stays) {
            let same = digest.is_some() && digest == digest_of(self.staged, &there, Hash::Sha1)?;
            self.placed.kept.extend((!same).then_some(textual));
            self.placed.at.insert(there.path);
        }
        Ok(digest)
    }

    /// Whether what is at a path stays as it is.
    fn stays(&self, path: &str, there: &Entry) -> Result<bool, layer::Error> {
        Ok(match self.placing.protected.mode(path) {
            Mode::None => false,
            Mode::All => true,
            Mode::Links => matches!(there.kind, Kind::Symlink { .. }),
            Mode::Changed => !is_recorded(self.staged, there, self.old.get(path))?,
        })
    }
}

/// Whether an object is as a record says; one without a record is not.
pub(super) fn is_recorded(
    tree: &dyn Tree,
    there: &Entry,
    recorded: Option<&Checksum>,
) -> Result<bool, layer::Error> {
    let Some(recorded) = recorded else { return Ok(false) };
    Ok(digest_of(tree, there, recorded.kind())?.is_some_and(|found| recorded.is(&found)))
}

/// The digest that apk has of a file's content or a link's target.
fn digest_of(tree: &dyn Tree, there: &Entry, hash: Hash) -> Result<Option<Checksum>, layer::Error> {
    let read = |source| layer::Error::Io { doing: format!("reading {}", there.path), source };
    match &there.kind {
        Kind::File { .. } => Checksum::of(tree.open(&there.path)?, hash).map(Some).map_err(read),
        Kind::Symlink { target } => Checksum::of(&target[..], hash).map(Some).map_err(read),
        _ => Ok(None),
    }
}

fn of_bytes(bytes: &[u8]) -> Checksum {
    let mut hashing = Hashing::new(Hash::Sha1);
    hashing.update(bytes);
    hashing.finish().unwrap_or_else(|| {
        // A link's target has no room for a collision; what is recorded then is that of nothing.
        Hashing::new(Hash::Sha1).finish().expect("no bytes collide with none")
    })
}

/// `uid:gid:mode`, and the digest of extended attributes where there are some; none where it is the usual.
fn access(entry: &Entry, usual: u32) -> Option<String> {
    let plain = format!("{}:{}:{:o}", entry.uid, entry.gid, entry.mode);
    if entry.xattrs.is_empty() {
        return (plain != format!("0:0:{usual:o}")).then_some(plain);
    }
    let all: Vec<u8> =
        entry.xattrs.iter().flat_map(|(name, value)| [name.as_slice(), value].concat()).collect();
    Some(format!("{plain}:{}", of_bytes(&all)))
}

/// Content whose digest is taken while it passes.
struct Passing<'a> {
    content: &'a mut dyn Read,
    hashing: Hashing,
}

impl Read for Passing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(out)?;
        self.hashing.update(&out[..count]);
        Ok(count)
    }
}
