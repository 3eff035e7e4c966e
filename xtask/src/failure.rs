//! Why a command failed, in one line for whoever ran it.

use std::fmt::{self, Display};

/// A failure that is told and ends the command.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with these words.
    pub fn new(words: impl Display) -> Failure {
        Failure(words.to_string())
    }

    /// An argument that the command does not take.
    pub fn argument(argument: &str) -> Failure {
        Failure(format!("`{argument}` is not an argument of it; see --help"))
    }

    /// An error on a file.
    pub fn file(path: impl AsRef<std::path::Path>) -> impl FnOnce(std::io::Error) -> Failure {
        let path = path.as_ref().display().to_string();
        move |error| Failure(format!("{path}: {error}"))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<testkit::Error> for Failure {
    fn from(error: testkit::Error) -> Failure {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Failure(format!("{error}{cause}"))
    }
}
