//! An os-release as product and release of endoflife.date. Nothing but digits and dots of an image gets in here, so that
//! what names a release can stand in a URL.

use inventory::{
    OsRelease,
    family::{self, Family},
};

/// Longest number in a release: `2018` of `2018.03`.
const DIGITS_MAX: usize = 4;

/// The first CentOS that is only a stream, which is another product.
const FIRST_STREAM: u16 = 9;

/// Names in `ID` that share a family's packages but not its releases.
const OTHER_RELEASES: [&str; 3] = ["sle-micro", "sl-micro", "suse-microos"];

/// Debian's code names (<https://www.debian.org/releases/>), for images of a release that has no number yet or says none.
const DEBIAN: [(&str, &str); 18] = [
    ("buzz", "1"),
    ("rex", "1"),
    ("bo", "1"),
    ("hamm", "2"),
    ("slink", "2"),
    ("potato", "2"),
    ("woody", "3"),
    ("sarge", "3"),
    ("etch", "4"),
    ("lenny", "5"),
    ("squeeze", "6"),
    ("wheezy", "7"),
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
];

/// A release of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    product: &'static str,
    release: String,
    numbers: Vec<u16>,
}

impl Release {
    /// The release an image is of. `None` where its distribution has none (rolling), is not listed, is a derivative, whose
    /// releases are its own, or says no number.
    pub fn of(os: &OsRelease) -> Option<Release> {
        let (family, derivative) = Family::of(os)?;
        let product = family.lifecycle.filter(|_| !derivative)?;
        if OTHER_RELEASES.contains(&os.id.as_str()) {
            return None;
        }
        let release = shortened(number(os, product)?, parts(family, product)?)?;
        let numbers = numbers(&release)?;
        let stream = product == "centos" && numbers.first().is_some_and(|major| *major >= FIRST_STREAM);
        let product = if stream { "centos-stream" } else { product };
        Some(Release { product, release, numbers })
    }

    /// The product, as endoflife.date calls it.
    pub fn product(&self) -> &'static str {
        self.product
    }

    /// The release: digits and dots.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Whether another spelling is the same release: numbers that are missing at the end are 0.
    pub(crate) fn is(&self, other: &[u16]) -> bool {
        let at = |numbers: &[u16], i: usize| numbers.get(i).copied().unwrap_or(0);
        (0..self.numbers.len().max(other.len())).all(|i| at(&self.numbers, i) == at(other, i))
    }
}

fn number<'a>(os: &'a OsRelease, product: &str) -> Option<&'a str> {
    if !os.version_id.is_empty() || product != "debian" {
        return Some(&os.version_id);
    }
    let own = os.codename.as_deref()?;
    DEBIAN.iter().find(|(codename, _)| *codename == own).map(|(_, number)| *number)
}

/// How many numbers name a release.
fn parts(family: &Family, product: &str) -> Option<usize> {
    match family.release {
        // Amazon Linux 1 had a release a half-year: 2018.03.
        _ if product == "amazon-linux" => Some(2),
        family::Release::Major => Some(1),
        family::Release::MajorMinor | family::Release::Whole => Some(2),
        family::Release::Rolling => None,
    }
}

/// The first numbers of a version, as they are written. Strict in those only: `3.19.0_rc1` is of 3.19.
fn shortened(version: &str, parts: usize) -> Option<String> {
    let kept: Vec<&str> = version.split('.').take(parts).collect();
    kept.iter().all(|part| is_number(part)).then(|| kept.join("."))
}

fn is_number(part: &str) -> bool {
    (1..=DIGITS_MAX).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
}

/// The numbers of a release.
pub(crate) fn numbers(release: &str) -> Option<Vec<u16>> {
    release.split('.').map(|part| part.parse().ok().filter(|_| is_number(part))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: &str, version: &str, codename: Option<&str>) -> Option<String> {
        let codename = codename.map(str::to_owned);
        let os = OsRelease { id: id.into(), version_id: version.into(), codename, ..OsRelease::default() };
        Release::of(&os).map(|r| format!("{} {}", r.product(), r.release()))
    }

    #[test]
    fn every_family_is_named_as_its_table_names_it() {
        for (id, version, expected) in [
            ("debian", "12", "debian 12"),
            ("debian", "12.5", "debian 12"),
            ("ubuntu", "22.04", "ubuntu 22.04"),
            ("alpine", "3.19.1", "alpine-linux 3.19"),
            ("alpine", "3.19.0_rc1", "alpine-linux 3.19"),
            ("rhel", "8.10", "rhel 8"),
            ("centos", "7", "centos 7"),
            ("centos", "9", "centos-stream 9"),
            ("rocky", "9.4", "rocky-linux 9"),
            ("almalinux", "9.4", "almalinux 9"),
            ("ol", "8.9", "oracle-linux 8"),
            ("amzn", "2", "amazon-linux 2"),
            ("amzn", "2018.03", "amazon-linux 2018.03"),
            ("fedora", "42", "fedora 42"),
            ("mariner", "2.0", "cbl-mariner 2.0"),
            ("azurelinux", "3.0", "azure-linux 3.0"),
            ("photon", "5.0", "photon 5.0"),
            ("sles", "15.7", "sles 15.7"),
            ("sles", "15", "sles 15"),
            ("opensuse-leap", "15.6", "opensuse 15.6"),
        ] {
            assert_eq!(named(id, version, None).as_deref(), Some(expected), "{id} {version}");
        }
        assert_eq!(named("debian", "", Some("bookworm")).as_deref(), Some("debian 12"));
    }

    #[test]
    fn what_has_no_release_has_none() {
        for (id, version, codename) in [
            ("debian", "", Some("sid")),
            ("debian", "", None),
            ("wolfi", "20230201", None),
            ("arch", "", None),
            ("opensuse-tumbleweed", "20260101", None),
            ("sle-micro", "6.0", None),
            ("openeuler", "22.03", None),
            ("ubuntu", "", Some("jammy")),
        ] {
            assert_eq!(named(id, version, codename), None, "{id} {version}");
        }
        let mint = OsRelease {
            id: "linuxmint".into(),
            version_id: "21".into(),
            id_like: vec!["ubuntu".into()],
            ..OsRelease::default()
        };
        assert_eq!(Release::of(&mint), None);
    }

    #[test]
    fn hostile_versions_name_no_release() {
        for version in [
            "../../12", "12/../13", "..", ".", "12;x", "-1", "+1", " 12", "12 ", "１２", "1e3", "12%2f",
            "99999", "",
        ] {
            assert_eq!(named("debian", version, None), None, "{version}");
            assert_eq!(named("ubuntu", version, None), None, "{version}");
        }
        assert_eq!(named("ubuntu", &"1".repeat(1 << 20), None), None);
        assert_eq!(named("ubuntu", &"1.".repeat(1 << 20), None).as_deref(), Some("ubuntu 1.1"));
    }

    #[test]
    fn releases_compare_by_number() {
        let is = |version: &str, other: &[u16]| {
            let os = OsRelease { id: "sles".into(), version_id: version.into(), ..OsRelease::default() };
            Release::of(&os).unwrap().is(other)
        };
        assert!(is("15", &[15, 0]) && is("15.0", &[15]) && is("15.07", &[15, 7]));
        assert!(!is("15.7", &[15, 70]) && !is("15.7", &[15]) && !is("1.5", &[15]));
    }
}
