//! `/sys` of the sandbox's own network namespace, read-only.

use super::{
    proc::nothing,
    unmounted::{INERT_READ_ONLY, attach, attach_below, filesystem},
};
use crate::failure::Failure;
use rustix::fs::{AtFlags, statat};
use std::os::fd::OwnedFd;

/// Parts that tell of the machine's firmware and power use.
const HIDDEN: [&str; 2] = ["firmware", "devices/virtual/powercap"];

/// Mounts it at the place. Where the kernel does not give a fresh one (a container whose own is masked), an empty folder
/// serves: package tools need nothing there.
pub(super) fn mounted_at(place: OwnedFd) -> Result<(), Failure> {
    let Ok(sys) = filesystem("sysfs", &[], INERT_READ_ONLY) else {
        return attach(nothing()?, place, "/sys");
    };
    attach(&sys, place, "/sys")?;
    for name in HIDDEN.iter().filter(|name| statat(&sys, **name, AtFlags::empty()).is_ok()) {
        attach_below(nothing()?, &sys, name)?;
    }
    Ok(())
}
