//! Debian versions: grammar of Debian policy 5.6.12, order by the `debversion` crate.

use std::{cmp::Ordering, fmt, str::FromStr};

/// Longest version text taken, in bytes.
pub const VERSION_BYTES_MAX: usize = 256;

/// A valid Debian version, ordered as `dpkg --compare-versions` orders.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Version {
    text: String,
    parsed: debversion::Version,
}

/// Why a text is no Debian version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid Debian version \"{escaped}\": {why}")]
pub struct VersionError {
    /// The text, shortened, control and non-ASCII characters escaped.
    pub escaped: String,
    /// The rule it breaks.
    pub why: &'static str,
}

impl Version {
    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let fail = |why| VersionError {
            escaped: text.chars().take(64).collect::<String>().escape_default().to_string(),
            why,
        };
        check(text).map_err(fail)?;
        let parsed = text.parse().map_err(|_| fail("not of the form [epoch:]upstream[-revision]"))?;
        Ok(Version { text: text.to_owned(), parsed })
    }
}

/// The rules of dpkg's own parser (`lib/dpkg/parsehelp.c`), before a library sees the text.
fn check(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("empty");
    }
    if text.len() > VERSION_BYTES_MAX {
        return Err("too long");
    }
    let rest = match text.split_once(':') {
        None => text,
        Some((epoch, rest)) => {
            let digits = !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit());
            if !digits {
                return Err("epoch is not a number");
            }
            if epoch.parse::<i32>().is_err() {
                return Err("epoch is too large");
            }
            rest
        }
    };
    let (upstream, revision) = rest.rsplit_once('-').map_or((rest, None), |(u, r)| (u, Some(r)));
    if !upstream.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("upstream version does not start with a digit");
    }
    if !upstream.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-~:".contains(&b)) {
        return Err("character not allowed in an upstream version");
    }
    match revision {
        Some("") => Err("revision is empty"),
        Some(r) if !r.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~".contains(&b)) => {
            Err("character not allowed in a revision")
        }
        _ => Ok(()),
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    /// dpkg's order; texts that dpkg holds equal (`1.0` and `0:1.0`) are told apart by their text only for `Eq`.
    fn cmp(&self, other: &Self) -> Ordering {
        self.parsed.cmp(&other.parsed)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}
