//! One object of a layer directory, read back as the entry it stands for.

use crate::{
    Entry, EntryPath, Error, Kind,
    confined::Confined,
    failure::{bad_entry, refused},
    flavor::{self, DEVICE_XATTR, Flavor, HELD_XATTR, OWNER_XATTR},
    record::{Device, Record},
    xattr,
};
use rustix::{
    fd::OwnedFd,
    fs::{FileType, OFlags, Stat, fstat, major, minor, readlinkat},
    io::Errno,
};
use std::collections::BTreeMap;

/// A layer directory: its root, what it cannot hold, and the conventions it was made by.
#[derive(Debug)]
pub struct LayerDir {
    pub(crate) at: Confined,
    pub(crate) record: Record,
    pub(crate) flavor: Flavor,
}

/// What was found at a path.
pub(crate) struct Object {
    pub(crate) entry: Entry,
    /// Device and inode: which object it is under all its names.
    pub(crate) identity: (u64, u64),
    pub(crate) names: u64,
    /// Hides what lies below, where it is a directory.
    pub(crate) opaque: bool,
}

/// What a look at a path shows at first glance.
pub(crate) enum Glance {
    Nothing,
    /// Overlayfs' mark that the path is removed.
    Whiteout,
    Is(FileType, OwnedFd),
}

impl LayerDir {
    /// A layer directory.
    pub fn new(root: OwnedFd, record: Record, flavor: Flavor) -> Self {
        LayerDir { at: Confined::new(root), record, flavor }
    }

    pub(crate) fn glance(&self, path: &EntryPath) -> Result<Glance, Error> {
        let handle = match self.at.open(path, OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => {
                return Ok(Glance::Nothing);
            }
            handle => handle.map_err(|e| refused("opening", path, e))?,
        };
        let stat = fstat(&handle).map_err(|e| refused("examining", path, e))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let whiteout = kind == FileType::CharacterDevice && stat.st_rdev == 0;
        Ok(if whiteout { Glance::Whiteout } else { Glance::Is(kind, handle) })
    }

    /// Whether the directory behind a handle hides what lies below.
    pub(crate) fn is_opaque(&self, path: &EntryPath, handle: &OwnedFd) -> Result<bool, Error> {
        let mark = xattr::get(handle, self.flavor.opaque_xattr().as_bytes());
        Ok(mark.map_err(|e| refused("reading attributes of", path, e))?.as_deref() == Some(b"y"))
    }

    /// The object behind a handle, as the entry it stands for.
    pub(crate) fn object(&self, path: &EntryPath, handle: &OwnedFd) -> Result<Object, Error> {
        let stat = fstat(handle).map_err(|e| refused("examining", path, e))?;
        let mut marks = Marks::read(path, handle, self.flavor)?;
        let recorded = self.record.get(path);
        if let Some(facts) = recorded {
            marks.xattrs.extend(facts.xattrs.clone());
        }
        let owner = marks.owner.or(recorded.and_then(|r| r.owner)).unwrap_or((stat.st_uid, stat.st_gid));
        let device = marks.device.or(recorded.and_then(|r| r.device));
        let entry = Entry {
            path: path.clone(),
            kind: kind(path, handle, &stat, device)?,
            mode: stat.st_mode & 0o7777,
            uid: owner.0,
            gid: owner.1,
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
            xattrs: marks.xattrs,
        };
        Ok(Object { entry, identity: (stat.st_dev, stat.st_ino), names: stat.st_nlink, opaque: marks.opaque })
    }
}

fn kind(path: &EntryPath, handle: &OwnedFd, stat: &Stat, device: Option<Device>) -> Result<Kind, Error> {
    let numbers = || (major(stat.st_rdev), minor(stat.st_rdev));
    Ok(match (FileType::from_raw_mode(stat.st_mode), device) {
        (FileType::RegularFile, Some(Device { block, major, minor })) => {
            if block {
                Kind::Block { major, minor }
            } else {
                Kind::Char { major, minor }
            }
        }
        (FileType::RegularFile, None) => Kind::File { size: stat.st_size.cast_unsigned() },
        (FileType::Directory, _) => Kind::Directory,
        (FileType::Symlink, _) => {
            let target =
                readlinkat(handle, c"", Vec::new()).map_err(|e| refused("reading the link", path, e))?;
            Kind::Symlink { target: target.into_bytes() }
        }
        (FileType::CharacterDevice, _) => {
            let (major, minor) = numbers();
            Kind::Char { major, minor }
        }
        (FileType::BlockDevice, _) => {
            let (major, minor) = numbers();
            Kind::Block { major, minor }
        }
        (FileType::Fifo, _) => Kind::Fifo,
        _ => return Err(bad_entry(path, "a socket or other object that no layer can hold")),
    })
}

/// What an object's attributes say.
#[derive(Default)]
struct Marks {
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    owner: Option<(u32, u32)>,
    device: Option<Device>,
    opaque: bool,
}

impl Marks {
    fn read(path: &EntryPath, handle: &OwnedFd, flavor: Flavor) -> Result<Self, Error> {
        let fail = |e| refused("reading attributes of", path, e);
        let mut marks = Marks::default();
        for name in xattr::names(handle).map_err(fail)? {
            if flavor::is_split(&name) {
                let name = name.escape_ascii();
                return Err(bad_entry(
                    path,
                    format!("attribute {name} splits it in a way that is not supported"),
                ));
            }
            if let Some(value) = xattr::get(handle, &name).map_err(fail)? {
                marks.take(path, name, value, flavor)?;
            }
        }
        Ok(marks)
    }

    fn take(&mut self, path: &EntryPath, name: Vec<u8>, value: Vec<u8>, flavor: Flavor) -> Result<(), Error> {
        let damaged = || bad_entry(path, format!("attribute {} makes no sense", name.escape_ascii()));
        if name == OWNER_XATTR.as_bytes() {
            self.owner = Some(flavor::parse_owner(&value).ok_or_else(damaged)?);
        } else if name == DEVICE_XATTR.as_bytes() {
            self.device = Some(flavor::parse_device(&value).ok_or_else(damaged)?);
        } else if name == flavor.opaque_xattr().as_bytes() {
            self.opaque = value == b"y";
        } else if let Some(held) = name.strip_prefix(HELD_XATTR.as_bytes()) {
            self.xattrs.insert(held.to_vec(), value);
        } else if name == b"security.capability" {
            self.xattrs.insert(name, flavor::portable_capability(value));
        } else if !flavor::is_private(&name) {
            self.xattrs.insert(name, value);
        }
        Ok(())
    }
}
