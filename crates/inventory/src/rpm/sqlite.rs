//! `rpmdb.sqlite`: the rows of rpm's table `Packages`, read from the bytes of the file and of the write-ahead log beside it.
//!
//! A reader of our own instead of SQLite: what it reads comes from an image and may be built to hurt, and of SQLite's
//! format only table b-trees with overflow pages are needed. It reads each page at most once, so that neither cycles
//! nor shared pages make it run long; it never follows the tree by recursion; there is no C in it and nothing is ever
//! written. Source: <https://www.sqlite.org/fileformat2.html>.

use super::wal::{self, Log};
use super::wire::{be16, be32};
use super::{Each, HEADER_BYTES_MAX, corrupt, newer};
use crate::Error;

/// What the file begins with.
pub(super) const MAGIC: &[u8; 16] = b"SQLite format 3\0";

const FILE_HEADER_BYTES: usize = 100;

/// Least bytes of an entry of an inner page with its pointer.
const INNER_CELL_BYTES_MIN: usize = 7;

/// Longest record of the schema; rpm's have some hundred bytes.
const SCHEMA_BYTES_MAX: usize = 64 * 1024;

/// What is given the parts of each record of a table.
type EachInParts<'a, 'e> = dyn FnMut(&[&'a [u8]]) -> Result<(), Error> + 'e;

/// Gives the blob of each row of `Packages` to `each`; returns what is in doubt.
pub(super) fn blobs(bytes: &[u8], log: Option<&[u8]>, each: &mut Each<'_>) -> Result<Vec<String>, Error> {
    let (log, notes) = match log {
        Some(log) => wal::committed(log)?,
        None => (Log::default(), Vec::new()),
    };
    let mut pages = Pages::open(bytes, log)?;
    let root = pages.tables(["Packages"])?[0].ok_or_else(|| corrupt("it has no table of packages"))?;
    pages.rows(root, HEADER_BYTES_MAX, &mut |record| {
        let (serial, blob) = column(record, 1)?;
        match serial >= 12 && serial % 2 == 0 {
            true => each(blob),
            false => Err(corrupt("a row of its packages has no blob")),
        }
    })?;
    Ok(notes)
}

/// A value of a row, and where each of its bytes lies in the file.
pub(super) struct Placed {
    /// The value.
    pub value: Vec<u8>,
    parts: Vec<(usize, usize)>,
    /// Where the value begins in the record.
    start: usize,
}

impl Placed {
    /// The place in the file of the byte `at` of the value.
    pub(super) fn in_file(&self, at: usize) -> Option<usize> {
        let mut left = self.start + at;
        for (start, length) in &self.parts {
            if left < *length {
                return Some(start + left);
            }
            left -= length;
        }
        None
    }
}

/// The values in a column of a table, placed; none where there is no such table. What a log holds is not looked at.
pub(super) fn placed(
    bytes: &[u8],
    (table, wanted): (&str, usize),
    each: &mut dyn FnMut(Placed) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut pages = Pages::open(bytes, Log::default())?;
    let Some(root) = pages.tables([table])?[0] else { return Ok(()) };
    pages.rows_in_parts(root, HEADER_BYTES_MAX, &mut |parts| {
        let record = parts.concat();
        let value = column(&record, wanted)?.1;
        let from = |part: &[u8]| (part.as_ptr().addr() - bytes.as_ptr().addr(), part.len());
        let start = value.as_ptr().addr() - record.as_ptr().addr();
        each(Placed { value: value.to_vec(), parts: parts.iter().map(|part| from(part)).collect(), start })
    })
}

/// The pages of a database: those of its log before those of its file.
struct Pages<'a> {
    bytes: &'a [u8],
    log: Log<'a>,
    size: usize,
    /// Bytes of a page that are in use.
    usable: usize,
    count: u32,
    seen: Vec<bool>,
}

impl<'a> Pages<'a> {
    fn open(bytes: &'a [u8], log: Log<'a>) -> Result<Pages<'a>, Error> {
        let first = log.pages.get(&1).copied().unwrap_or(bytes);
        let head = first.get(..FILE_HEADER_BYTES).ok_or_else(|| corrupt("it ends within its first page"))?;
        let size = check_head(head)?;
        if !log.pages.is_empty() && log.page_size != size {
            return Err(corrupt("its pages and those of its log differ in size"));
        }
        let whole = u32::try_from(bytes.len() / size).map_err(|_| corrupt("too many pages"))?;
        let number = |at| be32(head, at).unwrap_or(0);
        // The count in the file is only good where the last writer has kept it.
        let told = (number(28) != 0 && number(24) == number(92)).then(|| number(28));
        let count = log.count.or(told).unwrap_or(whole);
        if log.pages.is_empty() && count > whole {
            return Err(corrupt(format!("it is cut off: {whole} of {count} pages are there")));
        }
        if count > whole.saturating_add(log.pages.len() as u32) {
            return Err(corrupt(format!("of {count} pages not all are there")));
        }
        let usable = size - usize::from(head[20]);
        Ok(Pages { bytes, log, size, usable, count, seen: vec![false; count as usize + 1] })
    }

    /// The root pages of tables, by the schema.
    fn tables<const N: usize>(&mut self, names: [&str; N]) -> Result<[Option<u32>; N], Error> {
        let mut roots = [None; N];
        self.rows(1, SCHEMA_BYTES_MAX, &mut |record| {
            for (root, name) in roots.iter_mut().zip(names) {
                let found = table_root(record, name)?;
                if root.is_some() && found.is_some() {
                    return Err(corrupt(format!("it has two tables {name}")));
                }
                *root = root.or(found);
            }
            Ok(())
        })?;
        Ok(roots)
    }

    /// A page, given out once.
    fn take(&mut self, number: u32) -> Result<&'a [u8], Error> {
        if number == 0 || number > self.count {
            return Err(corrupt(format!("page {number} is none of it")));
        }
        if std::mem::replace(&mut self.seen[number as usize], true) {
            return Err(corrupt(format!("page {number} is used twice")));
        }
        let start = (number as usize - 1) * self.size;
        let page = self.log.pages.get(&number).copied().or_else(|| self.bytes.get(start..start + self.size));
        let page = page.ok_or_else(|| corrupt(format!("it is cut off: page {number} is missing")))?;
        Ok(&page[..self.usable])
    }

    /// Gives the record of each row of the table at `root`, in their order. One of more than `longest` bytes is an error.
    fn rows(&mut self, root: u32, longest: usize, row: &mut Each<'_>) -> Result<(), Error> {
        let mut long = Vec::new();
        self.rows_in_parts(root, longest, &mut |parts| match parts {
            [whole] => row(whole),
            parts => {
                long.clear();
                parts.iter().for_each(|part| long.extend_from_slice(part));
                row(&long)
            }
        })
    }

    /// The same, each record in the parts in which it lies in the pages.
    fn rows_in_parts(
        &mut self,
        root: u32,
        longest: usize,
        row: &mut EachInParts<'a, '_>,
    ) -> Result<(), Error> {
        let mut open = vec![root];
        while let Some(number) = open.pop() {
            let page = self.take(number)?;
            let at = if number == 1 { FILE_HEADER_BYTES } else { 0 };
            match page[at] {
                0x05 => children(page, at, &mut open)?,
                0x0d => self.leaf(page, at, longest, row)?,
                _ => return Err(corrupt(format!("page {number} is none of a table"))),
            }
        }
        Ok(())
    }

    fn leaf(
        &mut self,
        page: &'a [u8],
        at: usize,
        longest: usize,
        row: &mut EachInParts<'a, '_>,
    ) -> Result<(), Error> {
        let (mut spent, mut parts) = (0, Vec::new());
        for cell in cells(page, at, 8)? {
            let (payload, rest) = varint(cell).ok_or_else(|| corrupt("a row is cut off"))?;
            let (_, rest) = varint(rest).ok_or_else(|| corrupt("a row is cut off"))?;
            let payload = usize::try_from(payload)
                .ok()
                .filter(|n| *n <= longest && *n / self.size <= self.count as usize);
            let payload = payload.ok_or_else(|| corrupt(format!("a row is longer than {longest} bytes")))?;
            let local = self.local(payload);
            spent += local;
            let here = rest.get(..local).filter(|_| spent <= self.usable);
            parts.clear();
            parts.push(here.ok_or_else(|| corrupt("rows of a page overlap"))?);
            if local < payload {
                let next = be32(rest, local).ok_or_else(|| corrupt("a row is cut off"))?;
                self.overflow(next, payload - local, &mut parts)?;
            }
            row(&parts)?;
        }
        Ok(())
    }

    /// Bytes of a row that are in its leaf page; the others are in overflow pages.
    fn local(&self, payload: usize) -> usize {
        let (most, least) = (self.usable - 35, (self.usable - 12) * 32 / 255 - 23);
        if payload <= most {
            return payload;
        }
        let fitting = least + (payload - least) % (self.usable - 4);
        if fitting <= most { fitting } else { least }
    }

    fn overflow(&mut self, mut next: u32, mut left: usize, parts: &mut Vec<&'a [u8]>) -> Result<(), Error> {
        while left > 0 {
            let page = self.take(next)?;
            next = be32(page, 0).unwrap_or(0);
            let length = left.min(self.usable - 4);
            parts.push(&page[4..4 + length]);
            left -= length;
        }
        match next {
            0 => Ok(()),
            _ => Err(corrupt("a row is longer than it says")),
        }
    }
}

