//! The outer process: it waits for the inner one, hands signals on, and ends as that ends.

use crate::{
    failure::{Doing as _, Failure},
    sys::{self, Signalled},
};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// Signals that ask a program to end.
pub(super) const FORWARDED: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];

/// Waits for the inner process; the exit code to end with.
pub(super) fn until_ended(inner: Pid) -> Result<i32, Failure> {
    loop {
        if let Signalled::Asked { signal, by_terminal: false } =
            sys::next_signal(&FORWARDED).doing("waiting for signals")?
        {
            // The terminal sends to both by itself; twice would mean "at once".
            kill_process(inner, signal).ok();
        }
        if let Some((_, status)) = waitpid(Some(inner), WaitOptions::NOHANG).doing("waiting for ourselves")? {
            let signalled = status.terminating_signal().map(|n| 128 + n);
            return Ok(status.exit_status().or(signalled).unwrap_or(1));
        }
    }
}
