//! Locks between processes, by `flock`, so that they end with their holder.

use crate::{Error, Store};
use oci::DiffId;
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FlockOperation, Mode, OFlags, flock, fstat, openat, statat},
    io::Errno,
};
use std::{path::Path, time::Duration};

/// How often a lock that another holds is tried again: short beside any download.
const POLL: Duration = Duration::from_millis(50);

/// A lock, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: OwnedFd,
}

impl Store {
    /// Waits until no other run works on this layer. Whoever holds the lock looks whether the layer is there by now, and
    /// adds it if not.
    pub fn lock_layer(&self, diff_id: &DiffId, cancel: &dyn Fn() -> bool) -> Result<Lock, Error> {
        let name = format!("{}-{}", self.flavor().name(), diff_id.0.hex());
        let shown = self.dir().join("locks").join(&name);
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&self.inner.locks, &name, flags, Mode::RUSR | Mode::WUSR);
            let file = file.map_err(|e| Error::io("opening", &shown, e))?;
            wait(&file, &shown, cancel)?;
            if is_still(&self.inner.locks, &name, &file) {
                return Ok(Lock { _file: file });
            }
        }
    }
}

fn wait(file: &OwnedFd, shown: &Path, cancel: &dyn Fn() -> bool) -> Result<(), Error> {
    loop {
        if cancel() {
            return Err(Error::Cancelled);
        }
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(POLL),
            Err(errno) => return Err(Error::io("locking", shown, errno)),
        }
    }
}

/// Whether a name still leads to what was opened by it, after it has been locked.
pub(crate) fn is_still(parent: &OwnedFd, name: &str, fd: &OwnedFd) -> bool {
    match (statat(parent, name, AtFlags::SYMLINK_NOFOLLOW), fstat(fd)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}
