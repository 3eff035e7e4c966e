//! What went wrong, why, what to do, and the exit code. How errors of the rooms become errors of the user stands in [`rooms`].

mod network;
mod repository;
mod rooms;

use crate::{
    exit::Kind,
    ui::text::{printable, printable_lines},
};
use std::fmt;

/// What HTTP libraries say on the way to the reason without adding anything.
const SAYS_NOTHING: [&str; 6] = [
    "error sending request",
    "client error (Connect)",
    "tcp connect error",
    "dns error",
    "error resolving DNS",
    "error trying to connect",
];

/// A failure as the user sees it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// What went wrong.
    pub what: String,
    /// Why, and why that.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// What is known of the findings all the same.
    pub document: Option<Box<patch::ResultDocument>>,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Failure { kind, what: what.into(), causes: Vec::new(), hint: None, document: None }
    }

    /// The command line.
    pub fn usage(what: impl Into<String>) -> Self {
        Failure::new(Kind::Usage, what)
    }

    /// The environment or the configuration file.
    pub fn config(what: impl Into<String>) -> Self {
        Failure::new(Kind::Usage, what)
    }

    /// Something on this machine.
    pub fn internal(what: impl Into<String>) -> Self {
        Failure::new(Kind::Internal, what)
    }

    /// Adds a cause.
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Puts something larger in front: what went wrong so far becomes its first cause.
    pub fn about(mut self, what: impl Into<String>) -> Self {
        self.causes.insert(0, std::mem::replace(&mut self.what, what.into()));
        self
    }

    /// Sets the hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// From an error: its message is what, its sources are the causes.
    pub fn of(kind: Kind, error: &dyn std::error::Error) -> Self {
        Failure::new(kind, error.to_string()).with_sources_of(error)
    }

    /// Adds the sources of an error as causes. A source that its error's message repeats is left out.
    pub fn with_sources_of(mut self, error: &dyn std::error::Error) -> Self {
        let mut above = error.to_string();
        let mut next = error.source();
        while let Some(source) = next {
            let text = source.to_string();
            if !above.contains(&text) && !SAYS_NOTHING.contains(&text.as_str()) {
                self.causes.push(text.clone());
            }
            (above, next) = (text, source.source());
        }
        self
    }

    /// What and why in one line, for the result document.
    pub fn message(&self) -> String {
        let parts: Vec<&str> = std::iter::once(&self.what).chain(&self.causes).map(String::as_str).collect();
        parts.join(": ")
    }
}

/// The way it is printed: `error: what`, `  caused by: why`, `hint: …`; nothing in it can command a terminal.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", indented(&self.what, 7))?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {}", indented(cause, 13))?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {}", printable(hint)))
    }
}

/// Lines after the first stand below the first.
fn indented(text: &str, by: usize) -> String {
    printable_lines(text).replace('\n', &format!("\n{}", " ".repeat(by)))
}
