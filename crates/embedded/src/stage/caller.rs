//! Who asks for a change of owner, of what, and to whom: read from the waiting call's arguments and its process' memory.

use crate::{
    seccomp::{ARCHITECTURE_386, call_386 as call},
    sys::Notification,
};
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

/// "Leave as it is" in ids of 16 bits.
const UNCHANGED_16: u32 = 0xffff;

/// One waiting call.
pub(super) struct Caller<'a> {
    asked: &'a Notification,
    kind: Kind,
    /// Its ids have 16 bits.
    short_ids: bool,
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
        let of_386 = asked.architecture == ARCHITECTURE_386;
        let kind = if of_386 { kind_of_386(asked.number) } else { kind(asked.number) };
        let short_ids = of_386 && matches!(asked.number, call::LCHOWN16 | call::FCHOWN16 | call::CHOWN16);
        Ok(Caller { asked, kind: kind.ok_or(Errno::NOSYS)?, short_ids })
    }

    /// User and group asked for; ids are 32 bits, whatever the registers hold above.
    pub(super) fn wanted(&self) -> (u32, u32) {
        let first = if self.kind == Kind::At { 2 } else { 1 };
        let id = |at: usize| match self.asked.arguments[at] as u32 {
            long if !self.short_ids => long,
            short if short & UNCHANGED_16 == UNCHANGED_16 => u32::MAX,
            short => short & UNCHANGED_16,
        };
        (id(first), id(first + 1))
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
        let memory = memory_of(self.asked, OFlags::RDONLY)?;
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

/// The memory of the caller of a waiting call.
pub(super) fn memory_of(asked: &Notification, how: OFlags) -> Result<File, Errno> {
    let memory = format!("/proc/{}/mem", asked.pid);
    open(memory, how | OFlags::CLOEXEC, Mode::empty()).map(File::from)
}

fn kind(number: libc::c_long) -> Option<Kind> {
    match number {
        libc::SYS_fchown => Some(Kind::Descriptor),
        libc::SYS_fchownat => Some(Kind::At),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown => Some(Kind::Path),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown => Some(Kind::Link),
        _ => None,
    }
}

fn kind_of_386(number: libc::c_long) -> Option<Kind> {
    match number {
        call::FCHOWN | call::FCHOWN16 => Some(Kind::Descriptor),
        call::FCHOWNAT => Some(Kind::At),
        call::CHOWN | call::CHOWN16 => Some(Kind::Path),
        call::LCHOWN | call::LCHOWN16 => Some(Kind::Link),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_widened() {
        let asked = |architecture, number| Notification {
            id: 1,
            pid: 1,
            architecture,
            number,
            arguments: [0, 0xffff, 0x1_0005, 0, 0, 0],
        };
        let wanted = |asked: Notification| Caller::of(&asked).map(|caller| caller.wanted());
        assert_eq!(wanted(asked(ARCHITECTURE_386, call::CHOWN16)), Ok((u32::MAX, 5)));
        assert_eq!(wanted(asked(ARCHITECTURE_386, call::CHOWN)), Ok((0xffff, 0x1_0005)));
        assert_eq!(wanted(asked(0xc000_003e, libc::SYS_fchown)), Ok((0xffff, 0x1_0005)));
        assert_eq!(wanted(asked(ARCHITECTURE_386, 3)), Err(Errno::NOSYS));
    }
}
