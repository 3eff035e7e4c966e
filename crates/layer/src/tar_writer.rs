//! Entries to a tar stream that depends on nothing but them: ustar where it fits, PAX with sorted records where not, no names
//! of users, whole seconds.

use crate::{Entry, EntryPath, Error, Kind, failure::uncarry, tar_header::BLOCK};
use std::io::{Read, Write};

/// Largest number of an octal field of eight bytes.
const OCTAL_7_MAX: u64 = 0o777_7777;
/// Largest number of an octal field of twelve bytes.
const OCTAL_11_MAX: u64 = 0o777_7777_7777;
/// Bytes of the name field.
const NAME_BYTES: usize = 100;
/// Bytes of the prefix field.
const PREFIX_BYTES: usize = 155;

/// How much of a content is read at once.
const BUFFER_BYTES: usize = 128 << 10;

/// A writer of a tar stream.
pub struct TarWriter<W> {
    out: W,
    buffer: Vec<u8>,
}

/// A header about to be written, and the records it needs beside.
struct Draft {
    block: [u8; BLOCK],
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<W: Write> TarWriter<W> {
    /// A stream that begins here.
    pub fn new(out: W) -> Self {
        TarWriter { out, buffer: Vec::new() }
    }

    /// Writes one entry. Nanoseconds of its time are left out. The content must have just the size that the entry says.
    pub fn entry(&mut self, entry: &Entry, content: Option<&mut dyn Read>) -> Result<(), Error> {
        self.head(entry)?;
        match (&entry.kind, content) {
            (Kind::File { size: 0 }, None) => Ok(()),
            (Kind::File { size }, Some(content)) => self.content(&entry.path, *size, content),
            (Kind::File { .. }, None) => {
                Err(crate::failure::bad_entry(&entry.path, "a file without its content"))
            }
            _ => Ok(()),
        }
    }

    /// Writes what stands before an entry's content. For callers that bring the content themselves: just the size that the
    /// entry says, then zeros up to the next multiple of 512.
    pub fn head(&mut self, entry: &Entry) -> Result<(), Error> {
        let draft = Draft::of(entry);
        if !draft.records.is_empty() {
            self.extension(draft.records)?;
        }
        self.put(&sealed(draft.block))
    }

    /// The output, as far as it is written.
    pub fn output(&mut self) -> &mut W {
        &mut self.out
    }

    /// Ends the archive and gives the output back.
    pub fn finish(mut self) -> Result<W, Error> {
        self.put(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes).map_err(|e| uncarry(|| "writing a layer".into(), e))
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        let padding = (size.next_multiple_of(BLOCK as u64) - size) as usize;
        self.put(&[0; BLOCK][..padding])
    }

    fn extension(&mut self, mut records: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), Error> {
        records.sort();
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        let mut block = blank(b'x');
        // A fixed name: readers that know PAX never show it, and it then depends on nothing.
        text(&mut block, 0, b"PaxHeader");
        octal(&mut block, 100, 8, 0o644);
        octal(&mut block, 124, 12, body.len() as u64);
        self.put(&sealed(block))?;
        self.put(&body)?;
        self.pad(body.len() as u64)
    }

    fn content(&mut self, path: &EntryPath, size: u64, content: &mut dyn Read) -> Result<(), Error> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(BUFFER_BYTES, 0);
        let mut left = size;
        loop {
            // One byte more than is left tells a file that has grown.
            let most = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
            let count =
                content.read(&mut buffer[..most]).map_err(|e| uncarry(|| format!("reading {path}"), e))?;
            if count as u64 > left || (count == 0 && left > 0) {
                return Err(crate::failure::bad_entry(path, "changed its size while it was read"));
            }
            if count == 0 {
                break;
            }
            self.put(&buffer[..count])?;
            left -= count as u64;
        }
        self.buffer = buffer;
        self.pad(size)
    }
}

impl Draft {
    fn of(entry: &Entry) -> Self {
        let mut draft = Draft { block: blank(type_flag(&entry.kind)), records: Vec::new() };
        draft.name(entry);
        draft.link(&entry.kind);
        octal(&mut draft.block, 100, 8, u64::from(entry.mode & 0o7777));
        draft.number("uid", 108, 8, u64::from(entry.uid), OCTAL_7_MAX);
        draft.number("gid", 116, 8, u64::from(entry.gid), OCTAL_7_MAX);
        let size = if let Kind::File { size } = entry.kind { size } else { 0 };
        draft.number("size", 124, 12, size, OCTAL_11_MAX);
        draft.time(entry.mtime.0);
        if let Kind::Char { major, minor } | Kind::Block { major, minor } = entry.kind {
            octal(&mut draft.block, 329, 8, u64::from(major));
            octal(&mut draft.block, 337, 8, u64::from(minor));
        }
        for (name, value) in &entry.xattrs {
            draft.records.push(([b"SCHILY.xattr.", &name[..]].concat(), value.clone()));
        }
        draft
    }

    fn name(&mut self, entry: &Entry) {
        let mut name = if entry.path.is_root() { b"./".to_vec() } else { entry.path.as_bytes().to_vec() };
        if entry.kind == Kind::Directory && !name.ends_with(b"/") {
            name.push(b'/');
        }
        // Names that are not ASCII go into a record, whose encoding is settled.
        match split(&name).filter(|_| name.is_ascii()) {
            Some((prefix, rest)) => {
                text(&mut self.block, 345, prefix);
                text(&mut self.block, 0, rest);
            }
            None => {
                text(&mut self.block, 0, &name[..name.len().min(NAME_BYTES)]);
                self.records.push((b"path".to_vec(), name));
            }
        }
    }

