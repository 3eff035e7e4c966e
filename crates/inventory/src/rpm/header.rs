//! The header of an rpm package, as the database keeps it and as a package file carries it: an index of tags and their data.
//! Borrowed from the bytes; a value is checked when it is asked for.
//!
//! Source: rpm's `docs/manual/hregions.md`, `docs/manual/format_header.md` and `lib/header.c`. All numbers are big-endian.

use super::tag::Tag;
use super::wire::be32;
use crate::{Error, printable};

/// Most tags of a header, rpm's own limit.
pub const TAGS_MAX: u32 = 0xffff;

/// Largest data of a header. Those of packages with a hundred thousand files have some 20 MB.
pub const DATA_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Longest text taken as a name or a version.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What a header in a package file begins with; the last byte is the version of the format.
const MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 1];

const ENTRY_BYTES: usize = 16;

/// A header whose index lies within its data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

/// One line of the index.
#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: usize,
    count: usize,
}

const CHAR: u32 = 1;
const INT8: u32 = 2;
const INT16: u32 = 3;
const INT32: u32 = 4;
const INT64: u32 = 5;
const STRING: u32 = 6;
const BINARY: u32 = 7;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

impl<'a> Header<'a> {
    /// Reads the header that fills `blob` (the form of the database: without magic).
    pub fn parse(blob: &'a [u8]) -> Result<Header<'a>, Error> {
        let (header, rest) = Header::split(blob)?;
        match rest.is_empty() {
            true => Ok(header),
            false => Err(bad(format!("{} bytes after its data", rest.len()))),
        }
    }

    /// Reads the header that `bytes` begin with (the form of a package file: magic first) and gives what follows it. After
    /// a signature header the caller skips up to the next multiple of eight.
    pub fn parse_in_file(bytes: &'a [u8]) -> Result<(Header<'a>, &'a [u8]), Error> {
        match bytes.get(..8) {
            Some(intro) if intro[..4] == MAGIC => Header::split(&bytes[8..]),
            Some(intro) if intro[..3] == MAGIC[..3] => {
                Err(bad(format!("version {}, newer than we know", intro[3])))
            }
            _ => Err(bad("no header magic")),
        }
    }

    fn split(bytes: &'a [u8]) -> Result<(Header<'a>, &'a [u8]), Error> {
        let number = |at| be32(bytes, at).ok_or_else(|| bad("cut off"));
        let (tags, length) = (number(0)?, number(4)?);
        if tags == 0 || tags > TAGS_MAX || length > DATA_BYTES_MAX {
            return Err(bad(format!("{tags} tags with {length} bytes")));
        }
        let index_end = 8 + tags as usize * ENTRY_BYTES;
        let end = index_end + length as usize;
        let whole = bytes.get(..end).ok_or_else(|| bad("cut off"))?;
        let header = Header { index: &whole[8..index_end], data: &whole[index_end..] };
        header.check_index()?;
        Ok((header, &bytes[end..]))
    }

    fn check_index(&self) -> Result<(), Error> {
        for entry in self.entries() {
            let fits = match entry.kind {
                STRING | STRING_ARRAY | I18N_STRING => entry.offset < self.data.len(),
                kind => width(kind).is_some_and(|width| {
                    let bytes = entry.count.checked_mul(width).and_then(|n| n.checked_add(entry.offset));
                    entry.offset % width == 0 && bytes.is_some_and(|end| end <= self.data.len())
                }),
            };
            if !fits || entry.count == 0 {
                return Err(bad(format!("tag {} lies outside of it", entry.tag)));
            }
        }
        Ok(())
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = Entry> + use<'a> {
        self.index.chunks_exact(ENTRY_BYTES).map(|line| {
            let number = |at| be32(line, at).unwrap_or(0);
            Entry { tag: number(0), kind: number(4), offset: number(8) as usize, count: number(12) as usize }
        })
    }

    /// The line of a tag. Of two the later counts: rpm adds what it changes on installation at the end.
    fn find(&self, tag: Tag) -> Option<Entry> {
        self.entries().rev().find(|entry| entry.tag == tag.0)
    }

    /// Whether the header has the tag.
    pub fn has(&self, tag: Tag) -> bool {
        self.find(tag).is_some()
    }

    /// Whether every tag lies in one immutable region, so that a signature of the header covers all of it. True of a
    /// package file as built; the database adds tags after the region.
    pub fn is_sealed(&self, region: Tag) -> bool {
        let Some(first) = self.entries().next() else { return false };
        let trailer = self.data.len().checked_sub(ENTRY_BYTES);
        let sealed = || {
            let at = trailer.filter(|at| *at == first.offset)?;
            let back = be32(self.data, at + 8)?.wrapping_neg();
            Some(be32(self.data, at)? == region.0 && back as usize == self.index.len())
        };
        first.tag == region.0 && first.kind == BINARY && first.count == ENTRY_BYTES && sealed() == Some(true)
    }

    /// The texts of a tag, none where it is absent. Not all are UTF-8: paths are what they are.
    pub fn texts(&self, tag: Tag) -> Result<Texts<'a>, Error> {
        let Some(entry) = self.find(tag) else { return Ok(Texts { rest: &[], left: 0 }) };
        if !matches!(entry.kind, STRING | STRING_ARRAY | I18N_STRING)
            || (entry.kind == STRING && entry.count != 1)
        {
            return Err(bad(format!("tag {} is no text", tag.0)));
        }
        let rest = self.data.get(entry.offset..).unwrap_or(&[]);
        let mut ends = rest.iter().enumerate().filter(|(_, b)| **b == 0).map(|(at, _)| at + 1);
        let end = ends.nth(entry.count - 1).ok_or_else(|| bad(format!("tag {} is cut off", tag.0)))?;
        Ok(Texts { rest: &rest[..end], left: entry.count })
    }

