//! Work in progress: a directory that goes away with whoever made it, even if that is killed.

use crate::{Error, Store, lock::is_still};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Dir, FlockOperation, Mode, OFlags, flock, mkdirat, openat},
    io::Errno,
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A private directory, removed with all that is in it when dropped.
#[derive(Debug)]
pub struct TempDir {
    store: Arc<crate::Inner>,
    name: String,
    path: PathBuf,
    /// Locked while we live.
    fd: OwnedFd,
}

impl TempDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory, opened.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Removes it, and says whether that worked.
    pub fn close(self) -> Result<(), Error> {
        layer::remove_tree(&self.store.tmp, self.name.as_bytes())
            .map_err(|e| Error::io("removing", &self.path, e))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(errno) = layer::remove_tree(&self.store.tmp, self.name.as_bytes()) {
            tracing::warn!(path = %self.path.display(), %errno, "cannot remove temporary directory");
        }
    }
}

impl Store {
    /// A new directory on the store's own file system.
    pub fn temp_dir(&self) -> Result<TempDir, Error> {
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{number}", std::process::id());
            let path = self.tmp_path().join(&name);
            match mkdirat(&self.inner.tmp, &name, Mode::RWXU) {
                Ok(()) => {}
                // Left by a dead process of the same number.
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(Error::io("creating", &path, errno)),
            }
            // Another run may take it for a dead one's before it is locked; then there is simply another.
            if let Some(fd) = claim(&self.inner.tmp, &name).map_err(|e| Error::io("locking", &path, e))? {
                return Ok(TempDir { store: Arc::clone(&self.inner), name, path, fd });
            }
        }
    }

    /// Removes what processes left that are no more, and settles what has reached the disk since.
    pub fn collect_stale(&self) -> Result<(), Error> {
        let shown = self.tmp_path();
        for name in names(&self.inner.tmp, &shown)? {
            if let Ok(Some(_lock)) = claim(&self.inner.tmp, &name)
                && let Err(errno) = layer::remove_tree(&self.inner.tmp, name.as_bytes())
            {
                tracing::warn!(path = %shown.join(&name).display(), %errno, "cannot remove what a dead process left");
            }
        }
        self.settle_old()
    }
}

/// Opens a directory and locks it for ourselves; `None` where another holds it or it is gone.
pub(crate) fn claim(parent: &OwnedFd, name: &str) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        fd => fd?,
    };
    match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(is_still(parent, name, &fd).then_some(fd)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Names in one of our directories. Ours are plain ASCII; others are not ours.
pub(crate) fn names(dir: &OwnedFd, shown: &Path) -> Result<Vec<String>, Error> {
    let fail = |e: Errno| Error::io("listing", shown, e);
    let mut names = Vec::new();
    for entry in Dir::read_from(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        match entry.file_name().to_str() {
            Ok("." | "..") | Err(_) => {}
            Ok(name) => names.push(name.to_owned()),
        }
    }
    names.sort();
    Ok(names)
}
