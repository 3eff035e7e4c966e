//! Images with apk's database and without apk: packages unpacked by us, and the records rewritten in apk's own form. No program
//! of the image or of a package is ever run.

mod database;
mod incoming;
mod obsolete;
mod owners;
mod patterns;
mod place;
mod protected;
mod request;
mod script_archive;
mod scripts;
mod triggers;

pub(super) use request::request;

use super::DATABASES;
use crate::{Error, Unpacking};
use incoming::Incoming;
use inventory::{
    apk::installed::{self, Installed, Record},
    printable,
};
use layer::{EntryPath, Staged, Tree};
use obsolete::Obsolete;
use owners::Owners;
use place::{Placed, Placing};
use protected::Protected;
use std::collections::BTreeSet;

/// Largest archive of scripts, and list of triggers.
const SCRIPTS_BYTES_MAX: u64 = 64 << 20;

/// Most files that a note names.
const NAMED_MAX: usize = 8;

/// A record of the database that is written, and the package it is of where that is new.
struct Next<'a> {
    record: Record,
    incoming: Option<&'a Incoming<'a>>,
}

/// Unpacks packages over an image, and says what the user should know.
pub(super) fn unpack(work: &Unpacking<'_>, staged: &mut Staged) -> Result<Vec<String>, Error> {
    let (database, installed) = read(staged)?;
    let all = incoming::open(work, &installed)?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let files = Files::read(database, staged)?;
    let mut notes = Vec::new();
    notes.extend(scripts_note(work, &installed, &all, &files, staged)?);
    let mut owners = Owners::new(&installed, &all);
    let protected = Protected::read(staged)?;
    let mut placed = Vec::new();
    for (at, incoming) in all.iter().enumerate() {
        let placing = Placing { at, incoming, protected: &protected, owners: &mut owners };
        placed.push(place::place(placing, staged)?);
    }
    let mut changed = Vec::new();
    let obsolete = Obsolete::new(placed.iter(), &owners).map_err(in_record(database))?;
    for incoming in &all {
        changed.extend(obsolete.take(incoming, staged).map_err(|why| incoming.error(why))?);
    }
    let next = records(&installed, &all, Some((&placed, &owners)))?;
    files.write(&next, staged)?;
    let kept = placed.into_iter().flat_map(|one| one.kept).collect();
    notes.extend(named("files stay as the image has them, the new versions have others", kept));
    notes.extend(named("files are not in the new versions and stay, as they were changed", changed));
    notes.extend(files.note());
    Ok(notes)
}

/// The image's database, and where it is. One that has what is not known is not written.
fn read(tree: &dyn Tree) -> Result<(&'static str, Installed), Error> {
    for database in DATABASES {
        let bytes = tree.read(&path(database), installed::BYTES_MAX as u64).map_err(in_record(database))?;
        let Some(bytes) = bytes else { continue };
        let read = installed::parse(&bytes).map_err(|why| Error::database(database, why))?;
        return match read.unknown.is_empty() {
            true => Ok((database, read)),
            false => Err(Error::database(
                database,
                "has fields of an apk newer than is known, so it is not written",
            )),
        };
    }
    Err(Error::database(DATABASES[0], "not there"))
}

