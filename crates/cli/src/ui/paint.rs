//! Colour, where it is wanted.

/// Whether to colour.
#[derive(Debug, Clone, Copy, Default)]
pub struct Paint(pub bool);

impl Paint {
    /// Something to be proud of.
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Something to look at.
    pub fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    /// Something wrong.
    pub fn bad(self, text: &str) -> String {
        self.with("31;1", text)
    }

    /// Something to lead the eye.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Something beside the point.
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}
