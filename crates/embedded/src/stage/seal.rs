//! Our own program in a form that nobody inside can write to.
//!
//! A hostile image can make the kernel run us again as an "interpreter" of one of its scripts (`#!/proc/self/exe`), and then
//! open `/proc/self/exe` for writing: that would be our file on the host. So process 1 runs from a read-only copy of the mount.

use crate::{
    failure::{Doing as _, Failure},
    sys,
};
use rustix::{
    fs::{CWD, MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    mount::{OpenTreeFlags, open_tree},
};
use std::{fs::File, io, os::fd::OwnedFd};

/// A descriptor of our own program that cannot be written through.
pub(super) fn own_program() -> Result<OwnedFd, Failure> {
    read_only_mount().or_else(|_| sealed_copy()).doing("making a read-only copy of our own program")
}

/// A mount of the one file, reachable by no path, and read-only.
fn read_only_mount() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, "/proc/self/exe", flags)?;
    sys::set_attributes(&mount, sys::Attributes::MOUNT_ATTR_RDONLY | sys::Attributes::MOUNT_ATTR_NODEV)?;
    Ok(mount)
}

/// A sealed copy in memory: where the file was replaced while we run, or the kernel is older than 5.12.
fn sealed_copy() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(memfd_create("copa", flags)?);
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    fcntl_add_seals(&copy, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(copy.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn the_copy_cannot_be_written() {
        let copy = sealed_copy().unwrap();
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let opened = File::options().write(true).open(path);
        assert!(opened.and_then(|mut f| io::Write::write(&mut f, b"x")).is_err());
    }
}