/// Checks the header of the file and gives the size of a page.
fn check_head(head: &[u8]) -> Result<usize, Error> {
    if &head[..16] != MAGIC {
        return Err(corrupt("no SQLite database"));
    }
    if head[18] > 2 || head[19] > 2 || be32(head, 44).unwrap_or(0) > 4 {
        return Err(newer("SQLite"));
    }
    let size = match be16(head, 16).unwrap_or(0) {
        1 => 65536,
        size => usize::from(size),
    };
    if size < 512 || !size.is_power_of_two() || size - usize::from(head[20]) < 480 {
        return Err(corrupt(format!("pages of {size} bytes, {} of them reserved", head[20])));
    }
    if head[21..24] != [64, 32, 32] {
        return Err(corrupt("its payload fractions are not those of SQLite"));
    }
    match be32(head, 56) {
        Some(0 | 1) => Ok(size),
        _ => Err(corrupt("its texts are not UTF-8")),
    }
}

/// The entries of a b-tree page from where they start to the end of the page; `head` is the length of its header.
fn cells(page: &[u8], at: usize, head: usize) -> Result<impl DoubleEndedIterator<Item = &[u8]>, Error> {
    let count = usize::from(be16(page, at + 3).unwrap_or(0));
    let pointers = page.get(at + head..at + head + 2 * count);
    let pointers = pointers.ok_or_else(|| corrupt("a page has more rows than fit"))?;
    let start = move |pair: &[u8]| usize::from(be16(pair, 0).unwrap_or(0));
    let least = at + head + 2 * count;
    if pointers.chunks_exact(2).any(|pair| start(pair) < least || start(pair) >= page.len()) {
        return Err(corrupt("a row lies outside of its page"));
    }
    Ok(pointers.chunks_exact(2).map(move |pair| &page[start(pair)..]))
}

