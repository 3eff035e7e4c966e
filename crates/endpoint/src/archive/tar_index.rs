//! What is where in a tar: one pass over its headers, contents passed over unread. Names are bytes and never become paths of
//! this machine.

use crate::Error;
use layer::{Entry, EntryPath, Kind, Limits, TarReader};
use std::{
    cell::Cell,
    collections::{BTreeMap, btree_map},
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    rc::Rc,
};

/// Most entries of an archive. One of a hundred images of a hundred layers each has 40 000.
const ENTRIES_MAX: u64 = 200_000;
/// Most bytes that all names together may have, those that links lead to among them.
const NAME_BYTES_MAX: usize = 32 << 20;
/// Most links from one name to the next.
const LINKS_MAX: usize = 8;
/// How much of the headers is read at once.
const HEADER_BYTES: usize = 4 << 10;

/// Where a file's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// Its first byte, from the beginning of the archive.
    pub(super) offset: u64,
    /// How many there are.
    pub(super) size: u64,
}

/// What a name stands for.
enum Node {
    File(Range),
    /// Another name, from the root of the archive.
    Link(EntryPath),
    /// A folder, device or pipe: nothing of an image can be in it.
    Other,
}

/// What is where in an archive.
pub(super) struct TarIndex {
    nodes: BTreeMap<EntryPath, Node>,
    /// The archive, for messages.
    shown: String,
}

impl TarIndex {
    /// Reads all headers.
    ///
    /// Whole archives are refused for: names that leave the root, two entries of one name other than folders (readers differ in
    /// which one counts), sparse files and other types that only some tools know, whatever [`TarReader`] refuses, and an end that
    /// comes too early. Devices and pipes are passed over: nothing is ever extracted.
    pub(super) fn read(file: &File, shown: &str) -> Result<Self, Error> {
        let length = file.metadata().map_err(|source| io_error(shown, source))?.len();
        let place = Rc::new(Place::default());
        let input = Headers { file, length, place: place.clone(), buffer: Vec::new(), buffer_at: 0 };
        let limits = Limits { entries: ENTRIES_MAX, ..Limits::default() };
        let mut reader = TarReader::new(input, &limits);
        let mut index = TarIndex { nodes: BTreeMap::new(), shown: shown.to_owned() };
        let mut names = 0;
        while let Some(entry) = reader.next_entry().map_err(|e| of_tar(shown, e))? {
            names += entry.path.as_bytes().len() + target_bytes(&entry.kind);
            if names > NAME_BYTES_MAX {
                return Err(corrupt(shown, format!("its names have more than {NAME_BYTES_MAX} bytes")));
            }
            if let Kind::File { size } = entry.kind {
                place.pass_over.set(size);
            }
            index.add(entry, place.position.get())?;
        }
        if index.nodes.is_empty() {
            return Err(corrupt(shown, "it is no tar, or one without entries".into()));
        }
        Ok(index)
    }

    fn add(&mut self, entry: Entry, offset: u64) -> Result<(), Error> {
        let node = match entry.kind {
            Kind::File { size } => Node::File(Range { offset, size }),
            Kind::Symlink { target } => match pointed(&entry.path, &target) {
                Some(target) => Node::Link(target),
                None => Node::Other,
            },
            Kind::Hardlink { target } => Node::Link(target),
            Kind::Directory | Kind::Char { .. } | Kind::Block { .. } | Kind::Fifo => Node::Other,
        };
        match self.nodes.entry(entry.path) {
            btree_map::Entry::Vacant(free) => {
                free.insert(node);
                Ok(())
            }
            btree_map::Entry::Occupied(there)
                if matches!((there.get(), &node), (Node::Other, Node::Other)) =>
            {
                Ok(())
            }
            btree_map::Entry::Occupied(there) => {
                Err(corrupt(&self.shown, format!("{} is in it twice", there.key())))
            }
        }
    }

    /// Where the file of a name is, links followed; `None` where nothing has the name.
    pub(super) fn file(&self, name: &str) -> Result<Option<Range>, Error> {
        let wrong = |why: &str| corrupt(&self.shown, format!("{} {why}", name.escape_default()));
        let mut path = EntryPath::new(name.as_bytes()).map_err(|_| wrong("is no name inside it"))?;
        for _ in 0..=LINKS_MAX {
            match self.nodes.get(&path) {
                None => return Ok(None),
                Some(Node::File(range)) => return Ok(Some(*range)),
                Some(Node::Link(target)) => path = target.clone(),
                Some(Node::Other) => return Err(wrong("is no regular file")),
            }
        }
        Err(wrong("is a link to a link, too often"))
    }
}

/// Bytes of the name that a link leads to.
fn target_bytes(kind: &Kind) -> usize {
    match kind {
        Kind::Symlink { target } => target.len(),
        Kind::Hardlink { target } => target.as_bytes().len(),
        _ => 0,
    }
}

/// Where a symbolic link leads, from the root of the archive; `None` where it leads out of it.
fn pointed(link: &EntryPath, target: &[u8]) -> Option<EntryPath> {
    let start: Vec<&[u8]> = match (target.first(), link.parent()) {
        (Some(b'/'), _) | (_, None) => Vec::new(),
        (_, Some(_)) => {
            let mut parts: Vec<&[u8]> = link.as_bytes().split(|b| *b == b'/').collect();
            parts.pop();
            parts
        }
    };
    let mut parts = start;
    for part in target.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".") {
        if part == b".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    EntryPath::new(&parts.join(&b'/')).ok()
}

/// Where the reader is, and how much from there on is content that nobody wants to see.
#[derive(Default)]
struct Place {
    position: Cell<u64>,
    pass_over: Cell<u64>,
}

