//! Whose a path is: packages that stay have theirs, and a package may take one over where it says that it replaces its owner,
//! or is of the same source, as in apk.

use super::incoming::{self, Incoming};
use crate::Error;
use inventory::apk::installed::{Installed, Record};
use std::collections::{BTreeMap, BTreeSet};

/// Who has a path.
#[derive(Clone, Copy)]
enum Owner {
    /// A record that stays.
    Kept(usize),
    /// A package that came before.
    New(usize),
}

/// All owners.
pub(super) struct Owners<'a> {
    installed: &'a Installed,
    all: &'a [Incoming<'a>],
    by_path: BTreeMap<String, Owner>,
    /// Files that are taken from records that stay, by the record's place.
    pub(super) taken: BTreeMap<usize, BTreeSet<String>>,
    /// Files that are taken from packages that came before, by their place.
    pub(super) passed: BTreeMap<usize, BTreeSet<String>>,
    /// Folders of records that stay.
    pub(super) folders: BTreeSet<String>,
    /// Files of records that stay, without `usr/` at the front: where one `/usr` is, the same file has two names.
    files: BTreeSet<String>,
}

/// A file's path in a record.
pub(super) fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A path as it is whether or not `/usr` is merged.
fn unmerged(path: &str) -> &str {
    path.strip_prefix("usr/").unwrap_or(path)
}

impl<'a> Owners<'a> {
    /// Of the records that are not replaced.
    pub(super) fn new(installed: &'a Installed, all: &'a [Incoming<'a>]) -> Owners<'a> {
        let (by_path, taken, passed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (folders, files) = (BTreeSet::new(), BTreeSet::new());
        let mut owners = Owners { installed, all, by_path, taken, passed, folders, files };
        let replaced = |record: &Record| all.iter().any(|one| one.old == Some(record));
        for (at, record) in installed.records.iter().enumerate().filter(|(_, record)| !replaced(record)) {
            for file in record.files() {
                match file.name {
                    None => drop(owners.folders.insert(unmerged(file.folder).to_owned())),
                    Some(name) => {
                        let path = joined(file.folder, name);
                        owners.files.insert(unmerged(&path).to_owned());
                        owners.by_path.insert(path, Owner::Kept(at));
                    }
                }
            }
        }
        owners
    }

    /// Whether a package that stays has this file or folder.
    pub(super) fn keep(&self, path: &str) -> bool {
        self.files.contains(unmerged(path)) || self.folders.contains(unmerged(path))
    }

    /// Whether the package at this place gets a file; an error where it is another's who does not give it.
    pub(super) fn gets(&mut self, at: usize, path: &str) -> Result<bool, Error> {
        let one = &self.all[at];
        let verdict = match self.by_path.get(path) {
            None => true,
            Some(Owner::New(other)) if *other == at => return Err(one.error(format!("it has /{path} twice"))),
            Some(Owner::New(other)) => {
                let two = &self.all[*other];
                let gets = self.settles(one, &Other::New(two), path)?;
                if gets {
                    self.passed.entry(*other).or_default().insert(path.to_owned());
                }
                gets
            }
            Some(Owner::Kept(other)) => {
                let gets = self.settles(one, &Other::Kept(&self.installed.records[*other]), path)?;
                if gets {
                    self.taken.entry(*other).or_default().insert(path.to_owned());
                }
                gets
            }
        };
        if verdict {
            self.by_path.insert(path.to_owned(), Owner::New(at));
        }
        Ok(verdict)
    }

    fn settles(&self, one: &Incoming<'_>, other: &Other<'_>, path: &str) -> Result<bool, Error> {
        let (name, version, origin) = other.is();
        let gives = other.replaces(one.name(), &one.package.version);
        match () {
            () if one.replaces(name, version) => Ok(true),
            () if gives => Ok(false),
            () if one.origin().is_some() && one.origin() == origin => Ok(true),
            () => {
                let shown = inventory::printable(&format!("/{path}, which {name} has"));
                Err(one.error(format!("it would overwrite {shown}")))
            }
        }
    }
}

/// The other one who has a path.
enum Other<'a> {
    Kept(&'a Record),
    New(&'a Incoming<'a>),
}

impl Other<'_> {
    fn is(&self) -> (&str, &str, Option<&str>) {
        match self {
            Other::Kept(record) => {
                let get = |letter| record.get(letter).unwrap_or_default();
                (get('P'), get('V'), record.get('o').filter(|origin| !origin.is_empty()))
            }
            Other::New(one) => (one.name(), &one.package.version, one.origin()),
        }
    }

    fn replaces(&self, name: &str, version: &str) -> bool {
        match self {
            Other::New(one) => one.replaces(name, version),
            Other::Kept(record) => {
                let words = record.get('r').unwrap_or_default().split_ascii_whitespace();
                incoming::replaces(words, name, version)
            }
        }
    }
}