    fn link(&mut self, kind: &Kind) {
        let target = match kind {
            Kind::Symlink { target } => target.clone(),
            Kind::Hardlink { target } => target.as_bytes().to_vec(),
            _ => return,
        };
        text(&mut self.block, 157, &target[..target.len().min(NAME_BYTES)]);
        if target.len() > NAME_BYTES || !target.is_ascii() {
            self.records.push((b"linkpath".to_vec(), target));
        }
    }

    fn number(&mut self, key: &str, at: usize, len: usize, value: u64, max: u64) {
        octal(&mut self.block, at, len, if value > max { 0 } else { value });
        if value > max {
            self.records.push((key.as_bytes().to_vec(), value.to_string().into_bytes()));
        }
    }

    fn time(&mut self, seconds: i64) {
        match u64::try_from(seconds) {
            Ok(seconds) if seconds <= OCTAL_11_MAX => octal(&mut self.block, 136, 12, seconds),
            _ => {
                octal(&mut self.block, 136, 12, 0);
                self.records.push((b"mtime".to_vec(), seconds.to_string().into_bytes()));
            }
        }
    }
}

fn type_flag(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } => b'0',
        Kind::Hardlink { .. } => b'1',
        Kind::Symlink { .. } => b'2',
        Kind::Char { .. } => b'3',
        Kind::Block { .. } => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// A name as prefix and rest, where it fits the two fields.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME_BYTES {
        return Some((b"", name));
    }
    let ends_well = |at: &usize| *at > 0 && *at <= PREFIX_BYTES && *at + 1 < name.len();
    let slash = (name.len() - NAME_BYTES - 1..name.len()).filter(ends_well).find(|at| name[*at] == b'/')?;
    Some((&name[..slash], &name[slash + 1..]))
}

fn blank(flag: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[156] = flag;
    for (at, len) in [(100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (329, 8), (337, 8)] {
        octal(&mut block, at, len, 0);
    }
    block[257..265].copy_from_slice(b"ustar\x0000");
    block
}

fn text(block: &mut [u8; BLOCK], at: usize, value: &[u8]) {
    block[at..at + value.len()].copy_from_slice(value);
}

fn octal(block: &mut [u8; BLOCK], at: usize, len: usize, value: u64) {
    let digits = format!("{value:0width$o}", width = len - 1);
    block[at..at + len - 1].copy_from_slice(digits.as_bytes());
}

fn sealed(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

/// `<length> <key>=<value>\n`, where length counts itself too.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, tar_reader::TarReader};
    use std::collections::BTreeMap;

    fn entry(path: &[u8], kind: Kind) -> Entry {
        let path = EntryPath::new(path).unwrap();
        Entry { path, kind, mode: 0o4755, uid: 1, gid: 2, mtime: (1_700_000_000, 0), xattrs: BTreeMap::new() }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let long = vec![b'n'; 255];
        let deep = [&[b'd'; 200][..], b"/", &[b'e'; 200]].concat();
        let prefix = [&[b'd'; 120][..], b"/", &[b'e'; 90]].concat();
        let mut entries = vec![
            entry(b"", Kind::Directory),
            entry(b"a", Kind::File { size: 5 }),
            entry(b"b", Kind::Directory),
            entry(&long, Kind::File { size: 0 }),
            entry(&deep, Kind::Directory),
            entry(&prefix, Kind::File { size: 5 }),
            entry(b"caf\xc3\xa9 \xff", Kind::Fifo),
            entry(b"l", Kind::Symlink { target: deep.clone() }),
            entry(b"m", Kind::Symlink { target: b"/x y\xff".to_vec() }),
            entry(b"h", Kind::Hardlink { target: EntryPath::new(&deep).unwrap() }),
            entry(b"c", Kind::Char { major: 4095, minor: 1_048_575 }),
            entry(b"k", Kind::Block { major: 8, minor: 1 }),
        ];
        entries.push(Entry { uid: 4_000_000_000, gid: 2_097_152, mtime: (-5, 0), ..entry(b"n", Kind::Fifo) });
        entries.push(Entry { mtime: (1 << 40, 0), ..entry(b"o", Kind::Fifo) });
        let mut attributed = entry(b"p", Kind::File { size: 5 });
        attributed
            .xattrs
            .insert(b"user.a=b".to_vec().into_iter().filter(|b| *b != b'=').collect(), b"x\ny=\0".to_vec());
        attributed.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2]);
        attributed.xattrs.insert(b"user.big".to_vec(), vec![b'v'; 9990]);
        entries.push(attributed);

        let mut writer = TarWriter::new(Vec::new());
        for entry in &entries {
            let mut content = &b"hello"[..];
            let has = matches!(entry.kind, Kind::File { size: 5 });
            writer.entry(entry, has.then_some(&mut content as &mut dyn Read)).unwrap();
        }
        let tar = writer.finish().unwrap();
        let mut reader = TarReader::new(&tar[..], &Limits::default());
        for entry in &entries {
            assert_eq!(reader.next_entry().unwrap().as_ref(), Some(entry));
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            assert_eq!(content, if matches!(entry.kind, Kind::File { size: 5 }) { "hello" } else { "" });
        }
        assert_eq!(reader.next_entry().unwrap(), None);
    }

    #[test]
    fn a_file_that_changes_its_size_is_an_error() {
        for content in [&b"hell"[..], b"hello!"] {
            let mut writer = TarWriter::new(Vec::new());
            let outcome = writer.entry(&entry(b"a", Kind::File { size: 5 }), Some(&mut { content }));
            assert!(outcome.unwrap_err().to_string().contains("changed its size"));
        }
    }
}