/// The headers of a file. Contents are not read: in their place come bytes that mean nothing.
struct Headers<'a> {
    file: &'a File,
    length: u64,
    place: Rc<Place>,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl Read for Headers<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let at = self.place.position.get();
        let left = self.length.saturating_sub(at);
        let over = self.place.pass_over.get();
        let most = if over > 0 { over.min(left) } else { left };
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(out.len());
        let count = if over > 0 { most } else { self.buffered(at, &mut out[..most])? };
        self.place.pass_over.set(over - if over > 0 { count as u64 } else { 0 });
        self.place.position.set(at + count as u64);
        Ok(count)
    }
}

impl Headers<'_> {
    fn buffered(&mut self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let inside = |this: &Self| at >= this.buffer_at && at < this.buffer_at + this.buffer.len() as u64;
        if !inside(self) {
            self.buffer.resize(HEADER_BYTES, 0);
            let count = self.file.read_at(&mut self.buffer, at)?;
            self.buffer.truncate(count);
            self.buffer_at = at;
        }
        if !inside(self) {
            return Ok(0);
        }
        let from = &self.buffer[(at - self.buffer_at) as usize..];
        let count = from.len().min(out.len());
        out[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
}

fn of_tar(shown: &str, error: layer::Error) -> Error {
    match error {
        layer::Error::Malformed { offset, why } => corrupt(shown, format!("at byte {offset}: {why}")),
        layer::Error::Io { source, .. } => io_error(shown, source),
        other => corrupt(shown, other.to_string()),
    }
}

pub(super) fn corrupt(shown: &str, why: String) -> Error {
    Error::Corrupt { item: format!("archive {shown}"), why }
}

pub(super) fn io_error(shown: &str, source: io::Error) -> Error {
    Error::Io { doing: format!("reading {shown}"), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};
    use testkit::tar;

    fn index(entries: &[tar::Entry]) -> Result<(TarIndex, Vec<u8>), String> {
        of_bytes(tar::write(entries))
    }

    fn of_bytes(bytes: Vec<u8>) -> Result<(TarIndex, Vec<u8>), String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        TarIndex::read(&file, "x.tar").map(|index| (index, bytes)).map_err(|e| e.to_string())
    }

    fn file(path: &str, content: &[u8]) -> tar::Entry {
        tar::Entry::new(path, tar::Kind::File(content.to_vec()))
    }

    fn link(path: &str, target: &str) -> tar::Entry {
        tar::Entry::new(path, tar::Kind::Symlink(target.into()))
    }

    #[test]
    fn files_are_found_where_they_are_links_followed() {
        let entries = [
            tar::Entry::new("d", tar::Kind::Directory),
            file("./a", &[7; 513]),
            file("d/b", b"bytes"),
            file(&"n".repeat(200), b"long"),
            tar::Entry::new("d", tar::Kind::Directory),
            link("d/l", "../a"),
            link("abs", "/d/b"),
            link("ll", "d/l"),
            tar::Entry::new("h", tar::Kind::Hardlink("d/b".into())),
            link("out", "../../etc/passwd"),
            link("loop", "loop"),
            tar::Entry::new("dev", tar::Kind::CharDevice(1, 3)),
            file("last", b""),
        ];
        let (index, bytes) = index(&entries).unwrap();
        let content = |name: &str| {
            let range = index.file(name).unwrap().unwrap();
            bytes[range.offset as usize..][..range.size as usize].to_vec()
        };
        for (name, wanted) in [
            ("a", &[7; 513][..]),
            ("d/b", b"bytes"),
            (&"n".repeat(200), b"long"),
            ("d/l", &[7; 513]),
            ("abs", b"bytes"),
            ("ll", &[7; 513]),
            ("h", b"bytes"),
            ("last", b""),
        ] {
            assert_eq!(content(name), wanted, "{name}");
        }
        assert_eq!(index.file("none").unwrap(), None);
        for name in ["out", "loop", "dev", "d", "../a"] {
            assert!(index.file(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_readers_could_take_differently_is_refused() {
        let refused = |entries: &[tar::Entry]| index(entries).err().unwrap();
        assert!(refused(&[file("a", b"1"), file("./a", b"2")]).contains("/a is in it twice"));
        assert!(refused(&[file("a", b"1"), link("a", "b")]).contains("twice"));
        assert!(refused(&[file("../a", b"1")]).contains("leaves the root"));
        assert!(refused(&[]).contains("no tar"));
        let whole = tar::write(&[file("a", &[1; 5000]), file("b", &[2; 5000])]);
        for cut in [100, 600, 3000, 5700, 6200, 9000] {
            let error = of_bytes(whole[..cut].to_vec()).err().unwrap();
            assert!(error.contains("cut short"), "{cut}: {error}");
        }
        let error = of_bytes(vec![b'x'; 2000]).err().unwrap();
        assert!(error.contains("archive x.tar is corrupt: at byte 0"), "{error}");
        let many: Vec<tar::Entry> = (0..50).map(|n| file(&format!("{n}"), b"")).collect();
        assert!(index(&many).is_ok());
    }

    #[test]
    fn names_are_bounded_in_all_those_that_links_lead_to_too() {
        let target = format!("{}b", format!("{}/", "a".repeat(249)).repeat(16));
        let links = |count: usize| -> Vec<tar::Entry> {
            (0..count).map(|n| link(&format!("{n}"), &target)).collect()
        };
        assert!(index(&links(10)).is_ok());
        let error = index(&links(NAME_BYTES_MAX / target.len() + 1)).err().unwrap();
        assert!(error.contains("its names have more than"), "{error}");
    }
}
