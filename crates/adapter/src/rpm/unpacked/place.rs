//! A package's entries to their places in the tree.

use super::{
    Incoming, in_image,
    known::{self, Known},
    owners::Owners,
    path,
};
use crate::Error;
use inventory::rpm::contents::{self, FILE_CONFIG};
use layer::{Entry, EntryPath, Kind, Staged, Tree};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read,
};

/// Largest configuration file: it is compared in memory.
const CONFIG_BYTES_MAX: u64 = 64 << 20;

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

/// Folders of documentation. Where an image has nothing in one, no package brings something.
const DOCUMENTATION: [&str; 4] = ["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/gtk-doc"];

/// What became of the packages.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// What the packages have, whether placed or not.
    pub(super) listed: BTreeSet<EntryPath>,
    /// Where things are now.
    pub(super) at: BTreeSet<EntryPath>,
    /// Configuration files that differ and stay.
    pub(super) kept: BTreeSet<EntryPath>,
    /// Users and groups that the image does not have.
    pub(super) unknown_owners: BTreeSet<String>,
    /// Links that lead elsewhere now, and where they led.
    pub(super) turned: BTreeMap<EntryPath, Vec<u8>>,
}

/// What is needed to place a package.
pub(super) struct Placing<'a> {
    pub(super) incoming: &'a Incoming<'a>,
    pub(super) owners: &'a Owners,
    /// Folders of which nothing is placed.
    pub(super) folders: &'a [EntryPath],
    /// What the image's maker took away of the installed versions.
    pub(super) lacking: &'a BTreeSet<EntryPath>,
    /// The files of the installed version, where they are known.
    pub(super) known: Option<&'a Known>,
}

/// The folders of documentation that the image has nothing in.
pub(super) fn missing_documentation(tree: &dyn Tree) -> Result<Vec<EntryPath>, Error> {
    let mut missing = Vec::new();
    for folder in DOCUMENTATION {
        let at = path(folder);
        let there = tree.entry(&at, true).map_err(in_image(folder))?;
        let is_folder = there.is_some_and(|entry| entry.kind == Kind::Directory);
        if !is_folder
            || tree.list(&at, layer::limits::DIRECTORY_NAMES_MAX).map_err(in_image(folder))?.is_empty()
        {
            missing.push(at);
        }
    }
    Ok(missing)
}

/// What an installed version brought and the image does not have.
pub(super) fn lacking(known: &Known, tree: &dyn Tree) -> Result<BTreeSet<EntryPath>, Error> {
    let mut lacking = BTreeSet::new();
    for path in known.keys() {
        if tree.entry(path, false).map_err(in_image(&path.to_string()))?.is_none() {
            lacking.insert(path.clone());
        }
    }
    Ok(lacking)
}

/// Places a package.
pub(super) fn place(placing: &Placing<'_>, staged: &mut Staged, placed: &mut Placed) -> Result<(), Error> {
    let incoming = placing.incoming;
    let header = incoming.header()?;
    let files = contents::files(&header).map_err(|why| incoming.error(why))?;
    let files: HashMap<Vec<u8>, contents::File<'_>> =
        files.into_iter().map(|file| (file.path(), file)).collect();
    let mut run = Run { placing, files, staged, placed };
    let visited = incoming
        .package
        .entries(&mut |entry, content| run.entry(entry, content).map_err(repository::Error::from));
    visited.map_err(|why| incoming.error(why))
}

struct Run<'a, 'h> {
    placing: &'a Placing<'a>,
    files: HashMap<Vec<u8>, contents::File<'h>>,
    staged: &'a mut Staged,
    placed: &'a mut Placed,
}

impl Run<'_, '_> {
    fn entry(&mut self, entry: Entry, content: Option<&mut dyn Read>) -> Result<(), layer::Error> {
        self.placed.listed.insert(entry.path.clone());
        if entry.path.is_root() || self.is_left_out(&entry.path) {
            return Ok(());
        }
        let file = self.files.get(&[b"/", entry.path.as_bytes()].concat()).copied();
        let entry = match &file {
            Some(file) => self.owned(entry, file),
            None => entry,
        };
        let is_config = file.is_some_and(|file| file.flags & FILE_CONFIG != 0);
        match (is_config, content) {
            (true, Some(content)) => self.config(entry, content),
            (_, content) => self.put(entry, content),
        }
    }

