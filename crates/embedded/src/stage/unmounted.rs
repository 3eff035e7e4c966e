//! Filesystems and copies of mounts that lie nowhere yet, and putting them at a place that is at hand as a descriptor.
//!
//! Nothing here resolves a path of the image: a place was verified before.

use crate::{
    failure::{Doing as _, Failure},
    sys,
};
use rustix::{
    fs::CWD,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
        fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
    },
};
use std::os::fd::{AsFd, OwnedFd};

/// No setuid programs, devices or programs at all.
pub(crate) const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
/// As [`INERT`], and nobody writes to it.
pub(crate) const INERT_READ_ONLY: MountAttrFlags = INERT.union(MountAttrFlags::MOUNT_ATTR_RDONLY);

/// A new filesystem, mounted nowhere. An option without a value is a flag.
pub(crate) fn filesystem(
    kind: &str,
    options: &[(&str, Option<&str>)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Failure> {
    let doing = format!("making a {kind} filesystem");
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).doing(&doing)?;
    for (key, value) in options {
        let set = match value {
            Some(value) => fsconfig_set_string(&context, *key, *value),
            None => fsconfig_set_flag(&context, *key),
        };
        set.doing(&format!("{doing} with {key}"))?;
    }
    fsconfig_create(&context).doing(&doing)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).doing(&doing)
}

/// A copy of the mount at a path below a folder, with attributes added.
pub(crate) fn copy(at: impl AsFd, path: &str, add: MountAttrFlags) -> Result<OwnedFd, Failure> {
    let doing = format!("copying the mount of {path}");
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(at, path, flags).doing(&doing)?;
    sys::set_attributes(&mount, add).doing(&doing)?;
    Ok(mount)
}

/// A copy of a device of the host. Read-only says nothing about what is written to the device, but keeps its mode and
/// owner, which are the host's, from being changed.
pub(crate) fn copy_of_host(path: &str) -> Result<OwnedFd, Failure> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    copy(CWD, path, attributes | MountAttrFlags::MOUNT_ATTR_RDONLY)
}

/// Puts a mount over the object that the descriptor is.
pub(crate) fn attach(mount: impl AsFd, place: impl AsFd, name: &str) -> Result<(), Failure> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", place, "", flags).doing(&format!("mounting {name}"))
}

/// Puts a mount over a name in a folder of ours, where no image has a say.
pub(crate) fn attach_below(mount: impl AsFd, folder: impl AsFd, name: &str) -> Result<(), Failure> {
    move_mount(mount, "", folder, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .doing(&format!("mounting {name}"))
}
