//! Debian and its like where no tool is in the image, or none shall run: packages unpacked by us, and the records rewritten in
//! the form they have. No program of the image or of a package is ever run.

mod chisel;
mod diversions;
mod folder;
mod generated;
#[cfg(test)]
mod hostile;
mod incoming;
mod info;
mod left_out;
mod lists;
mod notes;
mod obsolete;
mod place;
mod request;
mod script_text;
mod scripts;
mod status;
mod sums;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(super) use request::request;

use super::STATUS;
use crate::{Error, Unpacking};
use incoming::Incoming;
use inventory::{Package, deb822, dpkg, printable};
use layer::{EntryPath, Staged, Tree};
use left_out::{Lacks, LeftOut};
use lists::{Extent, Lists};
use notes::listed;
use obsolete::Obsolete;
use place::{Placed, Placing};
use std::collections::{BTreeMap, BTreeSet};

/// Which package a record is of.
#[derive(Debug, Clone, Copy)]
struct Record<'a> {
    name: &'a str,
    architecture: &'a str,
}

impl<'a> Record<'a> {
    fn of(package: &'a Package) -> Self {
        Record { name: package.name.as_str(), architecture: &package.architecture }
    }

    fn is_of(&self, stanza: &deb822::Stanza) -> bool {
        let is = |field: &str, value: &str| stanza.get(field).is_some_and(|found| found == value);
        is("package", self.name) && is("architecture", self.architecture)
    }
}

/// What the image records of its packages, in each of the forms that it has.
struct Records {
    folder: folder::Folder,
    status: Option<Vec<u8>>,
    info: info::Info,
    wall: Option<chisel::Manifest>,
}

impl Records {
    fn read(tree: &dyn Tree) -> Result<Records, Error> {
        Ok(Records {
            folder: folder::Folder::read(tree)?,
            // One without a package is no record: what is installed is told elsewhere.
            status: tree
                .read(&path(STATUS), dpkg::BYTES_MAX as u64)
                .map_err(in_record(STATUS))?
                .filter(|bytes| !bytes.trim_ascii().is_empty()),
            info: info::Info::read(tree)?,
            wall: chisel::Manifest::read(tree)?,
        })
    }

    /// The sums of a package's configuration files, by dpkg's own record.
    fn conffiles(&self, old: Option<&Package>) -> BTreeMap<EntryPath, String> {
        let stanza =
            self.status.as_deref().zip(old).and_then(|(bytes, old)| status::stanza(bytes, &Record::of(old)));
        let recorded = stanza.map(|stanza| status::conffiles(&stanza)).unwrap_or_default();
        recorded.into_iter().map(|conffile| (conffile.path, conffile.md5)).collect()
    }
}

/// One package after it was placed.
struct Done<'a> {
    incoming: &'a Incoming<'a>,
    placed: Placed,
    left_out: LeftOut,
    /// Configuration files by the old record.
    conffiles: BTreeMap<EntryPath, String>,
    /// What went.
    taken: obsolete::Taken,
}

/// Unpacks packages over an image, and says what the user should know.
pub(super) fn unpack(work: &Unpacking<'_>, staged: &mut Staged) -> Result<Vec<String>, Error> {
    let all = incoming::open(work)?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut notes: Vec<String> =
        scripts::judge(&all, staged, work.settings.policy.skip_scripts)?.into_iter().collect();
    let before = generated::before(&all, staged).map_err(in_record("certificates"))?;
    let records = Records::read(staged)?;
    let lists = Lists::read(staged, &records, &work.facts.inventory.packages)?;
    let mut done = place_all(&all, &records, &lists, staged)?;
    let libraries = new_libraries(&done, staged);
    take_obsolete(&mut done, &lists, staged)?;
    notes.extend(said(&done, &lists));
    notes.extend(before.after(&libraries, staged).map_err(in_record("generated files"))?);
    write(records, &done, staged)?;
    Ok(notes)
}

