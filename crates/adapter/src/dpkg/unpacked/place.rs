//! One package's entries to their places in the tree.

use super::{
    diversions::Diversions,
    incoming::Incoming,
    left_out::LeftOut,
    sums::{self, Passed, Sum, Summing},
};
use crate::Error;
use layer::{Entry, EntryPath, Kind, Staged, Tree};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

/// Largest configuration file: it is compared in memory.
const CONFFILE_BYTES_MAX: u64 = 64 << 20;

/// Folders whose files the image's maker has the last word on: the image says there what it is.
const OWN_FILES: [&str; 2] = ["usr/lib/os-release", "etc/os-release"];

/// What one path of the package became.
#[derive(Debug, Clone)]
pub(super) struct At {
    /// Where it is, links on the way followed.
    pub(super) real: EntryPath,
    /// What it is, as the package has it.
    pub(super) entry: Entry,
    /// Its content, where it is a regular file.
    pub(super) passed: Option<Passed>,
    /// What stood there is left as it is.
    pub(super) kept: bool,
}

/// What became of a package.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// Every path that the package has, in its order.
    pub(super) listed: Vec<EntryPath>,
    /// Those that are in the image now.
    pub(super) at: BTreeMap<EntryPath, At>,
    /// Sums of every regular file, whether placed or not, configuration files too.
    pub(super) sums: BTreeMap<EntryPath, String>,
    /// Configuration files that differ and stay.
    pub(super) kept: Vec<EntryPath>,
    /// Files that are the image maker's own, and stay.
    pub(super) own: Vec<EntryPath>,
    /// Where links led that lead elsewhere now.
    pub(super) left: Vec<EntryPath>,
    /// Files that were left out because no record tells that the image has them.
    pub(super) passed_over: usize,
}

/// What is needed to place a package.
pub(super) struct Placing<'a> {
    pub(super) incoming: &'a Incoming<'a>,
    pub(super) left_out: &'a LeftOut,
    pub(super) diversions: &'a Diversions,
    /// Old paths and their sums.
    pub(super) old: &'a BTreeMap<EntryPath, Option<Sum>>,
    /// What the record knows of the old configuration files.
    pub(super) conffiles: &'a BTreeMap<EntryPath, String>,
    /// Files that were changed after they were taken out of the package, and are meant so.
    pub(super) mutated: &'a BTreeSet<EntryPath>,
}

/// Places a package.
pub(super) fn place(placing: &Placing<'_>, staged: &mut Staged) -> Result<Placed, Error> {
    let mut run = Run { placing, staged, placed: Placed::default(), waiting: BTreeMap::new() };
    let visited = placing
        .incoming
        .package
        .entries(&mut |entry, content| run.entry(entry, content).map_err(repository::Error::from));
    visited.map_err(|why| placing.incoming.error(why))?;
    run.empty_folders().map_err(|why| placing.incoming.error(why))?;
    Ok(run.placed)
}

struct Run<'a> {
    placing: &'a Placing<'a>,
    staged: &'a mut Staged,
    placed: Placed,
    /// Directories of the package that nothing has been placed in yet; whether the package has something in it.
    waiting: BTreeMap<EntryPath, (Entry, bool)>,
}

