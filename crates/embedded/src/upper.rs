//! Where changes of a run go: in memory while they fit there, otherwise in a folder of the store.
//!
//! In memory is a filesystem mounted nowhere: it is reached by its descriptor alone, so it needs no path, survives the end
//! of the sandbox, and is gone with the descriptor.

use crate::{
    failure::{Doing as _, Failure},
    stage::unmounted::{INERT, filesystem},
    sys,
};
use rustix::{
    fs::{Mode, OFlags, XattrFlags, fremovexattr, fsetxattr, fstatvfs, mkdirat, openat},
    mount::MountAttrFlags,
};
use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

/// One file per so many bytes: a file without content is counted in no size, but it takes memory too.
const BYTES_PER_FILE: u64 = 4096;

/// Less room than this means that it is full: what failed may have been taken away again.
const FULL_BELOW: u64 = 1 << 20;
/// The same for files.
const FULL_BELOW_FILES: u64 = 16;

/// Name of the folder that has the same for a tooling image.
pub(crate) const TOOLING: &str = "tooling";

/// A folder with `upper`, `work` and `root` in it.
pub(crate) struct Upper {
    folder: OwnedFd,
    in_memory: bool,
}

impl Upper {
    /// In memory, at most so large.
    pub(crate) fn in_memory(bytes_max: u64) -> Result<Upper, Failure> {
        let (size, files) = (bytes_max.to_string(), (bytes_max / BYTES_PER_FILE).to_string());
        let options = [("size", Some(&*size)), ("nr_inodes", Some(&*files)), ("mode", Some("0700"))];
        let folder = filesystem("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NODEV)?;
        Upper::prepared(folder, true)
    }

    /// In a folder.
    pub(crate) fn in_folder(folder: OwnedFd) -> Result<Upper, Failure> {
        Upper::prepared(folder, false)
    }

    fn prepared(folder: OwnedFd, in_memory: bool) -> Result<Upper, Failure> {
        make_parts(&folder)?;
        let upper = Upper { folder, in_memory };
        // Needed for overlay's marks in a user namespace; memory has them since Linux 6.6.
        let (changes, probe) = (upper.changes()?, "user.copa.probe");
        fsetxattr(&changes, probe, b"1", XattrFlags::empty())
            .and_then(|()| fremovexattr(&changes, probe))
            .doing("setting attributes in the upper")?;
        Ok(upper)
    }

    /// The folder that the changes are in.
    pub(crate) fn changes(&self) -> Result<OwnedFd, Failure> {
        open(&self.folder, "upper")
    }

    /// Makes the same once more for the tooling image; the folder that the changes of it go to.
    pub(crate) fn for_tooling(&self) -> Result<OwnedFd, Failure> {
        mkdirat(&self.folder, TOOLING, Mode::RWXU).doing("making the upper")?;
        let folder = open(&self.folder, TOOLING)?;
        make_parts(&folder)?;
        open(&folder, "upper")
    }

    /// Takes away what the tooling image was changed by.
    pub(crate) fn forget_tooling(&self) {
        if let Err(error) = layer::remove_tree(&self.folder, TOOLING.as_bytes()) {
            // It goes with the rest of the upper, only later.
            tracing::warn!(%error, "changes of the tooling image could not be taken away");
        }
    }

    /// The mount to give to the sandbox, where it is in memory.
    pub(crate) fn mount(&self) -> Option<BorrowedFd<'_>> {
        self.in_memory.then(|| self.folder.as_fd())
    }

    /// A folder on the disk that it takes room of, where it does.
    pub(crate) fn disk(&self) -> Option<OwnedFd> {
        if self.in_memory { None } else { self.folder.try_clone().ok() }
    }

    /// Whether there is no room any more, for content or for files.
    pub(crate) fn is_full(&self) -> bool {
        fstatvfs(&self.folder).is_ok_and(|s| {
            let bytes = s.f_bavail.saturating_mul(s.f_frsize);
            // Some filesystems have no fixed number of files and say 0 of 0.
            bytes < FULL_BELOW || (s.f_files > 0 && s.f_ffree < FULL_BELOW_FILES)
        })
    }
}

/// The folders that an overlay needs.
fn make_parts(folder: &OwnedFd) -> Result<(), Failure> {
    let make = |name: &str| mkdirat(folder, name, Mode::from_raw_mode(0o755)).doing("making the upper");
    ["upper", "work", "root"].into_iter().try_for_each(make)
}

fn open(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty()).doing("opening the upper")
}

/// Files to show in a sandbox, read-only, in memory.
pub(crate) fn shown<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<OwnedFd, Failure> {
    let folder = filesystem("tmpfs", &[("mode", Some("0755"))], INERT)?;
    for (name, content) in files {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let doing = format!("making the file {} to show", name.escape_debug());
        if name.contains('/') {
            return Err(rustix::io::Errno::INVAL).doing(&doing);
        }
        let file = openat(&folder, name, flags, Mode::from_raw_mode(0o444)).doing(&doing)?;
        File::from(file).write_all(content).doing(&doing)?;
    }
    sys::set_attributes(&folder, MountAttrFlags::MOUNT_ATTR_RDONLY).doing("making shown files read-only")?;
    Ok(folder)
}
