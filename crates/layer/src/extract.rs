//! A layer into a directory, so that overlayfs shows it as the image means it. Nothing outside the directory is ever touched,
//! whatever the layer says.

use crate::{
    Change, Changes, Entry, EntryPath, Error, Kind,
    confined::Confined,
    failure::{bad_entry, refused},
    flavor::Flavor,
    folders::Folders,
    limits::{HELD_BYTES_MAX, Limits},
    record::{Record, forget_below},
    tar_reader::TarReader,
};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{Dir, OFlags},
};
use std::{collections::BTreeMap, io::Read};

/// What a path in a layer tar begins with to say that something is gone.
pub(crate) const WHITEOUT: &[u8] = b".wh.";
/// The name that says that a directory hides what lies below it.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// Applies layers to one directory.
pub struct Extractor<'a> {
    pub(crate) at: Confined,
    pub(crate) flavor: Flavor,
    pub(crate) record: Record,
    pub(crate) folders: Folders,
    limits: Limits,
    pub(crate) cancel: &'a dyn Fn() -> bool,
    later: BTreeMap<EntryPath, Later>,
    held: u64,
    entries: u64,
    bytes: u64,
    pub(crate) dropped_xattrs: u64,
    opaque_root: bool,
    pub(crate) buffer: Vec<u8>,
}

/// What a directory gets when nothing is put into it any more.
pub(crate) struct Later {
    pub(crate) mtime: (i64, u32),
    pub(crate) mode: Option<u32>,
}

/// What an extraction did.
#[derive(Debug)]
pub struct Extracted {
    /// What the directory cannot itself hold.
    pub record: Record,
    /// Entries applied, removals included.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
    /// Attributes left out because they belong to overlayfs, to us or to the host.
    pub dropped_xattrs: u64,
    /// Whether the layer hides everything below it. Overlayfs heeds that mark on any directory but the root, so whoever
    /// mounts must leave out the layers below.
    pub opaque_root: bool,
}

/// What a name in a layer tar says.
enum Meaning {
    Plain,
    Removed(EntryPath),
    Opaque(EntryPath),
}

impl<'a> Extractor<'a> {
    /// Into this directory, which should be empty and seen by nobody else.
    pub fn new(root: OwnedFd, flavor: Flavor, limits: Limits, cancel: &'a dyn Fn() -> bool) -> Self {
        let mut later = BTreeMap::new();
        later.insert(EntryPath::root(), Later { mtime: (0, 0), mode: None });
        let mut record = Record::default();
        record.at(&EntryPath::root()).undescribed = true;
        Extractor {
            at: Confined::new(root),
            flavor,
            record,
            folders: Folders::default(),
            limits,
            cancel,
            later,
            held: 0,
            entries: 0,
            bytes: 0,
            dropped_xattrs: 0,
            opaque_root: false,
            buffer: vec![0; 128 << 10],
        }
    }

    /// Applies a layer's tar.
    pub fn tar(&mut self, input: impl Read) -> Result<(), Error> {
        let mut reader = TarReader::with_sparse(input, &self.limits);
        while let Some(entry) = reader.next_entry()? {
            match meaning(&entry.path)? {
                Meaning::Plain => self.set(&entry, Some(&mut reader))?,
                Meaning::Removed(path) => self.remove(&path)?,
                Meaning::Opaque(path) => self.hide_below(&path)?,
            }
        }
        Ok(())
    }

    /// Applies a difference, such as that of an earlier patch, to what is there already: what it removes or hides is gone from
    /// here too.
    pub fn changes(&mut self, changes: &mut dyn Changes) -> Result<(), Error> {
        changes.walk(&mut |change| match change {
            Change::Set(entry, Some(content)) => self.set(&entry, Some(content)),
            Change::Set(entry, None) => self.set(&entry, None),
            Change::Remove(path) => {
                self.take_away(&path)?;
                self.remove(&path)
            }
            Change::Opaque(path) => {
                self.empty(&path)?;
                self.hide_below(&path)
            }
        })
    }

    fn take_away(&mut self, path: &EntryPath) -> Result<(), Error> {
        let folder = self.folder_of(path)?;
        let real = folder.path.join(path.name())?;
        self.make_room(&folder.fd, &real)
    }

