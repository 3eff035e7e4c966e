//! The places of the root that we mount on: verified folders, made where the image has none.
//!
//! A hostile image has a symbolic link there, to have us mount or write elsewhere.

use crate::failure::{Doing as _, Failure};
use rustix::{
    fs::{AtFlags, Mode, OFlags, ResolveFlags, Timestamps, fstat, futimens, mkdirat, openat2, statat},
    io::Errno,
};
use std::os::fd::{AsFd, OwnedFd};

/// The folders that a root needs at its top.
pub(super) struct Places {
    /// `/dev`.
    pub dev: OwnedFd,
    /// `/proc`.
    pub proc: OwnedFd,
    /// `/sys`.
    pub sys: OwnedFd,
    /// Those of them that the image did not have.
    pub made: Vec<String>,
}

impl Places {
    /// Finds or makes them. The time of the root folder stays as it was.
    pub(super) fn of(root: impl AsFd) -> Result<Places, Failure> {
        let root = root.as_fd();
        let mut made = Vec::new();
        let before = fstat(root).doing("reading the root of the image")?;
        let mut place = |name: &str| -> Result<OwnedFd, Failure> {
            if matches!(statat(root, name, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT)) {
                mkdirat(root, name, Mode::from_raw_mode(0o755)).doing(&format!("making /{name}"))?;
                made.push(name.to_owned());
            }
            verified(root, name)
        };
        let (dev, proc, sys) = (place("dev")?, place("proc")?, place("sys")?);
        if !made.is_empty() {
            futimens(root, &times(&before)).doing("restoring the time of the root of the image")?;
        }
        Ok(Places { dev, proc, sys, made })
    }
}

/// A folder at the top of a root that nothing is kept of; made where it is missing.
pub(super) fn throwaway(root: impl AsFd, name: &str) -> Result<OwnedFd, Failure> {
    match mkdirat(&root, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => verified(root, name),
        Err(error) => Err(error).doing(&format!("making /{name}")),
    }
}

/// The times that a file had.
pub(crate) fn times(stat: &rustix::fs::Stat) -> Timestamps {
    let time = |sec: i64, nsec: u64| rustix::fs::Timespec { tv_sec: sec, tv_nsec: nsec as _ };
    Timestamps {
        last_access: time(stat.st_atime as _, stat.st_atime_nsec as _),
        last_modification: time(stat.st_mtime as _, stat.st_mtime_nsec as _),
    }
}

/// The folder of that name, and nothing else that goes by it.
fn verified(root: impl AsFd, name: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match openat2(root, name, flags, Mode::empty(), resolve) {
        Err(Errno::LOOP | Errno::NOTDIR) => {
            Err(Failure::image(format!("/{name}"), "must be a folder, not a link to one and not a file"))
        }
        other => other.doing(&format!("opening /{name} of the image")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Blame;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn folders_are_taken_or_made_and_anything_else_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let open = || fs::File::open(root.path()).unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        let before = fs::metadata(root.path()).unwrap().modified().unwrap();
        let places = Places::of(open()).unwrap();
        assert_eq!(places.made, ["dev", "sys"]);
        assert_eq!(fs::metadata(root.path()).unwrap().modified().unwrap(), before);
        for hostile in ["link", "file"] {
            fs::remove_dir(root.path().join("dev")).unwrap();
            match hostile {
                "link" => symlink("/tmp", root.path().join("dev")).unwrap(),
                _ => fs::write(root.path().join("dev"), "x").unwrap(),
            }
            let failure = Places::of(open()).map(|_| ()).unwrap_err();
            assert_eq!((failure.blame, failure.doing.as_str()), (Blame::Image, "/dev"), "{hostile}");
            fs::remove_file(root.path().join("dev")).unwrap();
            fs::create_dir(root.path().join("dev")).unwrap();
        }
    }
}
