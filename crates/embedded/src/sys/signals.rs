//! Signals as something to wait for.

use super::checked;
use rustix::process::Signal;
use std::{io, mem};

/// What came.
pub(crate) enum Signalled {
    /// A child has ended, or changed otherwise.
    Child,
    /// Somebody asks us to end.
    Asked {
        /// How.
        signal: Signal,
        /// The terminal did, which asks every process in the foreground.
        by_terminal: bool,
    },
}

/// The signals that were blocked before.
pub(crate) struct Blocked(libc::sigset_t);

/// Keeps these signals and those of children waiting until [`next_signal`] takes them.
pub(crate) fn block(signals: &[Signal]) -> io::Result<Blocked> {
    let set = set_of(signals);
    let mut before = empty();
    // SAFETY: both sets are initialised and live through the call.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before) } {
        0 => Ok(Blocked(before)),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

impl Blocked {
    /// Back to what was.
    pub(crate) fn restore(self) -> io::Result<()> {
        // SAFETY: the set was filled in by the kernel.
        match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) } {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Waits for one of the signals given.
pub(crate) fn next_signal(signals: &[Signal]) -> io::Result<Signalled> {
    let set = set_of(signals);
    // SAFETY: a structure of integers and pointers, for which all bits zero is a value.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    loop {
        // SAFETY: set and info live through the call.
        match checked(unsafe { libc::sigwaitinfo(&raw const set, &raw mut info) }.into()) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
            Ok(number) => {
                let asked = Signal::from_named_raw(number as libc::c_int);
                let by_terminal = info.si_code == libc::SI_KERNEL;
                return Ok(match asked.filter(|s| *s != Signal::CHILD) {
                    Some(signal) => Signalled::Asked { signal, by_terminal },
                    None => Signalled::Child,
                });
            }
        }
    }
}

fn set_of(signals: &[Signal]) -> libc::sigset_t {
    let mut set = empty();
    for signal in signals.iter().chain([&Signal::CHILD]) {
        // SAFETY: the set is initialised; the numbers are those of real signals.
        unsafe { libc::sigaddset(&raw mut set, signal.as_raw()) };
    }
    set
}

fn empty() -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the whole set.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        set
    }
}
