//! The packages that are to be unpacked, each with what it takes the place of.

use crate::{Error, Unpacking};
use inventory::{Package, printable, rpm::Header};
use repository::Archive;

/// One package on its way in.
pub(super) struct Incoming<'a> {
    /// Its file.
    pub(super) archive: &'a Archive,
    /// The file, opened.
    pub(super) package: repository::Package,
    /// What is installed under its name now, and goes.
    pub(super) old: Option<&'a Package>,
}

impl Incoming<'_> {
    /// What is wrong with it, as an error.
    pub(super) fn error(&self, why: impl std::fmt::Display) -> Error {
        let package = printable(&format!("{} {}", self.package.name, self.package.version));
        Error::Package { package, why: why.to_string() }
    }

    /// Its header.
    pub(super) fn header(&self) -> Result<Header<'_>, Error> {
        let bytes = self.package.control.get("header").map(Vec::as_slice).unwrap_or_default();
        Header::parse(bytes).map_err(|why| self.error(why))
    }
}

/// Opens the packages. One that is held, or that the user excluded, is never among them.
pub(super) fn open<'a>(work: &Unpacking<'a>) -> Result<Vec<Incoming<'a>>, Error> {
    work.archives.iter().map(|archive| open_one(work, archive)).collect()
}

fn open_one<'a>(work: &Unpacking<'a>, archive: &'a Archive) -> Result<Incoming<'a>, Error> {
    let package = archive.open().map_err(|error| {
        let chosen = archive.chosen();
        let package = printable(&format!("{} {}", chosen.name, chosen.version));
        Error::Package { package, why: error.to_string() }
    })?;
    let old = replaced(&work.facts.inventory.packages, &package);
    let incoming = Incoming { archive, package, old };
    if old.is_some_and(|old| old.held) {
        return Err(incoming.error("the image holds it at its version"));
    }
    if old.is_some() && work.plan.excluded.contains(&incoming.package.name) {
        return Err(incoming.error("it is excluded"));
    }
    Ok(incoming)
}

/// What a package takes the place of: the one of its name and architecture. A package may change between an architecture and
/// `noarch`.
fn replaced<'a>(installed: &'a [Package], new: &repository::Package) -> Option<&'a Package> {
    let of_name = || installed.iter().filter(|p| p.name == new.name);
    let is_none = |p: &&Package| p.architecture == "noarch" || new.architecture == "noarch";
    of_name().find(|p| p.architecture == new.architecture).or_else(|| of_name().find(is_none))
}
