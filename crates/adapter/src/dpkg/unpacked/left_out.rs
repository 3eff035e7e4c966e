//! What the maker of the image left out of a package, so that an update does not bring it back.

use super::{
    Records,
    incoming::Incoming,
    lists::{Extent, List, Lists},
};
use crate::Error;
use layer::{Entry, EntryPath, Kind, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// What images are made without: a package works as well when these are away.
const SPARE: [&str; 11] = [
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/linda",
    "usr/share/help",
    "usr/share/bug",
    "usr/share/gnome/help",
    "usr/share/omf",
];

/// The one document that makers keep when they leave out the others.
const COPYRIGHT: &[u8] = b"copyright";

/// Most entries of a package of which only some are taken.
const ENTRIES_MAX: usize = 1_000_000;

/// Of the paths in one of the [`SPARE`] folders that are listed: how many are in the image, and how many not.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    there: usize,
    away: usize,
}

type Counts = BTreeMap<&'static str, Count>;

/// What the image lacks of the packages of its records.
#[derive(Debug, Default)]
pub(super) struct Lacks {
    counts: Counts,
}

impl Lacks {
    /// Looks for what is listed in the spare folders, of all packages.
    pub(super) fn find(tree: &dyn Tree, lists: &Lists) -> Result<Lacks, layer::Error> {
        let mut counts = Counts::new();
        for list in lists.all() {
            count(tree, list, &mut counts)?;
        }
        Ok(Lacks { counts })
    }
}

/// What of one package stays out.
#[derive(Debug)]
pub(super) struct LeftOut {
    /// Listed for the old version, and not in the image.
    away: BTreeSet<EntryPath>,
    listed: BTreeSet<EntryPath>,
    counts: Counts,
    /// Where only some of the package is taken: those paths, each with the path that it is needed for.
    pub(super) taken: Option<BTreeMap<EntryPath, EntryPath>>,
}

impl LeftOut {
    /// What stays out of a package.
    pub(super) fn of(
        incoming: &Incoming<'_>,
        list: Option<&List>,
        lacks: &Lacks,
        records: &Records,
        tree: &dyn Tree,
    ) -> Result<LeftOut, Error> {
        let failed = |why: layer::Error| incoming.error(why);
        let (mut counts, mut away) = (Counts::new(), BTreeSet::new());
        if let Some(list) = list {
            count(tree, list, &mut counts).map_err(failed)?;
            for path in list.paths.keys() {
                if tree.entry(path, false).map_err(failed)?.is_none() {
                    away.insert(path.clone());
                }
            }
        }
        let extent = list.map(|list| list.extent);
        let sliced = matches!(extent, Some(Extent::Slices | Extent::UnknownSlices));
        let taken = if sliced { Some(taken(incoming, list, tree)?) } else { None };
        let listed = list.map(|list| list.paths.keys().cloned().collect()).unwrap_or_default();
        for (folder, all) in &lacks.counts {
            counts.entry(folder).or_insert(*all);
        }
        if counts.is_empty() || records.wall.is_some() {
            // No list names a document, so the folders themselves have to tell.
            for folder in SPARE {
                let there = tree.entry(&super::path(folder), true).map_err(failed)?.is_some();
                counts.entry(folder).or_insert(Count { there: there.into(), away: (!there).into() });
            }
        }
        Ok(LeftOut { away, listed, counts, taken })
    }

    /// Whether a path of the new version stays out.
    pub(super) fn has(&self, path: &EntryPath) -> bool {
        if let Some(taken) = &self.taken {
            return !taken.contains_key(path);
        }
        if self.listed.contains(path) {
            return self.away.contains(path);
        }
        let Some(count) = spare(path).and_then(|folder| self.counts.get(folder)) else { return false };
        match path.name() {
            COPYRIGHT => count.there == 0 && count.away > 0,
            _ => count.away > count.there,
        }
    }

    /// Whether a configuration file was there once and is not any more.
    pub(super) fn was_removed(&self, path: &EntryPath) -> bool {
        self.away.contains(path)
    }
}

