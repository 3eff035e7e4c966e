//! Owner, mode, attributes and times of an object just made, by a descriptor of it, so that nothing is ever followed.

use crate::{
    Entry, EntryPath, Error, Kind,
    extract::{Extractor, Later},
    failure::refused,
    flavor::{self, HELD_XATTR, OWNER_XATTR},
    limits::XATTR_NAME_BYTES_MAX,
    place::carries,
    record::Facts,
    xattr,
};
use rustix::{
    fd::AsFd,
    fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, chmod, chownat, fchmod, fstat, utimensat},
    io::Errno,
};

impl Extractor<'_> {
    /// Everything that an entry says beside its content.
    pub(crate) fn dress(&mut self, fd: impl AsFd, real: &EntryPath, entry: &Entry) -> Result<(), Error> {
        // In this order: a change of owner clears set-id bits and capabilities.
        self.own(&fd, real, (entry.uid, entry.gid))?;
        if !matches!(entry.kind, Kind::Symlink { .. }) {
            set_mode(&fd, real, entry.mode)?;
        }
        for (name, value) in &entry.xattrs {
            self.attribute(&fd, real, name, value)?;
        }
        self.set_time(&fd, real, entry.mtime)
    }

    /// The same for another name of an object that is dressed already: only what differs.
    pub(crate) fn redress(&mut self, fd: impl AsFd, real: &EntryPath, entry: &Entry) -> Result<(), Error> {
        let stat = fstat(&fd).map_err(|e| refused("examining", real, e))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            return Ok(());
        }
        if !self.flavor.sets_owners() || (stat.st_uid, stat.st_gid) != (entry.uid, entry.gid) {
            self.own(&fd, real, (entry.uid, entry.gid))?;
        }
        set_mode(&fd, real, entry.mode)?;
        for (name, value) in &entry.xattrs {
            self.attribute(&fd, real, name, value)?;
        }
        self.set_time(&fd, real, entry.mtime)
    }

    /// Takes all attributes off a directory that is described once more, but not its being opaque.
    pub(crate) fn undress(&mut self, fd: impl AsFd, real: &EntryPath) -> Result<(), Error> {
        let fail = |e| refused("clearing attributes of", real, e);
        for name in xattr::names(&fd).map_err(fail)? {
            let described = name != self.flavor.opaque_xattr().as_bytes() && !name.starts_with(b"security.");
            if described {
                xattr::remove(&fd, &name).map_err(fail)?;
            }
        }
        self.record.forget_one(real);
        Ok(())
    }

    fn own(&mut self, fd: impl AsFd, real: &EntryPath, owner: (u32, u32)) -> Result<(), Error> {
        let as_root = owner == (0, 0);
        if self.flavor.sets_owners() || as_root {
            let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
            match chownat(&fd, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH) {
                Ok(()) if self.flavor.sets_owners() => return Ok(()),
                Ok(()) => {}
                // An id that the user namespace does not have.
                Err(Errno::INVAL | Errno::PERM) if self.flavor != flavor::Flavor::Native => {}
                Err(errno) => return Err(refused("changing the owner of", real, errno)),
            }
        }
        if as_root && !self.is_noted(&fd, real)? {
            return Ok(());
        }
        let text = flavor::owner_text(owner.0, owner.1);
        self.note(fd, real, OWNER_XATTR, text.as_bytes(), |facts| facts.owner = Some(owner))
    }

    /// Whether an owner is noted already, which only a second name of an object can have.
    fn is_noted(&self, fd: impl AsFd, real: &EntryPath) -> Result<bool, Error> {
        let noted =
            xattr::get(fd, OWNER_XATTR.as_bytes()).map_err(|e| refused("reading attributes of", real, e));
        Ok(noted?.is_some() || self.record.get(real).is_some_and(|facts| facts.owner.is_some()))
    }

    fn attribute(&mut self, fd: impl AsFd, real: &EntryPath, name: &[u8], value: &[u8]) -> Result<(), Error> {
        if flavor::is_private(name) {
            self.dropped_xattrs += 1;
            return Ok(());
        }
        let portable = (name == b"security.capability").then(|| flavor::portable_capability(value.to_vec()));
        let value = portable.as_deref().unwrap_or(value);
        match xattr::set(&fd, name, value) {
            Ok(()) => Ok(()),
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::ROFS)) => {
                Err(refused("setting attributes of", real, errno))
            }
            Err(_) => {
                let held = [HELD_XATTR.as_bytes(), name].concat();
                let facts = |facts: &mut Facts| drop(facts.xattrs.insert(name.to_vec(), value.to_vec()));
                self.note_bytes(fd, real, &held, value, facts)
            }
        }
    }

    /// Notes a fact on the object itself, where overlayfs copies it along, or else in the record.
    pub(crate) fn note(
        &mut self,
        fd: impl AsFd,
        real: &EntryPath,
        name: &str,
        value: &[u8],
        otherwise: impl FnOnce(&mut Facts),
    ) -> Result<(), Error> {
        self.note_bytes(fd, real, name.as_bytes(), value, otherwise)
    }

    fn note_bytes(
        &mut self,
        fd: impl AsFd,
        real: &EntryPath,
        name: &[u8],
        value: &[u8],
        otherwise: impl FnOnce(&mut Facts),
    ) -> Result<(), Error> {
        let fits = name.len() <= XATTR_NAME_BYTES_MAX && carries(&fd, real)?;
        if !fits || xattr::set(&fd, name, value).is_err() {
            self.hold(real.as_bytes().len() + name.len() + value.len())?;
            otherwise(self.record.at(real));
        }
        Ok(())
    }

    /// Marks a directory as hiding what lies below.
    pub(crate) fn mark_opaque(&mut self, fd: impl AsFd, real: &EntryPath) -> Result<(), Error> {
        let marked = xattr::set(fd, self.flavor.opaque_xattr().as_bytes(), b"y");
        marked.map_err(|e| refused("marking as opaque", real, e))
    }

    pub(crate) fn set_time(&self, fd: impl AsFd, real: &EntryPath, mtime: (i64, u32)) -> Result<(), Error> {
        let time = Timespec { tv_sec: mtime.0, tv_nsec: i64::from(mtime.1) };
        let times = Timestamps { last_access: time, last_modification: time };
        utimensat(fd, c"", &times, AtFlags::EMPTY_PATH).map_err(|e| refused("setting the time of", real, e))
    }

    /// What a directory gets in the end.
    pub(crate) fn settle(&self, fd: impl AsFd, real: &EntryPath, later: &Later) -> Result<(), Error> {
        if let Some(mode) = later.mode {
            set_mode(&fd, real, mode)?;
        }
        self.set_time(fd, real, later.mtime)
    }
}

fn set_mode(fd: impl AsFd, real: &EntryPath, mode: u32) -> Result<(), Error> {
    let mode = Mode::from_raw_mode(mode);
    let set = match fchmod(&fd, mode) {
        // A descriptor that only names its object.
        Err(Errno::BADF) => chmod(xattr::own_name(&fd), mode),
        done => done,
    };
    set.map_err(|e| refused("changing the mode of", real, e))
}
