//! Sparse files of a tar: content with holes, of which only the rest is in the archive. GNU's old headers, and the PAX records of
//! its versions 0.0, 0.1 and 1.0 ("Sparse Formats" in the manual of GNU tar).

use crate::limits::SPARSE_PARTS_MAX;

/// What PAX records say of a sparse file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    version: [Option<u64>; 2],
    real_size: Option<u64>,
    parts_count: Option<u64>,
    /// Offsets and sizes by turns, one record each (0.0).
    pairs: Vec<u64>,
    /// The same in one record (0.1).
    map: Option<Vec<u64>>,
    /// The name of the file, where the header has another for readers that know no sparse files.
    pub(crate) name: Option<Vec<u8>>,
}

/// Where the map of a sparse file is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sparse {
    /// Here: offsets and sizes by turns.
    Known(Vec<u64>),
    /// Here as far as it goes, the rest in blocks right after the header.
    Continued(Vec<u64>),
    /// At the beginning of the content.
    InContent,
}

const PREFIX: &[u8] = b"GNU.sparse.";

impl Records {
    /// Whether a key speaks of a sparse file.
    pub(crate) fn is_key(key: &[u8]) -> bool {
        key.starts_with(PREFIX)
    }

    /// Whether a record of this key may stand there more than once.
    pub(crate) fn repeats(key: &[u8]) -> bool {
        matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes")
    }

    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Records::default()
    }

    /// Takes a record.
    pub(crate) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let number = || decimal(value).ok_or_else(|| format!("PAX {} is not a number", key.escape_ascii()));
        let once = |slot: &mut Option<u64>| match slot.replace(number()?) {
            Some(earlier) if Some(earlier) != *slot => Err("conflicting sizes of a sparse file".to_owned()),
            _ => Ok(()),
        };
        match key.strip_prefix(PREFIX).unwrap_or(key) {
            b"major" => once(&mut self.version[0])?,
            b"minor" => once(&mut self.version[1])?,
            b"size" | b"realsize" => once(&mut self.real_size)?,
            b"numblocks" => once(&mut self.parts_count)?,
            b"name" if value.is_empty() || value.contains(&0) => {
                return Err("PAX name of a sparse file is empty or has a NUL byte".into());
            }
            b"name" => self.name = Some(value.to_vec()),
            b"map" => self.map = Some(numbers(value)?),
            b"offset" if self.pairs.len().is_multiple_of(2) => self.pairs.push(number()?),
            b"numbytes" if !self.pairs.len().is_multiple_of(2) => self.pairs.push(number()?),
            _ => return Err(format!("unsupported: PAX record \"{}\"", key.escape_ascii())),
        }
        within_bounds(self.pairs.len())
    }

    /// The real size and the map.
    pub(crate) fn settled(self) -> Result<(u64, Sparse), String> {
        let real = self.real_size.ok_or("a sparse file without its size")?;
        let counted = self.parts_count.and_then(|count| count.checked_mul(2));
        let sparse = match (self.version, self.map, &self.pairs[..]) {
            ([Some(1), Some(0)], None, []) if self.parts_count.is_none() => Sparse::InContent,
            ([None, None] | [Some(0), Some(0)], None, pairs) if counted == Some(pairs.len() as u64) => {
                Sparse::Known(self.pairs)
            }
            ([None, None] | [Some(0), Some(1)], Some(map), []) if counted == Some(map.len() as u64) => {
                Sparse::Known(map)
            }
            _ => return Err("unsupported: sparse file of this version, or one whose map does not fit".into()),
        };
        Ok((real, sparse))
    }
}

/// Numbers with commas between them.
fn numbers(text: &[u8]) -> Result<Vec<u64>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parsed = text.split(|b| *b == b',').map(|digits| decimal(digits).ok_or_else(bad_map));
    let numbers: Vec<u64> = parsed.collect::<Result<_, _>>()?;
    within_bounds(numbers.len()).map(|()| numbers)
}