fn place_all<'a>(
    all: &'a [Incoming<'a>],
    records: &Records,
    lists: &Lists,
    staged: &mut Staged,
) -> Result<Vec<Done<'a>>, Error> {
    let lacks = Lacks::find(staged, lists).map_err(in_record("lists of packages"))?;
    let diversions = diversions::Diversions::read(staged)?;
    // All are looked at before one is placed: what a package brings must not count as having been there.
    let lefts = all.iter().map(|incoming| {
        let list = incoming.old.and_then(|old| lists.of(old));
        LeftOut::of(incoming, list, &lacks, records, staged)
    });
    let lefts = lefts.collect::<Result<Vec<_>, _>>()?;
    let none = BTreeMap::new();
    let mut done = Vec::new();
    for (incoming, left_out) in all.iter().zip(lefts) {
        let conffiles = records.conffiles(incoming.old);
        let mutated =
            records.wall.as_ref().zip(incoming.old).map(|(wall, old)| wall.mutated(&Record::of(old)));
        let placing = Placing {
            incoming,
            left_out: &left_out,
            diversions: &diversions,
            old: incoming.old.and_then(|old| lists.of(old)).map_or(&none, |list| &list.paths),
            conffiles: &conffiles,
            mutated: &mutated.transpose()?.unwrap_or_default(),
        };
        let placed = place::place(&placing, staged)?;
        done.push(Done { incoming, placed, left_out, conffiles, taken: obsolete::Taken::default() });
    }
    Ok(done)
}

/// Takes away what only the old versions have.
fn take_obsolete(done: &mut [Done<'_>], lists: &Lists, staged: &mut Staged) -> Result<(), Error> {
    let olds = done.iter().filter_map(|one| one.incoming.old);
    let replaced: BTreeSet<_> = olds.map(|old| (old.name.to_string(), old.architecture.clone())).collect();
    let others = lists.of_others(&replaced);
    let mut landed = BTreeSet::new();
    let mut conffiles = BTreeSet::new();
    for one in done.iter() {
        landed.extend(one.placed.at.iter().flat_map(|(path, at)| [path.clone(), at.real.clone()]));
        conffiles.extend(one.conffiles.keys().cloned());
        conffiles.extend(one.incoming.conffiles.iter().cloned());
    }
    for one in done {
        let Some(list) = one.incoming.old.and_then(|old| lists.of(old)) else { continue };
        let obsolete = Obsolete { landed: &landed, others: &others, conffiles: &conffiles };
        let taken = obsolete.take(list, &one.placed, staged);
        one.taken = taken.map_err(|why| one.incoming.error(why))?;
    }
    Ok(())
}

/// Shared libraries under names that were not there before: a cache of the loader does not know them.
fn new_libraries(done: &[Done<'_>], staged: &Staged) -> BTreeSet<EntryPath> {
    let lower = staged.lower();
    let at = done.iter().flat_map(|one| one.placed.at.values()).filter(|at| !at.kept);
    let is_library = |at: &&place::At| {
        let name = at.real.name();
        name.windows(4).any(|part| part == b".so.") || name.ends_with(b".so")
    };
    let new = at.filter(is_library).filter(|at| matches!(lower.entry(&at.real, false), Ok(None)));
    new.map(|at| at.real.clone()).collect()
}

/// What became of files that somebody changed.
fn said<'a>(done: &'a [Done<'a>], lists: &Lists) -> Vec<String> {
    let paths =
        |of: fn(&'a Done<'a>) -> &'a Vec<EntryPath>| done.iter().flat_map(of).collect::<BTreeSet<_>>();
    let mut notes = Vec::new();
    let mut say = |paths: BTreeSet<&EntryPath>, what: &str| {
        if !paths.is_empty() {
            notes.push(format!("{what}: {}", listed(paths)));
        }
    };
    say(
        paths(|one| &one.placed.kept),
        "configuration files stay as the image has them, the new versions have others",
    );
    say(paths(|one| &one.placed.own), "files stay as the maker of the image changed them");
    say(paths(|one| &one.taken.kept), "files are not in the new versions and stay, as they were changed");
    let unlisted = |one: &&Done<'_>| {
        let list = one.incoming.old.and_then(|old| lists.of(old));
        list.is_some_and(|list| list.extent == Extent::Unknown)
    };
    let names: Vec<_> = done.iter().filter(unlisted).map(|one| printable(one.incoming.name())).collect();
    if !names.is_empty() {
        notes.push(format!(
            "files that the new versions no longer have stay, as no record tells which they are, of: {}",
            listed(names)
        ));
    }
    let unknown = |one: &&Done<'_>| {
        let list = one.incoming.old.and_then(|old| lists.of(old));
        list.is_some_and(|list| list.extent == Extent::UnknownSlices) && one.placed.passed_over > 0
    };
    let names: Vec<_> = done.iter().filter(unknown).map(|one| printable(one.incoming.name())).collect();
    if !names.is_empty() {
        notes.push(format!(
            "only the files that the image has were replaced, as no record tells which it should have, of: {}",
            listed(names)
        ));
    }
    notes
}

