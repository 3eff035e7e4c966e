//! How an image is named on the command line: a plain reference, or a transport and what is its name there.

use oci::{Digest, Reference, ReferenceError};
use std::{fmt, path::PathBuf, str::FromStr};

/// Longest name of an image in a layout (image-spec asks for a short text; docker writes whole references here).
const NAME_BYTES_MAX: usize = 512;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// As docker would take it: a local daemon that has it, else its registry.
    Plain(Reference),
    /// In a registry and nowhere else (`docker://REFERENCE`, as skopeo writes it).
    Registry(Reference),
    /// In an OCI layout directory (`oci:DIR[:NAME]`).
    OciLayout {
        /// The directory.
        dir: PathBuf,
        /// The name in its index (`org.opencontainers.image.ref.name`).
        tag: Option<String>,
    },
    /// In a tar of an OCI layout (`oci-archive:FILE[:NAME]`).
    OciArchive {
        /// The file.
        file: PathBuf,
        /// The name in its index.
        tag: Option<String>,
    },
    /// In a tar as `docker save` writes it (`docker-archive:FILE[:REFERENCE]`).
    DockerArchive {
        /// The file.
        file: PathBuf,
        /// Which of its images.
        reference: Option<Reference>,
    },
    /// A tar of either kind on standard input or output (`-`).
    Stream,
    /// In a docker daemon (`docker-daemon:NAME`).
    Docker(LocalName),
    /// In podman's store (`podman:NAME`).
    Podman(LocalName),
    /// In containerd (`containerd:NAME`).
    Containerd(LocalName),
}

/// What a local daemon calls an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalName {
    /// A reference.
    Reference(Reference),
    /// Its id: the digest of its config, or of its manifest, as the daemon has it.
    Id(Digest),
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Not an address of its transport.
    #[error("invalid {transport} address \"{escaped}\": {why}")]
    Transport {
        /// `oci`, `docker-daemon`, …
        transport: &'static str,
        /// The text, escaped.
        escaped: String,
        /// The rule it breaks.
        why: &'static str,
    },
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let after = |transport: &str| text.strip_prefix(transport).and_then(|t| t.strip_prefix(':'));
        if text == "-" {
            return Ok(Address::Stream);
        }
        if let Some(reference) = text.strip_prefix("docker://") {
            return Ok(Address::Registry(reference.parse()?));
        }
        if let Some(rest) = after("oci") {
            let (dir, tag) = file_and_name("oci", "no directory", rest)?;
            return Ok(Address::OciLayout { dir, tag });
        }
        if let Some(rest) = after("oci-archive") {
            let (file, tag) = file_and_name("oci-archive", "no file", rest)?;
            return Ok(Address::OciArchive { file, tag });
        }
        if let Some(rest) = after("docker-archive") {
            return docker_archive(rest);
        }
        for (transport, address) in LOCAL {
            if let Some(rest) = after(transport) {
                return Ok(address(rest.parse()?));
            }
        }
        Ok(Address::Plain(text.parse()?))
    }
}

impl Address {
    /// The reference that it names an image by: in a registry, a daemon or an archive of docker's kind.
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Address::Plain(reference) | Address::Registry(reference) => Some(reference),
            Address::Docker(name) | Address::Podman(name) | Address::Containerd(name) => match name {
                LocalName::Reference(reference) => Some(reference),
                LocalName::Id(_) => None,
            },
            Address::DockerArchive { reference, .. } => reference.as_ref(),
            Address::OciLayout { .. } | Address::OciArchive { .. } | Address::Stream => None,
        }
    }
}

type OfLocalName = fn(LocalName) -> Address;

const LOCAL: [(&str, OfLocalName); 3] =
    [("docker-daemon", Address::Docker), ("podman", Address::Podman), ("containerd", Address::Containerd)];

