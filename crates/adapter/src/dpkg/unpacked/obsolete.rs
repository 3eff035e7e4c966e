//! What the old versions had and the new ones do not: taken away, unless somebody else has it or changed it.

use super::{
    lists::{Extent, List, unmerged},
    place::Placed,
    sums::{self, Sum},
};
use layer::{EntryPath, Error, Kind, Staged, Tree};
use std::collections::BTreeSet;

/// What takes part in the decision.
pub(super) struct Obsolete<'a> {
    /// Where the new versions' files are, real paths, and the textual ones.
    pub(super) landed: &'a BTreeSet<EntryPath>,
    /// What packages have that are not replaced, by [`unmerged`] path.
    pub(super) others: &'a BTreeSet<&'a [u8]>,
    /// Configuration files of the old version: they stay.
    pub(super) conffiles: &'a BTreeSet<EntryPath>,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Paths that are gone, as the old list has them.
    pub(super) removed: Vec<EntryPath>,
    /// Paths that were changed since, and stay.
    pub(super) kept: Vec<EntryPath>,
}

impl Obsolete<'_> {
    /// Takes away what is obsolete of one package.
    pub(super) fn take(&self, list: &List, placed: &Placed, staged: &mut Staged) -> Result<Taken, Error> {
        let mut taken = Taken::default();
        let mut folders: BTreeSet<EntryPath> = BTreeSet::new();
        for (path, sum) in &list.paths {
            self.one(path, sum.as_ref(), &mut taken, &mut folders, staged)?;
        }
        if matches!(list.extent, Extent::Unknown | Extent::UnknownSlices) {
            for path in &placed.left {
                self.left(path, &mut taken, staged)?;
            }
        }
        if list.extent == Extent::Files {
            self.dangling(&mut taken, staged)?;
        }
        self.empty_folders(folders, list, staged)?;
        Ok(taken)
    }

    fn one(
        &self,
        path: &EntryPath,
        sum: Option<&Sum>,
        taken: &mut Taken,
        folders: &mut BTreeSet<EntryPath>,
        staged: &mut Staged,
    ) -> Result<(), Error> {
        let Some(there) = staged.entry(path, false)? else { return Ok(()) };
        if self.stays(path) || self.stays(&there.path) {
            return Ok(());
        }
        match (&there.kind, sum) {
            (Kind::Directory, _) => {
                folders.insert(there.path);
                return Ok(());
            }
            (Kind::File { .. }, Some(sum)) if !sums::of_file(staged, &there.path)?.is(sum) => {
                taken.kept.push(path.clone());
                return Ok(());
            }
            // A link where the list has a file is somebody else's doing.
            (Kind::File { .. }, _) | (Kind::Symlink { .. }, None) => {}
            _ => {
                taken.kept.push(path.clone());
                return Ok(());
            }
        }
        staged.remove(&there.path)?;
        folders.extend(there.path.parent());
        taken.removed.push(path.clone());
        Ok(())
    }

    fn stays(&self, path: &EntryPath) -> bool {
        self.landed.contains(path)
            || self.conffiles.contains(path)
            || self.others.contains(unmerged(path.as_bytes()))
    }

    /// A file that a link of the old version led to. Nothing lists it, so it goes only where no other link beside it leads there.
    fn left(&self, path: &EntryPath, taken: &mut Taken, staged: &mut Staged) -> Result<(), Error> {
        let Some(there) = staged.entry(path, false)? else { return Ok(()) };
        let folder = there.path.parent().unwrap_or_default();
        if !matches!(there.kind, Kind::File { .. }) || self.stays(&there.path) || self.stays(path) {
            return Ok(());
        }
        for name in staged.list(&folder, layer::limits::DIRECTORY_NAMES_MAX)? {
            let other = staged.entry(&folder.join(&name)?, false)?;
            let leads_there = other.as_ref().and_then(super::left_out::target) == Some(there.path.clone());
            if leads_there {
                return Ok(());
            }
        }
        staged.remove(&there.path)?;
        taken.removed.push(path.clone());
        Ok(())
    }

    /// Links beside what was taken that led there: lists of files alone do not have them.
    fn dangling(&self, taken: &mut Taken, staged: &mut Staged) -> Result<(), Error> {
        let gone: BTreeSet<EntryPath> = taken.removed.iter().cloned().collect();
        let folders: BTreeSet<EntryPath> = gone.iter().filter_map(EntryPath::parent).collect();
        for folder in folders {
            if staged.entry(&folder, true)?.is_none() {
                continue;
            }
            for name in staged.list(&folder, layer::limits::DIRECTORY_NAMES_MAX)? {
                let path = folder.join(&name)?;
                let Some(link) =
                    staged.entry(&path, false)?.filter(|e| matches!(e.kind, Kind::Symlink { .. }))
                else {
                    continue;
                };
                let led = super::left_out::target(&layer::Entry { path: path.clone(), ..link.clone() });
                let leads_there = led.is_some_and(|target| gone.contains(&target));
                if leads_there && !self.stays(&path) && !self.stays(&link.path) {
                    staged.remove(&link.path)?;
                }
            }
        }
        Ok(())
    }

    /// Folders that something was taken out of and that are empty now: those that the list has, deepest first. Where lists
    /// have files only, another package may have the folder too.
    fn empty_folders(
        &self,
        folders: BTreeSet<EntryPath>,
        list: &List,
        staged: &mut Staged,
    ) -> Result<(), Error> {
        for folder in folders.into_iter().rev() {
            let listed = list.paths.contains_key(&folder) && list.extent == Extent::Whole;
            if !listed || folder.is_root() || self.stays(&folder) {
                continue;
            }
            let empty = staged.list(&folder, layer::limits::DIRECTORY_NAMES_MAX)?.is_empty();
            if empty {
                staged.remove(&folder)?;
            }
        }
        Ok(())
    }
}