    /// The first text of a tag.
    pub fn text(&self, tag: Tag) -> Result<Option<&'a str>, Error> {
        let Some(entry) = self.find(tag) else { return Ok(None) };
        if !matches!(entry.kind, STRING | STRING_ARRAY | I18N_STRING) {
            return Err(bad(format!("tag {} is no text", tag.0)));
        }
        let rest = self.data.get(entry.offset..).unwrap_or(&[]);
        let end = rest.iter().take(TEXT_BYTES_MAX + 1).position(|b| *b == 0);
        let text = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
        text.map(Some).ok_or_else(|| bad(format!("tag {} is no text", tag.0)))
    }

    /// The numbers of a tag, none where it is absent.
    pub fn numbers(&self, tag: Tag) -> Result<Numbers<'a>, Error> {
        let Some(entry) = self.find(tag) else { return Ok(Numbers { rest: &[], width: 1 }) };
        let width = width(entry.kind).filter(|_| entry.kind != BINARY && entry.kind != CHAR);
        let width = width.ok_or_else(|| bad(format!("tag {} is no number", tag.0)))?;
        Ok(Numbers { rest: self.slice(&entry, width), width })
    }

    /// The first number of a tag.
    pub fn number(&self, tag: Tag) -> Result<Option<u64>, Error> {
        Ok(self.numbers(tag)?.next())
    }

    /// Where in the bytes of the header the first number of a tag lies, where it is one of 32 bits.
    pub(super) fn place(&self, tag: Tag) -> Option<usize> {
        let entry = self.find(tag).filter(|entry| entry.kind == INT32)?;
        Some(8 + self.index.len() + entry.offset)
    }

    /// The bytes of a binary tag.
    pub fn binary(&self, tag: Tag) -> Result<Option<&'a [u8]>, Error> {
        match self.find(tag) {
            None => Ok(None),
            Some(entry) if matches!(entry.kind, BINARY | CHAR | INT8) => Ok(Some(self.slice(&entry, 1))),
            Some(_) => Err(bad(format!("tag {} is not binary", tag.0))),
        }
    }

    fn slice(&self, entry: &Entry, width: usize) -> &'a [u8] {
        self.data.get(entry.offset..).and_then(|d| d.get(..entry.count * width)).unwrap_or(&[])
    }
}

impl std::fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.text(Tag::NAME).ok().flatten().unwrap_or("?");
        write!(f, "Header({}, {} tags)", printable(name), self.index.len() / ENTRY_BYTES)
    }
}

/// Bytes of one value of a kind that is not text.
fn width(kind: u32) -> Option<usize> {
    match kind {
        CHAR | INT8 | BINARY => Some(1),
        INT16 => Some(2),
        INT32 => Some(4),
        INT64 => Some(8),
        _ => None,
    }
}

fn bad(why: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("not an rpm header: {why}"))
}

/// Texts of a tag, without their closing zero.
#[derive(Debug, Clone)]
pub struct Texts<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|b| *b == 0)?;
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        self.left -= 1;
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Texts<'_> {}

/// Numbers of a tag, of whatever width.
#[derive(Debug, Clone)]
pub struct Numbers<'a> {
    rest: &'a [u8],
    width: usize,
}

