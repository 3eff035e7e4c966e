//! Shared libraries of old versions that the new ones took over: `libx.so.1 -> libx.so.1.2` leads to `libx.so.1.3` now, so that
//! `libx.so.1.2` is nobody's. Nothing else is known to be, since the image does not record which files packages have.

use super::{in_image, place::Placed};
use crate::Error;
use layer::{EntryPath, Kind, Staged, Tree, limits::DIRECTORY_NAMES_MAX};
use std::collections::BTreeSet;

/// Removes them, and says which.
pub(super) fn remove(placed: &Placed, staged: &mut Staged) -> Result<BTreeSet<EntryPath>, Error> {
    let mut removed = BTreeSet::new();
    for (link, target) in &placed.turned {
        let Some(old) = of_library(link, target) else { continue };
        let shown = old.to_string();
        if !placed.at.contains(&old) && is_nobodys(&old, staged).map_err(in_image(&shown))? {
            staged.remove(&old).map_err(in_image(&shown))?;
            removed.insert(old);
        }
    }
    Ok(removed)
}

/// The file beside a link that has the link's name and a longer version.
fn of_library(link: &EntryPath, target: &[u8]) -> Option<EntryPath> {
    let name = link.name();
    let end = name.windows(3).position(|part| part == b".so")? + 3;
    let rest = target.strip_prefix(&name[..end])?;
    let version = rest.strip_prefix(b".")?;
    let plain = !version.is_empty() && version.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    if plain { link.parent()?.join(target).ok() } else { None }
}

/// Whether it is a file that no link beside it leads to.
fn is_nobodys(path: &EntryPath, tree: &dyn Tree) -> Result<bool, layer::Error> {
    let there = tree.entry(path, false)?;
    let Some(folder) = path.parent().filter(|_| there.is_some_and(|t| matches!(t.kind, Kind::File { .. })))
    else {
        return Ok(false);
    };
    for name in tree.list(&folder, DIRECTORY_NAMES_MAX)? {
        let beside = tree.entry(&folder.join(&name)?, false)?;
        let Some(Kind::Symlink { target }) = beside.map(|entry| entry.kind) else { continue };
        if target.rsplit(|b| *b == b'/').next() == Some(path.name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_longer_version_of_the_same_library_is_meant() {
        let link = EntryPath::new(b"usr/lib/libx.so.1").unwrap();
        for (target, expected) in [
            (&b"libx.so.1.2"[..], Some("/usr/lib/libx.so.1.2")),
            (b"liby.so.1.2", None),
            (b"libx.so", None),
            (b"libx.so.1.2/../../x", None),
            (b"../libx.so.1.2", None),
            (b"libx.so.1.debug", None),
        ] {
            assert_eq!(of_library(&link, target).map(|p| p.to_string()).as_deref(), expected);
        }
        assert_eq!(of_library(&EntryPath::new(b"bin/python3").unwrap(), b"python3.9"), None);
    }
}