/// What scripts would have run, judged before anything is placed.
fn scripts_note(
    work: &Unpacking<'_>,
    installed: &Installed,
    all: &[Incoming<'_>],
    files: &Files,
    tree: &dyn Tree,
) -> Result<Option<String>, Error> {
    let next = records(installed, all, None)?;
    let mut changed = BTreeSet::new();
    for incoming in all {
        let old = incoming.old.map(Record::files).unwrap_or_default();
        changed.extend(old.iter().filter(|file| file.name.is_some()).map(|file| file.folder.to_owned()));
        let visited = incoming.package.entries(&mut |entry, _| {
            let is_folder = entry.kind == layer::Kind::Directory;
            let folder = if is_folder { None } else { entry.path.parent() };
            changed.extend(folder.map(|folder| String::from_utf8_lossy(folder.as_bytes()).into_owned()));
            Ok(())
        });
        visited.map_err(|why| incoming.error(why))?;
    }
    let old = files.triggers.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let pulled = triggers::pulled(&old, &next, &changed);
    scripts::judge(&next, &pulled, tree, work.settings.policy.skip_scripts)
}

/// The records that there are now: in the order that they were in, what is new at the end. Before anything was placed those of
/// new packages have no files.
fn records<'a>(
    installed: &Installed,
    all: &'a [Incoming<'a>],
    placed: Option<(&[Placed], &Owners<'_>)>,
) -> Result<Vec<Next<'a>>, Error> {
    let none = Placed::default();
    let of = |at: usize| {
        let files = placed.map_or(&none, |(placed, _)| &placed[at]);
        let record =
            database::record(&all[at], files, placed.and_then(|(_, owners)| owners.passed.get(&at)))?;
        Ok(Next { record, incoming: Some(&all[at]) })
    };
    let mut next = Vec::new();
    for (at, record) in installed.records.iter().enumerate() {
        let replaced = all.iter().position(|one| one.old == Some(record));
        let taken = placed.and_then(|(_, owners)| owners.taken.get(&at));
        next.push(match (replaced, taken) {
            (Some(at), _) => of(at)?,
            (None, None) => Next { record: record.clone(), incoming: None },
            (None, Some(taken)) => {
                let record =
                    database::without(record, taken).map_err(|why| Error::database(DATABASES[0], why))?;
                Next { record, incoming: None }
            }
        });
    }
    for at in (0..all.len()).filter(|at| all[*at].old.is_none()) {
        next.push(of(at)?);
    }
    Ok(next)
}

/// The files of the database beside the list of packages, where the image has them.
struct Files {
    /// Where the list is: in both places it is the same, be it through a link or not.
    databases: Vec<&'static str>,
    folder: &'static str,
    scripts: Option<Vec<u8>>,
    triggers: Option<Vec<u8>>,
    /// apk 3 may have the scripts packed.
    packed: bool,
}

impl Files {
    fn read(database: &'static str, tree: &dyn Tree) -> Result<Files, Error> {
        let folder = database.rsplit_once('/').map_or("", |(folder, _)| folder);
        let get = |name: &str| {
            let at = format!("{folder}/{name}");
            tree.read(&path(&at), SCRIPTS_BYTES_MAX).map_err(in_record(&at))
        };
        let packed =
            tree.entry(&path(&format!("{folder}/scripts.tar.gz")), true).map_err(in_record(folder))?;
        let (scripts, triggers) = (get("scripts.tar")?, get("triggers")?);
        let mut databases = vec![database];
        for other in DATABASES.into_iter().filter(|other| *other != database) {
            let there = tree.entry(&path(other), true).map_err(in_record(other))?;
            databases.extend(there.map(|_| other));
        }
        Ok(Files { databases, folder, scripts, triggers, packed: packed.is_some() })
    }

    fn write(&self, next: &[Next<'_>], staged: &mut Staged) -> Result<(), Error> {
        let mut put = |at: &str, bytes: &[u8]| staged.write(&path(at), bytes, 0o644).map_err(in_record(at));
        let database: Vec<u8> = next.iter().flat_map(|one| one.record.as_str().bytes()).collect();
        for at in &self.databases {
            put(at, &database)?;
        }
        if let Some(old) = &self.scripts {
            let at = format!("{}/scripts.tar", self.folder);
            let new = script_archive::rewritten(old, next).map_err(script_archive::error(&at))?;
            put(&at, &new)?;
        }
        if let Some(old) = &self.triggers {
            let new = triggers::rewritten(&String::from_utf8_lossy(old), next);
            put(&format!("{}/triggers", self.folder), new.as_bytes())?;
        }
        Ok(())
    }

    fn note(&self) -> Option<String> {
        self.packed.then(|| format!("{}/scripts.tar.gz keeps the scripts of the old versions", self.folder))
    }
}

/// A list of files in a note, short enough to be read.
fn named(what: &str, files: Vec<EntryPath>) -> Option<String> {
    let all: BTreeSet<String> = files.iter().map(|file| printable(&file.to_string())).collect();
    let named: Vec<_> = all.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = all.len().saturating_sub(NAMED_MAX);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!all.is_empty()).then(|| format!("{what}: {}{tail}", named.join(", ")))
}

/// A path of our own.
fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).expect("a path of our own is one")
}

/// A failure while reading or writing a record, named.
fn in_record(item: &str) -> impl Fn(layer::Error) -> Error + '_ {
    move |why| Error::database(item, why)
}
