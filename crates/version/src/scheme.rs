//! The schemes, and a version of any of them.

use crate::{VersionError, apk, deb, pacman, rpm};
use std::{cmp::Ordering, fmt};

/// Whose grammar and order a version follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// dpkg's.
    #[default]
    Deb,
    /// rpm's.
    Rpm,
    /// That of apk-tools.
    Apk,
    /// pacman's.
    Pacman,
}

/// A version of some scheme, shown as it was written. Versions of one scheme have that scheme's order and equality; those of
/// different schemes are never equal, and ordered by scheme only so that the order is total.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// dpkg's.
    Deb(deb::Version),
    /// rpm's.
    Rpm(rpm::Version),
    /// That of apk-tools.
    Apk(apk::Version),
    /// pacman's.
    Pacman(pacman::Version),
}

impl Scheme {
    /// The version a text is by this scheme's grammar. At most [`crate::VERSION_BYTES_MAX`] bytes.
    pub fn parse(self, text: &str) -> Result<Version, VersionError> {
        match self {
            Scheme::Deb => text.parse().map(Version::Deb),
            Scheme::Rpm => text.parse().map(Version::Rpm),
            Scheme::Apk => text.parse().map(Version::Apk),
            Scheme::Pacman => text.parse().map(Version::Pacman),
        }
    }

    /// The version that `installed` is to be held against. Like [`Scheme::parse`], but what the text leaves out is taken
    /// from `installed`: for rpm the epoch, since a scanner that leaves epochs out must not make an old package look
    /// fixed (nor a new one look old); for pacman the release, which vercmp ignores where one side has none.
    pub fn parse_bound(self, text: &str, installed: &Version) -> Result<Version, VersionError> {
        Ok(match (self.parse(text)?, installed) {
            (Version::Rpm(bound), Version::Rpm(installed)) => Version::Rpm(bound.or_epoch_of(installed)),
            (Version::Pacman(bound), Version::Pacman(installed)) => {
                Version::Pacman(bound.or_release_of(installed))
            }
            (bound, _) => bound,
        })
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Deb => "Debian",
            Scheme::Rpm => "RPM",
            Scheme::Apk => "apk",
            Scheme::Pacman => "pacman",
        })
    }
}

impl Version {
    /// The scheme it is of.
    pub fn scheme(&self) -> Scheme {
        match self {
            Version::Deb(_) => Scheme::Deb,
            Version::Rpm(_) => Scheme::Rpm,
            Version::Apk(_) => Scheme::Apk,
            Version::Pacman(_) => Scheme::Pacman,
        }
    }

    /// How this version stands to the one that a dependency names: unlike in the order of versions, rpm and pacman do not
    /// compare releases where one side has none, so that `= 1.0` is met by `1.0-3`.
    pub fn cmp_to_required(&self, required: &Version) -> Ordering {
        match (self, required) {
            (Version::Rpm(own), Version::Rpm(required)) => own.cmp_to_required(required),
            (Version::Pacman(own), Version::Pacman(required)) => own.vercmp(required),
            _ => self.cmp(required),
        }
    }

    /// The version as it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Version::Deb(version) => version.as_str(),
            Version::Rpm(version) => version.as_str(),
            Version::Apk(version) => version.as_str(),
            Version::Pacman(version) => version.as_str(),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: [Scheme; 4] = [Scheme::Deb, Scheme::Rpm, Scheme::Apk, Scheme::Pacman];

    #[test]
    fn a_version_is_of_its_scheme_and_shown_as_written() {
        for scheme in SCHEMES {
            let version = scheme.parse("1.02-r1").or_else(|_| scheme.parse("1.02-1")).unwrap();
            assert_eq!(version.scheme(), scheme);
            assert_eq!(version.to_string(), version.as_str());
            assert!(version.as_str().starts_with("1.02-"), "{version}");
        }
    }

    #[test]
    fn versions_of_different_schemes_are_never_equal() {
        let versions = SCHEMES.map(|scheme| scheme.parse("1").unwrap());
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    }

    #[test]
    fn a_bound_without_epoch_takes_that_of_the_installed_version_for_rpm_only() {
        let fixed = |scheme: Scheme, installed: &str, bound: &str| {
            let installed = scheme.parse(installed).unwrap();
            installed >= scheme.parse_bound(bound, &installed).unwrap()
        };
        for (installed, bound, expected) in [
            ("1:1.0-1.el9", "1.1-1.el9", false),
            ("1:1.0-1.el9", "1.0-1.el9", true),
            ("1:1.0-1.el9", "0:1.1-1.el9", true),
            ("1.0-1.el9", "1.1-1.el9", false),
            ("1.2-1.el9", "1:1.1-1.el9", false),
            ("0:1.2-1.el9", "1.2-1.el9", true),
        ] {
            assert_eq!(fixed(Scheme::Rpm, installed, bound), expected, "{installed} {bound}");
        }
        assert!(fixed(Scheme::Deb, "1:1.0-1", "1.1-1"));
        assert!(fixed(Scheme::Pacman, "1:1.0-1", "1.1-1"));
    }

    #[test]
    fn a_bound_is_shown_as_written_and_never_mixed_with_another_scheme() {
        let installed = Scheme::Rpm.parse("3:1.0-1").unwrap();
        assert_eq!(Scheme::Rpm.parse_bound("1.1", &installed).unwrap().to_string(), "1.1");
        assert_eq!(Scheme::Deb.parse_bound("1.1", &installed).unwrap(), Scheme::Deb.parse("1.1").unwrap());
        assert!(Scheme::Rpm.parse_bound("$(id)", &installed).is_err());
    }

    #[test]
    fn a_dependency_is_met_whatever_the_release_where_it_names_none() {
        for (scheme, version, required, expected) in [
            (Scheme::Rpm, "1.0-3", "1.0", Ordering::Equal),
            (Scheme::Rpm, "1.0", "1.0-3", Ordering::Equal),
            (Scheme::Rpm, "1.0-3", "1.0-4", Ordering::Less),
            (Scheme::Rpm, "1:1.0-3", "1.0", Ordering::Greater),
            (Scheme::Rpm, "1.0-3", "0:1.0", Ordering::Equal),
            (Scheme::Rpm, "1.0~rc1-3", "1.0", Ordering::Less),
            (Scheme::Pacman, "1.0-3", "1.0", Ordering::Equal),
            (Scheme::Pacman, "1.0-3", "1.0-4", Ordering::Less),
            (Scheme::Deb, "1.0-3", "1.0", Ordering::Greater),
            (Scheme::Apk, "1.0-r3", "1.0", Ordering::Greater),
        ] {
            let [own, named] = [version, required].map(|text| scheme.parse(text).unwrap());
            assert_eq!(own.cmp_to_required(&named), expected, "{scheme} {version} {required}");
        }
    }

    #[test]
    fn a_refused_text_is_shown_escaped_and_shortened() {
        for scheme in SCHEMES {
            let error = scheme.parse(&format!("\u{1b}[31m{}", "x".repeat(10_000))).unwrap_err();
            assert_eq!(error.scheme, scheme);
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("invalid {scheme} version \"\\u{{1b}}[31mx")), "{shown}");
            assert!(shown.len() < 200, "{shown}");
        }
    }
}
