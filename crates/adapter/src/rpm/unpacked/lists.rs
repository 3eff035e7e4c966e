//! The two lists, rewritten: a line of an old version becomes that of the new one, everything else stays byte for byte.
//!
//! The time of installation, which a database would have, is the time when the package was built: nobody looked at a clock, and
//! the same packages give the same lists. The form is that of `inventory::rpm::manifest`.

use super::{Incoming, in_image, path};
use crate::Error;
use inventory::rpm::{Tag, manifest};
use layer::{Staged, Tree};
use std::fmt::Display;

/// Permission bits of a list that was not there.
const MODE: u32 = 0o644;

/// `RPMTAG_LONGSIZE`: the size of packages beyond 4 GiB.
const LONG_SIZE: Tag = Tag(5009);

/// What rpm writes where a package has no such tag.
const NONE: &str = "(none)";

/// The lists of an image, as far as it has them.
pub(super) struct Lists {
    names: Option<Vec<u8>>,
    rows: Option<Vec<u8>>,
}

fn at(name: &str) -> String {
    format!("{}/{name}", manifest::FOLDER)
}

impl Lists {
    pub(super) fn read(tree: &dyn Tree) -> Result<Lists, Error> {
        let [first, second] = manifest::NAMES.map(at);
        let read = |name: &str| tree.read(&path(name), manifest::BYTES_MAX as u64).map_err(in_image(name));
        Ok(Lists { names: read(&first)?, rows: read(&second)? })
    }

    /// Writes them with the new packages.
    pub(super) fn write(self, all: &[Incoming<'_>], staged: &mut Staged) -> Result<(), Error> {
        let [first, second] = manifest::NAMES.map(at);
        let mut names = Vec::new();
        let mut rows = Vec::new();
        for incoming in all {
            let new = Row::of(incoming)?;
            let old = incoming
                .old
                .map(|old| (old.name.to_string(), release(&old.version), old.architecture.as_str()));
            let old_name =
                old.as_ref().map(|(name, release, architecture)| format!("{name}-{release}.{architecture}"));
            names.push((
                Box::new(move |line: &str| old_name.as_deref() == Some(line)) as Box<Is<'_>>,
                new.name(),
            ));
            let is_row = move |line: &str| {
                let columns: Vec<&str> = line.split('\t').collect();
                old.as_ref().is_some_and(|(name, release, architecture)| {
                    columns.len() > 7 && (columns[0], columns[1], columns[7]) == (name, release, architecture)
                })
            };
            rows.push((Box::new(is_row) as Box<Is<'_>>, new.row()));
        }
        for (at, bytes, changes) in [(first, self.names, names), (second, self.rows, rows)] {
            let Some(bytes) = bytes else { continue };
            let text = std::str::from_utf8(&bytes).map_err(|why| Error::database(&at, why))?;
            staged.write(&path(&at), rewritten(text, changes).as_bytes(), MODE).map_err(in_image(&at))?;
        }
        Ok(())
    }
}

/// Whether a line is the one that goes.
type Is<'a> = dyn Fn(&str) -> bool + 'a;

/// Replaces lines. One that is new is put where the order has it, if the list is in order, else at the end.
fn rewritten(text: &str, changes: Vec<(Box<Is<'_>>, String)>) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let in_order = lines.is_sorted();
    for (is_old, new) in changes {
        match lines.iter().position(|line| is_old(line)) {
            Some(at) => lines[at] = new,
            None if in_order => {
                let at = lines.partition_point(|line| *line < new);
                lines.insert(at, new);
            }
            None => lines.push(new),
        }
    }
    if in_order {
        lines.sort();
    }
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// `version-release` of a version, without its epoch.
fn release(version: &str) -> String {
    version.split_once(':').map_or(version, |(_, rest)| rest).to_owned()
}

/// One package, as both lists have it.
struct Row {
    name: String,
    release: String,
    built: u64,
    vendor: String,
    epoch: Option<u64>,
    size: u64,
    architecture: String,
    source: String,
}

impl Row {
    fn of(incoming: &Incoming<'_>) -> Result<Row, Error> {
        let header = incoming.header()?;
        let wrong = |why: &dyn Display| incoming.error(why);
        let number = |tag| header.number(tag).map_err(|why| wrong(&why));
        let text = |tag| header.text(tag).map_err(|why| wrong(&why));
        let plain = |text: Option<&str>| match text.unwrap_or(NONE) {
            text if text.contains(['\t', '\n', '\r']) => {
                Err(incoming.error("its header has text of several lines"))
            }
            text => Ok(text.to_owned()),
        };
        Ok(Row {
            name: incoming.package.name.to_string(),
            release: release(&incoming.package.version),
            built: number(Tag::BUILD_TIME)?.unwrap_or(0),
            vendor: plain(text(Tag::VENDOR)?)?,
            epoch: number(Tag::EPOCH)?,
            size: number(Tag::SIZE)?.or(number(LONG_SIZE)?).unwrap_or(0),
            architecture: incoming.package.architecture.clone(),
            source: plain(text(Tag::SOURCE_RPM)?)?,
        })
    }

    fn name(&self) -> String {
        format!("{}-{}.{}", self.name, self.release, self.architecture)
    }

    fn row(&self) -> String {
        let Row { name, release, built, vendor, epoch, size, architecture, source } = self;
        let epoch_text = epoch.map_or_else(|| NONE.to_owned(), |epoch| epoch.to_string());
        let epoch = epoch.unwrap_or(0);
        format!(
            "{name}\t{release}\t{built}\t{built}\t{vendor}\t{epoch_text}\t{size}\t{architecture}\t{epoch}\t{source}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes<'a>(all: &[(&'a str, &str)]) -> Vec<(Box<Is<'a>>, String)> {
        let one = |(old, new): &(&'a str, &str)| {
            let old = *old;
            (Box::new(move |line: &str| line == old) as Box<Is<'a>>, (*new).to_owned())
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn lines_keep_their_places_and_new_ones_find_theirs() {
        for (text, all, expected) in [
            ("c-1\na-1\nb-1\n", &[("a-1", "a-2"), ("", "d-1")][..], "c-1\na-2\nb-1\nd-1\n"),
            ("a-1\nc-1\n", &[("", "b-1"), ("a-1", "a-2")], "a-2\nb-1\nc-1\n"),
            ("", &[("", "a-1")], "a-1\n"),
        ] {
            assert_eq!(rewritten(text, changes(all)), expected);
        }
    }
}
