//! What only the installed versions brought goes, as far as it is known and nobody changed it.
//!
//! The image does not record who else has a file, and rpm lets packages share one that is the same in all of them. So what may be
//! shared stays: whatever a package has of whose source another package stays as it is, empty files, which packages of different
//! sources have too, and links that still lead somewhere.

use super::{
    Incoming, in_image,
    known::{self, Brought, Known},
    place::Placed,
};
use crate::Error;
use inventory::Package;
use layer::{EntryPath, Staged, Tree};
use std::collections::{BTreeSet, HashSet};

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Files that stay, as they were changed.
    pub(super) kept: BTreeSet<EntryPath>,
    /// Files that stay, as other packages may have them too.
    pub(super) shared: BTreeSet<EntryPath>,
}

/// What decides whether something stays.
pub(super) struct Obsolete<'a> {
    pub(super) placed: &'a Placed,
    /// What packages brought that may share their files with one that stays.
    pub(super) shared: Vec<&'a Known>,
}

/// The sources of packages that stay as they are.
pub(super) fn staying<'a>(installed: &'a [Package], all: &[Incoming<'_>]) -> HashSet<&'a str> {
    let goes =
        |package: &Package| all.iter().any(|one| one.old.is_some_and(|old| std::ptr::eq(old, package)));
    installed.iter().filter(|package| !goes(package)).map(|package| package.source.as_str()).collect()
}

impl Obsolete<'_> {
    /// Removes what the installed versions brought and no package has. Folders stay, since other packages may have them too.
    pub(super) fn take<'k>(
        &self,
        known: impl Iterator<Item = &'k Known>,
        staged: &mut Staged,
    ) -> Result<Taken, Error> {
        let mut taken = Taken::default();
        let all = known.flatten().map(|one| (one, false));
        let all = all.chain(self.shared.iter().copied().flatten().map(|one| (one, true)));
        // Links last: by then it is known where they still lead.
        let (links, files): (Vec<_>, Vec<_>) = all.partition(|((_, brought), _)| brought.link.is_some());
        for ((path, brought), shared) in files.into_iter().chain(links) {
            if !self.placed.listed.contains(path) {
                self.take_one((path, brought, shared), staged, &mut taken)
                    .map_err(in_image(&path.to_string()))?;
            }
        }
        Ok(taken)
    }

    fn take_one(
        &self,
        (path, brought, shared): (&EntryPath, &Brought, bool),
        staged: &mut Staged,
        taken: &mut Taken,
    ) -> Result<(), layer::Error> {
        let Some(there) = staged.entry(path, false)? else { return Ok(()) };
        // The same file by another way, through a link of folders.
        if self.placed.at.contains(&there.path) {
            return Ok(());
        }
        if !brought.is_unchanged(path, staged)? {
            taken.kept.insert(path.clone());
        } else if shared || self.is_of_several(path) || may_be_shared(path, brought, staged) {
            taken.shared.insert(path.clone());
        } else {
            staged.remove(path)?;
        }
        Ok(())
    }

    /// Whether a package that may share its files brought it too.
    fn is_of_several(&self, path: &EntryPath) -> bool {
        self.shared.iter().any(|known| known.contains_key(path))
    }
}

/// Whether packages that have nothing else in common may have it too.
fn may_be_shared(path: &EntryPath, brought: &Brought, tree: &dyn Tree) -> bool {
    match brought.link {
        // One that leads in circles is an error, and nobody's business.
        Some(_) => !matches!(tree.entry(path, true), Ok(None)),
        None => brought.digest.as_deref() == Some(known::digest(b"").as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layer::{Entry, Error, Kind};
    use std::{collections::BTreeMap, io::Read, sync::Arc};

    /// A tree of nothing.
    struct Empty;

    impl Tree for Empty {
        fn entry(&self, at: &EntryPath, _: bool) -> Result<Option<Entry>, Error> {
            Ok(at.is_root().then(|| entry(at.clone(), Kind::Directory)))
        }

        fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, Error> {
            Err(Error::Entry { path: path.clone(), why: "no such file".into() })
        }

        fn list(&self, _: &EntryPath, _: usize) -> Result<Vec<Vec<u8>>, Error> {
            Ok(Vec::new())
        }
    }

    fn entry(path: EntryPath, kind: Kind) -> Entry {
        Entry { path, kind, mode: 0o755, uid: 0, gid: 0, mtime: (1, 0), xattrs: BTreeMap::new() }
    }

    fn brought(content: &[u8]) -> Brought {
        Brought { digest: Some(known::digest(content)), link: None }
    }

    fn link(target: &str) -> Brought {
        Brought { digest: None, link: Some(target.as_bytes().to_vec()) }
    }

    #[test]
    fn what_other_packages_may_have_too_stays() {
        let at = |text: &str| EntryPath::new(text.as_bytes()).unwrap();
        let mut staged = Staged::over(Arc::new(Empty) as Arc<dyn Tree>, tempfile::tempfile().unwrap());
        for (name, content) in
            [("own", "1"), ("both", "1"), ("changed", "2"), ("empty", ""), ("there", "1"), ("new", "1")]
        {
            staged.write(&at(name), content.as_bytes(), 0o644).unwrap();
        }
        for (name, target) in [("astray", "own"), ("leads", "there")] {
            staged.put(entry(at(name), Kind::Symlink { target: target.as_bytes().to_vec() }), None).unwrap();
        }
        let known = |all: &[(&str, Brought)]| {
            all.iter().map(|(name, one)| (at(name), one.clone())).collect::<Known>()
        };
        let one = brought(b"1");
        let apart = known(&[
            ("own", one.clone()),
            ("both", one.clone()),
            ("changed", one.clone()),
            ("empty", brought(b"")),
            ("new", one.clone()),
            ("astray", link("own")),
            ("leads", link("there")),
        ]);
        let shared = known(&[("both", one.clone()), ("there", one)]);
        let placed = Placed { listed: [at("new")].into(), ..Placed::default() };
        let obsolete = Obsolete { placed: &placed, shared: vec![&shared] };
        let taken = obsolete.take([&apart].into_iter(), &mut staged).unwrap();
        assert_eq!(taken.kept, [at("changed")].into());
        assert_eq!(taken.shared, ["both", "empty", "there", "leads"].map(at).into());
        for (name, stays) in
            [("own", false), ("astray", false), ("new", true), ("both", true), ("changed", true)]
        {
            assert_eq!(staged.entry(&at(name), false).unwrap().is_some(), stays, "{name}");
        }
    }
}
