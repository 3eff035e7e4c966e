//! Where images have their rpm database, and which of several counts.

use super::{Database, Installed, Kind, packages};
use crate::{Error, Package};
use std::collections::BTreeSet;

/// The folders of rpm's database: the one it had for long, and the one that Fedora, SUSE and images of ostree have moved it to,
/// to which the first is often a link.
pub const FOLDERS: [&str; 2] = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];

/// The files that a database can be, in these folders. The newest form comes first.
pub const FILES: [(&str, Kind); 3] =
    [("rpmdb.sqlite", Kind::Sqlite), ("Packages.db", Kind::Ndb), ("Packages", Kind::Bdb)];

/// What ends the name of an SQLite database's write-ahead log, beside it.
pub const LOG_SUFFIX: &str = "-wal";

/// What ends the name of an SQLite database's rollback journal, beside it.
pub const JOURNAL_SUFFIX: &str = "-journal";

/// Every path at which a database may be, in the order in which they count.
pub fn paths() -> impl Iterator<Item = (String, Kind)> {
    let of =
        |(name, kind): (&'static str, Kind)| FOLDERS.map(move |folder| (format!("{folder}/{name}"), kind));
    FILES.into_iter().flat_map(of)
}

/// A database that an image has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The bytes of its log, where there is one.
    pub log: Option<Vec<u8>>,
    /// The bytes of its journal, where there is one.
    pub journal: Option<Vec<u8>>,
}

impl Found {
    /// It as it is read.
    pub fn database(&self) -> Database<'_> {
        Database { bytes: &self.bytes, log: self.log.as_deref(), journal: self.journal.as_deref() }
    }

    /// A file that was made and never written to is no database yet.
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.log.as_ref().is_none_or(Vec::is_empty)
    }

    fn is_same_file(&self, other: &Found) -> bool {
        (&self.bytes, &self.log, &self.journal) == (&other.bytes, &other.log, &other.journal)
    }
}

/// The database that counts, and its packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Which of those found it is.
    pub index: usize,
    /// What it says.
    pub installed: Installed,
}

/// Reads all databases of an image and says which counts: the only one that has packages, or the first of several that say the
/// same. Several that differ are an error that names both: which of them the image's own rpm reads cannot be known
/// from outside, and patching by the wrong one would prove nothing. None where the image has none.
pub fn choose(found: &[Found]) -> Result<Option<Chosen>, Error> {
    let mut chosen: Option<Chosen> = None;
    let mut notes = Vec::new();
    for (index, this) in found.iter().enumerate() {
        if this.is_empty() || found[..index].iter().any(|earlier| earlier.is_same_file(this)) {
            continue;
        }
        let wrong = |e: Error| Error::Malformed(format!("{}: {e}", this.path));
        let installed = packages(&this.database()).map_err(wrong)?;
        let Some(before) = &chosen else {
            chosen = Some(Chosen { index, installed });
            continue;
        };
        let (first, second) = (&found[before.index].path, &this.path);
        let (counts, other) = match (before.installed.packages.is_empty(), installed.packages.is_empty()) {
            (true, false) => (second, first),
            (false, true) => (first, second),
            _ if same(&before.installed.packages, &installed.packages) => (first, second),
            _ => return Err(disagreement(first, &before.installed, second, &installed)),
        };
        notes.push(format!("the image has two rpm databases; {counts} counts, {other} does not"));
        if counts == second {
            chosen = Some(Chosen { index, installed });
        }
    }
    if let Some(chosen) = &mut chosen {
        chosen.installed.notes.append(&mut notes);
    }
    Ok(chosen)
}

fn key(package: &Package) -> (&str, &str, &str) {
    (package.name.as_str(), &package.architecture, &package.version)
}

fn same(first: &[Package], second: &[Package]) -> bool {
    first.iter().map(key).eq(second.iter().map(key))
}

fn disagreement(first: &str, one: &Installed, second: &str, two: &Installed) -> Error {
    let only = |of: &Installed, other: &Installed| {
        let others: BTreeSet<_> = other.packages.iter().map(key).collect();
        let missing = of.packages.iter().find(|p| !others.contains(&key(p)));
        missing.map(|p| format!("{}-{}.{}", p.name, p.version, p.architecture))
    };
    let shown = match (only(one, two), only(two, one)) {
        (Some(name), _) => format!("{name} is only in {first}"),
        (_, Some(name)) => format!("{name} is only in {second}"),
        (None, None) => "one has a package twice".into(),
    };
    Error::Malformed(format!("the rpm databases {first} and {second} disagree: {shown}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bdb, blobs, ndb, package, sqlite};
    use super::*;

    fn found(path: &str, bytes: Vec<u8>) -> Found {
        Found { path: path.into(), bytes, log: None, journal: None }
    }

    #[test]
    fn the_newest_form_comes_first() {
        let all: Vec<String> = paths().map(|(path, _)| path).collect();
        assert_eq!(all.len(), 6);
        assert_eq!((&*all[0], &*all[5]), ("/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/Packages"));
    }

    #[test]
    fn one_counts_that_is_alone_has_packages_or_agrees() {
        let all = blobs();
        let index = |found: &[Found]| choose(found).unwrap().map(|c| (c.index, c.installed.notes.len()));
        assert_eq!(index(&[]), None);
        assert_eq!(index(&[found("a", ndb(&all))]), Some((0, 0)));
        // The same file through a link.
        assert_eq!(index(&[found("a", sqlite(&all)), found("b", sqlite(&all))]), Some((0, 0)));
        assert_eq!(index(&[found("a", sqlite(&all)), found("b", bdb(&all, false))]), Some((0, 1)));
        assert_eq!(index(&[found("a", sqlite(&[])), found("b", bdb(&all, false))]), Some((1, 1)));
        assert_eq!(index(&[found("a", sqlite(&all)), found("b", ndb(&[]))]), Some((0, 1)));
        assert_eq!(index(&[found("a", Vec::new()), found("b", ndb(&all))]), Some((1, 0)));
    }

    #[test]
    fn two_that_differ_or_cannot_be_read_are_errors_that_name_them() {
        let (all, other) = (blobs(), vec![package("bash", (0, "9", "1"), 0)]);
        let error = choose(&[found("/a", sqlite(&all)), found("/b", ndb(&other))]).unwrap_err().to_string();
        assert_eq!(error, "the rpm databases /a and /b disagree: bash-5.1.8-1.el9.x86_64 is only in /a");
        let error =
            choose(&[found("/a", sqlite(&all)), found("/b", b"junk".to_vec())]).unwrap_err().to_string();
        assert!(error.starts_with("/b: no rpm database"), "{error}");
    }
}
