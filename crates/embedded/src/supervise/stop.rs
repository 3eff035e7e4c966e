//! The order to stop, in a form that a thread which waits for descriptors can wait for too.

use rustix::event::{EventfdFlags, eventfd};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

/// A switch that stays pulled.
#[derive(Clone)]
pub(crate) struct Stop(Arc<OwnedFd>);

/// Pulls the switch when dropped: whoever waited for the work has gone.
pub(crate) struct StopOnDrop(Stop);

impl Stop {
    /// A switch not pulled yet.
    pub(crate) fn new() -> io::Result<Stop> {
        Ok(Stop(Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?)))
    }

    /// Pulls it.
    pub(crate) fn pull(&self) {
        // Adding 1 cannot fail before the counter is full, and then it is pulled anyway.
        rustix::io::write(&*self.0, &1u64.to_ne_bytes()).ok();
    }

    /// Pulls it when the result is dropped.
    pub(crate) fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.pull();
    }
}
