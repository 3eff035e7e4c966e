//! Who asks for a change of owner, of what, and to whom: read from the waiting call's arguments and its process' memory.

use crate::sys::Notification;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, open, openat, openat2},
    io::Errno,
};
use std::{
    fs::File,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
};

/// Longest path, with its closing NUL.
const PATH_BYTES_MAX: usize = 4096;
/// Smallest page: reading in steps of it never runs into memory that is not there before the end of a path.
const PAGE: u64 = 4096;

/// One waiting call.
pub(super) struct Caller<'a> {
    asked: &'a Notification,
    kind: Kind,
}

/// The four calls that change an owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Path,
    Link,
    Descriptor,
    At,
}

impl<'a> Caller<'a> {
    /// The caller of a call that the filter hands over.
    pub(super) fn of(asked: &'a Notification) -> Result<Self, Errno> {
        let kind = match asked.number {
            libc::SYS_fchown => Kind::Descriptor,
            libc::SYS_fchownat => Kind::At,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => Kind::Path,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => Kind::Link,
            _ => return Err(Errno::NOSYS),
        };
        Ok(Caller { asked, kind })
    }

    /// User and group asked for; ids are 32 bits, whatever the registers hold above.
    pub(super) fn wanted(&self) -> (u32, u32) {
        let first = if self.kind == Kind::At { 2 } else { 1 };
        (self.asked.arguments[first] as u32, self.asked.arguments[first + 1] as u32)
    }

    /// What is to change.
    pub(super) fn target(&self) -> Result<OwnedFd, Errno> {
        let [first, second, _, _, flags, _] = self.asked.arguments;
        match self.kind {
            Kind::Descriptor => self.descriptor(first as i32),
            Kind::Path => self.at(libc::AT_FDCWD, first, AtFlags::empty()),
            Kind::Link => self.at(libc::AT_FDCWD, first, AtFlags::SYMLINK_NOFOLLOW),
            Kind::At => self.at(first as i32, second, AtFlags::from_bits_retain(flags as u32)),
        }
    }

    fn at(&self, folder: i32, address: u64, flags: AtFlags) -> Result<OwnedFd, Errno> {
        let path = self.path(address)?;
        if path.is_empty() && flags.contains(AtFlags::EMPTY_PATH) {
            return self.descriptor(folder);
        }
        let mut how = OFlags::PATH | OFlags::CLOEXEC;
        if flags.contains(AtFlags::SYMLINK_NOFOLLOW) {
            how |= OFlags::NOFOLLOW;
        }
        // Magic links would lead to what we have open, not to what the caller has.
        let (from, mut resolve) = (self.start(folder, &path)?, ResolveFlags::NO_MAGICLINKS);
        if path.first() == Some(&b'/') {
            resolve |= ResolveFlags::IN_ROOT;
        }
        openat2(from, path, how, Mode::empty(), resolve)
    }

    /// Where the path begins for the caller.
    fn start(&self, folder: i32, path: &[u8]) -> Result<OwnedFd, Errno> {
        match (path.first(), folder) {
            (Some(b'/'), _) => self.own("root"),
            (_, libc::AT_FDCWD) => self.own("cwd"),
            _ => self.descriptor(folder),
        }
    }

    fn descriptor(&self, number: i32) -> Result<OwnedFd, Errno> {
        if number == libc::AT_FDCWD {
            return self.own("cwd");
        }
        self.own(&format!("fd/{number}")).map_err(|e| if e == Errno::NOENT { Errno::BADF } else { e })
    }

    fn own(&self, what: &str) -> Result<OwnedFd, Errno> {
        let path = format!("/proc/{}/{what}", self.asked.pid);
        openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    }

    /// A path out of the caller's memory.
    fn path(&self, address: u64) -> Result<Vec<u8>, Errno> {
        let memory = format!("/proc/{}/mem", self.asked.pid);
        let memory = File::from(open(memory, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
        let mut path = Vec::new();
        while path.len() < PATH_BYTES_MAX {
            let at = address + path.len() as u64;
            let mut page = vec![0; (PAGE - at % PAGE) as usize];
            let read = memory.read_at(&mut page, at).map_err(|_| Errno::FAULT)?;
            let end = page[..read].iter().position(|b| *b == 0);
            path.extend_from_slice(&page[..end.unwrap_or(read)]);
            match (end, read) {
                (Some(_), _) => return Ok(path),
                (None, 0) => return Err(Errno::FAULT),
                _ => {}
            }
        }
        Err(Errno::NAMETOOLONG)
    }
}
