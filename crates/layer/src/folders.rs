//! Finding the folder that an entry goes into: links on the way lead within the layer only, as in a chroot, and what is
//! missing is made.

use crate::{
    EntryPath, Error,
    extract::{Extractor, Later},
    failure::{bad_entry, refused},
    limits::{LINKS_MAX, PATH_BYTES_MAX},
};
use rustix::{
    fd::OwnedFd,
    fs::{FileType, Mode, OFlags, fchmod, fstat, mkdirat, openat, readlinkat},
    io::Errno,
};
use std::{collections::HashMap, rc::Rc};

/// Layers come in path order, so few folders are needed at a time.
const CACHED: usize = 64;
/// Permission bits of a folder that the layer uses without describing it.
const IMPLICIT_MODE: u32 = 0o755;

/// A folder that exists, by the path it really has.
pub(crate) struct Folder {
    pub(crate) fd: OwnedFd,
    pub(crate) path: EntryPath,
}

/// Folders used lately, by the path they were asked for by.
#[derive(Default)]
pub(crate) struct Folders(HashMap<EntryPath, Rc<Folder>>);

impl Folders {
    /// Forgets all: something was replaced, so a path may lead elsewhere.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn keep(&mut self, asked: &EntryPath, folder: Folder) -> Rc<Folder> {
        if self.0.len() >= CACHED {
            self.0.clear();
        }
        let folder = Rc::new(folder);
        self.0.insert(asked.clone(), Rc::clone(&folder));
        folder
    }
}

impl Extractor<'_> {
    /// The folder that a path lies in; made where it is missing.
    pub(crate) fn folder_of(&mut self, path: &EntryPath) -> Result<Rc<Folder>, Error> {
        self.folder(&path.parent().unwrap_or_default())
    }

    /// The folder at a path; made where it is missing.
    pub(crate) fn folder(&mut self, path: &EntryPath) -> Result<Rc<Folder>, Error> {
        match self.known_folder(path)? {
            Some(folder) => Ok(folder),
            None => {
                let real = self.walk(path, true)?.unwrap_or_default();
                self.open_folder(path, real)
            }
        }
    }

    /// The folder at a path, if it is there.
    pub(crate) fn existing_folder(&mut self, path: &EntryPath) -> Result<Option<Rc<Folder>>, Error> {
        match self.known_folder(path)? {
            Some(folder) => Ok(Some(folder)),
            None => self.walk(path, false)?.map(|real| self.open_folder(path, real)).transpose(),
        }
    }

    /// The quick way: a folder used lately, or one that the path leads to with no link on the way.
    fn known_folder(&mut self, path: &EntryPath) -> Result<Option<Rc<Folder>>, Error> {
        if let Some(folder) = self.folders.0.get(path) {
            return Ok(Some(Rc::clone(folder)));
        }
        match self.at.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(fd) => Ok(Some(self.folders.keep(path, Folder { fd, path: path.clone() }))),
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(refused("opening", path, errno)),
        }
    }

    fn open_folder(&mut self, asked: &EntryPath, real: EntryPath) -> Result<Rc<Folder>, Error> {
        let fd = self
            .at
            .open(&real, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|e| refused("opening", &real, e))?;
        Ok(self.folders.keep(asked, Folder { fd, path: real }))
    }

    /// The real path of a folder, one component at a time. Where something is missing it is made, or the answer is `None`.
    fn walk(&mut self, asked: &EntryPath, make: bool) -> Result<Option<EntryPath>, Error> {
        let mut here = EntryPath::root();
        let mut ahead = components(asked.as_bytes());
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            if part == b".." {
                here = here.parent().unwrap_or_default();
                continue;
            }
            let next = here.join(&part)?;
            if next.as_bytes().len() > PATH_BYTES_MAX {
                return Err(bad_entry(asked, "name too long"));
            }
            match self.at.open(&next, OFlags::PATH) {
                Ok(handle) => match self.step(asked, &next, &handle, make)? {
                    Step::Into => here = next,
                    Step::Nowhere => return Ok(None),
                    Step::Link(target) => {
                        links += 1;
                        if links > LINKS_MAX {
                            return Err(bad_entry(asked, "too many levels of symbolic links"));
                        }
                        here = if target.starts_with(b"/") { EntryPath::root() } else { here };
                        ahead.extend(components(&target));
                    }
                },
                Err(Errno::NOENT) if make => {
                    self.make_implicit(&next)?;
                    self.record.at(&next).undescribed = true;
                    here = next;
                }
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(refused("opening", &next, errno)),
            }
        }
        Ok(Some(here))
    }

    fn step(
        &mut self,
        asked: &EntryPath,
        next: &EntryPath,
        handle: &OwnedFd,
        make: bool,
    ) -> Result<Step, Error> {
        let stat = fstat(handle).map_err(|e| refused("examining", next, e))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(Step::Into),
            FileType::Symlink => {
                let target =
                    readlinkat(handle, c"", Vec::new()).map_err(|e| refused("reading the link", next, e))?;
                Ok(Step::Link(target.into_bytes()))
            }
            FileType::CharacterDevice if make && stat.st_rdev == 0 => {
                // Removed below and made anew here: nothing below shall show through, nor say what it looks like.
                let above = self.parent_of(next)?;
                self.make_room(&above, next)?;
                let fd = self.make_implicit(next)?;
                self.mark_opaque(&fd, next)?;
                Ok(Step::Into)
            }
            _ if !make => Ok(Step::Nowhere),
            _ => Err(bad_entry(asked, format!("{next} is no directory"))),
        }
    }

    fn parent_of(&self, path: &EntryPath) -> Result<OwnedFd, Error> {
        let parent = path.parent().unwrap_or_default();
        self.at.open(&parent, OFlags::PATH | OFlags::DIRECTORY).map_err(|e| refused("opening", &parent, e))
    }

    /// A folder that the layer uses without describing it: owned by root, of no time, unless a layer below says otherwise.
    fn make_implicit(&mut self, path: &EntryPath) -> Result<OwnedFd, Error> {
        let fail = |e| refused("creating", path, e);
        let above = self.parent_of(path)?;
        mkdirat(&above, path.name(), Mode::RWXU).map_err(fail)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(&above, path.name(), flags, Mode::empty()).map_err(fail)?;
        fchmod(&fd, Mode::from_raw_mode(IMPLICIT_MODE)).map_err(fail)?;
        self.defer(path, Later { mtime: (0, 0), mode: None })?;
        Ok(fd)
    }
}

enum Step {
    Into,
    Link(Vec<u8>),
    Nowhere,
}

/// The components of a path or link target, the first one last.
pub(crate) fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}