fn spare(path: &EntryPath) -> Option<&'static str> {
    let below = |folder: &&str| {
        let rest = path.as_bytes().strip_prefix(folder.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    SPARE.into_iter().find(below)
}

fn count(tree: &dyn Tree, list: &List, counts: &mut Counts) -> Result<(), layer::Error> {
    for path in list.paths.keys() {
        let Some(folder) = spare(path).filter(|folder| path.as_bytes() != folder.as_bytes()) else {
            continue;
        };
        let count = counts.entry(folder).or_default();
        match tree.entry(path, false)? {
            Some(entry) if entry.kind == Kind::Directory => {}
            Some(_) => count.there += 1,
            None => count.away += 1,
        }
    }
    Ok(())
}

/// The paths that are taken of a package of which the image has only some: those that it has, and what links among them lead
/// to in the new version.
fn taken(
    incoming: &Incoming<'_>,
    list: Option<&List>,
    tree: &dyn Tree,
) -> Result<BTreeMap<EntryPath, EntryPath>, Error> {
    let mut entries: BTreeMap<EntryPath, Entry> = BTreeMap::new();
    let collected = incoming.package.entries(&mut |entry, _| {
        if entries.len() == ENTRIES_MAX {
            return Err(layer::Error::Limit(format!("more than {ENTRIES_MAX} entries")).into());
        }
        entries.insert(entry.path.clone(), entry);
        Ok(())
    });
    collected.map_err(|why| incoming.error(why))?;
    let known = list.filter(|list| list.extent == Extent::Slices);
    let mut taken = BTreeMap::new();
    for (path, entry) in &entries {
        let listed = known.is_none_or(|list| list.paths.contains_key(path));
        let there = tree.entry(path, false).map_err(|why| incoming.error(why))?;
        if there.is_some_and(|_| listed && (known.is_some() || entry.kind != Kind::Directory)) {
            taken.insert(path.clone(), path.clone());
        }
    }
    let mut todo: Vec<EntryPath> = taken.keys().cloned().collect();
    while let Some(path) = todo.pop() {
        let target = entries.get(&path).and_then(target);
        if let Some(target) =
            target.filter(|target| entries.contains_key(target) && !taken.contains_key(target))
        {
            let cause = taken.get(&path).cloned().unwrap_or_else(|| path.clone());
            taken.insert(target.clone(), cause);
            todo.push(target);
        }
    }
    Ok(taken)
}

/// Where a link leads, by its text alone.
pub(super) fn target(entry: &Entry) -> Option<EntryPath> {
    match &entry.kind {
        Kind::Hardlink { target } => Some(target.clone()),
        Kind::Symlink { target } => {
            let folder = entry.path.parent().unwrap_or_default();
            let from = if target.starts_with(b"/") { &b""[..] } else { folder.as_bytes() };
            let mut parts: Vec<&[u8]> = from.split(|b| *b == b'/').filter(|p| !p.is_empty()).collect();
            for part in target.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".") {
                match part {
                    b".." => drop(parts.pop()),
                    _ => parts.push(part),
                }
            }
            EntryPath::new(&parts.join(&b'/')).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn listed_paths_stay_away_and_new_documents_follow_the_old_ones() {
        let out = LeftOut {
            away: [path("usr/share/man/a.1.gz"), path("usr/lib/x")].into(),
            listed: [path("usr/share/man/a.1.gz"), path("usr/lib/x"), path("usr/lib/y")].into(),
            counts: [
                ("usr/share/man", Count { there: 0, away: 1 }),
                ("usr/share/doc", Count { there: 1, away: 2 }),
                ("usr/share/locale", Count { there: 1, away: 0 }),
            ]
            .into(),
            taken: None,
        };
        for (text, expected) in [
            ("usr/share/man/a.1.gz", true),
            ("usr/share/man/b.1.gz", true),
            ("usr/lib/x", true),
            ("usr/lib/y", false),
            ("usr/lib/z", false),
            ("usr/share/doc/a/changelog.gz", true),
            ("usr/share/doc/a/copyright", false),
            ("usr/share/locale/de", false),
            ("usr/share/manifest", false),
        ] {
            assert_eq!(out.has(&path(text)), expected, "{text}");
        }
    }

    #[test]
    fn links_lead_where_their_text_says() {
        let link = |at: &str, target: &str| {
            let kind = Kind::Symlink { target: target.as_bytes().to_vec() };
            let entry = Entry {
                path: path(at),
                kind,
                mode: 0o777,
                uid: 0,
                gid: 0,
                mtime: (0, 0),
                xattrs: BTreeMap::new(),
            };
            super::target(&entry).map(|target| target.to_string())
        };
        assert_eq!(link("usr/lib/a.so.1", "a.so.1.2").as_deref(), Some("/usr/lib/a.so.1.2"));
        assert_eq!(link("usr/lib/a", "../share/./a").as_deref(), Some("/usr/share/a"));
        assert_eq!(link("usr/lib/a", "/etc/a").as_deref(), Some("/etc/a"));
        assert_eq!(link("a", "../../../b").as_deref(), Some("/b"));
    }
}
