//! What the texts of a finding may be, by distribution.

use version::deb;

/// Longest vulnerability id. The longest known scheme has 30 characters.
const ID_BYTES_MAX: usize = 128;

/// Longest severity word.
const SEVERITY_BYTES_MAX: usize = 32;

/// Longest version of a distribution whose grammar is not known here.
const VERSION_BYTES_MAX: usize = 256;

/// Most versions in one list of fixes.
const VERSIONS_MAX: usize = 32;

/// Whose grammar versions follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Deb,
    Other,
}

impl Scheme {
    /// By the family as scanners name it.
    pub(crate) fn of(family: &str) -> Scheme {
        let family = family.to_ascii_lowercase();
        match ["debian", "ubuntu"].iter().any(|name| family.contains(name)) {
            true => Scheme::Deb,
            false => Scheme::Other,
        }
    }

    /// Checks a version that fixes something: it will be compared.
    fn check(self, text: &str) -> Result<(), String> {
        match self {
            Scheme::Deb => text.parse::<deb::Version>().map(drop).map_err(|error| error.to_string()),
            Scheme::Other => plain(text),
        }
    }
}

/// What versions of all package managers are made of.
fn plain(text: &str) -> Result<(), String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b".+-~:_^".contains(&b);
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    match first && text.len() <= VERSION_BYTES_MAX && text.bytes().all(good) {
        true => Ok(()),
        false => Err(format!("invalid version \"{}\"", crate::error::shown(text))),
    }
}

/// A list of fixes: versions parted by commas. Empty: none known.
pub(crate) fn fixed(list: &str, scheme: Scheme) -> Result<Vec<String>, String> {
    if list.trim_matches(' ').is_empty() {
        return Ok(Vec::new());
    }
    let versions: Vec<_> = list.split(',').map(|version| version.trim_matches(' ')).collect();
    if versions.len() > VERSIONS_MAX {
        return Err(format!("more than {VERSIONS_MAX} fixed versions"));
    }
    versions.iter().try_for_each(|version| scheme.check(version))?;
    Ok(versions.into_iter().map(str::to_owned).collect())
}

/// A version that was seen installed: only shown, so any plain text will do.
pub(crate) fn installed(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { plain(text) }
}

/// A vulnerability id: printable ASCII without blanks.
pub(crate) fn vulnerability(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it has no vulnerability id".into());
    }
    match text.len() <= ID_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("invalid vulnerability id".into()),
    }
}

/// A severity: one printable word.
pub(crate) fn severity(text: &str) -> Result<(), String> {
    match text.len() <= SEVERITY_BYTES_MAX && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("invalid severity".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_fixes_are_split_and_checked_by_distribution() {
        for (list, scheme, expected) in [
            ("", Scheme::Deb, Ok(vec![])),
            ("1.2-3+deb12u1", Scheme::Deb, Ok(vec!["1.2-3+deb12u1"])),
            ("1.2, 1.3", Scheme::Deb, Ok(vec!["1.2", "1.3"])),
            ("1:1.2~rc1", Scheme::Deb, Ok(vec!["1:1.2~rc1"])),
            ("1.2,", Scheme::Deb, Err("empty")),
            ("1.0 || 2.0", Scheme::Deb, Err("not allowed")),
            ("1.0;reboot", Scheme::Deb, Err("not allowed")),
            ("99999999999:1", Scheme::Deb, Err("epoch is too large")),
            ("v1", Scheme::Deb, Err("does not start with a digit")),
            ("1.0_p1-r2", Scheme::Other, Ok(vec!["1.0_p1-r2"])),
            ("1:1.0.2k-16.el7^git", Scheme::Other, Ok(vec!["1:1.0.2k-16.el7^git"])),
            ("$(id)", Scheme::Other, Err("invalid version")),
            (">=1.0", Scheme::Other, Err("invalid version")),
        ] {
            match (fixed(list, scheme), expected) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{list}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{list}: {got}"),
                (got, want) => panic!("{list}: {got:?}, not {want:?}"),
            }
        }
        assert!(fixed(&"1,".repeat(VERSIONS_MAX + 1), Scheme::Deb).is_err());
    }

    #[test]
    fn families_are_found_in_any_spelling() {
        assert_eq!(Scheme::of("Debian GNU/Linux"), Scheme::Deb);
        assert_eq!(Scheme::of("ubuntu"), Scheme::Deb);
        assert_eq!(Scheme::of("alpine"), Scheme::Other);
    }

    #[test]
    fn ids_and_severities_are_single_printable_words() {
        for id in ["CVE-2024-1", "GHSA-xxxx-yyyy-zzzz", "TEMP-0290435-0B57B5", "ALAS2-2021-1"] {
            assert_eq!(vulnerability(id), Ok(()));
        }
        for id in ["", "CVE 1", "CVE\n1", "CVE\u{1b}[2J", "\u{202e}"] {
            assert!(vulnerability(id).is_err(), "{id:?}");
        }
        assert!(severity("HIGH").is_ok() && severity("very high").is_err());
    }
}
