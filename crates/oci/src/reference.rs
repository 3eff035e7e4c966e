//! Image references, as docker and the distribution specification write them: `[host/]path[:tag][@digest]`.

use crate::Digest;
use std::{fmt, str::FromStr};

/// Longest reference taken, in bytes (distribution: 255 for the name, 128 for the tag, the digest).
pub const REFERENCE_BYTES_MAX: usize = 512;
/// Longest repository (distribution).
const REPOSITORY_BYTES_MAX: usize = 255;
/// Characters of a text that are shown.
const SHOWN_MAX: usize = 200;
/// The registry of names without a host.
const DOCKER: &str = "docker.io";
/// Other names of it.
const DOCKER_TOO: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

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
        let fail = |why| ReferenceError { escaped: shown(text), why };
        if text.is_empty() {
            return Err(fail("empty"));
        }
        if text.len() > REFERENCE_BYTES_MAX {
            return Err(fail("too long"));
        }
        if text.contains("://") {
            return Err(fail("a reference has no scheme such as https://"));
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| fail("digest is not sha256:<64 hex>"))?))
            }
        };
        let (host, rest) = split_host(rest);
        let host = canonical_host(host).ok_or_else(|| fail("registry host is not valid"))?;
        let (path, tag) = match rest.rsplit_once(':') {
            None => (rest, None),
            Some((path, tag)) if is_tag(tag) => (path, Some(tag.to_owned())),
            Some(_) => return Err(fail("tag is not valid")),
        };
        let bare = host == DOCKER && !path.contains('/');
        let repository = if bare { format!("library/{path}") } else { path.to_owned() };
        if bare && is_id(path) {
            return Err(fail("64 hex digits are the id of an image, not its name"));
        }
        if !repository.split('/').all(is_component) {
            return Err(fail("repository must be lower-case words separated by / . _ or -"));
        }
        if repository.len() > REPOSITORY_BYTES_MAX {
            return Err(fail("repository is longer than 255 characters"));
        }
        Ok(Reference { host, repository, tag, digest })
    }
}

/// A text for messages: not all of one that is long, and not what may be a password before a host.
fn shown(text: &str) -> String {
    let secret = |before: &str, after: &str| before.contains(':') && !after.starts_with("sha");
    let text = match text.rsplit_once('@') {
        Some((before, after)) if secret(before, after) => format!("…@{after}"),
        _ => text.to_owned(),
    };
    text.chars()
        .take(SHOWN_MAX)
        .flat_map(|c| if c == '…' { vec![c] } else { c.escape_default().collect() })
        .collect()
}

/// The first segment is a host if it could not be a repository name: it has a dot or a port, or is `localhost`.
fn split_host(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost") => {
            (first, rest)
        }
        _ => (DOCKER, text),
    }
}

/// The one way to write a host, so that the same registry is known by the same name: lower case, addresses in their shortest
/// form, one name of docker's. `None` where it is no host.
fn canonical_host(text: &str) -> Option<String> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            let address: std::net::Ipv6Addr = address.parse().ok()?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
            (format!("[{address}]"), port)
        }
        None => {
            let (name, port) = text.split_once(':').map_or((text, None), |(n, p)| (n, Some(p)));
            if !name.split('.').all(is_label) {
                return None;
            }
            (name.to_ascii_lowercase(), port)
        }
    };
    match port {
        None if DOCKER_TOO.contains(&name.as_str()) => Some(DOCKER.to_owned()),
        None => Some(name),
        Some(port) => Some(format!("{name}:{}", port_number(port)?)),
    }
}

/// A part of a host name between dots.
fn is_label(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !text.is_empty() && !text.starts_with('-') && !text.ends_with('-') && text.bytes().all(good)
}

