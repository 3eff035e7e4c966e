//! Package names: one grammar strict enough that a name can never be an option, a path, a glob or shell text.

use std::{fmt, str::FromStr};

/// Longest package name taken, in bytes. Copa's own limit; no distribution comes near it.
pub const NAME_BYTES_MAX: usize = 256;

/// A package name as one of the supported package managers writes it, architecture qualifier (`libc6:amd64`) included.
///
/// Grammar: `[A-Za-z0-9.][A-Za-z0-9.+_:~-]*`, no `..`, no `/`, at most [`NAME_BYTES_MAX`] bytes. A leading dot is for
/// apk's virtual packages (`.build-deps`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(String);

/// Why a text is no package name. The text itself is shown escaped, so that it cannot steer a terminal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("package name is empty")]
    Empty,
    /// The text is longer than [`NAME_BYTES_MAX`].
    #[error("package name of {bytes} bytes is longer than {NAME_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The text has a character, or a first character, that no package name has.
    #[error("invalid package name \"{escaped}\"")]
    Invalid {
        /// The text, control and non-ASCII characters escaped.
        escaped: String,
    },
}

impl PackageName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without an architecture qualifier.
    pub fn base(&self) -> &str {
        self.0.split(':').next().unwrap_or(&self.0)
    }

    /// The architecture qualifier, where the name has one.
    pub fn architecture(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, architecture)| architecture)
    }
}

impl FromStr for PackageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong { bytes: text.len() });
        }
        let first = text.as_bytes()[0];
        let grammatical = (first.is_ascii_alphanumeric() || first == b'.')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+_:~-".contains(&b))
            && !text.contains("..");
        match grammatical {
            true => Ok(PackageName(text.to_owned())),
            false => Err(NameError::Invalid { escaped: text.escape_default().to_string() }),
        }
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_names_pass() {
        for name in ["libstdc++6", "g++-12", "libc6:amd64", "java-1.8.0-openjdk", ".build-deps", "a"] {
            assert_eq!(name.parse::<PackageName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_could_be_anything_else_is_refused() {
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for name in [
            "",
            "; rm -rf /",
            "$(id)",
            "`id`",
            "a\nb",
            "a\0b",
            "a b",
            "../x",
            "..",
            "a..b",
            "--force-all",
            "-oDPkg::Pre-Invoke::=sh",
            "!name",
            "@group",
            "name@repo",
            "*",
            "/tmp/x.rpm",
            "http://h/x",
            "\u{202e}x",
            long.as_str(),
        ] {
            assert!(name.parse::<PackageName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn control_characters_are_shown_escaped() {
        let error = "a\u{1b}[31m".parse::<PackageName>().unwrap_err().to_string();
        assert_eq!(error, "invalid package name \"a\\u{1b}[31m\"");
    }
}
