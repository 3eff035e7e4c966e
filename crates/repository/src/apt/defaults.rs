//! Repositories and keys of the distributions themselves, for images that name none.
//!
//! Debian: <https://www.debian.org/mirror/list> and <https://www.debian.org/security/>, archived releases at
//! <https://www.debian.org/distrib/archive>. Ubuntu: <https://help.ubuntu.com/community/Repositories/CommandLine>. Looked up 2026-11-21.

use super::source::{SignedBy, Source};
use crate::Error;
use fetch::client::Url;
use inventory::OsRelease;
use std::collections::BTreeSet;

/// Keys that we bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Debian's archive and security archive.
    Debian,
    /// Ubuntu's archive.
    Ubuntu,
}

/// Whether a release is still kept up by its distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Up,
    InArchive,
}

const DEBIAN: &str = "http://ftp.debian.org/debian/";
const DEBIAN_SECURITY: &str = "http://security.debian.org/debian-security/";
const DEBIAN_ARCHIVE: &str = "http://archive.debian.org/debian/";
const DEBIAN_ARCHIVE_SECURITY: &str = "http://archive.debian.org/debian-security/";
const UBUNTU: &str = "http://archive.ubuntu.com/ubuntu/";
const UBUNTU_SECURITY: &str = "http://security.ubuntu.com/ubuntu/";
/// Architectures that are not at the two above.
const UBUNTU_PORTS: &str = "http://ports.ubuntu.com/ubuntu-ports/";
const UBUNTU_ARCHIVE: &str = "http://old-releases.ubuntu.com/ubuntu/";

/// Debian's releases: number, code name, security suite.
const DEBIAN_RELEASES: [(&str, &str, &str, Kept); 6] = [
    ("8", "jessie", "jessie/updates", Kept::InArchive),
    ("9", "stretch", "stretch/updates", Kept::InArchive),
    ("10", "buster", "buster/updates", Kept::InArchive),
    ("11", "bullseye", "bullseye-security", Kept::Up),
    ("12", "bookworm", "bookworm-security", Kept::Up),
    ("13", "trixie", "trixie-security", Kept::Up),
];

/// Ubuntu's releases with their numbers. Those that had nine months of support are archived soon after.
const UBUNTU_RELEASES: [(&str, &str, Kept); 11] = [
    ("16.04", "xenial", Kept::Up),
    ("18.04", "bionic", Kept::Up),
    ("20.04", "focal", Kept::Up),
    ("22.04", "jammy", Kept::Up),
    ("23.04", "lunar", Kept::InArchive),
    ("23.10", "mantic", Kept::InArchive),
    ("24.04", "noble", Kept::Up),
    ("24.10", "oracular", Kept::InArchive),
    ("25.04", "plucky", Kept::InArchive),
    ("25.10", "questing", Kept::InArchive),
    ("26.04", "resolute", Kept::Up),
];

impl Keys {
    /// The keys, in armour.
    pub(crate) fn armoured(self) -> &'static [&'static str] {
        match self {
            Keys::Debian => &[
                include_str!("../../keys/debian-archive-bullseye-automatic.asc"),
                include_str!("../../keys/debian-archive-bullseye-security-automatic.asc"),
                include_str!("../../keys/debian-archive-bullseye-stable.asc"),
                include_str!("../../keys/debian-archive-bookworm-automatic.asc"),
                include_str!("../../keys/debian-archive-bookworm-security-automatic.asc"),
                include_str!("../../keys/debian-archive-bookworm-stable.asc"),
                include_str!("../../keys/debian-archive-trixie-automatic.asc"),
                include_str!("../../keys/debian-archive-trixie-security-automatic.asc"),
                include_str!("../../keys/debian-archive-trixie-stable.asc"),
            ],
            Keys::Ubuntu => &[
                include_str!("../../keys/ubuntu-archive-2012.asc"),
                include_str!("../../keys/ubuntu-archive-2018.asc"),
            ],
        }
    }

    /// The keys of a distribution, by its id.
    pub(crate) fn of(id: &str) -> Option<Keys> {
        match id {
            "debian" => Some(Keys::Debian),
            "ubuntu" => Some(Keys::Ubuntu),
            _ => None,
        }
    }
}

