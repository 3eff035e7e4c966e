//! `Packages`: the Berkeley DB hash of rpm before 4.16 (RHEL 7 and 8, Amazon Linux 2), in either byte order.
//!
//! Source: rpm's read-only `lib/backend/bdb_ro.c` and Berkeley DB's `src/dbinc/db_page.h`. Each page is read at most once.

use super::wire::{be16, be32, le16, le32};
use super::{Each, HEADER_BYTES_MAX, corrupt, newer};
use crate::Error;

const HASH_MAGIC: u32 = 0x0006_1561;
const BTREE_MAGIC: u32 = 0x0005_3162;
const META_BYTES: usize = 512;
const PAGE_HEADER_BYTES: usize = 26;

const UNSORTED_HASH_PAGE: u8 = 2;
const OVERFLOW_PAGE: u8 = 7;
const HASH_META_PAGE: u8 = 8;
const HASH_PAGE: u8 = 13;

const ON_PAGE: u8 = 1;
const OFF_PAGE: u8 = 3;

/// Whether these are the first bytes of a Berkeley DB.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let is = |magic| magic == Some(HASH_MAGIC) || magic == Some(BTREE_MAGIC);
    is(le32(bytes, 12)) || is(be32(bytes, 12))
}

/// Gives the value of each key to `each` but that of key 0, which counts packages; returns what is in doubt.
pub(super) fn blobs(bytes: &[u8], each: &mut Each<'_>) -> Result<Vec<String>, Error> {
    let mut pages = Pages::open(bytes)?;
    let mut keys = 0;
    let mut long = Vec::new();
    for bucket in 0..=pages.buckets_max {
        let mut next = pages.of_bucket(bucket)?;
        while next != 0 {
            let page = pages.take(next)?;
            next = pages.u32(page, 16);
            if pages.is_unwritten(page) {
                continue;
            }
            if !matches!(page[25], UNSORTED_HASH_PAGE | HASH_PAGE) {
                return Err(corrupt("a page of its hash is of another kind"));
            }
            keys += pages.pairs(page, &mut long, each)?;
        }
    }
    let told = pages.u32(bytes, 88);
    let note = || format!("the rpm database says that it has {told} entries and has {keys}");
    Ok((told != keys).then(note).into_iter().collect())
}

struct Pages<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    size: usize,
    last: u32,
    buckets_max: u32,
    seen: Vec<bool>,
}

impl<'a> Pages<'a> {
    fn open(bytes: &'a [u8]) -> Result<Pages<'a>, Error> {
        let meta = bytes.get(..META_BYTES).ok_or_else(|| corrupt("it is cut off within its first page"))?;
        let big_endian = match (le32(meta, 12), be32(meta, 12)) {
            (Some(HASH_MAGIC), _) => false,
            (_, Some(HASH_MAGIC)) => true,
            _ => return Err(corrupt("a Berkeley DB that is no hash")),
        };
        let mut pages = Pages { bytes, big_endian, size: 0, last: 0, buckets_max: 0, seen: Vec::new() };
        let number = |at| pages.u32(meta, at);
        match number(16) {
            8..=10 => {}
            11.. => return Err(newer("Berkeley DB")),
            old => {
                return Err(corrupt(format!(
                    "version {old} of Berkeley DB's hash, older than rpm ever wrote"
                )));
            }
        }
        if meta[24] != 0 || meta[26] & 1 != 0 || number(36) != 0 || meta[25] != HASH_META_PAGE {
            return Err(corrupt("encrypted, checksummed or in parts, as rpm never writes it"));
        }
        let (size, last, buckets_max) = (number(20) as usize, number(32), number(72));
        if !(512..=65536).contains(&size) || !size.is_power_of_two() {
            return Err(corrupt(format!("pages of {size} bytes")));
        }
        if bytes.len() / size <= last as usize {
            return Err(corrupt(format!(
                "it is cut off: {} of {} pages are there",
                bytes.len() / size,
                u64::from(last) + 1
            )));
        }
        if buckets_max > last {
            return Err(corrupt("it has more buckets than pages"));
        }
        pages.seen = vec![false; last as usize + 1];
        (pages.size, pages.last, pages.buckets_max) = (size, last, buckets_max);
        Ok(pages)
    }

    fn u16(&self, bytes: &[u8], at: usize) -> usize {
        usize::from(if self.big_endian { be16(bytes, at) } else { le16(bytes, at) }.unwrap_or(0))
    }

    fn u32(&self, bytes: &[u8], at: usize) -> u32 {
        if self.big_endian { be32(bytes, at) } else { le32(bytes, at) }.unwrap_or(0)
    }

    /// The first page of a bucket: each doubling of the table has lain down its pages in one run.
    fn of_bucket(&self, bucket: u32) -> Result<u32, Error> {
        let doubling = (u32::BITS - bucket.leading_zeros()) as usize;
        let page = bucket.checked_add(self.u32(self.bytes, 96 + 4 * doubling)).filter(|_| doubling < 32);
        page.filter(|page| *page != 0).ok_or_else(|| corrupt(format!("bucket {bucket} is nowhere")))
    }

    /// A page, given out once.
    fn take(&mut self, number: u32) -> Result<&'a [u8], Error> {
        if number == 0 || number > self.last {
            return Err(corrupt(format!("page {number} is none of it")));
        }
        if std::mem::replace(&mut self.seen[number as usize], true) {
            return Err(corrupt(format!("page {number} is used twice")));
        }
        let page = &self.bytes[number as usize * self.size..][..self.size];
        match self.u32(page, 8) == number || self.is_unwritten(page) {
            true => Ok(page),
            false => Err(corrupt(format!("page {number} says that it is another"))),
        }
    }