fn within_bounds(numbers: usize) -> Result<(), String> {
    if numbers > 2 * SPARSE_PARTS_MAX {
        return Err(format!("a sparse file of more than {SPARSE_PARTS_MAX} parts"));
    }
    Ok(())
}

pub(crate) fn bad_map() -> String {
    "malformed map of a sparse file".to_owned()
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// Reads the map at the beginning of a content (1.0): the number of parts, then offset and size of each, a line each.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    digits: Vec<u8>,
    count: Option<usize>,
    numbers: Vec<u64>,
}

impl Lines {
    /// Takes a block; the map, where it ended in it. What follows its end in the block says nothing.
    pub(crate) fn take(&mut self, block: &[u8]) -> Result<Option<Vec<u64>>, String> {
        for byte in block {
            if *byte != b'\n' {
                self.digits.push(*byte);
                // No number of 64 bits is longer.
                if self.digits.len() > 20 {
                    return Err(bad_map());
                }
                continue;
            }
            let number = decimal(&std::mem::take(&mut self.digits)).ok_or_else(bad_map)?;
            match self.count {
                None => {
                    let count = usize::try_from(number).ok().and_then(|count| count.checked_mul(2));
                    let count = count.ok_or_else(bad_map)?;
                    within_bounds(count)?;
                    self.count = Some(count);
                }
                Some(_) => self.numbers.push(number),
            }
            if self.count == Some(self.numbers.len()) {
                return Ok(Some(std::mem::take(&mut self.numbers)));
            }
        }
        Ok(None)
    }
}

/// A sparse file's content in the making: which bytes of it come from the archive.
#[derive(Debug)]
pub(crate) struct Content {
    /// Offset and size of each part, in order, none of them empty.
    parts: std::vec::IntoIter<(u64, u64)>,
    current: Option<(u64, u64)>,
    at: u64,
    real: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// So many zeros.
    Hole(usize),
    /// So many bytes of the archive.
    Data(usize),
}

impl Content {
    /// Of a map (offsets and sizes by turns), the file's size, and the bytes in the archive.
    pub(crate) fn new(map: &[u64], real: u64, stored: u64) -> Result<Self, String> {
        within_bounds(map.len())?;
        let (mut end, mut sum, mut parts) = (0u64, 0u64, Vec::new());
        for pair in map.chunks(2) {
            let [offset, size] = *pair else { return Err(bad_map()) };
            let next = offset.checked_add(size).filter(|next| offset >= end && *next <= real);
            end = next.ok_or_else(bad_map)?;
            // They do not overlap, so their sum is no more than the last end.
            sum += size;
            if size > 0 {
                parts.push((offset, size));
            }
        }
        if sum != stored {
            return Err(format!("a sparse file whose map has {sum} bytes and its content {stored}"));
        }
        let mut parts = parts.into_iter();
        Ok(Content { current: parts.next(), parts, at: 0, real })
    }

    /// What comes next, at most so much; `None` at the end.
    pub(crate) fn next(&self, most: usize) -> Option<Piece> {
        let bounded = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(most);
        match self.current {
            Some((offset, size)) if self.at >= offset => Some(Piece::Data(bounded(offset + size - self.at))),
            Some((offset, _)) => Some(Piece::Hole(bounded(offset - self.at))),
            None if self.at < self.real => Some(Piece::Hole(bounded(self.real - self.at))),
            None => None,
        }
    }

