//! Removing a tree below a directory: nothing followed, no recursion, whatever its depth and modes.

use crate::xattr::own_name;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, Dir, FileType, Mode, OFlags, chmod, fchmod, fstat, openat, unlinkat},
    io::Errno,
};
use std::ffi::CString;

/// A directory on the way down.
struct Level {
    name: CString,
    identity: (u64, u64),
    folders: Vec<CString>,
}

/// Removes what has this name in a directory, with everything below it. Nothing there is no error.
pub fn remove_tree(parent: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    match unlinkat(&parent, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => remove_folder(parent.as_fd(), name),
        Err(errno) => Err(errno),
    }
}

fn remove_folder(parent: BorrowedFd<'_>, name: CString) -> Result<(), Errno> {
    let mut at = open_folder(parent, &name)?;
    let mut levels = vec![empty_of_files(&at, name)?];
    while let Some(level) = levels.last_mut() {
        if let Some(next) = level.folders.pop() {
            at = open_folder(at.as_fd(), &next)?;
            levels.push(empty_of_files(&at, next)?);
            continue;
        }
        let Some(done) = levels.pop() else { break };
        match levels.last() {
            Some(above) => {
                at = above_of(&at, above.identity)?;
                unlinkat(&at, &done.name, AtFlags::REMOVEDIR)?;
            }
            None => unlinkat(parent, &done.name, AtFlags::REMOVEDIR)?,
        }
    }
    Ok(())
}

/// The parent, but only the one that we came from.
fn above_of(at: &OwnedFd, identity: (u64, u64)) -> Result<OwnedFd, Errno> {
    let above = openat(at, c"..", folder_flags(), Mode::empty())?;
    if identity_of(&above)? == identity { Ok(above) } else { Err(Errno::STALE) }
}

fn open_folder(parent: BorrowedFd<'_>, name: &CString) -> Result<OwnedFd, Errno> {
    let open = || openat(parent, name, folder_flags(), Mode::empty());
    match open() {
        Err(Errno::ACCESS) => {
            let handle = openat(parent, name, folder_flags() | OFlags::PATH, Mode::empty())?;
            chmod(own_name(&handle), Mode::RWXU)?;
            open()
        }
        done => done,
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn identity_of(fd: &OwnedFd) -> Result<(u64, u64), Errno> {
    fstat(fd).map(|stat| (stat.st_dev, stat.st_ino))
}

/// Removes all that is no folder, and notes the folders.
fn empty_of_files(at: &OwnedFd, name: CString) -> Result<Level, Errno> {
    let stat = fstat(at)?;
    let mut level = Level { name, identity: (stat.st_dev, stat.st_ino), folders: Vec::new() };
    if !Mode::from_raw_mode(stat.st_mode).contains(Mode::RWXU) {
        fchmod(at, Mode::RWXU)?;
    }
    let mut files = Vec::new();
    for entry in Dir::read_from(at)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let list = if entry.file_type() == FileType::Directory { &mut level.folders } else { &mut files };
        list.push(name.to_owned());
    }
    for file in files {
        match unlinkat(at, &file, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Some file systems do not say what is a directory.
            Err(Errno::ISDIR) => level.folders.push(file),
            Err(errno) => return Err(errno),
        }
    }
    Ok(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkdirat;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    #[test]
    fn trees_of_any_shape_go_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::File::open(dir.path()).unwrap();
        fs::create_dir_all(dir.path().join("doomed/a/b")).unwrap();
        fs::write(dir.path().join("keep"), "x").unwrap();
        symlink(dir.path(), dir.path().join("doomed/a/link")).unwrap();
        fs::set_permissions(dir.path().join("doomed/a"), fs::Permissions::from_mode(0o000)).unwrap();
        let mut at: OwnedFd = openat(&root, c"doomed", folder_flags(), Mode::empty()).unwrap();
        for _ in 0..3000 {
            mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = openat(&at, c"d", folder_flags(), Mode::empty()).unwrap();
        }
        remove_tree(&root, b"doomed").unwrap();
        remove_tree(&root, b"doomed").unwrap();
        assert!(!dir.path().join("doomed").exists());
        assert_eq!(fs::read(dir.path().join("keep")).unwrap(), b"x");
    }
}
