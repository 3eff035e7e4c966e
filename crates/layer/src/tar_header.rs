//! One 512-byte tar header block: fields as they stand, numbers read strictly.

/// Bytes of a block.
pub(crate) const BLOCK: usize = 512;

/// A header block whose checksum holds.
pub(crate) struct Header<'a>(&'a [u8; BLOCK]);

/// Which dialect the magic says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Before POSIX: no prefix field.
    Old,
    /// POSIX ustar: name may have a prefix.
    Ustar,
    /// GNU: other things where the prefix would be.
    Gnu,
}

impl<'a> Header<'a> {
    /// Takes a block if its checksum holds.
    pub(crate) fn new(block: &'a [u8; BLOCK]) -> Result<Self, String> {
        let header = Header(block);
        let stored = header.octal("checksum", 148, 8)?;
        let outside = |i: &usize| !(148..156).contains(i);
        let sum =
            |value: fn(u8) -> i64| (0..BLOCK).filter(outside).map(|i| value(block[i])).sum::<i64>() + 8 * 32;
        // Some old writers summed signed bytes.
        let sums = [sum(i64::from), sum(|b| i64::from(b.cast_signed()))];
        if sums.contains(&stored.cast_signed()) {
            Ok(header)
        } else {
            Err("header checksum does not match".into())
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match &self.0[257..265] {
            b"ustar\x0000" => Dialect::Ustar,
            b"ustar  \0" => Dialect::Gnu,
            // star and some others leave the version blank.
            magic if magic.starts_with(b"ustar\0") => Dialect::Ustar,
            _ => Dialect::Old,
        }
    }

    pub(crate) fn type_flag(&self) -> u8 {
        self.0[156]
    }

    /// Name with its prefix.
    pub(crate) fn name(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        match (self.dialect(), self.text(345, 155)) {
            (Dialect::Ustar, prefix) if !prefix.is_empty() => [prefix, b"/", name].concat(),
            _ => name.to_vec(),
        }
    }

    pub(crate) fn link_name(&self) -> Vec<u8> {
        self.text(157, 100).to_vec()
    }

    pub(crate) fn mode(&self) -> Result<u32, String> {
        // File type bits, which old writers put here, are dropped.
        self.number("mode", 100, 8).map(|n| (n & 0o7777) as u32)
    }

    pub(crate) fn uid(&self) -> Result<u64, String> {
        self.number("uid", 108, 8)
    }

    pub(crate) fn gid(&self) -> Result<u64, String> {
        self.number("gid", 116, 8)
    }

    pub(crate) fn size(&self) -> Result<u64, String> {
        self.number("size", 124, 12)
    }

    pub(crate) fn mtime(&self) -> Result<i64, String> {
        if self.0[136] == 0xff {
            return signed_base_256(&self.0[136..148]).ok_or_else(|| "mtime is out of range".into());
        }
        let seconds = self.number("mtime", 136, 12)?;
        i64::try_from(seconds).map_err(|_| "mtime is out of range".into())
    }

    /// Major and minor device number.
    pub(crate) fn device(&self) -> Result<(u64, u64), String> {
        Ok((self.number("major device number", 329, 8)?, self.number("minor device number", 337, 8)?))
    }

    /// Size, map and whether that goes on, of a sparse file as GNU's old headers have it.
    pub(crate) fn sparse(&self) -> Result<(u64, Vec<u64>, bool), String> {
        if self.dialect() != Dialect::Gnu {
            return Err("unsupported: sparse file that is none of GNU's".into());
        }
        let map = self.parts(386, 4)?;
        Ok((self.number("size of a sparse file", 483, 12)?, map, self.0[482] != 0))
    }

    /// Offsets and sizes by turns, until the first that is not there.
    fn parts(&self, at: usize, most: usize) -> Result<Vec<u64>, String> {
        let fields = (0..2 * most).map(|n| at + 12 * n);
        let there = fields.take_while(|at| self.0[*at] != 0);
        there.map(|at| self.number("map of a sparse file", at, 12)).collect()
    }

    fn text(&self, at: usize, len: usize) -> &'a [u8] {
        let field = &self.0[at..at + len];
        field.split(|b| *b == 0).next().unwrap_or(field)
    }

    /// Octal text, or binary where the first bit is set.
    fn number(&self, what: &str, at: usize, len: usize) -> Result<u64, String> {
        let field = &self.0[at..at + len];
        match field[0] {
            0x80 => unsigned_base_256(&field[1..]).ok_or_else(|| format!("{what} is out of range")),
            0x81..=0xff => Err(format!("{what} is negative or out of range")),
            _ => self.octal(what, at, len),
        }
    }

    /// Leading spaces, octal digits, then nothing but spaces and NULs. An empty field is 0.
    fn octal(&self, what: &str, at: usize, len: usize) -> Result<u64, String> {
        let field = &self.0[at..at + len];
        let digits = field.trim_ascii_start();
        let end = digits.iter().position(|b| !(b'0'..=b'7').contains(b)).unwrap_or(digits.len());
        let (digits, rest) = digits.split_at(end);
        if !rest.iter().all(|b| matches!(b, 0 | b' ')) {
            return Err(format!("{what} is not an octal number"));
        }
        Ok(digits.iter().fold(0, |n, d| n * 8 + u64::from(d - b'0')))
    }
}

/// A block after GNU's old header of a sparse file: more of its map, and whether that goes on still.
pub(crate) fn sparse_extension(block: &[u8; BLOCK]) -> Result<(Vec<u64>, bool), String> {
    Ok((Header(block).parts(0, 21)?, block[504] != 0))
}

fn unsigned_base_256(bytes: &[u8]) -> Option<u64> {
    let (high, low) = bytes.split_at(bytes.len().saturating_sub(8));
    let value = low.iter().fold(0, |n: u64, b| n << 8 | u64::from(*b));
    high.iter().all(|b| *b == 0).then_some(value)
}

fn signed_base_256(bytes: &[u8]) -> Option<i64> {
    let (high, low) = bytes.split_at(bytes.len() - 8);
    let value = low.iter().fold(0, |n: u64, b| n << 8 | u64::from(*b)).cast_signed();
    (high.iter().all(|b| *b == 0xff) && value < 0).then_some(value)
}
