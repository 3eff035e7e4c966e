//! What can go wrong while test material is made or judged.

use std::path::PathBuf;

/// An error of the test material itself, not of what is tested.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A program is not installed.
    #[error("{tool} is not installed ({origin}); `cargo xtask setup` installs it")]
    Missing {
        /// The program.
        tool: String,
        /// Where it comes from.
        origin: String,
    },
    /// A program ended badly.
    #[error("`{command}` failed ({status}): {output}")]
    Failed {
        /// The command as it was run.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it said.
        output: String,
    },
    /// Something that was read is not what it should be.
    #[error("{what}: {why}")]
    Malformed {
        /// Which thing.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// This machine cannot do it.
    #[error("{0}")]
    Unavailable(String),
}

impl Error {
    /// An I/O error on `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    /// `what` is not as it should be.
    pub fn malformed(what: impl Into<String>, why: impl ToString) -> Error {
        Error::Malformed { what: what.into(), why: why.to_string() }
    }
}