    fn is_left_out(&self, path: &EntryPath) -> bool {
        let below = |folder: &EntryPath| {
            path.as_bytes()
                .strip_prefix(folder.as_bytes())
                .is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
        };
        self.placing.lacking.contains(path) || self.placing.folders.iter().any(below)
    }

    /// With the numbers of its owners. As rpm does, what the image has no owner for is root's and has no rights of its owner's.
    fn owned(&mut self, mut entry: Entry, file: &contents::File<'_>) -> Entry {
        let owners = self.placing.owners;
        for (kind, name, number) in
            [("user", file.user, owners.user(file.user)), ("group", file.group, owners.group(file.group))]
        {
            match (kind, number) {
                ("user", Some(number)) => entry.uid = number,
                (_, Some(number)) => entry.gid = number,
                (kind, None) => {
                    let name = inventory::printable(&String::from_utf8_lossy(name));
                    self.placed.unknown_owners.insert(format!("{kind} {name}"));
                    entry.mode &= !SET_ID;
                }
            }
        }
        entry
    }

    /// As rpm does where a file is not to be replaced: what somebody changed stays. Where it is not known whether somebody did, it
    /// stays too.
    fn config(&mut self, entry: Entry, content: &mut dyn Read) -> Result<(), layer::Error> {
        let there = self.staged.entry(&entry.path, true)?;
        if !there.is_some_and(|there| matches!(there.kind, Kind::File { .. })) {
            return self.put(entry, Some(content));
        }
        let mut new = Vec::new();
        let read = content.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut new);
        read.map_err(|source| layer::Error::Io { doing: format!("reading {}", entry.path), source })?;
        if new.len() as u64 > CONFIG_BYTES_MAX {
            let why = format!("a configuration file of more than {CONFIG_BYTES_MAX} bytes");
            return Err(layer::Error::Entry { path: entry.path, why });
        }
        let now = known::digest(&self.staged.read(&entry.path, CONFIG_BYTES_MAX)?.unwrap_or_default());
        let old = self.placing.known.and_then(|known| known.get(&entry.path)?.digest.as_deref());
        match Choice::of(&now, old, &known::digest(&new)) {
            Choice::Place => return self.put(entry, Some(&mut &*new)),
            Choice::Keep => {}
            Choice::KeepOther => drop(self.placed.kept.insert(entry.path.clone())),
        }
        self.placed.at.insert(entry.path);
        Ok(())
    }

    fn put(&mut self, entry: Entry, content: Option<&mut dyn Read>) -> Result<(), layer::Error> {
        let there = self.staged.entry(&entry.path, false)?;
        if let Some(Kind::Symlink { target }) = there.as_ref().map(|there| &there.kind) {
            if entry.kind == Kind::Directory {
                let leads = self.staged.entry(&entry.path, true)?;
                if !leads.is_some_and(|leads| leads.kind == Kind::Directory) {
                    self.staged.remove(&entry.path)?;
                }
            } else if entry.kind != (Kind::Symlink { target: target.clone() }) {
                self.placed.turned.insert(entry.path.clone(), target.clone());
            }
        }
        let asked = entry.path.clone();
        let real = self.staged.put(entry, content)?;
        self.placed.at.extend([asked, real]);
        Ok(())
    }
}

/// What becomes of a configuration file that is there.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Place,
    Keep,
    /// The image's stays, and the new version has another.
    KeepOther,
}

impl Choice {
    /// By digests: of what is there, of what the installed version brought where that is known, of the new.
    fn of(now: &str, old: Option<&str>, new: &str) -> Choice {
        match old {
            _ if now == new => Choice::Keep,
            Some(old) if old == now => Choice::Place,
            Some(old) if old == new => Choice::Keep,
            _ => Choice::KeepOther,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_file_is_replaced_only_where_nobody_changed_it() {
        for (now, old, new, expected) in [
            ("a", Some("a"), "b", Choice::Place),
            ("own", Some("a"), "b", Choice::KeepOther),
            ("own", Some("a"), "a", Choice::Keep),
            ("b", Some("a"), "b", Choice::Keep),
            ("b", None, "b", Choice::Keep),
            ("a", None, "b", Choice::KeepOther),
        ] {
            assert_eq!(Choice::of(now, old, new), expected, "{now} {old:?} {new}");
        }
    }
}
