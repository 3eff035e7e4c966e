//! What the versions of all schemes have in common: shown as written, equal where the order says so, refused with the rule.

use crate::Scheme;

/// Longest version text taken, in bytes. Copa's own limit; no distribution comes near it.
pub const VERSION_BYTES_MAX: usize = 256;

/// How many characters of a refused text an error shows.
const SHOWN_CHARS_MAX: usize = 64;

/// Why a text is no version of a scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {scheme} version \"{escaped}\": {why}")]
pub struct VersionError {
    /// The scheme whose rule it breaks.
    pub scheme: Scheme,
    /// The text, shortened, control and non-ASCII characters escaped.
    pub escaped: String,
    /// The rule it breaks.
    pub why: &'static str,
}

impl VersionError {
    pub(crate) fn new(scheme: Scheme, text: &str, why: &'static str) -> VersionError {
        let escaped = text.chars().take(SHOWN_CHARS_MAX).collect::<String>().escape_default().to_string();
        VersionError { scheme, escaped, why }
    }
}

/// The rules that hold for a text of any scheme.
pub(crate) fn bounded(text: &str) -> Result<(), &'static str> {
    match text.len() {
        0 => Err("empty"),
        length if length > VERSION_BYTES_MAX => Err("too long"),
        _ => Ok(()),
    }
}

/// The number before the first colon, if there is one, and the text behind it. At most `most`.
pub(crate) fn epoch(text: &str, most: u32) -> Result<(Option<u32>, &str), &'static str> {
    let Some((digits, rest)) = text.split_once(':') else { return Ok((None, text)) };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("epoch is not a number");
    }
    let epoch = digits.parse().ok().filter(|epoch| *epoch <= most).ok_or("epoch is too large")?;
    Ok((Some(epoch), rest))
}

/// Gives a `Version` that has `text`, `parse` and `order` the traits of a version.
macro_rules! written {
    ($version:ident, $scheme:expr) => {
        impl $version {
            /// The version as it was written.
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        impl std::str::FromStr for $version {
            type Err = $crate::VersionError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::written::bounded(text)
                    .and_then(|()| parse(text))
                    .map_err(|why| $crate::VersionError::new($scheme, text, why))
            }
        }

        impl Ord for $version {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.order(other)
            }
        }

        impl PartialOrd for $version {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl PartialEq for $version {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other) == std::cmp::Ordering::Equal
            }
        }

        impl Eq for $version {}

        impl std::fmt::Display for $version {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl std::fmt::Debug for $version {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{:?}", self.text)
            }
        }
    };
}

pub(crate) use written;
