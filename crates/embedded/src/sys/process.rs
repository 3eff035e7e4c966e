//! Processes: forking while alone, new namespaces, sessions of children.

use super::checked;
use rustix::{process::Pid, thread::UnshareFlags};
use std::{io, os::unix::process::CommandExt as _, process::Command};

/// `<linux/personality.h>`.
const PER_LINUX32: libc::c_ulong = 0x8;

/// Which side of a fork this is.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The old one, with the number of the new.
    Parent(Pid),
}

/// Forks. Refuses in a process with more than one thread: only the calling thread would live on in the child, and locks
/// that others held would stay locked for ever.
pub(crate) fn fork_alone() -> io::Result<Fork> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("cannot fork with {threads} threads")));
    }
    // SAFETY: this process has one thread, so the child may do whatever the parent might.
    let pid = checked(unsafe { libc::fork() }.into())?;
    Ok(Pid::from_raw(pid as libc::pid_t).map_or(Fork::Child, Fork::Parent))
}

/// Moves this process into new namespaces. Takes namespaces only: sharing of descriptors or memory stays as it is.
pub(crate) fn unshare(namespaces: UnshareFlags) -> io::Result<()> {
    let memory = UnshareFlags::FILES | UnshareFlags::FS | UnshareFlags::SYSVSEM;
    // SAFETY: without FILES nobody's descriptor table changes, and the rest affects no memory.
    unsafe { rustix::thread::unshare_unsafe(namespaces - memory) }?;
    Ok(())
}

/// From now on this process and all that it starts are told that the machine is one of 32 bits.
pub(crate) fn seem_32_bits() -> io::Result<()> {
    // SAFETY: changes what `uname` tells, and nothing of memory.
    checked(unsafe { libc::personality(PER_LINUX32) }.into()).map(drop)
}

/// The program will start in a session of its own, without a controlling terminal.
pub(crate) fn own_session(command: &mut Command) -> &mut Command {
    // SAFETY: setsid is async-signal-safe and allocates nothing.
    unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) }
}
