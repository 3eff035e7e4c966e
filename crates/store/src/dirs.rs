//! The store's own directories: private, ours, no links.

use crate::Error;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{CWD, Mode, OFlags, fchmod, fstat, mkdirat, openat},
    io::Errno,
};
use std::path::Path;

/// Files of images, set-id programs among them, must be out of reach for everybody else.
const PRIVATE: Mode = Mode::RWXU;

/// The top directory. Only its last component is made.
pub(crate) fn open_root(path: &Path) -> Result<OwnedFd, Error> {
    open_or_make(CWD, path, path)
}

/// A directory right below one of ours.
pub(crate) fn child(parent: &OwnedFd, parent_path: &Path, name: &str) -> Result<OwnedFd, Error> {
    open_or_make(parent, Path::new(name), &parent_path.join(name))
}

fn open_or_make(parent: impl AsFd, name: &Path, shown: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match mkdirat(&parent, name, PRIVATE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::io("creating", shown, errno)),
    }
    let fd = openat(&parent, name, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP | Errno::NOTDIR => {
            refuse(shown, "is not a directory of its own; remove it or choose another")
        }
        errno => Error::io("opening", shown, errno),
    })?;
    check(&fd, shown)?;
    Ok(fd)
}

fn check(fd: &OwnedFd, shown: &Path) -> Result<(), Error> {
    let stat = fstat(fd).map_err(|e| Error::io("examining", shown, e))?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(refuse(shown, "belongs to another user; choose another directory"));
    }
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.intersects(Mode::WGRP | Mode::WOTH) {
        return Err(refuse(
            shown,
            "can be written by others; take that right away or choose another directory",
        ));
    }
    if mode.intersects(Mode::RWXG | Mode::RWXO) {
        fchmod(fd, PRIVATE).map_err(|e| Error::io("changing the mode of", shown, e))?;
    }
    Ok(())
}

fn refuse(path: &Path, why: &str) -> Error {
    Error::Unsafe { path: path.to_owned(), why: why.to_owned() }
}
