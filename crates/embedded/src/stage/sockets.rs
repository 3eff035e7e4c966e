//! Sockets for programs of 32-bit x86, whose old call for them keeps the family behind a pointer: we make them, under the same
//! filter, and hand them over. What the program writes there meanwhile changes nothing.

use super::caller::memory_of;
use crate::{
    seccomp::{ARCHITECTURE_386, call_386 as call},
    sys::{self, Notification},
};
use rustix::{
    fs::OFlags,
    io::Errno,
    net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with, socketpair},
};
use std::{
    num::NonZero,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt as _,
    },
};

/// Bits of a socket's type that are flags.
const FLAGS: u32 = 0o2_004_000;

/// What a program asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    family: AddressFamily,
    kind: SocketType,
    flags: SocketFlags,
    protocol: Option<Protocol>,
    /// Where the numbers of a pair go in the program's memory.
    pair: Option<u64>,
}

impl Wanted {
    /// Reads it, where the call is one that makes sockets.
    pub(super) fn of(asked: &Notification) -> Option<Result<Self, Errno>> {
        if asked.architecture != ARCHITECTURE_386 || asked.number != call::SOCKETCALL {
            return None;
        }
        let mut bytes = [0; 16];
        let is_pair = asked.arguments[0] as u32 == call::SOCKETCALL_PAIR;
        let used = if is_pair { 16 } else { 12 };
        let read = memory_of(asked, OFlags::RDONLY).and_then(|memory| {
            let at = u64::from(asked.arguments[1] as u32);
            memory.read_exact_at(&mut bytes[..used], at).map_err(|_| Errno::FAULT)
        });
        Some(read.and_then(|()| Wanted::parsed(bytes, is_pair)))
    }

    fn parsed(bytes: [u8; 16], is_pair: bool) -> Result<Self, Errno> {
        let number = |at: usize| {
            let [a, b, c, d] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_le_bytes([a, b, c, d])
        };
        let family = u16::try_from(number(0)).map_err(|_| Errno::AFNOSUPPORT)?;
        Ok(Wanted {
            family: AddressFamily::from_raw(family),
            kind: SocketType::from_raw(number(4) & !FLAGS),
            flags: SocketFlags::from_bits_retain(number(4) & FLAGS),
            protocol: NonZero::new(number(8)).map(Protocol::from_raw),
            pair: is_pair.then(|| number(12).into()),
        })
    }

    /// Makes it, and gives it to the program; what the call answers.
    pub(super) fn made(&self, listener: &OwnedFd, asked: &Notification) -> Result<u32, Errno> {
        let ours = self.flags | SocketFlags::CLOEXEC;
        let give = |socket: &OwnedFd| {
            let closes = self.flags.contains(SocketFlags::CLOEXEC);
            sys::give(listener, asked.id, socket.as_fd(), closes)
                .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
        };
        let Some(at) = self.pair else {
            return give(&socket_with(self.family, self.kind, ours, self.protocol)?);
        };
        let (one, other) = socketpair(self.family, self.kind, ours, self.protocol)?;
        let memory = memory_of(asked, OFlags::RDWR)?;
        let numbers = [give(&one)?.to_le_bytes(), give(&other)?.to_le_bytes()].concat();
        memory.write_all_at(&numbers, at).map(|()| 0).map_err(|_| Errno::FAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(numbers: [u32; 4]) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes
            .chunks_exact_mut(4)
            .zip(numbers)
            .for_each(|(to, number)| to.copy_from_slice(&number.to_le_bytes()));
        bytes
    }

    #[test]
    fn what_is_asked_for_is_read() {
        let stream_closing =
            libc::SOCK_STREAM as u32 | libc::SOCK_CLOEXEC as u32 | libc::SOCK_NONBLOCK as u32;
        let wanted = Wanted::parsed(bytes([libc::AF_INET as u32, stream_closing, 6, 99]), false).unwrap();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let protocol = Some(rustix::net::ipproto::TCP);
        assert_eq!(wanted, Wanted { family, kind, flags, protocol, pair: None });
        let pair = Wanted::parsed(bytes([1, 5, 0, 0xffff_fff0]), true).unwrap();
        assert_eq!((pair.pair, pair.protocol, pair.flags), (Some(0xffff_fff0), None, SocketFlags::empty()));
        assert_eq!(Wanted::parsed(bytes([0x1_0001, 1, 0, 0]), false), Err(Errno::AFNOSUPPORT));
    }
}
