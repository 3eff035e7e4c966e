//! What can go wrong in the store.

use std::path::{Path, PathBuf};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory or file is not safe to use.
    #[error("{path}: {why}", path = path.display())]
    Unsafe {
        /// Which.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// The system refused.
    #[error("{doing} {path}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A layer could not be unpacked into the store.
    #[error("cannot unpack layer {item} in {path}", path = path.display())]
    Layer {
        /// Digest of its blob.
        item: oci::Digest,
        /// Where the store is.
        path: PathBuf,
        /// Why.
        #[source]
        source: layer::Error,
    },
    /// A blob is not what it should be.
    #[error("cannot store a blob")]
    Blob(#[source] layer::Error),
    /// Told to stop.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path, source: impl Into<std::io::Error>) -> Self {
        Error::Io { doing, path: path.to_owned(), source: source.into() }
    }
}
