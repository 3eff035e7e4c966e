//! Headers of a database to [`Package`]s.

use super::{Header, Installed, PACKAGES_MAX, Tag, corrupt};
use crate::{Error, Package, PackageState, printable};
use std::collections::BTreeMap;
use version::{PackageName, Scheme};

/// Most notes kept; a database that is bad throughout should not print a book.
const NOTES_MAX: usize = 20;

/// Longest version, release or architecture; real ones are far shorter.
const VALUE_BYTES_MAX: usize = 1024;

/// What rpm keeps its public keys as.
const PUBLIC_KEY: &str = "gpg-pubkey";

/// What packages provide whose versions are installed beside each other: yum's and dnf's `installonlypkgs`, zypp's
/// `multiversion`. Each package provides its own name.
const INSTALL_ONLY: [&str; 12] = [
    "kernel",
    "kernel-PAE",
    "kernel-PAE-debug",
    "kernel-bigmem",
    "kernel-core",
    "kernel-debug",
    "kernel-devel",
    "kernel-enterprise",
    "kernel-smp",
    "kernel-source",
    "kernel-unsupported",
    "multiversion(kernel)",
];

/// What a provide of such packages begins with, whatever kind follows.
const INSTALL_ONLY_PREFIX: &[u8] = b"installonlypkg(";

/// The packages read so far.
#[derive(Default)]
pub(super) struct Reading {
    packages: Vec<Package>,
    notes: Vec<String>,
    records: usize,
    bad: usize,
}

impl Reading {
    /// Adds the package of a header. One that cannot be read is noted.
    pub(super) fn add(&mut self, blob: &[u8]) -> Result<(), Error> {
        let header = Header::parse(blob);
        self.add_draft(header.as_ref().map_err(Error::clone).and_then(Draft::of))
    }

    /// Adds a package. One that is not in order is noted, a public key is left out.
    pub(super) fn add_draft(&mut self, draft: Result<Draft<'_>, Error>) -> Result<(), Error> {
        self.records += 1;
        if self.records > PACKAGES_MAX {
            return Err(corrupt(format!("more than {PACKAGES_MAX} packages")));
        }
        match draft {
            Ok(draft) if draft.name == PUBLIC_KEY => {}
            draft => match draft.and_then(|draft| draft.package()) {
                Ok(package) => self.keep(package),
                Err(why) => self.leave_out(&why),
            },
        }
        Ok(())
    }

    fn keep(&mut self, package: Package) {
        if let Err(why) = Scheme::Rpm.parse(&package.version) {
            self.notes.push(format!("{}: {why}", package.name));
        }
        self.packages.push(package);
    }

    fn leave_out(&mut self, why: &Error) {
        self.bad += 1;
        self.notes.push(format!("package {} of the rpm database is left out: {why}", self.records));
    }

    /// The packages, where most of the records could be read.
    pub(super) fn finish(mut self) -> Result<Installed, Error> {
        if self.bad * 2 > self.records {
            let first = self.notes.first().map(String::as_str).unwrap_or_default();
            return Err(corrupt(format!(
                "{} of {} packages are unreadable ({first})",
                self.bad, self.records
            )));
        }
        self.packages.sort_by(|a, b| key(a).cmp(&key(b)));
        self.packages.dedup();
        let mut twice = doubles(&self.packages);
        self.notes.append(&mut twice);
        let more = self.notes.len().saturating_sub(NOTES_MAX);
        if more > 0 {
            self.notes.truncate(NOTES_MAX);
            self.notes.push(format!("{more} more notes of this kind"));
        }
        Ok(Installed { packages: self.packages, notes: self.notes })
    }
}

fn key(package: &Package) -> (&str, &str, &str) {
    (package.name.as_str(), &package.architecture, &package.version)
}

/// Notes on packages that are there in several versions though one takes the other's place.
fn doubles(packages: &[Package]) -> Vec<String> {
    let mut versions: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for package in packages.iter().filter(|package| !package.install_only) {
        *versions.entry((package.name.as_str(), &package.architecture)).or_default() += 1;
    }
    let several = versions.into_iter().filter(|(_, count)| *count > 1);
    several.map(|((name, _), count)| format!("{name} is installed in {count} versions at once")).collect()
}