/// Digits only: the parser of numbers would take a sign as well.
fn port_number(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What docker takes for the id of an image it has.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
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

    fn whole(text: &str) -> String {
        text.parse::<Reference>().unwrap_or_else(|e| panic!("{e}")).to_string()
    }

    #[test]
    fn references_are_filled_in_and_print_whole() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, printed) in [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.21.6", "docker.io/library/nginx:1.21.6"),
            ("a/b", "docker.io/a/b"),
            ("docker.io/x", "docker.io/library/x"),
            ("docker.io/library/x", "docker.io/library/x"),
            ("index.docker.io/x:1", "docker.io/library/x:1"),
            ("index.docker.io/a/b:c", "docker.io/a/b:c"),
            ("registry-1.docker.io/a/b", "docker.io/a/b"),
            ("docker.io:443/x", "docker.io:443/x"),
            ("localhost/x", "localhost/x"),
            ("localhost:5000/x/y/z:v1", "localhost:5000/x/y/z:v1"),
            ("local/x", "docker.io/local/x"),
            ("host:5000/x", "host:5000/x"),
            ("10.0.0.1:5000/x:y", "10.0.0.1:5000/x:y"),
            ("[::1]:5000/x", "[::1]:5000/x"),
            ("[2001:db8::7]/a/b:c", "[2001:db8::7]/a/b:c"),
            ("ghcr.io/a/b__c-d.e:T_1", "ghcr.io/a/b__c-d.e:T_1"),
            ("xn--bcher-kva.example/a---b", "xn--bcher-kva.example/a---b"),
            (
                "123.dkr.ecr.eu-west-1.amazonaws.com/team/app/api:2",
                "123.dkr.ecr.eu-west-1.amazonaws.com/team/app/api:2",
            ),
        ] {
            assert_eq!(whole(text), printed);
            assert_eq!(whole(printed), printed, "what is printed is read the same");
        }
        assert_eq!(whole(&format!("a/b:t@{digest}")), format!("docker.io/a/b:t@{digest}"));
        assert_eq!(whole(&format!("a/b@{digest}")), format!("docker.io/a/b@{digest}"));
    }

    #[test]
    fn one_registry_has_one_name_however_it_is_typed() {
        for (text, printed) in [
            ("GHCR.io/a/b:C", "ghcr.io/a/b:C"),
            ("LOCALHOST/x", "localhost/x"),
            ("Index.Docker.IO/x", "docker.io/library/x"),
            ("host:0443/x", "host:443/x"),
            ("[0:0:0:0:0:0:0:1]:5000/x", "[::1]:5000/x"),
            ("[2001:DB8::7]/x", "[2001:db8::7]/x"),
        ] {
            assert_eq!(whole(text), printed);
        }
    }

    #[test]
    fn the_longest_names_are_taken_and_longer_ones_are_not() {
        let tag = format!("a:{}", "t".repeat(128));
        assert_eq!(tag.parse::<Reference>().unwrap().tag().map(str::len), Some(128));
        assert!(format!("{tag}t").parse::<Reference>().is_err());
        let path = format!("r.example/{}/b", "a".repeat(253));
        assert_eq!(path.parse::<Reference>().unwrap().repository().len(), 255);
        assert!(format!("{path}c").parse::<Reference>().is_err());
        let deep = format!("r.example/{}z", "a/".repeat(100));
        assert_eq!(whole(&deep), deep);
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let id = "f".repeat(64);
        for text in [
            "",
            "Nginx",
            "a/Nginx",
            "ghcr.io/A/b",
            "a//b",
            "a/",
            "/a",
            "a/../b",
            "a:b:c",
            "a:b/c:d/e",
            ":tag",
            "a@",
            "a@sha256:00",
            "a@sha512:00",
            "a@md5:d41d8cd98f00b204e9800998ecf8427e",
            &format!("a@sha256:{}", "F".repeat(64)),
            &format!("a@sha256:{id}@sha256:{id}"),
            &format!("@sha256:{id}"),
            &id,
            "x y",
            "-a",
            "a/-b",
            "a___b",
            "a..b",
            "a._b",
            "a_",
            "host:99999/x",
            "host:/x",
            "host:+80/x",
            "host:80:90/x",
            "host.example./x",
            "-host.example/x",
            "host_name.example/x",
            "[::1/x",
            "[::1]5000/x",
            "[::1]:+80/x",
            "[fe80::1%eth0]/x",
            "[1.2.3.4]/x",
            "::1/x",
            "user:secret@host.example/x",
            "https://host.example/x",
            "a:",
            "a:-t",
            "a:.t",
            "a:t!",
            "$(id)",
            "a\n",
            "a\u{130}",
            "a:\u{131}",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
        let said = "https://host.example/x".parse::<Reference>().unwrap_err().to_string();
        assert!(said.contains("no scheme"), "{said}");
        for text in ["user:secret@host.example/x", "https://user:secret@host.example/x"] {
            let said = text.parse::<Reference>().unwrap_err().to_string();
            assert!(!said.contains("secret") && said.contains("host.example/x"), "{said}");
        }
    }
}
