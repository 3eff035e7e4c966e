//! Making one object of a layer in its folder. What is in the way is replaced: the last entry of a name wins.

use crate::{
    Entry, EntryPath, Error, Kind,
    extract::{Extractor, Later},
    failure::{bad_entry, refused, uncarry},
    flavor::{DEVICE_XATTR, device_text},
    folders::Folder,
    record::Device,
};
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{
        AtFlags, FileType, Mode, OFlags, Stat, fstat, linkat, makedev, mkdirat, mknodat, openat, statat,
        symlinkat,
    },
    io::Errno,
};
use std::{
    fs::File,
    io::{Read, Seek, Write},
    ops::ControlFlow,
};

const OWN_USE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Zeros of at least so many bytes at a time are not written, which leaves a hole.
const HOLE_BYTES_MIN: usize = 32 << 10;

/// How far the copy of a content is.
struct Copy {
    left: u64,
    /// The last bytes were not written, being zeros.
    in_hole: bool,
}

impl Extractor<'_> {
    pub(crate) fn put_file(
        &mut self,
        folder: &Folder,
        real: &EntryPath,
        entry: &Entry,
        size: u64,
        content: Option<&mut dyn Read>,
    ) -> Result<(), Error> {
        self.count_bytes(size)?;
        let mut file = File::from(self.create_file(folder, real)?);
        match content {
            Some(content) => self.copy(content, &mut file, real, size)?,
            None if size == 0 => {}
            None => return Err(bad_entry(real, "a file without its content")),
        }
        self.dress(&file, real, entry)
    }

    fn create_file(&mut self, folder: &Folder, real: &EntryPath) -> Result<OwnedFd, Error> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.create(folder, real, || openat(&folder.fd, real.name(), flags, OWN_USE))
    }

    /// Runs a call that makes a new name, once more after making room for it.
    fn create<T>(
        &mut self,
        folder: &Folder,
        real: &EntryPath,
        call: impl Fn() -> Result<T, Errno>,
    ) -> Result<T, Error> {
        let done = match call() {
            Err(Errno::EXIST) => {
                self.make_room(&folder.fd, real)?;
                call()
            }
            done => done,
        };
        done.map_err(|e| refused("creating", real, e))
    }

    fn copy(&mut self, from: &mut dyn Read, to: &mut File, real: &EntryPath, size: u64) -> Result<(), Error> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut copy = Copy { left: size, in_hole: false };
        let copied = loop {
            match self.copy_some(from, to, &mut buffer, &mut copy) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break Ok(()),
                Err(e) => break Err(uncarry(|| format!("writing {real}"), e)),
            }
        };
        self.buffer = buffer;
        copied?;
        let Copy { left, in_hole } = copy;
        if left > 0 {
            return Err(bad_entry(real, format!("content is {left} bytes short")));
        }
        if in_hole {
            // Nothing was written at its end.
            to.set_len(size).map_err(|e| Error::Io { doing: format!("writing {real}"), source: e })?;
        }
        Ok(())
    }

    fn copy_some(
        &self,
        from: &mut dyn Read,
        to: &mut File,
        buffer: &mut [u8],
        copy: &mut Copy,
    ) -> std::io::Result<ControlFlow<()>> {
        if (self.cancel)() {
            return Err(crate::failure::carry(Error::Cancelled));
        }
        let most = usize::try_from(copy.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = from.read(&mut buffer[..most])?;
        if count == 0 {
            return Ok(ControlFlow::Break(()));
        }
        let written = &buffer[..count];
        copy.in_hole = count >= HOLE_BYTES_MIN && written.iter().all(|byte| *byte == 0);
        if copy.in_hole {
            to.seek_relative(count as i64)?;
        } else {
            to.write_all(written)?;
        }
        copy.left -= count as u64;
        Ok(ControlFlow::Continue(()))
    }

    pub(crate) fn put_directory(
        &mut self,
        folder: &Folder,
        real: &EntryPath,
        entry: &Entry,
    ) -> Result<(), Error> {
        let make = || mkdirat(&folder.fd, real.name(), Mode::RWXU);
        let handle = match make() {
            Ok(()) => handle(folder, real)?,
            Err(Errno::EXIST) if is_directory(folder, real)? => {
                let handle = handle(folder, real)?;
                self.undress(&handle, real)?;
                handle
            }
            Err(Errno::EXIST) => {
                // What is replaced had hidden whatever lies below, and so does the directory in its place.
                self.make_room(&folder.fd, real)?;
                make().map_err(|e| refused("creating", real, e))?;
                let handle = handle(folder, real)?;
                self.mark_opaque(&handle, real)?;
                handle
            }
            Err(errno) => return Err(refused("creating", real, errno)),
        };
        self.dress_directory(&handle, real, entry)
    }

    /// Owner, mode and attributes now, but the mode so that we can go on; the rest when nothing is put in any more.
    pub(crate) fn dress_directory(
        &mut self,
        handle: &OwnedFd,
        real: &EntryPath,
        entry: &Entry,
    ) -> Result<(), Error> {
        const REACHABLE: u32 = 0o700;
        let open = Entry { mode: entry.mode | REACHABLE, ..entry.clone() };
        self.dress(handle, real, &open)?;
        let mode = (open.mode != entry.mode).then_some(entry.mode);
        self.defer(real, Later { mtime: entry.mtime, mode })
    }

    pub(crate) fn put_symlink(
        &mut self,
        folder: &Folder,
        real: &EntryPath,
        entry: &Entry,
        target: &[u8],
    ) -> Result<(), Error> {
        self.create(folder, real, || symlinkat(target, &folder.fd, real.name()))?;
        self.dress(&handle(folder, real)?, real, entry)
    }

    pub(crate) fn put_fifo(&mut self, folder: &Folder, real: &EntryPath, entry: &Entry) -> Result<(), Error> {
        self.create(folder, real, || mknodat(&folder.fd, real.name(), FileType::Fifo, OWN_USE, 0))?;
        self.dress(&handle(folder, real)?, real, entry)
    }

    pub(crate) fn put_device(
        &mut self,
        folder: &Folder,
        real: &EntryPath,
        entry: &Entry,
    ) -> Result<(), Error> {
        let device = match entry.kind {
            Kind::Block { major, minor } => Device { block: true, major, minor },
            Kind::Char { major, minor } => Device { block: false, major, minor },
            _ => return Err(bad_entry(real, "no device")),
        };
        if (device.major, device.minor) == (0, 0) {
            return Err(bad_entry(real, "device 0:0 would stand for a removal"));
        }
        if self.flavor.makes_devices() && self.make_device(folder, real, device)? {
            return self.dress(&handle(folder, real)?, real, entry);
        }
        let file = self.create_file(folder, real)?;
        self.dress(&file, real, entry)?;
        self.note(&file, real, DEVICE_XATTR, device_text(device).as_bytes(), |facts| {
            facts.device = Some(device)
        })?;
        self.set_time(&file, real, entry.mtime)
    }

    /// `false` where we may not, as in a container with few capabilities.
    fn make_device(&mut self, folder: &Folder, real: &EntryPath, device: Device) -> Result<bool, Error> {
        let kind = if device.block { FileType::BlockDevice } else { FileType::CharacterDevice };
        let number = makedev(device.major, device.minor);
        let made = || match mknodat(&folder.fd, real.name(), kind, OWN_USE, number) {
            Err(Errno::PERM) => Ok(false),
            done => done.map(|()| true),
        };
        self.create(folder, real, made)
    }

    pub(crate) fn put_hardlink(
        &mut self,
        folder: &Folder,
        real: &EntryPath,
        entry: &Entry,
        target: &EntryPath,
    ) -> Result<(), Error> {
        let missing =
            || bad_entry(real, format!("hard link to {target}, which is not in the layer before it"));
        let Some(parent) = target.parent() else { return Err(bad_entry(real, "hard link to the root")) };
        let from = self.existing_folder(&parent)?.ok_or_else(missing)?;
        let first = from.path.join(target.name())?;
        let stat = look(&from, &first)?.ok_or_else(missing)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                return Err(bad_entry(real, format!("hard link to {target}, a directory")));
            }
            FileType::CharacterDevice if stat.st_rdev == 0 => return Err(missing()),
            _ => {}
        }
        if look(folder, real)?.is_some_and(|there| (there.st_dev, there.st_ino) == (stat.st_dev, stat.st_ino))
        {
            return Ok(());
        }
        self.create(folder, real, || {
            linkat(&from.fd, first.name(), &folder.fd, real.name(), AtFlags::empty())
        })?;
        let more = self.record.link(&first, real);
        self.hold(more)?;
        self.redress(&handle(folder, real)?, real, entry)
    }

    /// Marks a name as gone from what lies below. What this layer itself has of that name stays.
    pub(crate) fn put_whiteout(&mut self, folder: &Folder, real: &EntryPath) -> Result<(), Error> {
        match look(folder, real)? {
            None => mknodat(&folder.fd, real.name(), FileType::CharacterDevice, Mode::empty(), 0)
                .map_err(|e| refused("marking as removed", real, e)),
            Some(there) if FileType::from_raw_mode(there.st_mode) == FileType::Directory => {
                self.record.describe(real);
                self.mark_opaque(&handle(folder, real)?, real)
            }
            Some(_) => Ok(()),
        }
    }
}

fn look(folder: &Folder, real: &EntryPath) -> Result<Option<Stat>, Error> {
    match statat(&folder.fd, real.name(), AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        stat => stat.map(Some).map_err(|e| refused("examining", real, e)),
    }
}

fn is_directory(folder: &Folder, real: &EntryPath) -> Result<bool, Error> {
    Ok(look(folder, real)?.is_some_and(|s| FileType::from_raw_mode(s.st_mode) == FileType::Directory))
}

/// A descriptor that names an object and does nothing else to it.
fn handle(folder: &Folder, real: &EntryPath) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder.fd.as_fd(), real.name(), flags, Mode::empty()).map_err(|e| refused("opening", real, e))
}

/// Whether an object can carry attributes of the `user.` kind.
pub(crate) fn carries(handle: impl AsFd, real: &EntryPath) -> Result<bool, Error> {
    let stat = fstat(handle).map_err(|e| refused("examining", real, e))?;
    Ok(matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory))
}