/// The repositories of a release, with its updates and its security archive.
pub(crate) fn sources(
    os: &OsRelease,
    architecture: &str,
    allow_archived: bool,
) -> Result<Vec<Source>, Error> {
    let name = inventory::printable(&format!("{} {}", os.id, os.version_id));
    let unknown = |why: &str| Error::NoSources { os: name.clone(), why: why.to_owned() };
    let is = |number: &str, codename: &str| match &os.codename {
        Some(own) => own == codename,
        None => os.version_id == number || os.version_id.starts_with(&format!("{number}.")),
    };
    let archived = |kept: Kept| match kept {
        Kept::InArchive if !allow_archived => Err(Error::Archived { os: name.clone() }),
        kept => Ok(kept == Kept::InArchive),
    };
    match os.id.as_str() {
        "debian" => {
            let found = DEBIAN_RELEASES.iter().find(|(number, codename, ..)| is(number, codename));
            let (_, codename, security, kept) = found.ok_or_else(|| unknown("the release is not known"))?;
            Ok(debian(codename, security, archived(*kept)?))
        }
        "ubuntu" => {
            let found = UBUNTU_RELEASES.iter().find(|(number, codename, _)| is(number, codename));
            let (_, codename, kept) = found.ok_or_else(|| unknown("the release is not known"))?;
            Ok(ubuntu(codename, architecture, archived(*kept)?))
        }
        _ => Err(unknown("the image names none, and only those of Debian and Ubuntu are known")),
    }
}

/// What the archive of a release's distribution is called in sources.list(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InArchive {
    /// A line a suite. Their indexes have expired, which these lines allow for them alone; signatures count as ever.
    pub lines: String,
    /// The hosts, sorted.
    pub hosts: Vec<String>,
}

/// Where the packages of a release are that its distribution has moved to its archive. `None` where it has not, or where the
/// release is not known.
pub fn in_archive(os: &OsRelease) -> Option<InArchive> {
    // Archives have all architectures in one place.
    let found = match sources(os, "", false) {
        Err(Error::Archived { .. }) => sources(os, "", true).ok()?,
        _ => return None,
    };
    let uri = |source: &Source| source.uris.first().map(Url::to_string).unwrap_or_default();
    let line = |source: &Source| {
        let components = source.components.join(" ");
        format!("deb [check-valid-until=no] {} {} {components}\n", uri(source), source.suite)
    };
    let hosts: BTreeSet<&str> = found.iter().flat_map(|s| &s.uris).filter_map(Url::host_str).collect();
    Some(InArchive {
        lines: found.iter().map(line).collect(),
        hosts: hosts.into_iter().map(str::to_owned).collect(),
    })
}

fn debian(codename: &str, security: &str, archived: bool) -> Vec<Source> {
    let (archive, archive_of_security) =
        if archived { (DEBIAN_ARCHIVE, DEBIAN_ARCHIVE_SECURITY) } else { (DEBIAN, DEBIAN_SECURITY) };
    let updates = format!("{codename}-updates");
    let mut suites = vec![(archive, codename), (archive_of_security, security)];
    if !archived {
        suites.insert(1, (archive, &updates));
    }
    suites.into_iter().filter_map(|(uri, suite)| source(uri, suite, &["main"], Keys::Debian)).collect()
}

fn ubuntu(codename: &str, architecture: &str, archived: bool) -> Vec<Source> {
    let (archive, security) = match architecture {
        _ if archived => (UBUNTU_ARCHIVE, UBUNTU_ARCHIVE),
        "amd64" | "i386" => (UBUNTU, UBUNTU_SECURITY),
        _ => (UBUNTU_PORTS, UBUNTU_PORTS),
    };
    let suites = [(archive, ""), (archive, "-updates"), (security, "-security")];
    let components = &["main", "universe"];
    let of = |(uri, end): (&str, &str)| source(uri, &format!("{codename}{end}"), components, Keys::Ubuntu);
    suites.into_iter().filter_map(of).collect()
}

