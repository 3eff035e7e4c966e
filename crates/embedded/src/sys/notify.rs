//! The listener of a seccomp filter: calls that wait for our answer.

use super::checked;
use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
};

/// `SECCOMP_IOCTL_NOTIF_ADDFD`: write, 24 bytes, `!`, 3.
const ADD_DESCRIPTOR: u64 = 0x4018_2103;

/// A system call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notification {
    /// Names the call while it waits.
    pub id: u64,
    /// Who made it, as the reader's process namespace counts.
    pub pid: u32,
    /// By which way into the kernel: `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// Which call.
    pub number: libc::c_long,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// Takes the next waiting call. `None` where its maker has died in between.
pub(crate) fn receive(listener: impl AsFd) -> io::Result<Option<Notification>> {
    // SAFETY: a structure of integers, for which all bits zero is a value; the kernel demands zeroes.
    let mut request: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel writes one `seccomp_notif` to the place given.
    let got = unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut request) };
    match checked(got.into()) {
        Ok(_) => Ok(Some(Notification {
            id: request.id,
            pid: request.pid,
            architecture: request.data.arch,
            number: request.data.nr.into(),
            arguments: request.data.args,
        })),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the call still waits, so that its maker is still the process that its number named.
pub(crate) fn still_waits(listener: impl AsFd, id: u64) -> bool {
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one u64 from the place given.
    unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
}

/// Gives the maker of a waiting call a copy of a descriptor, which is closed at exec if it says so; its number there.
pub(crate) fn give(listener: impl AsFd, id: u64, given: impl AsFd, close_on_exec: bool) -> io::Result<u32> {
    let newfd_flags = if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 };
    let srcfd = given.as_fd().as_raw_fd() as u32;
    let request = libc::seccomp_notif_addfd { id, flags: 0, srcfd, newfd: 0, newfd_flags };
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one `seccomp_notif_addfd` from the place given.
    let number = checked(unsafe { libc::ioctl(listener, ADD_DESCRIPTOR, &raw const request) }.into())?;
    u32::try_from(number).map_err(io::Error::other)
}

/// Answers a call: a value or an error. A maker that has died meanwhile needs no answer.
pub(crate) fn answer(listener: impl AsFd, id: u64, with: Result<u32, i32>) -> io::Result<()> {
    let (val, error) = with.map_or_else(|errno| (0, -errno), |value| (value.into(), 0));
    let mut response = libc::seccomp_notif_resp { id, val, error, flags: 0 };
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel reads one `seccomp_notif_resp` from the place given.
    let sent = unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response) };
    match checked(sent.into()) {
        Err(e) if e.raw_os_error() != Some(libc::ENOENT) => Err(e),
        _ => Ok(()),
    }
}