/// What is said of a package, not yet looked at.
pub(super) struct Draft<'a> {
    pub name: &'a str,
    pub epoch: u64,
    pub version: &'a str,
    pub release: &'a str,
    pub architecture: &'a str,
    /// The file name of the source package.
    pub source_file: Option<&'a str>,
    /// None where only the name can tell.
    pub install_only: Option<bool>,
}

impl<'a> Draft<'a> {
    fn of(header: &Header<'a>) -> Result<Draft<'a>, Error> {
        let name = header.text(Tag::NAME)?.ok_or_else(|| Error::Malformed("no package name".into()))?;
        let within = |e: Error| Error::Malformed(format!("{}: {e}", printable(name)));
        let text = |tag| header.text(tag).map(Option::unwrap_or_default).map_err(within);
        Ok(Draft {
            name,
            epoch: header.number(Tag::EPOCH).map_err(within)?.unwrap_or(0),
            version: text(Tag::VERSION)?,
            release: text(Tag::RELEASE)?,
            architecture: text(Tag::ARCH)?,
            source_file: header.text(Tag::SOURCE_RPM).map_err(within)?,
            install_only: Some(header.texts(Tag::PROVIDE_NAME).map_err(within)?.any(is_install_only)),
        })
    }

    fn package(&self) -> Result<Package, Error> {
        let name: PackageName = self.name.parse().map_err(|e| Error::Malformed(format!("{e}")))?;
        let version = self.evr()?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let architecture = self.checked("architecture", self.architecture, plain)?.to_owned();
        let (source, source_version) = match self.source_file.and_then(source) {
            Some((source, version)) => (printable(source), printable(&version)),
            None => (name.to_string(), version.clone()),
        };
        Ok(Package {
            version,
            architecture,
            source,
            source_version,
            held: false,
            state: PackageState::Installed,
            essential: false,
            multi_arch_same: true,
            install_only: self.install_only.unwrap_or_else(|| is_install_only(self.name.as_bytes())),
            name,
        })
    }

    /// `[epoch:]version-release`; an epoch of 0 is the same as none and not written.
    fn evr(&self) -> Result<String, Error> {
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'-' | b':' | b'/');
        let version = self.checked("version", self.version, plain)?;
        let release = self.checked("release", self.release, plain)?;
        Ok(match self.epoch {
            0 => format!("{version}-{release}"),
            epoch => format!("{epoch}:{version}-{release}"),
        })
    }

    /// A text that a package must have, of these bytes only.
    fn checked(&self, what: &str, text: &'a str, plain: fn(u8) -> bool) -> Result<&'a str, Error> {
        let name = printable(self.name);
        if text.is_empty() {
            return Err(Error::Malformed(format!("{name} has no {what}")));
        }
        match text.len() <= VALUE_BYTES_MAX && text.bytes().all(plain) {
            true => Ok(text),
            false => Err(Error::Malformed(format!("{name} has an invalid {what} \"{}\"", printable(text)))),
        }
    }
}

/// Name and `version-release` of a source package from its file name (`glibc-2.34-60.el9.src.rpm`). Such names have no epoch.
fn source(file: &str) -> Option<(&str, String)> {
    let stem = file.strip_suffix(".rpm")?;
    let (stem, _) = stem.rsplit_once('.')?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let whole =
        !name.is_empty() && !version.is_empty() && !release.is_empty() && stem.len() <= VALUE_BYTES_MAX;
    whole.then(|| (name, format!("{version}-{release}")))
}

/// Whether a provide is that of a package whose versions are installed beside each other.
fn is_install_only(provide: &[u8]) -> bool {
    provide.starts_with(INSTALL_ONLY_PREFIX) || INSTALL_ONLY.iter().any(|name| name.as_bytes() == provide)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, Value, header};
    use super::*;

    fn read(blobs: &[Vec<u8>]) -> Result<Installed, Error> {
        let mut reading = Reading::default();
        blobs.iter().try_for_each(|blob| reading.add(blob))?;
        reading.finish()
    }

    fn tags(changed: &[(Tag, Value)]) -> Vec<u8> {
        let usual = [(Tag::NAME, "a"), (Tag::VERSION, "1"), (Tag::RELEASE, "2"), (Tag::ARCH, "noarch")];
        let mut all: Vec<_> = usual.into_iter().map(|(tag, text)| (tag, Value::Text(text))).collect();
        all.extend_from_slice(changed);
        header(&all)
    }

