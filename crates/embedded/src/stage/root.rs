//! Making the overlay the root of this process, with nothing of the host reachable any more.

use crate::failure::{Doing as _, Failure};
use rustix::{
    mount::{UnmountFlags, unmount},
    process::{chdir, fchdir, pivot_root},
};
use std::os::fd::AsFd;

/// What programs see as the machine's name; the host's own tells too much.
const HOST_NAME: &[u8] = b"sandbox";

/// Enters the root, and lets go of the host's.
pub(super) fn enter(root: impl AsFd) -> Result<(), Failure> {
    fchdir(root).doing("entering the root")?;
    // Both at ".": the old root comes to lie on the new one and is the first to go.
    pivot_root(".", ".").doing("changing the root")?;
    unmount(".", UnmountFlags::DETACH).doing("letting go of the host's root")?;
    chdir("/").doing("entering the root")?;
    rustix::system::sethostname(HOST_NAME).doing("setting the host name")
}