impl Run<'_> {
    fn entry(&mut self, mut entry: Entry, content: Option<&mut dyn Read>) -> Result<(), layer::Error> {
        let path = entry.path.clone();
        self.placed.listed.push(path.clone());
        if path.is_root() {
            return Ok(());
        }
        if let Some(parent) = path.parent().and_then(|parent| self.waiting.get_mut(&parent)) {
            parent.1 = true;
        }
        if entry.kind == Kind::Directory {
            self.waiting.insert(path, (entry, false));
            return Ok(());
        }
        let diverted = self.placing.diversions.of(&path, self.placing.incoming.name());
        entry.path = diverted.unwrap_or_else(|| path.clone());
        if self.placing.incoming.conffiles.contains(&path) {
            return self.conffile(path, entry, content);
        }
        match self.placing.left_out.has(&path) {
            true => self.pass_over(path, content),
            false => self.put(path, entry, content),
        }
    }

    /// Reads on, for the sum.
    fn pass_over(&mut self, path: EntryPath, content: Option<&mut dyn Read>) -> Result<(), layer::Error> {
        self.placed.passed_over += usize::from(self.placing.left_out.taken.is_some());
        let Some(content) = content else { return Ok(()) };
        let mut summing = Summing::of(content);
        let read = std::io::copy(&mut summing, &mut std::io::sink());
        read.map_err(|source| layer::Error::Io { doing: format!("reading {path}"), source })?;
        self.placed.sums.insert(path, summing.finish().md5);
        Ok(())
    }

    fn put(
        &mut self,
        path: EntryPath,
        entry: Entry,
        content: Option<&mut dyn Read>,
    ) -> Result<(), layer::Error> {
        let there = self.staged.entry(&entry.path, false)?;
        if let (Kind::Symlink { .. }, Some(Kind::Directory)) = (&entry.kind, there.as_ref().map(|t| &t.kind))
        {
            // As dpkg does: a directory is not given up for a link.
            self.placed.at.insert(path, At { real: entry.path.clone(), entry, passed: None, kept: true });
            return Ok(());
        }
        if self.is_own(&path, there.as_ref())? {
            self.placed.own.push(path.clone());
            let real = there.map_or_else(|| path.clone(), |there| there.path);
            self.placed.at.insert(path.clone(), At { real, entry, passed: None, kept: true });
            return self.pass_over(path, content);
        }
        if let Some(before) = there.filter(|there| there.kind != entry.kind) {
            self.placed.left.extend(super::left_out::target(&before));
        }
        self.folders(&path)?;
        let (real, passed) = match content {
            Some(content) => {
                let mut summing = Summing::of(content);
                let real = self.staged.put(entry.clone(), Some(&mut summing))?;
                (real, Some(summing.finish()))
            }
            None => (self.staged.put(entry.clone(), None)?, None),
        };
        if let Some(passed) = &passed {
            self.placed.sums.insert(path.clone(), passed.md5.clone());
        }
        self.placed.at.insert(path, At { real, entry, passed, kept: false });
        Ok(())
    }

    /// Whether a file is not the old version's any more but the image maker's, and shall stay so.
    fn is_own(&self, path: &EntryPath, there: Option<&Entry>) -> Result<bool, layer::Error> {
        let regular = there.is_some_and(|there| matches!(there.kind, Kind::File { .. }));
        if !regular {
            return Ok(false);
        }
        if self.placing.mutated.contains(path) {
            return Ok(true);
        }
        if !OWN_FILES.iter().any(|own| path.as_bytes() == own.as_bytes()) {
            return Ok(false);
        }
        match self.placing.old.get(path) {
            Some(Some(sum)) => Ok(!sums::of_file(self.staged, path)?.is(sum)),
            _ => Ok(true),
        }
    }

    fn conffile(
        &mut self,
        path: EntryPath,
        entry: Entry,
        content: Option<&mut dyn Read>,
    ) -> Result<(), layer::Error> {
        let (Some(content), Kind::File { size }) = (content, &entry.kind) else {
            return self.put(path, entry, None);
        };
        if *size > CONFFILE_BYTES_MAX {
            let why = format!("a configuration file of more than {CONFFILE_BYTES_MAX} bytes");
            return Err(layer::Error::Entry { path, why });
        }
        let mut bytes = Vec::new();
        let read = content.take(CONFFILE_BYTES_MAX).read_to_end(&mut bytes);
        read.map_err(|source| layer::Error::Io { doing: format!("reading {path}"), source })?;
        let new = sums::of_bytes(&bytes).md5;
        self.placed.sums.insert(path.clone(), new.clone());
        let now = match self.staged.entry(&entry.path, true)? {
            Some(there) if matches!(there.kind, Kind::File { .. }) => {
                Some((sums::of_file(self.staged, &entry.path)?.md5, there.path))
            }
            _ => None,
        };
        let gone = self.placing.left_out.was_removed(&path) || self.placing.left_out.has(&path);
        let choice = Conffile {
            now: now.as_ref().map(|(md5, _)| md5.as_str()),
            recorded: self.placing.conffiles.get(&path).map(String::as_str),
            new: &new,
            gone,
        };
        match (choice.decide(), now) {
            (Choice::Place, _) => self.put(path, entry, Some(&mut &*bytes)),
            (Choice::Keep { differs }, Some((_, real))) => {
                if differs {
                    self.placed.kept.push(path.clone());
                }
                self.placed.at.insert(path, At { real, entry, passed: None, kept: true });
                Ok(())
            }
            (Choice::Keep { .. }, None) => Ok(()),
        }
    }

    /// Places the directories of the package that lead to a path.
    fn folders(&mut self, path: &EntryPath) -> Result<(), layer::Error> {
        let mut above = Vec::new();
        let mut at = path.parent();
        while let Some(folder) = at.filter(|folder| !folder.is_root()) {
            at = folder.parent();
            above.extend(self.waiting.remove(&folder));
        }
        for (entry, _) in above.into_iter().rev() {
            let path = entry.path.clone();
            let real = self.staged.put(entry.clone(), None)?;
            self.placed.at.insert(path, At { real, entry, passed: None, kept: false });
        }
        Ok(())
    }

    /// Places the directories that the package has nothing in.
    fn empty_folders(&mut self) -> Result<(), layer::Error> {
        let empty = self.waiting.iter().filter(|(_, (_, filled))| !filled);
        let wanted: Vec<_> =
            empty.map(|(path, _)| path.clone()).filter(|path| !self.placing.left_out.has(path)).collect();
        for path in wanted {
            let Some((entry, _)) = self.waiting.remove(&path) else { continue };
            self.folders(&path)?;
            let real = self.staged.put(entry.clone(), None)?;
            self.placed.at.insert(path, At { real, entry, passed: None, kept: false });
        }
        Ok(())
    }
}

