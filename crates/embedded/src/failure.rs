//! Why a stage could not do its work, in a form that travels to the supervisor, and what it becomes there.

use serde::{Deserialize, Serialize};
use std::{fmt, io};

/// What is at fault, which decides the kind of error that the caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Blame {
    /// The kernel or host does not allow it.
    Host,
    /// The image has something there that cannot be worked with.
    Image,
}

/// Something that a stage could not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// What is at fault.
    pub blame: Blame,
    /// What was being done.
    pub doing: String,
    /// What the system said, as a number where it gave one.
    pub errno: Option<i32>,
    /// What it said, in words.
    pub why: String,
}

impl Failure {
    /// The system refused.
    pub(crate) fn host(doing: &str, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        let (errno, why) = (error.raw_os_error(), error.to_string());
        Failure { blame: Blame::Host, doing: doing.to_owned(), errno, why }
    }

    /// The image is not as it must be.
    pub(crate) fn image(item: impl Into<String>, why: impl Into<String>) -> Self {
        Failure { blame: Blame::Image, doing: item.into(), errno: None, why: why.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.why)
    }
}

/// Says what was being done when the system refused.
pub(crate) trait Doing<T> {
    /// Names the deed.
    fn doing(self, what: &str) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::host(what, error))
    }
}
