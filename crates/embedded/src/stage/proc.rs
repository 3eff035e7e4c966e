//! A fresh `/proc` of the sandbox's own processes, with what concerns the whole machine hidden or read-only.

use super::{
    limits,
    unmounted::{INERT, INERT_READ_ONLY, attach, attach_below, copy, copy_of_host, filesystem},
};
use crate::failure::Failure;
use rustix::{
    fs::{AtFlags, FileType, statat},
    mount::MountAttrFlags,
};
use std::os::fd::OwnedFd;

/// Settings of the machine: some ask for no capability, only for uid 0 (`core_pattern` runs a program of the host).
const READ_ONLY: [&str; 5] = ["sys", "irq", "bus", "fs", "sysrq-trigger"];
/// What tells of the machine or lets one look into it.
const HIDDEN: [&str; 11] = [
    "kcore",
    "keys",
    "key-users",
    "kmsg",
    "latency_stats",
    "timer_list",
    "timer_stats",
    "sched_debug",
    "acpi",
    "scsi",
    "asound",
];

/// Mounts it at the place.
pub(super) fn mounted_at(place: OwnedFd, processes_max: u32) -> Result<(), Failure> {
    let proc = filesystem("proc", &[], INERT)?;
    attach(&proc, place, "/proc")?;
    limits::cap_processes(&proc, processes_max);
    for name in READ_ONLY.iter().filter(|name| kind(&proc, name).is_some()) {
        attach_below(copy(&proc, name, MountAttrFlags::MOUNT_ATTR_RDONLY)?, &proc, name)?;
    }
    for name in HIDDEN {
        match kind(&proc, name) {
            None => continue,
            Some(FileType::Directory) => attach_below(nothing()?, &proc, name)?,
            Some(_) => attach_below(copy_of_host("/dev/null")?, &proc, name)?,
        }
    }
    Ok(())
}

/// An empty folder that stays empty.
pub(super) fn nothing() -> Result<OwnedFd, Failure> {
    filesystem("tmpfs", &[("mode", Some("0755")), ("nr_inodes", Some("1"))], INERT_READ_ONLY)
}

fn kind(folder: &OwnedFd, name: &str) -> Option<FileType> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}