/// What is known of a configuration file, by sums.
struct Conffile<'a> {
    /// In the image.
    now: Option<&'a str>,
    /// Of the old version, by the record.
    recorded: Option<&'a str>,
    /// Of the new version.
    new: &'a str,
    /// It was there once, and is not any more.
    gone: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Place,
    /// The image's stays; whether it is another than the package has now.
    Keep {
        differs: bool,
    },
}

impl Conffile<'_> {
    /// dpkg's own rules (`--force-confdef --force-confold`), and where the record tells nothing the image's file stays.
    fn decide(&self) -> Choice {
        match self.now {
            None if self.gone => Choice::Keep { differs: false },
            None => Choice::Place,
            Some(now) if now == self.new => Choice::Keep { differs: false },
            Some(now) if self.recorded == Some(now) => Choice::Place,
            Some(_) if self.recorded == Some(self.new) => Choice::Keep { differs: false },
            Some(_) => Choice::Keep { differs: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conffile_is_replaced_only_where_nobody_changed_it() {
        let keep = |differs| Choice::Keep { differs };
        for (now, recorded, gone, expected) in [
            (None, None, false, Choice::Place),
            (None, Some("old"), true, keep(false)),
            (Some("old"), Some("old"), false, Choice::Place),
            (Some("new"), Some("old"), false, keep(false)),
            (Some("own"), Some("old"), false, keep(true)),
            (Some("own"), Some("new"), false, keep(false)),
            (Some("old"), None, false, keep(true)),
        ] {
            let decided = Conffile { now, recorded, new: "new", gone }.decide();
            assert_eq!(decided, expected, "{now:?} {recorded:?} {gone}");
        }
    }
}
