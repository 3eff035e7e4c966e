//! Owners that could not be noted on the things themselves, brought to the paths where those are in the end.

use crate::{
    failure::{Doing as _, Failure},
    upper::Upper,
    wire::Owned,
};
use layer::{EntryPath, Record};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use std::{collections::HashMap, os::fd::OwnedFd};

/// Adds them to the record. A thing is found by its number, wherever it was moved; one that lay below and was copied up has
/// another number by now, and is found by the path that it had.
pub(crate) fn record(upper: &Upper, owned: Vec<Owned>, record: &mut Record) -> Result<(), Failure> {
    if owned.is_empty() {
        return Ok(());
    }
    let by_inode: HashMap<u64, &Owned> = owned.iter().map(|o| (o.inode, o)).collect();
    let by_path: HashMap<EntryPath, &Owned> =
        owned.iter().filter_map(|o| Some((EntryPath::new(&o.path).ok()?, o))).collect();
    let root = upper.changes()?;
    let mut folders = vec![EntryPath::root()];
    while let Some(path) = folders.pop() {
        for (name, inode, kind) in entries(&open(&root, &path)?)? {
            let Ok(here) = path.join(&name) else { continue };
            match kind {
                FileType::Directory => folders.push(here),
                FileType::RegularFile => {}
                _ => {
                    if let Some(owned) = by_inode.get(&inode).or(by_path.get(&here)) {
                        record.at(&here).owner = Some((owned.uid, owned.gid));
                    }
                }
            }
        }
    }
    Ok(())
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