/// Rewrites the records.
fn write(records: Records, done: &[Done<'_>], staged: &mut Staged) -> Result<(), Error> {
    let Records { folder, status, info, wall } = records;
    for one in done {
        let sums = one.sums();
        folder.write(one.incoming, &sums, staged)?;
        info.write(one.incoming, &one.placed.listed, &sums, staged)?;
    }
    if let Some(bytes) = status {
        write_status(&bytes, done, staged)?;
    }
    if let Some(mut manifest) = wall {
        let listed = |one: &&Done<'_>| one.incoming.old.is_none_or(|old| manifest.has(&Record::of(old)));
        let known: Vec<_> = done.iter().filter(listed).collect();
        for one in known {
            manifest.update(one.incoming, &one.placed, &one.left_out, &one.taken.removed);
        }
        manifest.write(staged)?;
    }
    Ok(())
}

fn write_status(bytes: &[u8], done: &[Done<'_>], staged: &mut Staged) -> Result<(), Error> {
    let current: Vec<Vec<status::ConffileSum>> = done.iter().map(Done::conffile_sums).collect();
    let mut obsolete: Vec<Vec<status::ConffileSum>> = Vec::new();
    for one in done {
        obsolete.push(one.obsolete_conffiles(staged)?);
    }
    let new = done.iter().zip(&current).zip(&obsolete).map(|((one, conffiles), obsolete)| status::New {
        incoming: one.incoming,
        conffiles,
        obsolete,
    });
    let bytes = status::rewritten(bytes, &new.collect::<Vec<_>>())?;
    staged.write(&path(STATUS), &bytes, 0o644).map_err(in_record(STATUS))
}

impl Done<'_> {
    /// Sums of the package's files in md5sum's form: its own, or where it has none what passed.
    fn sums(&self) -> Vec<u8> {
        if let Some(own) = self.incoming.control("md5sums") {
            return own.to_vec();
        }
        let files = self.placed.sums.iter().filter(|(path, _)| !self.incoming.conffiles.contains(*path));
        let line = |(path, md5): (&EntryPath, &String)| {
            [md5.as_bytes(), b"  ".as_slice(), path.as_bytes(), b"\n".as_slice()].concat()
        };
        files.flat_map(line).collect()
    }

    fn conffile_sums(&self) -> Vec<status::ConffileSum> {
        let sum = |path: &EntryPath| Some((path.clone(), self.placed.sums.get(path)?.clone()));
        self.incoming.conffiles.iter().filter_map(sum).collect()
    }

    /// Configuration files of the old record that are still there and none of the new version.
    fn obsolete_conffiles(&self, tree: &dyn Tree) -> Result<Vec<status::ConffileSum>, Error> {
        let mut left = Vec::new();
        for (path, md5) in self.conffiles.iter().filter(|(path, _)| !self.incoming.conffiles.contains(*path))
        {
            let there = tree.entry(path, true).map_err(|why| self.incoming.error(why))?;
            left.extend(there.map(|_| (path.clone(), md5.clone())));
        }
        Ok(left)
    }
}

/// A path of our own.
fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).expect("a path of our own is one")
}

/// A failure while reading or writing a record, named.
fn in_record(item: &str) -> impl Fn(layer::Error) -> Error + '_ {
    move |why| Error::database(item, why)
}
