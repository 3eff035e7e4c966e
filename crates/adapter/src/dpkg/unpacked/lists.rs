//! Which files the installed packages have, by the records that the image keeps of them.

use super::{Record, Records, sums::Sum};
use crate::Error;
use inventory::{Package, printable};
use layer::{EntryPath, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// Most paths of all packages together.
const PATHS_MAX: usize = 5_000_000;

/// How much of a package its list tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Extent {
    /// Every path.
    Whole,
    /// Regular files; no links, directories or configuration files.
    Files,
    /// Every path that is in the image, of a package of which only some were taken.
    Slices,
    /// Nothing is told, and the package was unpacked as a whole.
    #[default]
    Unknown,
    /// Nothing is told, and only some of the package may be there.
    UnknownSlices,
}

/// The paths of one package as its record writes them.
#[derive(Debug, Clone, Default)]
pub(super) struct List {
    /// With the sum of the content where it is told.
    pub(super) paths: BTreeMap<EntryPath, Option<Sum>>,
    pub(super) extent: Extent,
}

/// The lists of all installed packages.
#[derive(Debug, Default)]
pub(super) struct Lists {
    of: BTreeMap<(String, String), List>,
}

impl Lists {
    /// Reads the lists of these packages.
    pub(super) fn read(tree: &dyn Tree, records: &Records, packages: &[Package]) -> Result<Lists, Error> {
        let mut lists = Lists::default();
        let mut count = 0;
        for package in packages {
            let list = list(tree, records, &Record::of(package))?;
            count += list.paths.len();
            if count > PATHS_MAX {
                return Err(Error::State(format!(
                    "the packages of the image list more than {PATHS_MAX} paths"
                )));
            }
            lists.of.insert((package.name.to_string(), package.architecture.clone()), list);
        }
        Ok(lists)
    }

    /// The list of one package.
    pub(super) fn of(&self, package: &Package) -> Option<&List> {
        self.of.get(&(package.name.to_string(), package.architecture.clone()))
    }

    /// Every list.
    pub(super) fn all(&self) -> impl Iterator<Item = &List> {
        self.of.values()
    }

    /// The paths of all packages but these, under each name that they may have where `/lib` is a link into `/usr`.
    pub(super) fn of_others(&self, these: &BTreeSet<(String, String)>) -> BTreeSet<&[u8]> {
        let others = self.of.iter().filter(|(key, _)| !these.contains(*key));
        others.flat_map(|(_, list)| list.paths.keys().map(|path| unmerged(path.as_bytes()))).collect()
    }
}

/// A path without the `usr` that it may have at its front: the same for both names of a file of a merged `/usr`.
pub(super) fn unmerged(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"usr/").unwrap_or(path)
}

fn list(tree: &dyn Tree, records: &Records, record: &Record<'_>) -> Result<List, Error> {
    if let Some(wall) = records.wall.as_ref().filter(|wall| wall.has(record)) {
        return Ok(List { paths: wall.paths(record)?, extent: Extent::Slices });
    }
    let named = |what: &str| format!("{what} of {}", record.name);
    if let Some(text) = records.info.get(tree, record, "list")? {
        let mut paths = plain(&text).map_err(|why| Error::database(&named("list"), why))?;
        if let Some(text) = records.info.get(tree, record, "md5sums")? {
            paths.extend(sums(&text).map_err(|why| Error::database(&named("md5sums"), why))?);
        }
        return Ok(List { paths, extent: Extent::Whole });
    }
    if let Some(text) = records.folder.sums(tree, record)? {
        let paths = sums(&text).map_err(|why| Error::database(&named("md5sums"), why))?;
        return Ok(List { paths, extent: Extent::Files });
    }
    let extent = if records.folder.has(record) { Extent::Unknown } else { Extent::UnknownSlices };
    Ok(List { extent, ..List::default() })
}

/// dpkg's own: a path a line, the root as `/.`.
fn plain(text: &[u8]) -> Result<BTreeMap<EntryPath, Option<Sum>>, layer::Error> {
    let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| EntryPath::new(line).map(|path| (path, None))).collect()
}

/// As md5sum writes them: 32 hexadecimal digits, two characters, a path.
fn sums(text: &[u8]) -> Result<BTreeMap<EntryPath, Option<Sum>>, String> {
    let lines = text.split(|b| *b == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let one = |line: &[u8]| {
        let bad = || format!("\"{}\" is no line of it", printable(&String::from_utf8_lossy(line)));
        let (sum, path) = line.split_at_checked(32).ok_or_else(bad)?;
        let path =
            path.strip_prefix(b" ").and_then(|path| path.strip_prefix(b" ").or(path.strip_prefix(b"*")));
        let path = path.filter(|_| sum.iter().all(u8::is_ascii_hexdigit)).ok_or_else(bad)?;
        let path = EntryPath::new(path).map_err(|why| why.to_string())?;
        let md5 = String::from_utf8_lossy(sum).to_ascii_lowercase();
        Ok((path, Some(Sum::Md5(md5))))
    };
    lines.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_strictly() {
        let good =
            b"900150983cd24fb0d6963f7d28e17f72  usr/share/a b\n900150983CD24FB0D6963F7D28E17F72 *./c\n";
        let read = sums(good).unwrap();
        let paths: Vec<_> = read.keys().map(ToString::to_string).collect();
        assert_eq!(paths, ["/c", "/usr/share/a b"]);
        assert!(read.values().all(|sum| *sum == Some(Sum::Md5("900150983cd24fb0d6963f7d28e17f72".into()))));
        for bad in [
            &b"900150983cd24fb0d6963f7d28e17f72 x"[..],
            b"900150983cd24fb0d6963f7d28e17f7g  x",
            b"short",
            b"900150983cd24fb0d6963f7d28e17f72  ../x",
        ] {
            assert!(sums(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
