//! The system calls that no safe library wraps, each behind one small safe function. All unsafe code of the project is in
//! this folder.
#![allow(unsafe_code)]

mod fds;
mod ioctl;
mod landlock;
mod mount;
mod notify;
mod process;
mod seccomp;
mod signals;

pub(crate) use fds::close_all_on_exec;
pub(crate) use ioctl::raise_loopback;
pub(crate) use landlock::write_only_below;
pub(crate) use mount::{Attributes, set_attributes};
pub(crate) use notify::{Notification, answer, give, receive, still_waits};
pub(crate) use process::{Fork, fork_alone, own_session, seem_32_bits, unshare};
pub(crate) use seccomp::{Instruction, install};
pub(crate) use signals::{Blocked, Signalled, block, next_signal};

/// The result of a raw system call that gives -1 and `errno`.
fn checked(result: libc::c_long) -> std::io::Result<libc::c_long> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
