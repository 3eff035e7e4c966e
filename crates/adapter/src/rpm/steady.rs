//! Takes out of the changes when they were made: rpm writes the time of installation into its database, and equal images must get
//! equal layers. Databases of SQLite become steady; NDB, SUSE's, does not: where an entry lies in its index goes by the time too.

use inventory::rpm::{self, Kind, locations};
use layer::{Change, Changes, Error, Kind as EntryKind};

/// The changes with a steady database.
pub(super) struct Steady {
    pub(super) changes: Box<dyn Changes>,
    /// When the run began, in seconds since 1970.
    pub(super) since: i64,
}

impl Changes for Steady {
    fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let since = u32::try_from(self.since).unwrap_or(u32::MAX);
        self.changes.walk(&mut |change| match change {
            Change::Set(entry, Some(content)) if is_database(entry.path.as_bytes()) => {
                let EntryKind::File { size } = entry.kind else {
                    return visit(Change::Set(entry, Some(content)));
                };
                if size > rpm::BYTES_MAX as u64 {
                    return visit(Change::Set(entry, Some(content)));
                }
                let mut bytes = Vec::new();
                let doing = || format!("reading {}", entry.path);
                content.read_to_end(&mut bytes).map_err(|source| Error::Io { doing: doing(), source })?;
                // What cannot be read stays as it is: whether that is an error was judged before.
                rpm::steady(&mut bytes, since).ok();
                visit(Change::Set(entry, Some(&mut bytes.as_slice())))
            }
            other => visit(other),
        })
    }
}

fn is_database(path: &[u8]) -> bool {
    let mut places = locations::paths().filter(|(_, kind)| *kind == Kind::Sqlite);
    places.any(|(place, _)| place.trim_start_matches('/').as_bytes() == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use layer::{Entry, EntryPath};
    use std::collections::BTreeMap;

    /// One file.
    struct One(&'static str, &'static [u8]);

    impl Changes for One {
        fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error> {
            let kind = EntryKind::File { size: self.1.len() as u64 };
            let (path, xattrs) = (EntryPath::new(self.0.as_bytes())?, BTreeMap::new());
            let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: (0, 0), xattrs };
            visit(Change::Set(entry, Some(&mut &*self.1)))
        }
    }

    #[test]
    fn what_is_no_sqlite_database_stays_as_it_is() {
        for path in ["var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages.db", "usr/bin/x"] {
            let mut seen = Vec::new();
            let mut steady = Steady { changes: Box::new(One(path, b"SQLite format 3\0 no")), since: 1 };
            let mut visit = |change: Change<'_>| {
                let Change::Set(_, Some(content)) = change else { panic!() };
                content.read_to_end(&mut seen).map(drop).map_err(|_| Error::Cancelled)
            };
            steady.walk(&mut visit).unwrap();
            assert_eq!(seen, b"SQLite format 3\0 no", "{path}");
        }
        assert!(
            is_database(b"var/lib/rpm/rpmdb.sqlite") && is_database(b"usr/lib/sysimage/rpm/rpmdb.sqlite")
        );
        assert!(!is_database(b"var/lib/rpm/Packages.db") && !is_database(b"opt/rpmdb.sqlite"));
    }
}