    fn empty(&mut self, path: &EntryPath) -> Result<(), Error> {
        let folder = self.folder(path)?;
        let fail = |e| refused("listing", &folder.path, e);
        let listed = self.at.open(&folder.path, OFlags::RDONLY | OFlags::DIRECTORY).map_err(fail)?;
        for entry in Dir::new(listed).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                self.make_room(&folder.fd, &folder.path.join(name)?)?;
            }
        }
        Ok(())
    }

    /// Gives directories their times and last modes, and says what was done.
    pub fn finish(mut self) -> Result<Extracted, Error> {
        for (path, later) in std::mem::take(&mut self.later).into_iter().rev() {
            let handle = self.at.open(&path, OFlags::PATH | OFlags::DIRECTORY);
            let handle = handle.map_err(|e| refused("opening", &path, e))?;
            self.settle(&handle, &path, &later)?;
        }
        Ok(Extracted {
            record: self.record,
            entries: self.entries,
            bytes: self.bytes,
            dropped_xattrs: self.dropped_xattrs,
            opaque_root: self.opaque_root,
        })
    }

    fn set(&mut self, entry: &Entry, content: Option<&mut dyn Read>) -> Result<(), Error> {
        self.count()?;
        if entry.path.is_root() {
            return self.set_root(entry);
        }
        let folder = self.folder_of(&entry.path)?;
        let real = folder.path.join(entry.path.name())?;
        match &entry.kind {
            Kind::File { size } => self.put_file(&folder, &real, entry, *size, content),
            Kind::Directory => self.put_directory(&folder, &real, entry),
            Kind::Symlink { target } => self.put_symlink(&folder, &real, entry, target),
            Kind::Hardlink { target } => self.put_hardlink(&folder, &real, entry, target),
            Kind::Char { .. } | Kind::Block { .. } => self.put_device(&folder, &real, entry),
            Kind::Fifo => self.put_fifo(&folder, &real, entry),
        }
    }

    fn set_root(&mut self, entry: &Entry) -> Result<(), Error> {
        if entry.kind != Kind::Directory {
            return Err(bad_entry(&entry.path, "the root can only be a directory"));
        }
        let root = self.at.root().try_clone_to_owned();
        let root = root.map_err(|source| Error::Io { doing: "opening the root".into(), source })?;
        self.record.describe(&entry.path);
        self.dress_directory(&root, &entry.path, entry)
    }

    fn remove(&mut self, path: &EntryPath) -> Result<(), Error> {
        self.count()?;
        if path.is_root() {
            return Err(bad_entry(path, "the root cannot be removed"));
        }
        let folder = self.folder_of(path)?;
        let real = folder.path.join(path.name())?;
        self.put_whiteout(&folder, &real)
    }

    fn hide_below(&mut self, path: &EntryPath) -> Result<(), Error> {
        self.count()?;
        let folder = self.folder(path)?;
        self.opaque_root |= folder.path.is_root();
        self.mark_opaque(&folder.fd, &folder.path)
    }

    fn count(&mut self) -> Result<(), Error> {
        if (self.cancel)() {
            return Err(Error::Cancelled);
        }
        self.entries += 1;
        let most = self.limits.entries;
        if self.entries > most { Err(Error::Limit(format!("more than {most} entries"))) } else { Ok(()) }
    }

    /// Counts bytes of content before they are written.
    pub(crate) fn count_bytes(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes);
        let most = self.limits.unpacked_bytes;
        if self.bytes > most { Err(Error::Limit(format!("files of more than {most} bytes"))) } else { Ok(()) }
    }

    /// Remembers what a directory gets in the end.
    pub(crate) fn defer(&mut self, path: &EntryPath, later: Later) -> Result<(), Error> {
        match self.later.insert(path.clone(), later) {
            None => self.hold(path.as_bytes().len()),
            Some(_) => Ok(()),
        }
    }

    /// Counts bytes that stay in memory until the end.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        self.held = self.held.saturating_add(bytes as u64);
        match self.held {
            ..=HELD_BYTES_MAX => Ok(()),
            _ => Err(Error::Limit(format!(
                "names of directories, and attributes that files cannot hold, of more than {HELD_BYTES_MAX} bytes"
            ))),
        }
    }

    /// Removes what is in the way of an entry, and forgets what was known about it.
    pub(crate) fn make_room(&mut self, folder: &impl AsFd, real: &EntryPath) -> Result<(), Error> {
        crate::remove_tree(folder, real.name()).map_err(|e| refused("replacing", real, e))?;
        self.record.forget(real);
        forget_below(&mut self.later, real);
        self.folders.clear();
        Ok(())
    }
}

