//! What the texts of a finding may be, by distribution.

use version::{Scheme, VERSION_BYTES_MAX};

/// Longest vulnerability id. The longest known scheme has 30 characters.
const ID_BYTES_MAX: usize = 128;

/// Longest severity word.
const SEVERITY_BYTES_MAX: usize = 32;

/// Most versions in one list of fixes.
const VERSIONS_MAX: usize = 32;

/// Words in the names that scanners give distributions, and the scheme of their versions. Trivy's are in its
/// `pkg/fanal/types/const.go`.
const WORDS: &[(&str, Scheme)] = &[
    ("debian", Scheme::Deb),
    ("ubuntu", Scheme::Deb),
    ("alpine", Scheme::Apk),
    ("wolfi", Scheme::Apk),
    ("chainguard", Scheme::Apk),
    ("redhat", Scheme::Rpm),
    ("red hat", Scheme::Rpm),
    ("rhel", Scheme::Rpm),
    ("centos", Scheme::Rpm),
    ("rocky", Scheme::Rpm),
    ("alma", Scheme::Rpm),
    ("amazon", Scheme::Rpm),
    ("oracle", Scheme::Rpm),
    ("fedora", Scheme::Rpm),
    ("mariner", Scheme::Rpm),
    ("azurelinux", Scheme::Rpm),
    ("azure linux", Scheme::Rpm),
    ("photon", Scheme::Rpm),
    ("suse", Scheme::Rpm),
    ("sles", Scheme::Rpm),
    ("slem", Scheme::Rpm),
];

/// Like [`WORDS`], but too short to be looked for within a name.
const WHOLE: &[(&str, Scheme)] = &[
    ("arch", Scheme::Pacman),
    ("archlinux", Scheme::Pacman),
    ("arch linux", Scheme::Pacman),
    ("amzn", Scheme::Rpm),
    ("ol", Scheme::Rpm),
];

/// Whose grammar versions follow, as far as the name of the distribution tells. That of the image's own package database
/// is asked again when versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    Of(Scheme),
    /// The distribution is not known here: that of any scheme.
    Any,
}

impl Grammar {
    /// By the family as scanners name it.
    pub(crate) fn of(family: &str) -> Grammar {
        let family = family.trim().to_ascii_lowercase();
        let whole = WHOLE.iter().find(|(word, _)| family == *word);
        let found = whole.or_else(|| WORDS.iter().find(|(word, _)| family.contains(word)));
        found.map_or(Grammar::Any, |(_, scheme)| Grammar::Of(*scheme))
    }

    /// Checks a version that fixes something: it will be compared.
    fn check(self, text: &str) -> Result<(), String> {
        match self {
            Grammar::Of(scheme) => scheme.parse(text).map(drop).map_err(|error| error.to_string()),
            Grammar::Any if ANY.iter().any(|scheme| scheme.parse(text).is_ok()) => Ok(()),
            Grammar::Any => Err(invalid(text)),
        }
    }
}

const ANY: [Scheme; 4] = [Scheme::Deb, Scheme::Rpm, Scheme::Apk, Scheme::Pacman];

fn invalid(text: &str) -> String {
    format!("invalid version \"{}\"", crate::error::shown(text))
}

/// What versions of all package managers are made of.
fn plain(text: &str) -> Result<(), String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b".+-~:_^".contains(&b);
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    match first && text.len() <= VERSION_BYTES_MAX && text.bytes().all(good) {
        true => Ok(()),
        false => Err(invalid(text)),
    }
}