/// Puts the children of an inner page on the stack, the first uppermost.
fn children(page: &[u8], at: usize, open: &mut Vec<u32>) -> Result<(), Error> {
    let cells = cells(page, at, 12)?;
    if usize::from(be16(page, at + 3).unwrap_or(0)) * INNER_CELL_BYTES_MIN > page.len() {
        return Err(corrupt("entries of a page overlap"));
    }
    open.push(be32(page, at + 8).unwrap_or(0));
    for cell in cells.rev() {
        open.push(be32(cell, 0).ok_or_else(|| corrupt("an entry lies outside of its page"))?);
    }
    Ok(())
}

/// A number of one to nine bytes, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(8).enumerate() {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    let last = bytes.get(8)?;
    Some((value << 8 | u64::from(*last), &bytes[9..]))
}

/// The serial type and the bytes of a column of a record.
fn column(record: &[u8], wanted: usize) -> Result<(u64, &[u8]), Error> {
    let broken = || corrupt("a record is broken");
    let (head, rest) = varint(record).ok_or_else(broken)?;
    let head = usize::try_from(head).ok().filter(|n| *n <= record.len()).ok_or_else(broken)?;
    let mut types = &rest[..head.saturating_sub(record.len() - rest.len()).min(rest.len())];
    let mut start = head;
    for index in 0.. {
        let (serial, next) = varint(types).ok_or_else(broken)?;
        types = next;
        let length = length(serial).ok_or_else(broken)?;
        let end = start.checked_add(length).filter(|end| *end <= record.len()).ok_or_else(broken)?;
        if index == wanted {
            return Ok((serial, &record[start..end]));
        }
        start = end;
    }
    Err(broken())
}

/// Bytes of a value of a serial type.
fn length(serial: u64) -> Option<usize> {
    match serial {
        0 | 8 | 9 => Some(0),
        1..=4 => Some(serial as usize),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        _ => usize::try_from((serial - 12) / 2).ok(),
    }
}

