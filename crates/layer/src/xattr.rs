//! Extended attributes of an object by a descriptor of it, links and devices included, nothing followed.

use crate::limits::{XATTR_VALUE_BYTES_MAX, XATTRS_MAX};
use rustix::{
    fd::{AsFd, AsRawFd},
    fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr},
    io::Errno,
};

/// Bytes of a list of names (the kernel's limit).
const LIST_BYTES_MAX: usize = 64 << 10;
/// Enough for nearly every list and value, so that one call does.
const USUAL_BYTES: usize = 512;

/// The kernel's own name of a descriptor: it leads to just that object, of whatever kind, also where the descriptor is
/// good for nothing but naming it.
pub(crate) fn own_name(fd: impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Names of all attributes.
pub(crate) fn names(fd: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let path = own_name(fd);
    let list = match grow(LIST_BYTES_MAX, |buffer| listxattr(&path, buffer)) {
        Err(Errno::NOTSUP) => Vec::new(),
        done => done?,
    };
    let names: Vec<Vec<u8>> = list.split(|b| *b == 0).filter(|n| !n.is_empty()).map(<[u8]>::to_vec).collect();
    if names.len() > XATTRS_MAX { Err(Errno::TOOBIG) } else { Ok(names) }
}

/// The value of one, if it is there.
pub(crate) fn get(fd: impl AsFd, name: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let path = own_name(fd);
    match grow(XATTR_VALUE_BYTES_MAX, |buffer| getxattr(&path, name, buffer)) {
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        done => done.map(Some),
    }
}

/// Sets one.
pub(crate) fn set(fd: impl AsFd, name: &[u8], value: &[u8]) -> Result<(), Errno> {
    setxattr(own_name(fd), name, value, XattrFlags::empty())
}

/// Removes one.
pub(crate) fn remove(fd: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    removexattr(own_name(fd), name)
}

fn grow(max: usize, call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; USUAL_BYTES];
    loop {
        match call(&mut buffer) {
            Ok(count) => {
                buffer.truncate(count);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < max => buffer.resize(max, 0),
            Err(errno) => return Err(errno),
        }
    }
}
