//! Releases whose repositories have moved to their distribution's archive: where the user allows it, apt takes them from there,
//! for the run alone. An image that uses mirrors of its own keeps them: those may still have the release.

use crate::{Facts, Settings, describe};
use repository::apt::{InArchive, in_archive};

/// Hosts of Debian and Ubuntu that drop a release when it is archived.
const OFFICIAL: [&str; 8] = [
    "archive.ubuntu.com",
    "cdn-fastly.deb.debian.org",
    "deb.debian.org",
    "ftp.debian.org",
    "httpredir.debian.org",
    "ports.ubuntu.com",
    "security.debian.org",
    "security.ubuntu.com",
];

/// Mirrors of countries: `ftp.de.debian.org`, `de.archive.ubuntu.com`.
const OF_COUNTRIES: [(&str, &str); 2] = [("ftp.", ".debian.org"), ("", ".archive.ubuntu.com")];

/// The archive to take packages from: only where that is allowed, the release is there, and the image's own repositories are
/// all such that no longer have it.
pub(super) fn archived(facts: &Facts, settings: &Settings) -> Option<InArchive> {
    let gone = !facts.hosts.is_empty() && facts.hosts.iter().all(|host| is_official(host));
    in_archive(&facts.inventory.os).filter(|_| settings.allow_archived && gone)
}

fn is_official(host: &str) -> bool {
    let host = host.strip_prefix("https://").unwrap_or(host);
    let country = |(start, end): &(&str, &str)| {
        let name = host.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        name.is_some_and(|name| name.len() == 2 && name.bytes().all(|b| b.is_ascii_lowercase()))
    };
    OFFICIAL.contains(&host) || OF_COUNTRIES.iter().any(country)
}

/// Says so.
pub(super) fn note(facts: &Facts, found: &InArchive) -> String {
    let (os, own) = (describe(&facts.inventory.os), facts.hosts.join(", "));
    format!(
        "{os} is no longer kept up: packages come from its archive, {}, not from {own}",
        found.hosts.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory::{Inventory, OsRelease};

    fn facts(version: &str, hosts: &[&str]) -> Facts {
        let os = OsRelease { id: "debian".into(), version_id: version.into(), ..OsRelease::default() };
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Facts { inventory: Inventory { os, ..Inventory::default() }, hosts, ..Facts::default() }
    }

    #[test]
    fn only_what_is_allowed_and_gone_is_taken_from_the_archive() {
        let usual = ["deb.debian.org", "security.debian.org"];
        for (version, hosts, allow_archived, expected) in [
            ("10", &usual[..], true, true),
            ("10", &["https://deb.debian.org", "ftp.de.debian.org"], true, true),
            ("10", &usual, false, false),
            ("13", &usual, true, false),
            ("10", &["deb.debian.org", "mirror.example"], true, false),
            ("10", &["deb.debian.org:8080"], true, false),
            ("10", &["ftp.evil.example.debian.org"], true, false),
            ("10", &[], true, false),
        ] {
            let settings = Settings { allow_archived, ..Settings::default() };
            let found = archived(&facts(version, hosts), &settings);
            assert_eq!(found.is_some(), expected, "{version} {hosts:?} {allow_archived}");
        }
    }

    #[test]
    fn the_note_names_both_places() {
        let facts = facts("10", &["deb.debian.org"]);
        let found = archived(&facts, &Settings { allow_archived: true, ..Settings::default() }).unwrap();
        assert_eq!(
            note(&facts, &found),
            "debian 10 is no longer kept up: packages come from its archive, archive.debian.org, not from deb.debian.org"
        );
    }
}