/// The root page of a table, where the record of the schema is about that.
fn table_root(record: &[u8], table: &str) -> Result<Option<u32>, Error> {
    let (kind, name) = (column(record, 0)?.1, column(record, 1)?.1);
    if kind != b"table" || !name.eq_ignore_ascii_case(table.as_bytes()) {
        return Ok(None);
    }
    let (serial, root) = column(record, 3)?;
    let number = root.iter().try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)));
    let number = match serial {
        9 => Some(1),
        1..=6 => number.and_then(|n| u32::try_from(n).ok()),
        _ => None,
    };
    number.map(Some).ok_or_else(|| corrupt(format!("its table {table} is nowhere")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{blobs as sample, log, sqlite};
    use super::*;

    fn read(bytes: &[u8], log: Option<&[u8]>) -> Result<Vec<Vec<u8>>, String> {
        let mut all = Vec::new();
        let each = &mut |blob: &[u8]| {
            all.push(blob.to_vec());
            Ok(())
        };
        blobs(bytes, log, each).map_err(|e| e.to_string())?;
        Ok(all)
    }

    fn put(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        changed[at..at + new.len()].copy_from_slice(new);
        changed
    }

    #[test]
    fn rows_are_read_in_order_from_leaves_and_overflow_pages() {
        assert_eq!(read(&sqlite(&sample()), None), Ok(sample()));
        assert_eq!(read(&sqlite(&[]), None), Ok(Vec::new()));
        // Lengths around those at which a row begins to overflow, and to fill pages exactly.
        let sizes: Vec<Vec<u8>> = (0..1600).step_by(7).chain(460..520).map(|n| vec![7; n]).collect();
        for blob in sizes {
            assert_eq!(read(&sqlite(std::slice::from_ref(&blob)), None), Ok(vec![blob]));
        }
    }

    #[test]
    fn committed_pages_of_the_log_count_and_others_do_not() {
        let (old, new) = (sqlite(&[vec![1; 300]]), sqlite(&[vec![2; 300], vec![3; 900]]));
        let pages: Vec<&[u8]> = new.chunks(512).collect();
        let count = pages.len() as u32;
        let frames = |commit: u32| -> Vec<(u32, u32, &[u8])> {
            let all = pages.iter().enumerate();
            all.map(|(at, page)| (at as u32 + 1, if at + 1 == pages.len() { commit } else { 0 }, *page))
                .collect()
        };
        let (whole, open) = (log(512, &frames(count)), log(512, &frames(0)));
        let expected = vec![vec![2; 300], vec![3; 900]];
        assert_eq!(read(&old, Some(&whole)), Ok(expected.clone()));
        assert_eq!(read(&[], Some(&whole)), Ok(expected));
        assert_eq!(read(&old, Some(&open)), Ok(vec![vec![1; 300]]));
        assert!(blobs(&old, Some(&open), &mut |_| Ok(())).unwrap()[0].contains("never finished"));
        // A frame that is damaged ends the log, and with it the transaction it is of.
        let damaged = put(&whole, 32 + 24 + 100, b"\xff\xff");
        assert_eq!(read(&old, Some(&damaged)), Ok(vec![vec![1; 300]]));
        assert_eq!(read(&old, Some(b"short")), Ok(vec![vec![1; 300]]));
        let newer = put(&whole, 4, &[9]);
        assert!(blobs(&old, Some(&newer), &mut |_| Ok(())).unwrap()[0].contains("none of SQLite's"));
        let other_size = log(1024, &[(1, 1, &[0; 1024])]);
        assert!(read(&old, Some(&other_size)).is_err());
    }

    #[test]
    fn damage_is_told() {
        let good = sqlite(&sample());
        let root = 512;
        let first_child = usize::from(be16(&good, root + 12).unwrap()) + root;
        for (bytes, why) in [
            (put(&good, 0, b"X"), "no SQLite"),
            (put(&good, 19, &[3]), "newer than we know"),
            (put(&good, 47, &[5]), "newer than we know"),
            (put(&good, 16, &[3, 0]), "pages of 768 bytes"),
            (put(&good, 20, &[100]), "100 of them reserved"),
            (put(&good, 21, &[1]), "fractions"),
            (put(&good, 59, &[2]), "not UTF-8"),
            (good[..good.len() - 512].to_vec(), "cut off"),
            (good[..80].to_vec(), "ends within"),
            (put(&good, root, &[10]), "none of a table"),
            (put(&good, root + 3, &[0xff]), "more rows than fit"),
            (put(&good, root + 12, &[0, 1]), "outside of its page"),
            (put(&good, first_child, &2u32.to_be_bytes()), "used twice"),
            (put(&good, first_child, &99u32.to_be_bytes()), "none of it"),
        ] {
            let error = read(&bytes, None).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
        let without = put(&good, 100 + 3, &[0, 1]);
        assert!(read(&without, None).unwrap_err().contains("no table of packages"));
    }
}
