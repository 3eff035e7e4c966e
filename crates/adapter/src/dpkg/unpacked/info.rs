//! dpkg's files of each package, in `/var/lib/dpkg/info`: which exist, and those of a new version in place of the old ones.

use super::{Record, in_record, incoming::Incoming};
use crate::Error;
use layer::{Entry, EntryPath, Kind, STAGED_TIME, Staged, Tree};
use std::collections::{BTreeMap, BTreeSet};

const FOLDER: &str = "/var/lib/dpkg/info";

/// Most names in the folder: some ten for each of 50,000 packages.
const NAMES_MAX: usize = 500_000;

/// Largest file in it.
const BYTES_MAX: u64 = 64 << 20;

/// Those that are programs.
const PROGRAMS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

/// The names in the folder.
#[derive(Debug, Default)]
pub(super) struct Info {
    names: BTreeSet<String>,
}

impl Info {
    /// Reads the names; empty where there is no such folder.
    pub(super) fn read(tree: &dyn Tree) -> Result<Info, Error> {
        let at = super::path(FOLDER);
        if tree.entry(&at, true).map_err(in_record(FOLDER))?.is_none() {
            return Ok(Info::default());
        }
        let names = tree.list(&at, NAMES_MAX).map_err(in_record(FOLDER))?;
        Ok(Info { names: names.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect() })
    }

    /// What there is of a package: names by kind (`list`, `md5sums`, `postinst`).
    fn of(&self, record: &Record<'_>) -> BTreeMap<&str, &str> {
        let starts = [format!("{}.", record.name), format!("{}:{}.", record.name, record.architecture)];
        let mut found = BTreeMap::new();
        for start in &starts {
            let from = self.names.range(start.clone()..).take_while(|name| name.starts_with(start));
            let kinds = from.filter_map(|name| Some((name.get(start.len()..)?, name.as_str())));
            // Another package may have the name and a dot at the start of its own.
            found.extend(kinds.filter(|(kind, _)| !kind.is_empty() && !kind.contains('.')));
        }
        found
    }

    /// One file of a package.
    pub(super) fn get(
        &self,
        tree: &dyn Tree,
        record: &Record<'_>,
        kind: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(name) = self.of(record).get(kind).copied() else { return Ok(None) };
        let path = at(name)?;
        tree.read(&path, BYTES_MAX).map_err(in_record(&path.to_string()))
    }

    /// Puts the new version's files in the place of the old one's: the control files, the list of paths as the package has
    /// them, and the sums, in md5sum's form. Images that have none of the old version get none.
    pub(super) fn write(
        &self,
        incoming: &Incoming<'_>,
        listed: &[EntryPath],
        sums: &[u8],
        staged: &mut Staged,
    ) -> Result<(), Error> {
        let old = incoming.old.map(Record::of);
        let before = old.as_ref().map(|old| self.of(old)).unwrap_or_default();
        let any_list = || self.names.iter().any(|name| name.ends_with(".list"));
        let wanted = if old.is_some() { !before.is_empty() } else { any_list() };
        if !wanted {
            return Ok(());
        }
        for name in before.values() {
            let path = at(name)?;
            staged.remove(&path).map_err(in_record(&path.to_string()))?;
        }
        let start = match incoming.multi_arch_same() {
            true => format!("{}:{}", incoming.name(), incoming.package.architecture),
            false => incoming.name().to_owned(),
        };
        let mut files: BTreeMap<&str, Vec<u8>> =
            incoming.package.control.iter().map(|(kind, bytes)| (kind.as_str(), bytes.clone())).collect();
        files.remove("control");
        files.insert("list", list(listed));
        files.insert("md5sums", sums.to_vec());
        for (kind, content) in files {
            put(&format!("{start}.{kind}"), kind, &content, staged)?;
        }
        Ok(())
    }
}

/// Paths as dpkg lists them: the root first, as `/.`.
fn list(paths: &[EntryPath]) -> Vec<u8> {
    let mut text = b"/.\n".to_vec();
    for path in paths.iter().filter(|path| !path.is_root()) {
        text.push(b'/');
        text.extend_from_slice(path.as_bytes());
        text.push(b'\n');
    }
    text
}

fn put(name: &str, kind: &str, content: &[u8], staged: &mut Staged) -> Result<(), Error> {
    let path = at(name)?;
    let entry = Entry {
        path: path.clone(),
        kind: Kind::File { size: content.len() as u64 },
        mode: if PROGRAMS.contains(&kind) { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        mtime: STAGED_TIME,
        xattrs: BTreeMap::new(),
    };
    staged.put(entry, Some(&mut &*content)).map(drop).map_err(in_record(&path.to_string()))
}

fn at(name: &str) -> Result<EntryPath, Error> {
    super::path(FOLDER).join(name.as_bytes()).map_err(in_record(FOLDER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_at_their_last_dot() {
        let names = ["python3.list", "python3.11.list", "libc6:amd64.list", "libc6:i386.list", "format"];
        let info = Info { names: names.map(str::to_owned).into() };
        let of = |name: &str, architecture: &str| {
            let record = Record { name, architecture };
            info.of(&record).into_values().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of("python3", "amd64"), ["python3.list"]);
        assert_eq!(of("python3.11", "amd64"), ["python3.11.list"]);
        assert_eq!(of("libc6", "i386"), ["libc6:i386.list"]);
        assert!(of("libc", "amd64").is_empty());
    }

    #[test]
    fn lists_begin_with_the_root() {
        let paths = ["", "usr", "usr/bin"].map(|path| EntryPath::new(path.as_bytes()).unwrap());
        assert_eq!(list(&paths), b"/.\n/usr\n/usr/bin\n");
    }
}