fn file_and_name(
    transport: &'static str,
    nothing: &'static str,
    rest: &str,
) -> Result<(PathBuf, Option<String>), AddressError> {
    let fail = |why| wrong(transport, rest, why);
    let (file, name) = rest.split_once(':').map_or((rest, None), |(file, name)| (file, Some(name)));
    match name {
        _ if file.is_empty() => Err(fail(nothing)),
        Some(name) if !is_name(name) => Err(fail("tag is not valid")),
        _ => Ok((file.into(), name.map(str::to_owned))),
    }
}

fn docker_archive(rest: &str) -> Result<Address, AddressError> {
    let (file, name) = rest.split_once(':').map_or((rest, None), |(file, name)| (file, Some(name)));
    if file.is_empty() {
        return Err(wrong("docker-archive", rest, "no file"));
    }
    let reference = name.map(str::parse::<Reference>).transpose()?;
    if reference.as_ref().is_some_and(|r| r.digest().is_some()) {
        return Err(wrong("docker-archive", rest, "an archive knows tags, not digests"));
    }
    Ok(Address::DockerArchive { file: file.into(), reference })
}

fn wrong(transport: &'static str, text: &str, why: &'static str) -> AddressError {
    AddressError::Transport { transport, escaped: text.escape_default().to_string(), why }
}

impl FromStr for LocalName {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if let Ok(id) = text.parse::<Digest>() {
            return Ok(LocalName::Id(id));
        }
        Ok(LocalName::Reference(text.parse()?))
    }
}

/// The grammar of `org.opencontainers.image.ref.name` in the image specification.
pub(crate) fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| word(c) || "-._:@/+".contains(c);
    text.len() <= NAME_BYTES_MAX && text.starts_with(word) && text.ends_with(word) && text.chars().all(inner)
}

impl fmt::Display for LocalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalName::Reference(reference) => reference.fmt(f),
            LocalName::Id(id) => id.fmt(f),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |f: &mut fmt::Formatter<'_>, transport: &str, path: &PathBuf, name: Option<String>| {
            write!(f, "{transport}:{}", path.display())?;
            name.map_or(Ok(()), |name| write!(f, ":{name}"))
        };
        match self {
            Address::Plain(reference) | Address::Registry(reference) => reference.fmt(f),
            Address::OciLayout { dir, tag } => named(f, "oci", dir, tag.clone()),
            Address::OciArchive { file, tag } => named(f, "oci-archive", file, tag.clone()),
            Address::DockerArchive { file, reference } => {
                named(f, "docker-archive", file, reference.as_ref().map(ToString::to_string))
            }
            Address::Stream => f.write_str("-"),
            Address::Docker(name) => write!(f, "docker-daemon:{name}"),
            Address::Podman(name) => write!(f, "podman:{name}"),
            Address::Containerd(name) => write!(f, "containerd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        let id = Digest::of(b"x");
        for (text, printed) in [
            ("nginx:1", "docker.io/library/nginx:1"),
            ("docker://nginx:1", "docker.io/library/nginx:1"),
            ("oci:/tmp/x", "oci:/tmp/x"),
            ("oci:rel/dir:v1", "oci:rel/dir:v1"),
            ("oci:d:docker.io/library/nginx:1", "oci:d:docker.io/library/nginx:1"),
            ("oci-archive:a.tar", "oci-archive:a.tar"),
            ("oci-archive:a.tar:v1", "oci-archive:a.tar:v1"),
            ("docker-archive:/t/a.tar:nginx:1", "docker-archive:/t/a.tar:docker.io/library/nginx:1"),
            ("docker-daemon:nginx:1", "docker-daemon:docker.io/library/nginx:1"),
            (&format!("podman:{id}"), &format!("podman:{id}")),
            ("containerd:reg:5000/a/b:1", "containerd:reg:5000/a/b:1"),
            ("-", "-"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "",
            "oci:",
            "oci::tag",
            "oci:dir:",
            "oci:dir:-x",
            "oci:dir:a b",
            "a b",
            "oci-archive:",
            "docker-archive:",
            "docker-archive:f:",
            "docker-archive:f:A",
            "docker-daemon:",
            "podman:a b",
            "docker://",
            "docker-archive:f:a@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