/// Reads a name of a layer tar. The last component may speak of another; no folder may be named like that.
fn meaning(path: &EntryPath) -> Result<Meaning, Error> {
    let parent = path.parent().unwrap_or_default();
    if parent.as_bytes().split(|b| *b == b'/').any(|part| part.starts_with(WHITEOUT)) {
        return Err(bad_entry(path, "a folder is named like a removal"));
    }
    let Some(removed) = path.name().strip_prefix(WHITEOUT) else { return Ok(Meaning::Plain) };
    if path.name() == OPAQUE {
        return Ok(Meaning::Opaque(parent));
    }
    if removed.starts_with(WHITEOUT) {
        return Err(bad_entry(path, "unsupported: record of another storage driver"));
    }
    parent.join(removed).map(Meaning::Removed).map_err(|_| bad_entry(path, "removal without a plain name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TarWriter;
    use std::fs;

    fn entry(path: &str, kind: Kind) -> Entry {
        let path = EntryPath::new(path.as_bytes()).unwrap();
        Entry { path, kind, mode: 0o755, uid: 0, gid: 0, mtime: (5, 0), xattrs: BTreeMap::new() }
    }

    /// Old kernels and old seccomp profiles have no `openat2`.
    #[test]
    fn extraction_does_without_whole_path_lookups() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root to set owners");
            return;
        }
        let mut tar = TarWriter::new(Vec::new());
        let symlink = |target: &str| Kind::Symlink { target: target.into() };
        for (path, kind) in [
            ("usr/lib", Kind::Directory),
            ("lib", symlink("usr/lib")),
            ("out", symlink("/etc")),
            ("lib/a", Kind::Directory),
            ("out/b", Kind::Fifo),
            ("lib/.wh.gone", Kind::File { size: 0 }),
        ] {
            tar.entry(&entry(path, kind), None).unwrap();
        }
        let tar = tar.finish().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let open = || OwnedFd::from(fs::File::open(dir.path()).unwrap());
        let mut extractor = Extractor::new(open(), Flavor::Native, Limits::default(), &|| false);
        extractor.at = Confined::by_components(open());
        extractor.tar(&tar[..]).unwrap();
        assert_eq!(extractor.finish().unwrap().entries, 6);
        assert!(dir.path().join("usr/lib/a").is_dir() && dir.path().join("etc/b").symlink_metadata().is_ok());
        assert!(dir.path().join("usr/lib/gone").symlink_metadata().is_ok());
        assert!(!fs::exists("/etc/b").unwrap());
    }

    /// Links cost a tar next to nothing, and each takes along what was noted about its first name.
    #[test]
    fn what_stays_in_memory_is_bounded() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root to set owners");
            return;
        }
        let xattrs = (0..16).map(|n| (format!("user.{n}").into_bytes(), vec![b'x'; 60_000])).collect();
        let mut tar = TarWriter::new(Vec::new());
        let symlink = Entry { xattrs, ..entry("first", Kind::Symlink { target: "x".into() }) };
        tar.entry(&symlink, None).unwrap();
        for n in 0..9 {
            let target = EntryPath::new(b"first").unwrap();
            tar.entry(&entry(&format!("link{n}"), Kind::Hardlink { target }), None).unwrap();
        }
        let tar = tar.finish().unwrap();
        for (free, fits) in [(10 << 20, true), (5 << 20, false)] {
            let dir = tempfile::tempdir().unwrap();
            let root = OwnedFd::from(fs::File::open(dir.path()).unwrap());
            let mut extractor = Extractor::new(root, Flavor::Native, Limits::default(), &|| false);
            extractor.held = HELD_BYTES_MAX - free;
            let done = extractor.tar(&tar[..]);
            assert_eq!(done.is_ok(), fits, "{done:?}");
            assert!(fits || matches!(done, Err(Error::Limit(_))), "{done:?}");
        }
    }
}
