//! The root: an overlay of all layers with the upper on top.
//!
//! Every folder is named by a path relative to where we stand, so that `/proc/mounts` inside shows no path of the host.

use super::unmounted;
use crate::failure::{Blame, Doing as _, Failure};
use rustix::{
    fs::{Mode, OFlags, openat},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_flag,
        fsconfig_set_string, fsmount, fsopen, mount,
    },
    process::{chdir, fchdir},
};
use std::{
    ffi::CString,
    fs,
    os::{fd::OwnedFd, unix::fs::symlink},
    path::{Path, PathBuf},
};

/// Features that make a layer's content depend on marks that only this kernel's overlay understands.
const OFF: [(&str, &str); 2] = [("redirect_dir", "nofollow"), ("metacopy", "off")];
/// What the old way takes at most: one page.
const OPTIONS_BYTES_MAX: usize = 4095;
/// A folder to go to and to mount on.
const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// What an overlay is made of.
pub(super) struct Overlay<'a> {
    /// Unpacked layers, lowest first, by absolute path.
    pub layers: &'a [PathBuf],
    /// The folder with `upper`, `work` and `root` in it.
    pub work: &'a OwnedFd,
    /// Marks are kept in user attributes.
    pub user_attributes: bool,
}

/// The work folder, after an upper in memory has been put on it.
pub(super) fn work(path: &Path, upper: Option<OwnedFd>) -> Result<OwnedFd, Failure> {
    let folder = rustix::fs::open(path, PLACE, Mode::empty()).doing("opening the work folder")?;
    let Some(upper) = upper else { return Ok(folder) };
    unmounted::attach(&upper, folder, "the upper in memory")?;
    Ok(upper)
}

/// A folder in the work folder.
pub(super) fn folder(work: &OwnedFd, name: &str) -> Result<OwnedFd, Failure> {
    openat(work, name, PLACE, Mode::empty()).doing("opening the work folder")
}

/// Mounts it at `root` in its work folder, and gives the root folder, open.
pub(super) fn mounted(overlay: &Overlay<'_>) -> Result<OwnedFd, Failure> {
    let enter = || fchdir(overlay.work).doing("entering the work folder");
    enter()?;
    let joined = by_layer(overlay).or_else(|failure| match failure.errno {
        Some(number) if number == Errno::INVAL.raw_os_error() => {
            enter()?;
            by_one_option(overlay).map_err(|_| failure)
        }
        _ => Err(failure),
    });
    joined.map_err(explained)?;
    enter()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(overlay.work, "root", flags, Mode::empty()).doing("opening the root")
}

/// One option per layer; since Linux 6.7.
fn by_layer(overlay: &Overlay<'_>) -> Result<(), Failure> {
    let doing = "making the overlay";
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).doing(doing)?;
    for layer in overlay.layers.iter().rev() {
        chdir(layer).doing("entering an unpacked layer")?;
        fsconfig_set_string(&context, "lowerdir+", ".").doing("adding a layer to the overlay")?;
    }
    fchdir(overlay.work).doing("entering the work folder")?;
    fsconfig_set_string(&context, "upperdir", "upper").doing("adding the upper to the overlay")?;
    fsconfig_set_string(&context, "workdir", "work").doing("adding the upper to the overlay")?;
    for (key, value) in off(overlay) {
        fsconfig_set_string(&context, *key, *value).doing(doing)?;
    }
    if overlay.user_attributes {
        fsconfig_set_flag(&context, "userxattr").doing("using the overlay in a user namespace")?;
    }
    // No sync reaches the disk; before 5.10 the seccomp filter still suppresses those that programs ask for.
    fsconfig_set_flag(&context, "volatile").ok();
    fsconfig_create(&context).doing(doing)?;
    // Nothing here limits devices by control group, so a node in a layer, or made, must not open.
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).doing(doing)?;
    unmounted::attach_below(mount, overlay.work, "root")
}

/// All layers in one option, by short links, since it has room for a page only; for kernels before 6.7.
fn by_one_option(overlay: &Overlay<'_>) -> Result<(), Failure> {
    let doing = "making the overlay";
    let link = |at: usize| format!("l/{at}");
    match fs::create_dir("l") {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e).doing(doing),
        _ => {}
    }
    for (at, layer) in overlay.layers.iter().enumerate() {
        symlink(layer, Path::new(&link(at))).doing(doing)?;
    }
    let lowers: Vec<String> = (0..overlay.layers.len()).rev().map(link).collect();
    let mut options = format!("lowerdir={},upperdir=upper,workdir=work,volatile", lowers.join(":"));
    for (key, value) in off(overlay) {
        options += &format!(",{key}={value}");
    }
    if overlay.user_attributes {
        options += ",userxattr";
    }
    let options = CString::new(options).map_err(|_| Errno::INVAL).doing(doing)?;
    if options.as_bytes().len() > OPTIONS_BYTES_MAX {
        return Err(Errno::TOOBIG).doing(doing);
    }
    mount("overlay", "root", "overlay", MountFlags::NODEV, options.as_c_str()).doing(doing)
}

/// In a user namespace both are off by themselves, and naming them is an error.
fn off(overlay: &Overlay<'_>) -> &'static [(&'static str, &'static str)] {
    if overlay.user_attributes { &[] } else { &OFF }
}

/// What overlay's terse refusals mean.
fn explained(mut failure: Failure) -> Failure {
    if failure.blame == Blame::Host && failure.errno == Some(Errno::INVAL.raw_os_error()) {
        failure.why += " (is the cache folder itself on an overlay or a network filesystem?)";
    }
    failure
}
