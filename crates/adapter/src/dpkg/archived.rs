//! Releases whose repositories have moved to their distribution's archive: where the user allows it, apt takes them from there,
//! for the run alone. An image that uses mirrors of its own keeps them: those may still have the release.

use crate::{Facts, Settings, describe};
use repository::apt::{InArchive, in_archive};

/// Where Debian and Ubuntu have their own mirrors, which drop a release when it is archived.
const OWN: [&str; 2] = [".debian.org", ".ubuntu.com"];

/// Hosts there that drop nothing.
const KEEPING: [&str; 3] = ["archive.debian.org", "old-releases.ubuntu.com", "snapshot.debian.org"];

/// The archive to take packages from: only where that is allowed, the release is there, and the image's own repositories are
/// all such that no longer have it.
pub(super) fn archived(facts: &Facts, settings: &Settings) -> Option<InArchive> {
    let gone = !facts.hosts.is_empty() && facts.hosts.iter().all(|host| is_official(host));
    in_archive(&facts.inventory.os).filter(|_| settings.allow_archived && gone)
}

fn is_official(host: &str) -> bool {
    let host = host.strip_prefix("https://").unwrap_or(host);
    OWN.iter().any(|end| host.ends_with(end)) && !KEEPING.contains(&host)
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
        let usual = ["ftp.debian.org", "security.debian.org"];
        for (version, hosts, allow_archived, expected) in [
            ("10", &usual[..], true, true),
            ("10", &["https://ftp.debian.org", "ftp.de.debian.org"], true, true),
            ("10", &usual, false, false),
            ("13", &usual, true, false),
            ("10", &["ftp.debian.org", "mirror.example"], true, false),
            ("10", &["ftp.debian.org:8080"], true, false),
            ("10", &["ftp.debian.org.example"], true, false),
            ("10", &["ftp.debian.org", "archive.debian.org"], true, false),
            ("10", &[], true, false),
        ] {
            let settings = Settings { allow_archived, ..Settings::default() };
            let found = archived(&facts(version, hosts), &settings);
            assert_eq!(found.is_some(), expected, "{version} {hosts:?} {allow_archived}");
        }
    }

    #[test]
    fn the_note_names_both_places() {
        let facts = facts("10", &["ftp.debian.org"]);
        let found = archived(&facts, &Settings { allow_archived: true, ..Settings::default() }).unwrap();
        assert_eq!(
            note(&facts, &found),
            "debian 10 is no longer kept up: packages come from its archive, archive.debian.org, not from ftp.debian.org"
        );
    }
}
