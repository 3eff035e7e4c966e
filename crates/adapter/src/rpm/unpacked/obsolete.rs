//! What only the installed versions brought goes, as far as it is known and nobody changed it.

use super::{
    in_image,
    known::{Brought, Known},
    place::Placed,
};
use crate::Error;
use layer::{EntryPath, Staged, Tree};
use std::collections::BTreeSet;

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Files that stay, as they were changed.
    pub(super) kept: BTreeSet<EntryPath>,
}

/// Removes it. Folders stay, since other packages may have them too.
pub(super) fn take(known: &[Known], placed: &Placed, staged: &mut Staged) -> Result<Taken, Error> {
    let mut taken = Taken::default();
    for (path, brought) in known.iter().flatten() {
        if !placed.listed.contains(path) {
            take_one(path, brought, (placed, staged), &mut taken).map_err(in_image(&path.to_string()))?;
        }
    }
    Ok(taken)
}

fn take_one(
    path: &EntryPath,
    brought: &Brought,
    (placed, staged): (&Placed, &mut Staged),
    taken: &mut Taken,
) -> Result<(), layer::Error> {
    let Some(there) = staged.entry(path, false)? else { return Ok(()) };
    // The same file by another way, through a link of folders.
    if placed.at.contains(&there.path) {
        return Ok(());
    }
    match brought.is_unchanged(path, staged)? {
        true => staged.remove(path).map(drop),
        false => {
            taken.kept.insert(path.clone());
            Ok(())
        }
    }
}
