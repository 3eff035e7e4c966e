//! Calls that wait for our answer. Owners where only one id is mapped: a change of owner waits here, is noted on the file, and
//! succeeds.
//!
//! Files and directories carry the note themselves, so it follows them through copies and renames. Links and other things
//! cannot; those are told to the supervisor by number and path.

use super::{caller::Caller, place::times, sockets::Wanted};
use crate::{
    failure::{Doing as _, Failure},
    sys::{self, Notification},
    wire::Owned,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{
        AtFlags, FileType, Mode, Stat, XattrFlags, chmod, fstat, getxattr, removexattr, setxattr, utimensat,
    },
    io::Errno,
};
use std::{
    mem::take,
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
};

/// "Leave as it is" in a change of owner.
const UNCHANGED: u32 = u32::MAX;
/// Longest note: two numbers and a colon.
const NOTE_BYTES_MAX: usize = 32;
/// Most bytes of what is told between two steps: some hundred thousand links, and no way to fill the memory of process 1.
const TOLD_BYTES_MAX: usize = 64 << 20;

/// Answers changes of owner.
pub(super) struct Owners {
    listener: OwnedFd,
    told: Told,
}

/// Owners to tell, within a bound.
#[derive(Default)]
struct Told {
    owned: Vec<Owned>,
    bytes: usize,
}

impl Told {
    fn add(&mut self, one: Owned) -> Result<(), Errno> {
        let bytes = size_of::<Owned>() + one.path.len();
        if self.bytes + bytes > TOLD_BYTES_MAX {
            return Err(Errno::NOSPC);
        }
        self.bytes += bytes;
        self.owned.push(one);
        Ok(())
    }
}

impl Owners {
    /// Answers what waits at this listener of the filter.
    pub(super) fn new(listener: OwnedFd) -> Self {
        Owners { listener, told: Told::default() }
    }

    /// Answers until the other descriptor is ready.
    pub(super) fn serve_until(&mut self, ready: impl AsFd) -> Result<(), Failure> {
        loop {
            let mut both = [PollFd::new(&ready, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
            match poll(&mut both, None) {
                Err(Errno::INTR) => continue,
                other => other.doing("waiting for calls")?,
            };
            let (ended, asked) = (!both[0].revents().is_empty(), both[1].revents().contains(PollFlags::IN));
            if asked {
                self.serve()?;
            } else if ended {
                return Ok(());
            }
        }
    }

    /// What was noted elsewhere than on files, since the last time.
    pub(super) fn take(&mut self) -> Vec<Owned> {
        take(&mut self.told).owned
    }

    fn serve(&mut self) -> Result<(), Failure> {
        let doing = "answering a call";
        let Some(asked) = sys::receive(&self.listener).doing(doing)? else { return Ok(()) };
        let done = match Wanted::of(&asked) {
            Some(sockets) => sockets.and_then(|wanted| wanted.made(&self.listener, &asked)),
            None => self.change(&asked).map(|()| 0),
        };
        sys::answer(&self.listener, asked.id, done.map_err(Errno::raw_os_error)).doing(doing)
    }

    fn change(&mut self, asked: &Notification) -> Result<(), Errno> {
        let caller = Caller::of(asked)?;
        let wanted = caller.wanted();
        let target = caller.target()?;
        if !sys::still_waits(&self.listener, asked.id) {
            return Err(Errno::SRCH);
        }
        let stat = fstat(&target)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Directory => noted(&target, &stat, wanted),
            _ => {
                // Brings it into the upper, as a change of owner would.
                utimensat(&target, c"", &times(&stat), AtFlags::EMPTY_PATH)?;
                self.tell(&target, &stat, wanted)
            }
        }
    }

    fn tell(&mut self, target: &OwnedFd, stat: &Stat, (uid, gid): (u32, u32)) -> Result<(), Errno> {
        let path = rustix::fs::readlink(own_name(target), Vec::new()).map(|p| p.into_bytes());
        let or_root = |id: u32| if id == UNCHANGED { 0 } else { id };
        let path = path.unwrap_or_default();
        self.told.add(Owned { path, inode: stat.st_ino, uid: or_root(uid), gid: or_root(gid) })
    }
}

/// Notes an owner on a file or directory, and does what else the kernel does with one.
fn noted(target: &OwnedFd, stat: &Stat, (uid, gid): (u32, u32)) -> Result<(), Errno> {
    let name = own_name(target);
    let before = note(&name);
    let or_before = |wanted: u32, before: u32| if wanted == UNCHANGED { before } else { wanted };
    let after = (or_before(uid, before.0), or_before(gid, before.1));
    // An owner of 0:0 is noted too: see `owned`.
    if after != before || after == (0, 0) {
        let note = format!("{}:{}", after.0, after.1);
        setxattr(&name, layer::OWNER_XATTR, note.as_bytes(), XattrFlags::empty())?;
    }
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        unprivileged(&name, stat)
    } else {
        Ok(())
    }
}

/// A change of owner takes set-id bits and capabilities from a file.
fn unprivileged(name: &str, stat: &Stat) -> Result<(), Errno> {
    let mut mode = Mode::from_raw_mode(stat.st_mode);
    mode.remove(Mode::SUID);
    if mode.contains(Mode::XGRP) {
        mode.remove(Mode::SGID);
    }
    if mode != Mode::from_raw_mode(stat.st_mode) {
        chmod(name, mode)?;
    }
    match removexattr(name, "security.capability") {
        Err(errno) if errno != Errno::NODATA && errno != Errno::OPNOTSUPP => Err(errno),
        _ => Ok(()),
    }
}

/// The owner noted on a file; 0:0 where none is.
fn note(name: &str) -> (u32, u32) {
    let mut value = [0; NOTE_BYTES_MAX];
    let read = getxattr(name, layer::OWNER_XATTR, &mut value[..]).unwrap_or(0);
    let text = std::str::from_utf8(&value[..read]).unwrap_or_default();
    let parsed = text.split_once(':').and_then(|(u, g)| Some((u.parse().ok()?, g.parse().ok()?)));
    parsed.unwrap_or((0, 0))
}

/// A path of an object that is at hand as a descriptor, for calls that take paths only.
fn own_name(target: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", target.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_bounded() {
        let mut told = Told::default();
        let one = |length| Owned { path: vec![b'x'; length], inode: 1, uid: 2, gid: 3 };
        let added = (0..100).filter(|_| told.add(one(1 << 20)).is_ok()).count();
        assert_eq!(added, 63);
        assert_eq!(told.add(one(1 << 20)), Err(Errno::NOSPC));
        assert_eq!(take(&mut told).owned.len(), 63);
        assert_eq!(told.add(one(1 << 20)), Ok(()));
    }
}