fn source(uri: &str, suite: &str, components: &[&str], keys: Keys) -> Option<Source> {
    Some(Source {
        uris: vec![Url::parse(uri).ok()?],
        suite: suite.to_owned(),
        components: components.iter().map(|c| (*c).to_owned()).collect(),
        architectures: None,
        signed_by: SignedBy::Shipped(keys),
        trusted: None,
        allow_insecure: None,
        check_valid_until: None,
        check_date: None,
        from: "the distribution's own repositories".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::Keyring;

    fn os(id: &str, version: &str, codename: Option<&str>) -> OsRelease {
        let codename = codename.map(str::to_owned);
        OsRelease { id: id.into(), version_id: version.into(), codename, ..OsRelease::default() }
    }

    fn shown(os: &OsRelease, architecture: &str, allow_archived: bool) -> Result<Vec<String>, String> {
        let sources = sources(os, architecture, allow_archived).map_err(|e| e.to_string())?;
        Ok(sources.iter().map(|s| format!("{} {} {}", s.uris[0], s.suite, s.components.join(" "))).collect())
    }

    #[test]
    fn every_release_has_its_three_suites() {
        let debian = [
            "http://ftp.debian.org/debian/ bookworm main",
            "http://ftp.debian.org/debian/ bookworm-updates main",
            "http://security.debian.org/debian-security/ bookworm-security main",
        ];
        for own in [os("debian", "12", None), os("debian", "12.5", None), os("debian", "", Some("bookworm"))]
        {
            assert_eq!(shown(&own, "amd64", false).unwrap(), debian);
        }
        let jammy = shown(&os("ubuntu", "22.04", None), "arm64", false).unwrap();
        assert_eq!(jammy[2], "http://ports.ubuntu.com/ubuntu-ports/ jammy-security main universe");
        let jammy = shown(&os("ubuntu", "22.04", Some("jammy")), "amd64", false).unwrap();
        assert_eq!(jammy[2], "http://security.ubuntu.com/ubuntu/ jammy-security main universe");
    }

    #[test]
    fn archived_and_unknown_releases_are_errors() {
        let buster = os("debian", "10", None);
        assert_eq!(
            shown(&buster, "amd64", false).unwrap_err(),
            "debian 10 is no longer kept up; its packages are in an archive only"
        );
        assert_eq!(
            shown(&buster, "amd64", true).unwrap()[1],
            "http://archive.debian.org/debian-security/ buster/updates main"
        );
        for other in [os("debian", "99", None), os("debian", "1", None), os("alpine", "3", None)] {
            assert!(shown(&other, "amd64", true).is_err());
        }
    }

    #[test]
    fn archives_are_lines_for_apt() {
        let buster = in_archive(&os("debian", "10", None)).unwrap();
        assert_eq!(buster.hosts, ["archive.debian.org"]);
        assert_eq!(
            buster.lines,
            "deb [check-valid-until=no] http://archive.debian.org/debian/ buster main\n\
             deb [check-valid-until=no] http://archive.debian.org/debian-security/ buster/updates main\n"
        );
        let mantic = in_archive(&os("ubuntu", "23.10", None)).unwrap();
        assert_eq!((mantic.hosts.len(), mantic.lines.lines().count()), (1, 3));
        for kept in [os("debian", "13", None), os("debian", "99", None), os("alpine", "3.1", None)] {
            assert_eq!(in_archive(&kept), None, "{kept:?}");
        }
    }

    #[test]
    fn the_keys_are_those_that_the_readme_names() {
        let readme = include_str!("../../keys/README.md");
        for keys in [Keys::Debian, Keys::Ubuntu] {
            for armoured in keys.armoured() {
                let mut ring = Keyring::default();
                ring.add(armoured.as_bytes()).unwrap();
                let prints = ring.fingerprints();
                assert!(prints.iter().all(|print| readme.contains(print)), "{prints:?}");
            }
        }
    }
}
