//! The files of the project: what git tracks, and what it would track.

use crate::failure::Failure;
use testkit::command::argv;
use testkit::workspace;

/// A text file.
#[derive(Debug, Clone)]
pub struct File {
    /// Path in the workspace.
    pub path: String,
    /// Its text; empty for what is no text.
    pub text: String,
}

impl File {
    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Lines with their numbers, counted from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, line))
    }
}

/// All files of the project.
pub fn tracked() -> Result<Vec<File>, Failure> {
    let root = workspace::root();
    let listing =
        argv("git", ["ls-files", "--cached", "--others", "--exclude-standard"]).folder(&root).text()?;
    let read = |path: &str| {
        // A file that git still lists may be gone from the tree.
        let bytes = std::fs::read(root.join(path)).ok()?;
        Some(File { path: path.to_owned(), text: String::from_utf8(bytes).unwrap_or_default() })
    };
    Ok(listing.lines().filter_map(read).collect())
}

/// A line of Rust without its comment; strings stay.
pub fn code(line: &str) -> &str {
    let mut in_string = false;
    let mut previous = ' ';
    for (at, character) in line.char_indices() {
        match character {
            '"' if previous != '\\' && !line[..at].ends_with('\'') => in_string = !in_string,
            '/' if !in_string && previous == '/' => return &line[..at - 1],
            _ => (),
        }
        previous = character;
    }
    line
}

/// A line of Rust without its comment and without what stands in strings.
pub fn bare(line: &str) -> String {
    let mut parts = code(line).split('"');
    let mut bare = parts.next().unwrap_or_default().to_owned();
    while let Some(_string) = parts.next() {
        bare += "\"\"";
        bare += parts.next().unwrap_or_default();
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_told_from_code() {
        assert_eq!(code("let a = 1; // unsafe"), "let a = 1; ");
        assert_eq!(code(r#"let a = "http://x"; // y"#), r#"let a = "http://x"; "#);
        assert_eq!(bare(r#"call("unsafe", 1) // z"#), r#"call("", 1) "#);
    }
}
