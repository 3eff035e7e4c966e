//! Owners where only one id is mapped, as far as they could not be settled while the programs ran.

use crate::{
    failure::{Doing as _, Failure},
    upper::Upper,
    wire::Owned,
};
use layer::{EntryPath, OWNER_XATTR, Record, Tree};
use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, XattrFlags, getxattr, openat, openat2, setxattr,
        statat,
    },
    io::Errno,
};
use std::{
    collections::HashMap,
    os::fd::{AsRawFd as _, OwnedFd},
};

/// What an explicit change to the one id that there is was noted as.
const ROOTS: &[u8] = b"0:0";

/// Owners that were told because the things themselves take no note.
struct Told<'a> {
    by_inode: HashMap<u64, &'a Owned>,
    by_path: HashMap<EntryPath, &'a Owned>,
}

/// Settles owners in an upper that nobody changes any more.
///
/// Links and the like go to the record. A thing is found by its number, wherever it was moved; one that lay below and was
/// copied up has another number by now, and is found by the path that it had.
///
/// Files that were given to 0:0, where the image had another owner at that path, get that one: programs that rewrite a file
/// (`useradd` does so with `/etc/shadow`) give the new one to the owner that they saw on the old one, and all that they could
/// see is 0:0.
pub(crate) fn settle(
    upper: &Upper,
    image: &dyn Tree,
    owned: &[Owned],
    record: &mut Record,
) -> Result<(), Failure> {
    let told = Told {
        by_inode: owned.iter().map(|o| (o.inode, o)).collect(),
        by_path: owned.iter().filter_map(|o| Some((EntryPath::new(&o.path).ok()?, o))).collect(),
    };
    let root = upper.changes()?;
    let mut folders = vec![EntryPath::root()];
    while let Some(path) = folders.pop() {
        let folder = open(&root, &path)?;
        for (name, inode, kind) in entries(&folder)? {
            let Ok(here) = path.join(&name) else { continue };
            match kind {
                FileType::Directory | FileType::RegularFile => rewritten(&folder, &name, image, &here)?,
                _ => {
                    if let Some(owned) = told.by_inode.get(&inode).or(told.by_path.get(&here)) {
                        record.at(&here).owner = Some((owned.uid, owned.gid));
                    }
                }
            }
            if kind == FileType::Directory {
                folders.push(here);
            }
        }
    }
    Ok(())
}

/// What was told of the image, where steps saw it at [`engine::TARGET`]; what was told of their own tree is nobody's.
pub(crate) fn of_target(owned: Vec<Owned>) -> Vec<Owned> {
    let below =
        |path: &[u8]| path.strip_prefix(engine::TARGET.as_bytes())?.strip_prefix(b"/").map(<[u8]>::to_vec);
    owned.into_iter().filter_map(|one| Some(Owned { path: below(&one.path)?, ..one })).collect()
}

/// The image's owner for a file that was given to 0:0.
fn rewritten(folder: &OwnedFd, name: &[u8], image: &dyn Tree, path: &EntryPath) -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(folder, name, flags, Mode::empty()).doing("reading the upper")?;
    let own_name = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let mut note = [0; ROOTS.len()];
    match getxattr(&own_name, OWNER_XATTR, &mut note[..]) {
        Ok(length) if note[..length] == *ROOTS => {}
        // A longer note is another owner, none means that nobody asked.
        Ok(_) | Err(Errno::RANGE | Errno::NODATA) => return Ok(()),
        Err(error) => return Err(error).doing("reading an owner in the upper"),
    }
    let Ok(Some(before)) = image.entry(path, false) else { return Ok(()) };
    if (before.uid, before.gid) == (0, 0) {
        return Ok(());
    }
    let note = format!("{}:{}", before.uid, before.gid);
    setxattr(&own_name, OWNER_XATTR, note.as_bytes(), XattrFlags::empty())
        .doing("noting an owner in the upper")
}

fn entries(folder: &OwnedFd) -> Result<Vec<(Vec<u8>, u64, FileType)>, Failure> {
    let doing = "reading the upper";
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder).doing(doing)? {
        let name = entry.doing(doing)?.file_name().to_bytes().to_vec();
        if name == b"." || name == b".." {
            continue;
        }
        let stat = statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW).doing(doing)?;
        entries.push((name, stat.st_ino, FileType::from_raw_mode(stat.st_mode)));
    }
    Ok(entries)
}

fn open(root: &OwnedFd, path: &EntryPath) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = if path.is_root() { &b"."[..] } else { path.as_bytes() };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(root, name, flags, Mode::empty(), resolve).doing("reading the upper")
}
