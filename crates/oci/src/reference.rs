//! Image references, as docker and the distribution specification write them: `[host/]path[:tag][@digest]`.

use crate::Digest;
use std::{fmt, str::FromStr};

/// Longest reference taken, in bytes (distribution: 255 for the name, 128 for the tag, the digest).
pub const REFERENCE_BYTES_MAX: usize = 512;

/// A reference to an image in a registry, defaults filled in (`nginx` is `docker.io/library/nginx`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid image reference \"{escaped}\": {why}")]
pub struct ReferenceError {
    /// The text, escaped.
    pub escaped: String,
    /// The rule it breaks.
    pub why: &'static str,
}

/// Whether a text is a tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
pub fn is_tag(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128 && text.starts_with(first) && text.chars().all(|c| first(c) || c == '.' || c == '-')
}

impl Reference {
    /// Registry host with port (`docker.io`, `localhost:5000`).
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Repository within the registry (`library/nginx`).
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The last path segment, for names made from it.
    pub fn short_name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or(&self.repository)
    }

    /// What to ask the registry for: the digest, else the tag, else `latest`.
    pub fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same repository with another tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        let fail = || ReferenceError { escaped: tag.escape_default().to_string(), why: "not a valid tag" };
        if !is_tag(tag) {
            return Err(fail());
        }
        Ok(Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository by digest alone.
    pub fn with_digest(&self, digest: &Digest) -> Reference {
        Reference { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let fail = |why| ReferenceError {
            escaped: text.chars().take(200).collect::<String>().escape_default().to_string(),
            why,
        };
        if text.is_empty() {
            return Err(fail("empty"));
        }
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(fail("too long"));
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| fail("digest is not sha256:<64 hex>"))?))
            }
        };
        let (host, rest) = split_host(rest);
        let (path, tag) = match rest.rsplit_once(':') {
            None => (rest, None),
            Some((path, tag)) if is_tag(tag) => (path, Some(tag.to_owned())),
            Some(_) => return Err(fail("tag is not valid")),
        };
        let bare = host == "docker.io" && !path.contains('/');
        let repository = if bare { format!("library/{path}") } else { path.to_owned() };
        if !is_host(host) {
            return Err(fail("registry host is not valid"));
        }
        if !repository.split('/').all(is_component) || repository.len() > 255 {
            return Err(fail("repository must be lower-case words separated by / . _ or -"));
        }
        Ok(Reference { host: host.to_owned(), repository, tag, digest })
    }
}

/// The first segment is a host if it could not be a repository name: it has a dot or a port, or is `localhost`.
fn split_host(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => match first {
            "index.docker.io" | "registry-1.docker.io" => ("docker.io", rest),
            _ => (first, rest),
        },
        _ => ("docker.io", text),
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((v6, rest)) => {
            let good = v6.parse::<std::net::Ipv6Addr>().is_ok();
            return good
                && rest.strip_prefix(':').is_none_or(|p| p.parse::<u16>().is_ok())
                && (rest.is_empty() || rest.starts_with(':'));
        }
        None => text.split_once(':').map_or((text, None), |(n, p)| (n, Some(p))),
    };
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(label) && port.is_none_or(|p| p.parse::<u16>().is_ok())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(|b| word(*b)) && bytes.last().is_some_and(|b| word(*b));
    let separators = text.split(|c: char| word(c as u8) && c.is_ascii()).filter(|s| !s.is_empty());
    ends && separators.into_iter().all(|s| s == "." || s == "_" || s == "__" || s.bytes().all(|b| b == b'-'))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |d| write!(f, "@{d}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_filled_in_and_print_whole() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, whole) in [
            ("nginx", "docker.io/library/nginx".to_owned()),
            ("nginx:1.21.6", "docker.io/library/nginx:1.21.6".to_owned()),
            ("index.docker.io/a/b:c", "docker.io/a/b:c".to_owned()),
            ("localhost/x", "localhost/x".to_owned()),
            ("localhost:5000/x/y/z:v1", "localhost:5000/x/y/z:v1".to_owned()),
            ("[::1]:5000/x", "[::1]:5000/x".to_owned()),
            ("ghcr.io/a/b__c-d.e:T_1", "ghcr.io/a/b__c-d.e:T_1".to_owned()),
            (&format!("a/b:t@{digest}"), format!("docker.io/a/b:t@{digest}")),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), whole);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "Nginx",
            "a//b",
            "a/../b",
            "a:b:c",
            "a@sha256:00",
            "x y",
            "-a",
            "a/-b",
            "host:99999/x",
            "a:",
            "$(id)",
            "a\n",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }
}
