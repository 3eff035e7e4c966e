//! The packages that are to be unpacked, each with the record of what it takes the place of.

use crate::{Error, Unpacking};
use inventory::{
    apk::{
        installed::{Installed, Record},
        relation::Relation,
    },
    printable,
};
use repository::{Archive, apk};

/// The file that says what a package is.
const INFORMATION: &str = ".PKGINFO";

/// One package on its way in.
pub(super) struct Incoming<'a> {
    pub(super) archive: &'a Archive,
    pub(super) package: repository::Package,
    /// Lines of `.PKGINFO`.
    information: Vec<(String, String)>,
    /// The record of what is installed under its name now, and goes.
    pub(super) old: Option<&'a Record>,
}

impl Incoming<'_> {
    pub(super) fn name(&self) -> &str {
        self.package.name.as_str()
    }

    /// What is wrong with it, as an error.
    pub(super) fn error(&self, why: impl std::fmt::Display) -> Error {
        let package = printable(&format!("{} {}", self.package.name, self.package.version));
        Error::Package { package, why: why.to_string() }
    }

    /// The values of a field of `.PKGINFO`.
    pub(super) fn all<'s>(&'s self, field: &'s str) -> impl Iterator<Item = &'s str> {
        self.information.iter().filter(move |(name, _)| name == field).map(|(_, value)| value.as_str())
    }

    /// A field of its record in the index.
    pub(super) fn record(&self, letter: &str) -> Option<&str> {
        self.archive.chosen().record.get(letter).map(String::as_str)
    }

    /// The source package it is of.
    pub(super) fn origin(&self) -> Option<&str> {
        self.record("o").filter(|origin| !origin.is_empty())
    }

    /// Folders whose changes it wants to know of.
    pub(super) fn triggers(&self) -> Vec<&str> {
        self.all("triggers").flat_map(str::split_ascii_whitespace).collect()
    }

    /// Whether it says that its files may take the place of those of another package.
    pub(super) fn replaces(&self, name: &str, version: &str) -> bool {
        replaces(self.all("replaces").flat_map(str::split_ascii_whitespace), name, version)
    }
}

/// Whether words of `replaces` name a package at this version.
pub(super) fn replaces<'w>(words: impl Iterator<Item = &'w str>, name: &str, version: &str) -> bool {
    let mut relations = words.filter_map(|word| Relation::parse(word).ok());
    let takes = |relation: &Relation| match version.parse() {
        Ok(version) => apk::admits(relation, &version),
        Err(_) => relation.version.is_none(),
    };
    relations.any(|relation| relation.name == name && takes(&relation))
}

/// Opens the packages. One that the user excluded is never among them.
pub(super) fn open<'a>(work: &Unpacking<'a>, installed: &'a Installed) -> Result<Vec<Incoming<'a>>, Error> {
    work.archives.iter().map(|archive| open_one(work, installed, archive)).collect()
}

fn open_one<'a>(
    work: &Unpacking<'a>,
    installed: &'a Installed,
    archive: &'a Archive,
) -> Result<Incoming<'a>, Error> {
    let chosen = archive.chosen();
    let refuse = |why: String| Error::Package {
        package: printable(&format!("{} {}", chosen.name, chosen.version)),
        why,
    };
    let package = archive.open().map_err(|error| refuse(error.to_string()))?;
    let information = package.control.get(INFORMATION).map_or(&[][..], Vec::as_slice);
    let information = apk::information_of(information).map_err(|why| refuse(printable(&why)))?;
    let old = installed.records.iter().find(|record| record.get('P') == Some(package.name.as_str()));
    if old.is_some() && work.plan.excluded.contains(&package.name) {
        return Err(refuse("it is excluded".into()));
    }
    Ok(Incoming { archive, package, information, old })
}
