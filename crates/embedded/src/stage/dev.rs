//! A fresh `/dev`: the harmless devices, a terminal multiplexer of our own, shared memory within bounds, the files shown.

use super::unmounted::{INERT, attach, attach_below, copy_of_host, filesystem};
use crate::failure::{Doing as _, Failure};
use rustix::{
    fs::{Mode, OFlags, mkdirat, openat, symlinkat},
    mount::MountAttrFlags,
};
use std::os::fd::{AsFd, OwnedFd};

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];
/// Room for links and empty files; nobody keeps data in `/dev` itself.
const DEV_BYTES: &str = "1m";
/// Shared memory: counted in the machine's memory, so it needs a bound; no package tool uses much.
const SHM_BYTES: &str = "64m";

/// Mounts it at the place.
pub(super) fn mounted_at(place: OwnedFd, shown: Option<OwnedFd>) -> Result<(), Failure> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let options = [("mode", Some("0755")), ("size", Some(DEV_BYTES))];
    let dev = filesystem("tmpfs", &options, attributes)?;
    attach(&dev, place, "/dev")?;
    for name in DEVICES {
        file(&dev, name)?;
        attach_below(copy_of_host(&format!("/dev/{name}"))?, &dev, name)?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).doing("making the links of /dev")?;
    }
    put(&dev, "pts", terminals()?)?;
    put(&dev, "shm", filesystem("tmpfs", &[("mode", Some("1777")), ("size", Some(SHM_BYTES))], INERT)?)?;
    put(&dev, "mqueue", filesystem("mqueue", &[], INERT)?).ok();
    shown.map_or(Ok(()), |files| put(&dev, "copa", files))
}

/// Terminals of our own. Group 5 may not be mapped; then they belong to the one that is.
fn terminals() -> Result<OwnedFd, Failure> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let options =
        [("newinstance", None), ("ptmxmode", Some("0666")), ("mode", Some("0620")), ("gid", Some("5"))];
    filesystem("devpts", &options, attributes).or_else(|_| filesystem("devpts", &options[..3], attributes))
}

fn put(dev: impl AsFd, name: &str, mount: OwnedFd) -> Result<(), Failure> {
    mkdirat(&dev, name, Mode::from_raw_mode(0o755)).doing("making the folders of /dev")?;
    attach_below(mount, dev, name)
}

fn file(dev: impl AsFd, name: &str) -> Result<(), Failure> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(dev, name, flags, Mode::from_raw_mode(0o644)).map(drop).doing("making the files of /dev")
}
