//! The image whose tools work on one that has none: of the same distribution and release, by a number that was read as a number.

use crate::{Error, Tooling, describe};
use inventory::{OsRelease, family::Family};

/// How a distribution names the images of its releases.
#[derive(Debug, Clone, Copy)]
enum Tag {
    /// `9`, behind this text.
    Major(&'static str),
    /// `3.0`.
    MajorMinor,
    /// The one tag of a distribution without releases.
    Only(&'static str),
}

/// Where a distribution has its images, and the repositories that these are set up with.
struct Known {
    family: &'static str,
    repository: &'static str,
    tag: Tag,
    /// Hosts of the repositories, as [`engine::Recipe::hosts`] has them.
    hosts: &'static [&'static str],
}

macro_rules! known {
    ($($family:literal $repository:literal $tag:expr, $hosts:expr;)*) => {
        &[$(Known { family: $family, repository: $repository, tag: $tag, hosts: &$hosts }),*]
    };
}

/// The distributions that have one. RHEL's is AlmaLinux, which is built from its sources: the repositories of that are not for
/// it, but its own are what such images have.
const IMAGES: &[Known] = known! {
    "redhat" "docker.io/library/almalinux" Tag::Major(""), [];
    "almalinux" "docker.io/library/almalinux" Tag::Major(""),
        MIRRORS;
    "centos" "quay.io/centos/centos" Tag::Major("stream"), MIRRORS;
    "rocky" "docker.io/rockylinux/rockylinux" Tag::Major(""), MIRRORS;
    "oracle" "docker.io/library/oraclelinux" Tag::Major(""), ["https://yum.oracle.com"];
    "amazon" "docker.io/library/amazonlinux" Tag::Major(""), ["https://cdn.amazonlinux.com"];
    "fedora" "registry.fedoraproject.org/fedora" Tag::Major(""), MIRRORS;
    "cbl-mariner" "mcr.microsoft.com/cbl-mariner/base/core" Tag::MajorMinor, ["https://packages.microsoft.com"];
    "azurelinux" "mcr.microsoft.com/azurelinux/base/core" Tag::MajorMinor, ["https://packages.microsoft.com"];
    "photon" "docker.io/library/photon" Tag::MajorMinor,
        ["https://packages.broadcom.com", "https://packages.vmware.com"];
    "sles" "registry.suse.com/bci/bci-base" Tag::MajorMinor, ["https://updates.suse.com"];
    "opensuse-leap" "registry.opensuse.org/opensuse/leap" Tag::MajorMinor, MIRRORS;
    "opensuse-tumbleweed" "registry.opensuse.org/opensuse/tumbleweed" Tag::Only("latest"), MIRRORS;
};

/// The hosts of repositories that are found by lists of mirrors.
pub(super) const MIRRORS: [&str; 2] = ["*", "https://*"];

/// The hosts of the repositories that the tooling image of a distribution has; none where there is no such image or its
/// repositories are not for the distribution.
pub(super) fn repository_hosts(os: &OsRelease) -> &'static [&'static str] {
    known(os).map_or(&[], |known| known.hosts)
}

fn known(os: &OsRelease) -> Option<&'static Known> {
    let (family, _) = Family::of(os)?;
    IMAGES.iter().find(|known| known.family == family.name)
}

/// The image for a distribution. An unknown one, or a release that is no number, is an error: the tools of another release
/// would write a database that the image's own could not read.
pub(super) fn image(os: &OsRelease) -> Result<Tooling, Error> {
    let known =
        known(os).ok_or_else(|| Error::Unsupported(format!("{}, patched from outside", describe(os))))?;
    let no_number = || {
        let release = describe(os);
        Error::State(format!(
            "{release} names no release by number, so no tooling image can be chosen for it"
        ))
    };
    Ok(Tooling { reference: format!("{}:{}", known.repository, known.tag.of(os).ok_or_else(no_number)?) })
}

impl Tag {
    fn of(self, os: &OsRelease) -> Option<String> {
        let (major, minor) = numbers(&os.version_id)?;
        match self {
            Tag::Only(tag) => Some(tag.to_owned()),
            Tag::Major(before) => Some(format!("{before}{major}")),
            Tag::MajorMinor => Some(format!("{major}.{}", minor?)),
        }
    }
}

/// The first two numbers of a release, the second where there is one. What else is in it counts for nothing, as long as it
/// is apart.
pub(super) fn numbers(version: &str) -> Option<(u32, Option<u32>)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    let mut parts = version.split('.');
    let major = number(parts.next()?)?;
    match parts.next() {
        None => Some((major, None)),
        Some(minor) => Some((major, Some(number(minor)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(id: &str, version: &str) -> Result<String, Error> {
        let os = OsRelease { id: id.into(), version_id: version.into(), ..OsRelease::default() };
        image(&os).map(|tooling| tooling.reference)
    }

    #[test]
    fn the_release_chooses_the_image_by_its_number() {
        for (id, version, expected) in [
            ("rhel", "9.4", "docker.io/library/almalinux:9"),
            ("almalinux", "10.0", "docker.io/library/almalinux:10"),
            ("rocky", "8.10", "docker.io/rockylinux/rockylinux:8"),
            ("centos", "9", "quay.io/centos/centos:stream9"),
            ("ol", "9.4", "docker.io/library/oraclelinux:9"),
            ("amzn", "2", "docker.io/library/amazonlinux:2"),
            ("amzn", "2023", "docker.io/library/amazonlinux:2023"),
            ("fedora", "40", "registry.fedoraproject.org/fedora:40"),
            ("azurelinux", "3.0", "mcr.microsoft.com/azurelinux/base/core:3.0"),
            ("mariner", "2.0.20240301", "mcr.microsoft.com/cbl-mariner/base/core:2.0"),
            ("photon", "5.0", "docker.io/library/photon:5.0"),
            ("sles", "15.06", "registry.suse.com/bci/bci-base:15.6"),
            ("opensuse-leap", "15.6", "registry.opensuse.org/opensuse/leap:15.6"),
            ("opensuse-tumbleweed", "20240601", "registry.opensuse.org/opensuse/tumbleweed:latest"),
        ] {
            assert_eq!(chosen(id, version).as_deref(), Ok(expected), "{id} {version}");
        }
    }

    #[test]
    fn what_is_no_number_chooses_nothing() {
        for (id, version) in [
            ("rocky", ""),
            ("rocky", "nine"),
            ("rocky", "9x"),
            ("rocky", "9@sha256:0"),
            ("rocky", "9/../evil"),
            ("rocky", "+9"),
            ("rocky", "999999999"),
            ("azurelinux", "3"),
            ("azurelinux", "3.x"),
            ("openeuler", "22.03"),
        ] {
            assert!(chosen(id, version).is_err(), "{id} {version}");
        }
    }
}
