//! The records of images that were made without dpkg: one control file a package in `status.d`, its sums beside it
//! (`PACKAGE_METADATA.md` of GoogleContainerTools/distroless).

use super::{Record, in_record, incoming::Incoming};
use crate::{Error, dpkg::STATUS_FOLDER};
use inventory::{deb822, dpkg};
use layer::{EntryPath, Staged, Tree};

/// Most names in the folder.
const NAMES_MAX: usize = 100_000;

/// Largest file in it: the sums of a package with many files.
const BYTES_MAX: u64 = 8 << 20;

/// Permission bits of a record of a package that is new.
const MODE: u32 = 0o644;

/// What is in the folder.
#[derive(Debug, Default)]
pub(super) struct Folder {
    files: Vec<File>,
    /// Whether the image has sums of any package.
    has_sums: bool,
}

/// One record.
#[derive(Debug)]
struct File {
    path: EntryPath,
    stanzas: Vec<deb822::Stanza>,
}

impl Folder {
    /// Reads it; empty where there is none.
    pub(super) fn read(tree: &dyn Tree) -> Result<Folder, Error> {
        let at = super::path(STATUS_FOLDER);
        let mut folder = Folder::default();
        if tree.entry(&at, true).map_err(in_record(STATUS_FOLDER))?.is_none() {
            return Ok(folder);
        }
        for name in tree.list(&at, NAMES_MAX).map_err(in_record(STATUS_FOLDER))? {
            if name.ends_with(dpkg::SUMS_SUFFIX.as_bytes()) {
                folder.has_sums = true;
                continue;
            }
            let path = at.join(&name).map_err(in_record(STATUS_FOLDER))?;
            folder.files.extend(File::read(tree, path)?);
        }
        Ok(folder)
    }

    /// Whether a package has a record here.
    pub(super) fn has(&self, record: &Record<'_>) -> bool {
        self.file(record).is_some()
    }

    /// The sums of a package's files.
    pub(super) fn sums(&self, tree: &dyn Tree, record: &Record<'_>) -> Result<Option<Vec<u8>>, Error> {
        let Some((file, _)) = self.file(record) else { return Ok(None) };
        let path = sums_path(&file.path);
        tree.read(&path, BYTES_MAX).map_err(in_record(&path.to_string()))
    }

    fn file(&self, record: &Record<'_>) -> Option<(&File, usize)> {
        self.files.iter().find_map(|file| {
            file.stanzas.iter().position(|stanza| record.is_of(stanza)).map(|position| (file, position))
        })
    }

    /// Puts the new version's record in the place of the old one's. Sums are `given` in md5sum's form.
    pub(super) fn write(
        &self,
        incoming: &Incoming<'_>,
        given: &[u8],
        staged: &mut Staged,
    ) -> Result<(), Error> {
        if self.files.is_empty() {
            return Ok(());
        }
        let control = incoming.control("control").unwrap_or_default();
        let old = incoming.old.map(Record::of);
        let (path, content) = match old.as_ref().and_then(|old| self.file(old)) {
            Some((file, at)) => (file.path.clone(), file.replaced(at, control, incoming)?),
            None => {
                let path = super::path(STATUS_FOLDER).join(incoming.name().as_bytes());
                (path.map_err(|why| incoming.error(why))?, control.to_vec())
            }
        };
        put(&path, &content, staged)?;
        let sums = sums_path(&path);
        let had = staged.entry(&sums, true).map_err(in_record(&sums.to_string()))?.is_some();
        match had || (incoming.old.is_none() && self.has_sums) {
            true => put(&sums, given, staged),
            false => Ok(()),
        }
    }
}

impl File {
    fn read(tree: &dyn Tree, path: EntryPath) -> Result<Option<File>, Error> {
        let shown = path.to_string();
        let entry = tree.entry(&path, true).map_err(in_record(&shown))?;
        if !entry.is_some_and(|entry| matches!(entry.kind, layer::Kind::File { .. })) {
            return Ok(None);
        }
        let bytes = tree.read(&path, BYTES_MAX).map_err(in_record(&shown))?.unwrap_or_default();
        let stanzas = deb822::stanzas(&bytes, dpkg::BYTES_MAX).map_err(|why| Error::database(&shown, why))?;
        Ok(Some(File { path, stanzas }))
    }

    /// Its text with one stanza replaced. A record without a `Status` stays one.
    fn replaced(&self, at: usize, control: &[u8], incoming: &Incoming<'_>) -> Result<Vec<u8>, Error> {
        let status = self.stanzas[at].get("status");
        if status.is_none() && self.stanzas.len() == 1 {
            return Ok(control.to_vec());
        }
        let mut new = deb822::stanzas(control, dpkg::BYTES_MAX).map_err(|why| incoming.error(why))?;
        if let (Some(status), Some(stanza)) = (status, new.first_mut()) {
            stanza.set("Status", status, "package");
        }
        let others = self.stanzas.iter().enumerate().map(|(index, old)| match index == at {
            true => new.first().unwrap_or(old).text(),
            false => old.text(),
        });
        Ok(others.collect::<Vec<_>>().join("\n").into_bytes())
    }
}

fn sums_path(record: &EntryPath) -> EntryPath {
    let bytes = [record.as_bytes(), dpkg::SUMS_SUFFIX.as_bytes()].concat();
    EntryPath::new(&bytes).expect("a path with a suffix is a path")
}

fn put(path: &EntryPath, content: &[u8], staged: &mut Staged) -> Result<(), Error> {
    staged.write(path, content, MODE).map_err(in_record(&path.to_string()))
}