    #[test]
    fn a_package_is_read_whole() {
        let read = read(&[testing::package("glibc", (2, "2.34", "60.el9"), 0)]).unwrap();
        let [package] = &read.packages[..] else { panic!("{read:?}") };
        assert_eq!((package.name.as_str(), package.version.as_str()), ("glibc", "2:2.34-60.el9"));
        assert_eq!((package.source.as_str(), package.source_version.as_str()), ("glibc-src", "2.34-60.el9"));
        assert_eq!((package.architecture.as_str(), package.state), ("x86_64", PackageState::Installed));
        assert!(!package.install_only && !package.held);
    }

    #[test]
    fn sources_are_taken_from_the_name_of_their_file() {
        for (file, expected) in [
            ("glibc-2.34-60.el9.src.rpm", Some(("glibc", "2.34-60.el9"))),
            ("a-b-c-1.0-1.nosrc.rpm", Some(("a-b-c", "1.0-1"))),
            ("(none)", None),
            ("x.src.rpm", None),
            ("-1-2.src.rpm", None),
            ("", None),
        ] {
            let expected = expected.map(|(name, version)| (name, version.to_owned()));
            assert_eq!(source(file), expected, "{file}");
        }
        let own = read(&[tags(&[(Tag::SOURCE_RPM, Value::Text("(none)"))])]).unwrap();
        assert_eq!((&*own.packages[0].source, &*own.packages[0].source_version), ("a", "1-2"));
    }

    #[test]
    fn kernels_and_their_like_are_installed_beside_each_other() {
        let provide = |name| (Tag::PROVIDE_NAME, Value::Texts(vec!["a", name]));
        for (name, expected) in [
            ("kernel", true),
            ("installonlypkg(kernel-module)", true),
            ("multiversion(kernel)", true),
            ("kernel-headers", false),
            ("libinstallonlypkg", false),
        ] {
            assert_eq!(read(&[tags(&[provide(name)])]).unwrap().packages[0].install_only, expected, "{name}");
        }
    }

    #[test]
    fn several_versions_are_noted_unless_they_may_be() {
        let version = |text| (Tag::VERSION, Value::Text(text));
        let kernel = (Tag::PROVIDE_NAME, Value::Texts(vec!["kernel"]));
        let two = read(&[tags(&[version("2")]), tags(&[version("10")])]).unwrap();
        assert_eq!((two.packages.len(), two.notes.len()), (2, 1), "{two:?}");
        let kernels = read(&[tags(&[version("2"), kernel.clone()]), tags(&[version("10"), kernel])]).unwrap();
        assert_eq!((kernels.packages.len(), kernels.notes.len()), (2, 0), "{kernels:?}");
        let same = read(&[tags(&[]), tags(&[])]).unwrap();
        assert_eq!((same.packages.len(), same.notes.len()), (1, 0), "{same:?}");
    }

    #[test]
    fn a_bad_package_is_noted_and_the_rest_is_read() {
        let good = testing::package("glibc", (0, "2.34", "60.el9"), 0);
        for (bad, why) in [
            (tags(&[(Tag::NAME, Value::Text("--root=/"))]), "invalid package name"),
            (tags(&[(Tag::VERSION, Value::Text("1-2"))]), "has an invalid version"),
            (tags(&[(Tag::RELEASE, Value::Text("1\u{1b}[2J"))]), "has an invalid release"),
            (tags(&[(Tag::VERSION, Value::Text(""))]), "has no version"),
            (tags(&[(Tag::ARCH, Value::Text("../x"))]), "has an invalid architecture"),
            (tags(&[(Tag::EPOCH, Value::Text("1"))]), "is no number"),
            (header(&[(Tag::NAME, Value::Text("a"))]), "has no version"),
            (b"junk".to_vec(), "not an rpm header"),
        ] {
            let read = read(&[good.clone(), bad.clone(), good.clone()]).unwrap();
            assert_eq!(read.packages.len(), 1, "{why}");
            assert!(read.notes[0].contains(why) && read.notes[0].contains("package 2 "), "{:?}", read.notes);
            assert!(read.notes[0].chars().all(|c| (' '..='~').contains(&c)), "{:?}", read.notes);
        }
        let odd = read(&[tags(&[(Tag::RELEASE, Value::Text("1%{?dist}"))])]).unwrap();
        assert!(odd.packages.len() == 1 && odd.notes.len() == 1, "{odd:?}");
        let junk = vec![b"junk".to_vec(); 3];
        assert!(read(&junk).unwrap_err().to_string().contains("3 of 3 packages are unreadable"));
    }
}
