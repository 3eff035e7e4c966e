//! Carrying the room's error through `std::io` and back, and naming what was being done when the system refused.

use crate::{EntryPath, Error};
use std::io;

/// An `io::Error` that carries ours.
pub(crate) fn carry(error: Error) -> io::Error {
    io::Error::other(error)
}

/// Ours back out of an `io::Error`, or a new one saying what was being done.
pub(crate) fn uncarry(doing: impl FnOnce() -> String, error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(source) => Error::Io { doing: doing(), source },
    }
}

/// What the system refused, with the path.
pub(crate) fn refused(doing: &str, path: &EntryPath, errno: rustix::io::Errno) -> Error {
    Error::Io { doing: format!("{doing} {path}"), source: errno.into() }
}

/// An entry that is not acceptable.
pub(crate) fn bad_entry(path: &EntryPath, why: impl Into<String>) -> Error {
    Error::Entry { path: path.clone(), why: why.into() }
}
