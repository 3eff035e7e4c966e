//! How an image is named on the command line: `oci:DIR[:TAG]`, or a registry reference.

use oci::{Reference, ReferenceError};
use std::{fmt, path::PathBuf, str::FromStr};

/// Longest name of an image in a layout (image-spec asks for a short text; docker writes whole references here).
const NAME_BYTES_MAX: usize = 512;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// In a registry.
    Registry(Reference),
    /// In an OCI layout directory.
    OciLayout {
        /// The directory.
        dir: PathBuf,
        /// The name in its index (`org.opencontainers.image.ref.name`).
        tag: Option<String>,
    },
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Not a layout.
    #[error("invalid layout address \"{escaped}\": {why}")]
    Layout {
        /// The text, escaped.
        escaped: String,
        /// The rule it breaks.
        why: &'static str,
    },
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some(rest) = text.strip_prefix("oci:") else {
            return Ok(Address::Registry(text.parse()?));
        };
        let fail = |why| AddressError::Layout { escaped: text.escape_default().to_string(), why };
        let (dir, tag) = rest.split_once(':').map_or((rest, None), |(dir, tag)| (dir, Some(tag)));
        match tag {
            _ if dir.is_empty() => Err(fail("no directory")),
            Some(tag) if !is_name(tag) => Err(fail("tag is not valid")),
            _ => Ok(Address::OciLayout { dir: dir.into(), tag: tag.map(str::to_owned) }),
        }
    }
}

/// The grammar of `org.opencontainers.image.ref.name` in the image specification.
pub(crate) fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| word(c) || "-._:@/+".contains(c);
    text.len() <= NAME_BYTES_MAX && text.starts_with(word) && text.ends_with(word) && text.chars().all(inner)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Registry(reference) => reference.fmt(f),
            Address::OciLayout { dir, tag } => {
                write!(f, "oci:{}", dir.display())?;
                tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        for (text, printed) in [
            ("nginx:1", "docker.io/library/nginx:1"),
            ("oci:/tmp/x", "oci:/tmp/x"),
            ("oci:rel/dir:v1", "oci:rel/dir:v1"),
            ("oci:d:docker.io/library/nginx:1", "oci:d:docker.io/library/nginx:1"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), printed);
        }
        for text in ["", "oci:", "oci::tag", "oci:dir:", "oci:dir:-x", "oci:dir:a b", "a b"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
