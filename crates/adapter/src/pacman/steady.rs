//! Takes out of the changes when they were made: pacman writes the time of installation into each record, and equal images
//! must get equal layers. In its place comes the time at which the package was built.

use super::DATABASE;
use inventory::pacman::local::DESC_BYTES_MAX;
use layer::{Change, Changes, Error, Kind};
use std::io::Read;

const INSTALLED: &str = "%INSTALLDATE%";
const BUILT: &str = "%BUILDDATE%";

/// The changes with steady records.
pub(super) struct Steady {
    pub(super) changes: Box<dyn Changes>,
}

impl Changes for Steady {
    fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error> {
        self.changes.walk(&mut |change| match change {
            Change::Set(mut entry, Some(content)) if is_record(entry.path.as_bytes()) => {
                let (mut text, most) = (Vec::new(), DESC_BYTES_MAX as u64 + 1);
                let doing = || format!("reading {}", entry.path);
                (&mut *content)
                    .take(most)
                    .read_to_end(&mut text)
                    .map_err(|source| Error::Io { doing: doing(), source })?;
                if text.len() > DESC_BYTES_MAX {
                    return Err(Error::Entry {
                        path: entry.path,
                        why: format!("larger than {DESC_BYTES_MAX} bytes"),
                    });
                }
                let text = std::str::from_utf8(&text)
                    .map_or_else(|_| text.clone(), |text| steady(text).into_bytes());
                if let Kind::File { size } = &mut entry.kind {
                    *size = text.len() as u64;
                }
                visit(Change::Set(entry, Some(&mut text.as_slice())))
            }
            other => visit(other),
        })
    }
}

/// `var/lib/pacman/local/<package>/desc`.
fn is_record(path: &[u8]) -> bool {
    let inside = path.strip_prefix(DATABASE.trim_start_matches('/').as_bytes());
    let parts = inside.map(|rest| rest.split(|b| *b == b'/').collect::<Vec<_>>());
    matches!(parts.as_deref(), Some([b"", _, b"desc"]))
}

/// The record with the time of building as that of installation; as it is where it has not both.
fn steady(text: &str) -> String {
    let value = |section: &str| text.lines().skip_while(|line| *line != section).nth(1);
    let (Some(_), Some(built)) = (value(INSTALLED), value(BUILT)) else { return text.to_owned() };
    let mut steady = String::with_capacity(text.len());
    let mut before = "";
    for line in text.split_inclusive('\n') {
        match before.trim_end() == INSTALLED {
            true => steady.extend([built, "\n"]),
            false => steady.push_str(line),
        }
        before = line;
    }
    steady
}

#[cfg(test)]
mod tests {
    use super::*;
    use layer::{Entry, EntryPath};
    use std::collections::BTreeMap;

    const RECORD: &str =
        "%NAME%\na\n\n%BUILDDATE%\n1700000000\n\n%INSTALLDATE%\n1799999999\n\n%REASON%\n1\n\n";

    /// One file.
    struct One(&'static str, &'static str);

    impl Changes for One {
        fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error> {
            let kind = Kind::File { size: self.1.len() as u64 };
            let (path, xattrs) = (EntryPath::new(self.0.as_bytes())?, BTreeMap::new());
            let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: (0, 0), xattrs };
            visit(Change::Set(entry, Some(&mut self.1.as_bytes())))
        }
    }

    fn seen(path: &'static str, text: &'static str) -> (u64, String) {
        let mut all = (0, String::new());
        let mut visit = |change: Change<'_>| {
            let Change::Set(Entry { kind: Kind::File { size }, .. }, Some(content)) = change else {
                panic!()
            };
            all.0 = size;
            content.read_to_string(&mut all.1).unwrap();
            Ok(())
        };
        Steady { changes: Box::new(One(path, text)) }.walk(&mut visit).unwrap();
        all
    }

    #[test]
    fn only_records_are_changed_and_their_size_is_told_right() {
        let expected = RECORD.replace("1799999999", "1700000000");
        let short = "%INSTALLDATE%\n1799999999999\n\n%BUILDDATE%\n17\n";
        let record = "var/lib/pacman/local/a-1-1/desc";
        assert_eq!(seen(record, RECORD), (expected.len() as u64, expected));
        assert_eq!(seen(record, short), (33, "%INSTALLDATE%\n17\n\n%BUILDDATE%\n17\n".to_owned()));
        for (path, text) in [
            ("var/lib/pacman/local/a-1-1/files", RECORD),
            ("var/lib/pacman/local/desc", RECORD),
            ("srv/var/lib/pacman/local/a-1-1/desc", RECORD),
            (record, "%INSTALLDATE%\n1799999999\n"),
            (record, "%NAME%\na\n\n%INSTALLDATE%"),
        ] {
            assert_eq!(seen(path, text), (text.len() as u64, text.to_owned()), "{path}");
        }
    }
}