impl Iterator for Numbers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (value, rest) = self.rest.split_at_checked(self.width)?;
        self.rest = rest;
        Some(value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.rest.len() / self.width;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Numbers<'_> {}

#[cfg(test)]
mod tests {
    use super::super::testing::{Value, header, package};
    use super::*;

    #[test]
    fn values_are_read_by_tag() {
        let blob = header(&[
            (Tag::NAME, Value::Text("bash")),
            (Tag::EPOCH, Value::Numbers(vec![7])),
            (Tag::FILE_MODES, Value::Shorts(vec![0o100_755, 0o40_755])),
            (Tag::BASE_NAMES, Value::Texts(vec!["a", "", "c\u{e9}"])),
            (Tag::PRE_IN, Value::Binary(vec![1, 2, 3])),
        ]);
        let header = Header::parse(&blob).unwrap();
        assert_eq!(header.text(Tag::NAME), Ok(Some("bash")));
        assert_eq!(header.number(Tag::EPOCH), Ok(Some(7)));
        assert_eq!(header.numbers(Tag::FILE_MODES).unwrap().collect::<Vec<_>>(), [0o100_755, 0o40_755]);
        let names: Vec<&[u8]> = header.texts(Tag::BASE_NAMES).unwrap().collect();
        assert_eq!(names, [&b"a"[..], b"", "c\u{e9}".as_bytes()]);
        assert_eq!(header.binary(Tag::PRE_IN), Ok(Some(&[1, 2, 3][..])));
        assert_eq!((header.text(Tag::VENDOR), header.has(Tag::VENDOR)), (Ok(None), false));
        assert_eq!(
            (header.numbers(Tag::SIZE).unwrap().len(), header.texts(Tag::VENDOR).unwrap().len()),
            (0, 0)
        );
        assert!(header.number(Tag::NAME).is_err() && header.text(Tag::EPOCH).is_err());
        assert_eq!(format!("{header:?}"), "Header(bash, 5 tags)");
    }

    #[test]
    fn what_installation_adds_at_the_end_counts() {
        let blob = header(&[(Tag::NAME, Value::Text("old")), (Tag::NAME, Value::Text("new"))]);
        assert_eq!(Header::parse(&blob).unwrap().text(Tag::NAME), Ok(Some("new")));
    }

    #[test]
    fn in_a_file_a_header_has_magic_and_something_follows() {
        let blob = package("bash", (0, "5", "1"), 0);
        let file = [&MAGIC[..], &[0; 4], &blob, b"payload"].concat();
        let (header, rest) = Header::parse_in_file(&file).unwrap();
        assert_eq!((header.text(Tag::NAME), rest), (Ok(Some("bash")), &b"payload"[..]));
        let newer = [&MAGIC[..3], &[2, 0, 0, 0, 0], &blob].concat();
        for (bytes, why) in
            [(&newer[..], "newer than we know"), (&blob[..], "no header magic"), (&file[..20], "cut off")]
        {
            let error = Header::parse_in_file(bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_header_is_sealed_where_its_region_covers_all() {
        let trailer = |lines: i32| {
            let numbers = [63, 7, (-16 * lines) as u32, 16];
            Value::Binary(numbers.iter().flat_map(|n: &u32| n.to_be_bytes()).collect())
        };
        let tags = |lines| vec![(Tag::NAME, Value::Text("x")), (Tag::HEADER_IMMUTABLE, trailer(lines))];
        // In a file the line of the region comes first while its data comes last.
        let sealed = |lines, more: bool| {
            let mut tags = tags(lines);
            more.then(|| tags.push((Tag::INSTALL_TIME, Value::Binary(vec![1]))));
            let mut blob = header(&tags);
            let lines: Vec<u8> = [&blob[24..40], &blob[8..24]].concat();
            blob[8..40].copy_from_slice(&lines);
            Header::parse(&blob).unwrap().is_sealed(Tag::HEADER_IMMUTABLE)
        };
        assert_eq!((sealed(2, false), sealed(1, false), sealed(2, true)), (true, false, false));
    }

    #[test]
    fn an_index_that_points_outside_is_an_error() {
        let good = header(&[(Tag::NAME, Value::Text("a")), (Tag::EPOCH, Value::Numbers(vec![1]))]);
        assert!(Header::parse(&good).is_ok());
        let put = |at: usize, number: u32| {
            let mut blob = good.clone();
            blob[at..at + 4].copy_from_slice(&number.to_be_bytes());
            blob
        };
        for (blob, what) in [
            (put(0, 0), "no tags"),
            (put(0, u32::MAX), "too many tags"),
            (put(4, u32::MAX), "too much data"),
            (put(8 + 4, 10), "unknown kind"),
            (put(8 + 8, 8), "text after the data"),
            (put(24 + 8, 1), "unaligned number"),
            (put(24 + 12, 2), "number past the end"),
            (put(24 + 12, u32::MAX), "count that overflows"),
            (put(24 + 12, 0), "count of none"),
            (good[..good.len() - 1].to_vec(), "cut off"),
            ([&good[..], b"\0"].concat(), "more after it"),
            (Vec::new(), "nothing"),
        ] {
            assert!(Header::parse(&blob).is_err(), "{what}");
        }
        let unended = [&good[..40], &[b'a'; 8]].concat();
        let header = Header::parse(&unended).unwrap();
        assert!(header.text(Tag::NAME).is_err() && header.texts(Tag::NAME).is_err());
    }
}
