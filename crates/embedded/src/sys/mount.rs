//! `mount_setattr(2)`: changing attributes of a mount that is at hand as a descriptor.

use super::checked;
use rustix::mount::MountAttrFlags;
use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
};

/// Attributes to add to a mount.
pub(crate) type Attributes = MountAttrFlags;

/// Adds attributes to the one mount whose root the descriptor is.
pub(crate) fn set_attributes(mount: impl AsFd, add: Attributes) -> io::Result<()> {
    let change = libc::mount_attr { attr_set: add.bits().into(), attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path is an empty C string, and the structure lives through the call with its size given.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    checked(done).map(drop)
}
