//! Opening objects below one directory, by paths in which no link is ever followed.

use crate::EntryPath;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Mode, OFlags, ResolveFlags, openat, openat2},
    io::Errno,
};
use std::sync::atomic::{AtomicBool, Ordering};

/// A directory that nothing opened through it can leave.
#[derive(Debug)]
pub struct Confined {
    root: OwnedFd,
    /// Old kernels and old seccomp profiles refuse `openat2`; then each component is opened by itself.
    whole_paths: AtomicBool,
}

impl Confined {
    /// Confined to this directory.
    pub fn new(root: OwnedFd) -> Self {
        Confined { root, whole_paths: AtomicBool::new(true) }
    }

    /// Confined to this directory, without `openat2`.
    #[cfg(test)]
    pub(crate) fn by_components(root: OwnedFd) -> Self {
        Confined { root, whole_paths: AtomicBool::new(false) }
    }

    /// The directory itself.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens what is at a path. A link on the way or at the end is an error (`ELOOP` or `ENOTDIR`), except that with
    /// `O_PATH` a link at the end is opened itself.
    pub fn open(&self, path: &EntryPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if self.whole_paths.load(Ordering::Relaxed) {
            match self.open_whole(path, flags) {
                Err(Errno::NOSYS | Errno::PERM) => self.whole_paths.store(false, Ordering::Relaxed),
                done => return done,
            }
        }
        self.open_stepwise(path, flags)
    }

    fn open_whole(&self, path: &EntryPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let name = if path.is_root() { &b"."[..] } else { path.as_bytes() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.root, name, flags, Mode::empty(), resolve)
    }

    fn open_stepwise(&self, path: &EntryPath, flags: OFlags) -> Result<OwnedFd, Errno> {
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at: Option<OwnedFd> = None;
        let Some(parent) = path.parent() else {
            return openat(&self.root, c".", flags, Mode::empty());
        };
        for part in parent.as_bytes().split(|b| *b == b'/').filter(|p| !p.is_empty()) {
            let here = at.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            at = Some(openat(here, part, on_the_way, Mode::empty())?);
        }
        let here = at.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
        openat(here, path.name(), flags, Mode::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, path::Path};

    fn open_dir(path: &Path) -> OwnedFd {
        fs::File::open(path).unwrap().into()
    }

    #[test]
    fn links_are_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), "x").unwrap();
        symlink("/etc", dir.path().join("a/out")).unwrap();
        symlink("b", dir.path().join("a/in")).unwrap();
        for confined in [Confined::new(open_dir(dir.path())), Confined::by_components(open_dir(dir.path()))] {
            let open = |path: &str, flags| confined.open(&EntryPath::new(path.as_bytes()).unwrap(), flags);
            assert!(open("a/b/file", OFlags::RDONLY).is_ok());
            assert!(open("", OFlags::PATH).is_ok());
            assert!(open("a/out", OFlags::PATH).is_ok(), "the link itself");
            for path in ["a/out/passwd", "a/in/file"] {
                assert!(matches!(open(path, OFlags::RDONLY), Err(Errno::LOOP | Errno::NOTDIR)), "{path}");
            }
            assert!(open("a/out", OFlags::RDONLY).is_err());
            assert_eq!(open("a/none", OFlags::RDONLY).unwrap_err(), Errno::NOENT);
        }
    }
}