    /// A page laid down with a doubling of the table but never used is a hole in the file: an empty bucket.
    fn is_unwritten(&self, page: &[u8]) -> bool {
        page[..PAGE_HEADER_BYTES].iter().all(|b| *b == 0)
    }

    /// Gives the values of a page and says how many there are. Items fill a page from its end.
    fn pairs(&mut self, page: &'a [u8], long: &mut Vec<u8>, each: &mut Each<'_>) -> Result<u32, Error> {
        let items = self.u16(page, 20);
        let least = PAGE_HEADER_BYTES + 2 * items;
        if !items.is_multiple_of(2) || least > self.size {
            return Err(corrupt(format!("a page with {items} items")));
        }
        let mut end = self.size;
        let mut key = &page[..0];
        for index in 0..items {
            let start = self.u16(page, PAGE_HEADER_BYTES + 2 * index);
            if start < least || start >= end {
                return Err(corrupt("items of a page overlap"));
            }
            let item = &page[start..end];
            end = start;
            if index % 2 == 0 {
                key = item;
            } else if key != [ON_PAGE, 0, 0, 0, 0] {
                each(self.value(item, long)?)?;
            }
        }
        Ok((items / 2) as u32)
    }

    fn value<'v>(&mut self, item: &'v [u8], long: &'v mut Vec<u8>) -> Result<&'v [u8], Error> {
        match (item[0], item.len()) {
            (ON_PAGE, _) => Ok(&item[1..]),
            (OFF_PAGE, 12) => {
                self.overflow(self.u32(item, 4), self.u32(item, 8) as usize, long)?;
                Ok(long)
            }
            (kind, _) => Err(corrupt(format!("an item of kind {kind}"))),
        }
    }

    fn overflow(&mut self, mut next: u32, length: usize, value: &mut Vec<u8>) -> Result<(), Error> {
        if length > HEADER_BYTES_MAX {
            return Err(corrupt(format!("a package of {length} bytes")));
        }
        value.clear();
        while next != 0 {
            let page = self.take(next)?;
            let here = self.u16(page, 22);
            if page[25] != OVERFLOW_PAGE
                || here > self.size - PAGE_HEADER_BYTES
                || here > length - value.len()
            {
                return Err(corrupt("a package goes on at a page of another kind"));
            }
            value.extend_from_slice(&page[PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + here]);
            next = self.u32(page, 16);
        }
        match value.len() == length {
            true => Ok(()),
            false => Err(corrupt("a package is shorter than it says")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bdb, blobs as sample};
    use super::*;

    fn count(bytes: &[u8]) -> Result<(usize, Vec<String>), String> {
        let mut count = 0;
        let each = &mut |_: &[u8]| {
            count += 1;
            Ok(())
        };
        let notes = blobs(bytes, each).map_err(|e| e.to_string())?;
        Ok((count, notes))
    }

    #[test]
    fn values_on_pages_and_off_them_are_read_in_either_order_of_bytes() {
        for big_endian in [false, true] {
            assert_eq!(count(&bdb(&sample(), big_endian)), Ok((sample().len(), Vec::new())));
            assert_eq!(count(&bdb(&[vec![7; 100], vec![8; 129]], big_endian)), Ok((2, Vec::new())));
        }
        // A page that was laid down and never used.
        let mut hole = bdb(&[vec![7; 100]], false);
        hole[2 * 512..3 * 512].fill(0);
        assert_eq!(count(&hole), Ok((1, Vec::new())));
    }

    #[test]
    fn damage_is_told() {
        let good = bdb(&sample(), false);
        for (at, new, why) in [
            (12, 0, "no hash"),
            (16, 11, "newer than we know"),
            (16, 7, "older than rpm"),
            (20, 3, "pages of"),
            (24, 1, "encrypted"),
            (26, 1, "encrypted"),
            (32, 255, "cut off"),
            (75, 255, "more buckets than pages"),
            (100, 0, "used twice"),
            (100, 200, "none of it"),
            (512 + 8, 9, "says that it is another"),
            (512 + 16, 2, "used twice"),
            (512 + 20, 3, "with 3 items"),
            (512 + 25, 7, "of another kind"),
            (512 + 27, 0xff, "overlap"),
            (3 * 512 + 25, 13, "page of another kind"),
            (3 * 512 + 22, 0, "another kind"),
        ] {
            let mut bytes = good.clone();
            bytes[at] = new;
            let error = count(&bytes).map(|_| ()).unwrap_err();
            assert!(error.contains(why) || error.contains("shorter"), "{at}: {why}: {error}");
        }
        let mut other_count = good.clone();
        other_count[88] = 77;
        assert!(count(&other_count).unwrap().1[0].contains("77 entries"));
        assert!(count(&good[..good.len() - 1]).unwrap_err().contains("cut off"));
    }
}
