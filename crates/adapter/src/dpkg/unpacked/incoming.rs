//! The packages that are to be unpacked, each with what it takes the place of.

use crate::{Error, Unpacking};
use inventory::{Package, printable};
use layer::EntryPath;
use repository::Archive;
use std::collections::BTreeSet;

/// Longest list of conffiles; the longest real ones have some hundred lines.
const CONFFILES_MAX: usize = 10_000;

/// One package on its way in.
pub(super) struct Incoming<'a> {
    /// Its file.
    pub(super) archive: &'a Archive,
    /// The file, opened.
    pub(super) package: repository::Package,
    /// What is installed under its name now, and goes.
    pub(super) old: Option<&'a Package>,
    /// Its configuration files.
    pub(super) conffiles: BTreeSet<EntryPath>,
}

impl Incoming<'_> {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.package.name.as_str()
    }

    /// What is wrong with it, as an error.
    pub(super) fn error(&self, why: impl std::fmt::Display) -> Error {
        let package = printable(&format!("{} {}", self.package.name, self.package.version));
        Error::Package { package, why: why.to_string() }
    }

    /// A control file.
    pub(super) fn control(&self, name: &str) -> Option<&[u8]> {
        self.package.control.get(name).map(Vec::as_slice)
    }

    /// Whether several architectures of it may be installed side by side.
    pub(super) fn multi_arch_same(&self) -> bool {
        let value =
            self.archive.chosen().record.iter().find(|(name, _)| name.eq_ignore_ascii_case("multi-arch"));
        value.is_some_and(|(_, value)| value.trim().eq_ignore_ascii_case("same"))
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
    let mut incoming = Incoming { archive, package, old, conffiles: BTreeSet::new() };
    if old.is_some_and(|old| old.held) {
        return Err(incoming.error("the image holds it at its version"));
    }
    if old.is_some() && work.plan.excluded.contains(&incoming.package.name) {
        return Err(incoming.error("it is excluded"));
    }
    incoming.conffiles = conffiles(&incoming)?;
    Ok(incoming)
}

/// What a package takes the place of: the one of its name and architecture. A package may change between an architecture and
/// `all`.
fn replaced<'a>(installed: &'a [Package], new: &repository::Package) -> Option<&'a Package> {
    let of_name = || installed.iter().filter(|p| p.name == new.name);
    let is_all = |p: &&Package| p.architecture == "all" || new.architecture == "all";
    of_name().find(|p| p.architecture == new.architecture).or_else(|| of_name().find(is_all))
}

/// deb-conffiles(5): a path a line; a flag before it says that the file is to go, so it is none of the new version's.
fn conffiles(incoming: &Incoming<'_>) -> Result<BTreeSet<EntryPath>, Error> {
    let text = incoming.control("conffiles").unwrap_or_default();
    let lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| line.starts_with(b"/"));
    let mut paths = BTreeSet::new();
    for line in lines {
        if paths.len() == CONFFILES_MAX {
            return Err(incoming.error(format!("more than {CONFFILES_MAX} conffiles")));
        }
        paths.insert(EntryPath::new(line).map_err(|why| incoming.error(why))?);
    }
    Ok(paths)
}
