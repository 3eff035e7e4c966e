//! What the old versions had and the new ones do not: taken away, unless somebody else has it or changed it.

use super::{
    incoming::Incoming,
    owners::{Owners, joined},
    place::{Placed, is_recorded},
};
use inventory::apk::installed::FileRecord;
use layer::{EntryPath, Error, Kind, Staged, Tree};
use repository::apk::Checksum;
use std::collections::BTreeSet;

/// What decides whether something stays.
pub(super) struct Obsolete<'a> {
    /// Where files of the new versions are, and where they say they are.
    landed: BTreeSet<EntryPath>,
    owners: &'a Owners<'a>,
}

impl<'a> Obsolete<'a> {
    pub(super) fn new<'p>(
        placed: impl Iterator<Item = &'p Placed>,
        owners: &'a Owners<'a>,
    ) -> Result<Self, Error> {
        let mut landed = BTreeSet::new();
        for one in placed {
            landed.extend(one.at.iter().cloned());
            for folder in &one.folders {
                landed.insert(EntryPath::new(folder.path.as_bytes())?);
                for file in &folder.files {
                    landed.insert(EntryPath::new(joined(&folder.path, &file.name).as_bytes())?);
                }
            }
        }
        Ok(Obsolete { landed, owners })
    }

    /// Takes away what is obsolete of one package; gives what was changed since, and stays.
    pub(super) fn take(&self, incoming: &Incoming<'_>, staged: &mut Staged) -> Result<Vec<EntryPath>, Error> {
        let Some(old) = incoming.old else { return Ok(Vec::new()) };
        let (mut kept, mut folders) = (Vec::new(), BTreeSet::new());
        for file in old.files() {
            match file.name {
                None => drop(folders.insert(EntryPath::new(file.folder.as_bytes())?)),
                Some(name) => kept.extend(self.file(&file, name, staged)?),
            }
        }
        // Deepest first.
        for folder in folders.into_iter().rev().filter(|folder| !folder.is_root()) {
            let Some(there) = staged.entry(&folder, false)? else { continue };
            let stays = there.kind != Kind::Directory || self.stays(&folder) || self.stays(&there.path);
            if !stays && staged.list(&folder, layer::limits::DIRECTORY_NAMES_MAX)?.is_empty() {
                staged.remove(&folder)?;
            }
        }
        Ok(kept)
    }

    fn file(
        &self,
        file: &FileRecord<'_>,
        name: &str,
        staged: &mut Staged,
    ) -> Result<Option<EntryPath>, Error> {
        let path = EntryPath::new(joined(file.folder, name).as_bytes())?;
        let Some(there) = staged.entry(&path, false)? else { return Ok(None) };
        if self.stays(&path) || self.stays(&there.path) {
            return Ok(None);
        }
        let recorded = file.digest.and_then(Checksum::parse);
        // Old packages have no digest of links, and none ever has one of devices.
        let unmarked = recorded.is_none() && !matches!(there.kind, Kind::File { .. } | Kind::Directory);
        if unmarked || is_recorded(staged, &there, recorded.as_ref())? {
            staged.remove(&there.path)?;
            return Ok(None);
        }
        Ok(Some(path))
    }

    fn stays(&self, path: &EntryPath) -> bool {
        self.landed.contains(path) || self.owners.keep(&String::from_utf8_lossy(path.as_bytes()))
    }
}