/// A list of fixes: versions parted by commas, which no scheme has within a version. Empty: none known.
pub(crate) fn fixed(list: &str, grammar: Grammar) -> Result<Vec<String>, String> {
    if list.trim_matches(' ').is_empty() {
        return Ok(Vec::new());
    }
    let versions: Vec<_> = list.split(',').map(|version| version.trim_matches(' ')).collect();
    if versions.len() > VERSIONS_MAX {
        return Err(format!("more than {VERSIONS_MAX} fixed versions"));
    }
    versions.iter().try_for_each(|version| grammar.check(version))?;
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
        let [deb, rpm, apk, pacman] = ANY.map(Grammar::Of);
        for (list, grammar, expected) in [
            ("", deb, Ok(vec![])),
            (" ", rpm, Ok(vec![])),
            ("1.2-3+deb12u1", deb, Ok(vec!["1.2-3+deb12u1"])),
            ("1.2, 1.3", deb, Ok(vec!["1.2", "1.3"])),
            ("1:1.2~rc1", deb, Ok(vec!["1:1.2~rc1"])),
            ("1.2,", deb, Err("empty")),
            ("1.0 || 2.0", deb, Err("not allowed")),
            ("1.0;reboot", deb, Err("not allowed")),
            ("99999999999:1", deb, Err("epoch is too large")),
            ("v1", deb, Err("does not start with a digit")),
            ("1:1.0.2k-16.el7^git", rpm, Ok(vec!["1:1.0.2k-16.el7^git"])),
            ("1.1.1k-12.el8_9,3.0.7-27.el9_4", rpm, Ok(vec!["1.1.1k-12.el8_9", "3.0.7-27.el9_4"])),
            (
                "2.4.37-65.module+el8.10.0+1830+22f0c9e9",
                rpm,
                Ok(vec!["2.4.37-65.module+el8.10.0+1830+22f0c9e9"]),
            ),
            ("1.0-1, $(id)", rpm, Err("invalid RPM version \"$(id)\"")),
            ("1.0_p1-r2", apk, Ok(vec!["1.0_p1-r2"])),
            ("3.1.4-r5, 3.1.5-r0", apk, Ok(vec!["3.1.4-r5", "3.1.5-r0"])),
            ("1:1.0-r0", apk, Err("invalid apk version")),
            ("1.0-r0-r1", apk, Err("invalid apk version")),
            ("1:2.39+r52+gf8e4623421-1", pacman, Ok(vec!["1:2.39+r52+gf8e4623421-1"])),
            ("1.-1", pacman, Err("invalid pacman version")),
            ("1.0_p1-r2", Grammar::Any, Ok(vec!["1.0_p1-r2"])),
            ("1:1.0.2k-16.el7^git", Grammar::Any, Ok(vec!["1:1.0.2k-16.el7^git"])),
            ("0:1:2-3", Grammar::Any, Ok(vec!["0:1:2-3"])),
            ("$(id)", Grammar::Any, Err("invalid version")),
            (">=1.0", Grammar::Any, Err("invalid version")),
            ("1.0\u{1b}[2J", Grammar::Any, Err("invalid version")),
        ] {
            match (fixed(list, grammar), expected) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{list}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{list}: {got}"),
                (got, want) => panic!("{list}: {got:?}, not {want:?}"),
            }
        }
        assert!(fixed(&"1,".repeat(VERSIONS_MAX + 1), deb).is_err());
    }

    #[test]
    fn schemes_are_found_in_any_spelling_of_the_family() {
        for (families, expected) in [
            (&["Debian GNU/Linux", "debian", "ubuntu"][..], Grammar::Of(Scheme::Deb)),
            (&["alpine", "Alpine Linux", "wolfi", "chainguard"], Grammar::Of(Scheme::Apk)),
            (
                &[
                    "redhat",
                    "Red Hat Enterprise Linux",
                    "centos",
                    "rocky",
                    "alma",
                    "AlmaLinux",
                    "amazon",
                    "oracle",
                ],
                Grammar::Of(Scheme::Rpm),
            ),
            (
                &["fedora", "cbl-mariner", "azurelinux", "Azure Linux", "photon", "ol"],
                Grammar::Of(Scheme::Rpm),
            ),
            (
                &[
                    "opensuse",
                    "opensuse-leap",
                    "opensuse.tumbleweed",
                    "suse linux enterprise server",
                    "sles",
                    "slem",
                ],
                Grammar::Of(Scheme::Rpm),
            ),
            (&["arch", "archlinux", "Arch Linux"], Grammar::Of(Scheme::Pacman)),
            (&["", "search", "olympus", "none"], Grammar::Any),
        ] {
            families.iter().for_each(|family| assert_eq!(Grammar::of(family), expected, "{family}"));
        }
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
