//! What the user should know though nothing failed.

use std::{fmt, sync::Arc};

/// Something told on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A mirror was passed over.
    MirrorFailed {
        /// The image there.
        mirror: String,
        /// Why, in one line.
        why: String,
    },
    /// registries.conf lets a registry's certificate go unverified.
    Unverified {
        /// Its host.
        host: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::MirrorFailed { mirror, why } => write!(f, "mirror {mirror} is passed over: {why}"),
            Note::Unverified { host } => {
                write!(
                    f,
                    "{host} is not verified (\"insecure\" in registries.conf): anybody may answer for it"
                )
            }
        }
    }
}

/// Takes notes as they come.
pub type TakeNote = Arc<dyn Fn(Note) + Send + Sync>;
