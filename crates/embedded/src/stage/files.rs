//! Steps that write or remove one file of the root, without following a link in the last component.
//!
//! Links on the way are followed inside the root, which is all there is. Magic links of `/proc` are not: they would lead to
//! descriptors of ours.

use crate::failure::{Doing as _, Failure};
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, ftruncate, openat, openat2,
        unlinkat,
    },
    io::Errno,
};
use std::{ffi::OsStr, fs::File, io, os::fd::OwnedFd, path::Path};

/// What a step names.
pub(super) struct Place<'a> {
    /// Absolute path in the root.
    pub path: &'a str,
    /// What is at [`engine::TARGET`], where steps run in another tree than the image's. Links below it lead nowhere else.
    pub target: Option<&'a OwnedFd>,
}

/// Writes the content to a regular file, new or there already.
pub(super) fn write(place: &Place<'_>, content: OwnedFd, mode: u32) -> Result<(), Failure> {
    let doing = format!("writing {}", place.path.escape_debug());
    let (folder, name) = place.parent(&doing)?;
    // NONBLOCK: opening a FIFO must not wait for a reader.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(&folder, name, flags, Mode::from_raw_mode(mode & 0o7777)).doing(&doing)?;
    let kind = FileType::from_raw_mode(fstat(&file).doing(&doing)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(Failure::image(
            place.path.escape_debug().to_string(),
            "is no regular file, so it is not written to",
        ));
    }
    ftruncate(&file, 0).doing(&doing)?;
    let mut file = File::from(file);
    io::copy(&mut File::from(content), &mut file).doing(&doing)?;
    fchmod(&file, Mode::from_raw_mode(mode & 0o7777)).doing(&doing)
}

/// Removes a file if it is there.
pub(super) fn remove(place: &Place<'_>) -> Result<(), Failure> {
    let doing = format!("removing {}", place.path.escape_debug());
    let (folder, name) = match place.parent(&doing) {
        Err(failure) if failure.errno == Some(Errno::NOENT.raw_os_error()) => return Ok(()),
        other => other?,
    };
    match unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => other.doing(&doing),
    }
}

impl<'a> Place<'a> {
    /// The folder of a path and the name in it.
    fn parent(&self, doing: &str) -> Result<(OwnedFd, &'a OsStr), Failure> {
        let whole = Path::new(self.path);
        let below = |target| Some((target, whole.strip_prefix(engine::TARGET).ok()?));
        let inside = self.target.and_then(below);
        let path = inside.map_or(whole, |(_, path)| path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::INVAL).doing(doing);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let opened = match inside {
            Some((target, _)) => {
                let folder = Path::new(".").join(folder);
                openat2(target, folder, flags, Mode::empty(), resolve | ResolveFlags::IN_ROOT)
            }
            None => openat2(CWD, folder, flags, Mode::empty(), resolve),
        };
        Ok((opened.doing(doing)?, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Blame;
    use std::{fs, os::unix::fs::symlink};

    fn write(path: &str, content: OwnedFd, mode: u32) -> Result<(), Failure> {
        super::write(&Place { path, target: None }, content, mode)
    }

    fn remove(path: &str) -> Result<(), Failure> {
        super::remove(&Place { path, target: None })
    }

    fn content(text: &str) -> OwnedFd {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("c"), text).unwrap();
        File::open(folder.path().join("c")).unwrap().into()
    }

    #[test]
    fn files_are_written_and_removed_and_links_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
        for text in ["a longer first text", "second"] {
            write(&at("new"), content(text), 0o640).unwrap();
            assert_eq!(fs::read_to_string(at("new")).unwrap(), text);
        }
        symlink(at("new"), at("link")).unwrap();
        assert!(write(&at("link"), content("evil"), 0o644).is_err());
        remove(&at("link")).unwrap();
        assert_eq!(fs::read_to_string(at("new")).unwrap(), "second");
        remove(&at("new")).unwrap();
        remove(&at("new")).unwrap();
        remove(&at("no/such/folder")).unwrap();
        assert!(!root.path().join("new").exists());
    }

    #[test]
    fn what_is_no_regular_file_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let socket = root.path().join("null");
        symlink("/proc/self/fd", root.path().join("magic")).unwrap();
        fs::create_dir(&socket).unwrap();
        assert!(write(socket.to_str().unwrap(), content("x"), 0o644).is_err());
        let failure = write("/dev/null", content("x"), 0o666);
        assert!(failure.is_err_and(|f| f.blame == Blame::Image || f.errno.is_some()));
        let magic = root.path().join("magic/0");
        assert!(write(magic.to_str().unwrap(), content("x"), 0o644).is_err());
    }

    #[test]
    fn paths_of_the_target_stay_in_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/in")).unwrap();
        symlink("/etc/in", root.path().join("absolute")).unwrap();
        symlink("../../../../etc/in", root.path().join("etc/up")).unwrap();
        let target: OwnedFd = File::open(root.path()).unwrap().into();
        let place = |path| Place { path, target: Some(&target) };
        for (path, at) in [
            ("/target/top", "top"),
            ("/target/absolute/a", "etc/in/a"),
            ("/target/etc/up/b", "etc/in/b"),
            ("/target/../c", "c"),
        ] {
            super::write(&place(path), content(path), 0o644).unwrap();
            assert_eq!(fs::read_to_string(root.path().join(at)).unwrap(), path);
            super::remove(&place(path)).unwrap();
            assert!(!root.path().join(at).exists());
        }
        assert!(super::write(&place("/target"), content("x"), 0o644).is_err());
        assert!(super::write(&place("/target/none/x"), content("x"), 0o644).is_err());
    }
}
