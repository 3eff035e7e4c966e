//! The root: an overlay of all layers with the upper on top.
//!
//! Every folder is named by a path relative to where we stand, so that `/proc/mounts` inside shows no path of the host.

use super::unmounted;
use crate::{
    failure::{Blame, Doing as _, Failure},
    wire::Setup,
};
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
    path::Path,
};

/// Features that make a layer's content depend on marks that only this kernel's overlay understands.
const OFF: [(&str, &str); 2] = [("redirect_dir", "nofollow"), ("metacopy", "off")];
/// What the old way takes at most: one page.
const OPTIONS_BYTES_MAX: usize = 4095;

/// Mounts it at `root` in the work folder, and gives the root folder, open.
pub(super) fn mounted(setup: &Setup, upper: Option<OwnedFd>) -> Result<OwnedFd, Failure> {
    chdir(&setup.work).doing("entering the work folder")?;
    if let Some(upper) = upper {
        unmounted::attach(&upper, folder(".")?, "the upper in memory")?;
        fchdir(&upper).doing("entering the upper in memory")?;
    }
    let work = folder(".")?;
    let joined = by_layer(setup, &work).or_else(|failure| match failure.errno {
        Some(number) if number == Errno::INVAL.raw_os_error() => {
            fchdir(&work).doing("entering the work folder")?;
            by_one_option(setup).map_err(|_| failure)
        }
        _ => Err(failure),
    });
    joined.map_err(explained)?;
    fchdir(&work).doing("entering the work folder")?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(&work, "root", flags, Mode::empty()).doing("opening the root")
}

fn folder(path: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).doing("opening the work folder")
}

/// One option per layer; since Linux 6.7.
fn by_layer(setup: &Setup, work: &OwnedFd) -> Result<(), Failure> {
    let doing = "making the overlay";
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).doing(doing)?;
    for layer in setup.layers.iter().rev() {
        chdir(layer).doing("entering an unpacked layer")?;
        fsconfig_set_string(&context, "lowerdir+", ".").doing("adding a layer to the overlay")?;
    }
    fchdir(work).doing("entering the work folder")?;
    fsconfig_set_string(&context, "upperdir", "upper").doing("adding the upper to the overlay")?;
    fsconfig_set_string(&context, "workdir", "work").doing("adding the upper to the overlay")?;
    for (key, value) in off(setup) {
        fsconfig_set_string(&context, *key, *value).doing(doing)?;
    }
    if setup.user_attributes {
        fsconfig_set_flag(&context, "userxattr").doing("using the overlay in a user namespace")?;
    }
    // No sync reaches the disk; before 5.10 the seccomp filter still suppresses those that programs ask for.
    fsconfig_set_flag(&context, "volatile").ok();
    fsconfig_create(&context).doing(doing)?;
    // Nothing here limits devices by control group, so a node in a layer, or made, must not open.
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
    let overlay = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).doing(doing)?;
    unmounted::attach_below(overlay, work, "root")
}

/// All layers in one option, by short links, since it has room for a page only; for kernels before 6.7.
fn by_one_option(setup: &Setup) -> Result<(), Failure> {
    let doing = "making the overlay";
    let link = |at: usize| format!("l/{at}");
    match fs::create_dir("l") {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e).doing(doing),
        _ => {}
    }
    for (at, layer) in setup.layers.iter().enumerate() {
        symlink(layer, Path::new(&link(at))).doing(doing)?;
    }
    let lowers: Vec<String> = (0..setup.layers.len()).rev().map(link).collect();
    let mut options = format!("lowerdir={},upperdir=upper,workdir=work,volatile", lowers.join(":"));
    for (key, value) in off(setup) {
        options += &format!(",{key}={value}");
    }
    if setup.user_attributes {
        options += ",userxattr";
    }
    let options = CString::new(options).map_err(|_| Errno::INVAL).doing(doing)?;
    if options.as_bytes().len() > OPTIONS_BYTES_MAX {
        return Err(Errno::TOOBIG).doing(doing);
    }
    mount("overlay", "root", "overlay", MountFlags::NODEV, options.as_c_str()).doing(doing)
}

/// In a user namespace both are off by themselves, and naming them is an error.
fn off(setup: &Setup) -> &'static [(&'static str, &'static str)] {
    if setup.user_attributes { &[] } else { &OFF }
}

/// What overlay's terse refusals mean.
fn explained(mut failure: Failure) -> Failure {
    if failure.blame == Blame::Host && failure.errno == Some(Errno::INVAL.raw_os_error()) {
        failure.why += " (is the cache folder itself on an overlay or a network filesystem?)";
    }
    failure
}