    /// So much was given.
    pub(crate) fn advance(&mut self, by: usize) {
        self.at += by as u64;
        if self.current.is_some_and(|(offset, size)| self.at >= offset + size) {
            self.current = self.parts.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_have_one_meaning() {
        let pieces = |map: &[u64], real, stored| -> Result<Vec<Piece>, String> {
            let mut content = Content::new(map, real, stored)?;
            let mut pieces = Vec::new();
            while let Some(piece) = content.next(100) {
                let (Piece::Hole(count) | Piece::Data(count)) = piece;
                content.advance(count);
                pieces.push(piece);
            }
            Ok(pieces)
        };
        use Piece::{Data, Hole};
        assert_eq!(pieces(&[], 0, 0), Ok(vec![]));
        assert_eq!(pieces(&[], 150, 0), Ok(vec![Hole(100), Hole(50)]));
        assert_eq!(pieces(&[0, 5, 5, 6, 20, 0], 20, 11), Ok(vec![Data(5), Data(6), Hole(9)]));
        assert_eq!(
            pieces(&[10, 120, 200, 1], 201, 121),
            Ok(vec![Hole(10), Data(100), Data(20), Hole(70), Data(1)])
        );
        for (map, real, stored) in [
            (&[0u64, 5, 4, 5][..], 20, 10),
            (&[5, 5, 0, 5], 20, 10),
            (&[0, 5], 4, 5),
            (&[0, 5], 20, 4),
            (&[0, 5], 20, 6),
            (&[u64::MAX, 2], u64::MAX, 2),
            (&[0], 20, 0),
        ] {
            assert!(pieces(map, real, stored).is_err(), "{map:?}");
        }
    }

    #[test]
    fn lines_of_a_map_are_read_over_blocks() {
        let read = |blocks: &[&[u8]]| {
            let mut lines = Lines::default();
            blocks.iter().find_map(|block| lines.take(block).transpose()).transpose()
        };
        assert_eq!(read(&[b"2\n0\n5\n10\n", b"7\n\0\0\0"]), Ok(Some(vec![0, 5, 10, 7])));
        assert_eq!(read(&[b"0\n\0"]), Ok(Some(vec![])));
        assert_eq!(read(&[b"2\n0\n5\n"]), Ok(None));
        for bad in
            [&b"\n"[..], b"-1\n", b"x\n", b"99999999999999999999\n", b"123456789012345678901", b"10000000\n"]
        {
            assert!(read(&[bad]).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn records_of_each_version_are_settled() {
        let settled = |records: &[(&str, &str)]| {
            let mut all = Records::default();
            for (key, value) in records {
                all.take(format!("GNU.sparse.{key}").as_bytes(), value.as_bytes())?;
            }
            all.settled()
        };
        let pairs = [
            ("size", "9"),
            ("numblocks", "2"),
            ("offset", "0"),
            ("numbytes", "1"),
            ("offset", "8"),
            ("numbytes", "1"),
        ];
        assert_eq!(settled(&pairs), Ok((9, Sparse::Known(vec![0, 1, 8, 1]))));
        let map = [("size", "9"), ("numblocks", "1"), ("map", "0,1"), ("name", "x")];
        assert_eq!(settled(&map), Ok((9, Sparse::Known(vec![0, 1]))));
        let newest = [("major", "1"), ("minor", "0"), ("realsize", "9"), ("name", "x")];
        assert_eq!(settled(&newest), Ok((9, Sparse::InContent)));
        let bad: [&[(&str, &str)]; 9] = [
            &newest[..2],
            &newest[..1],
            &[("major", "2"), ("minor", "0"), ("realsize", "9")],
            &[("size", "9"), ("numblocks", "2"), ("map", "0,1")],
            &[("size", "9"), ("numblocks", "1"), ("map", "0,1"), ("offset", "0"), ("numbytes", "1")],
            &[("size", "9"), ("realsize", "8"), ("major", "1"), ("minor", "0")],
            &[("size", "9"), ("numblocks", "1"), ("numbytes", "1"), ("offset", "0")],
            &[("size", "9"), ("numblocks", "1"), ("map", "0,-1")],
            &[("size", "9"), ("colour", "1")],
        ];
        for records in bad {
            assert!(settled(records).is_err(), "{records:?}");
        }
    }
}
