//! gzip (RFC 1952), one or more members, nothing else before, between or after them.

use crate::{
    Error,
    failure::carry,
    limits::{GZIP_TEXT_BYTES_MAX, Limits},
};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use std::io::{self, BufRead, Read};

const HAS_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// A reader of what a gzip stream holds.
pub struct Gunzip<R> {
    input: R,
    inflate: Decompress,
    crc: Crc,
    within: bool,
    members: u64,
    members_max: u64,
}

impl<R: BufRead> Gunzip<R> {
    /// A stream from its beginning. No bytes at all are no members and hold nothing.
    pub fn new(input: R, limits: &Limits) -> Self {
        let members_max = limits.gzip_members;
        Gunzip {
            input,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            within: false,
            members: 0,
            members_max,
        }
    }

    /// The input, to see how far it was read.
    pub fn input(&self) -> &R {
        &self.input
    }

    /// The input back.
    pub fn into_input(self) -> R {
        self.input
    }

    fn start_member(&mut self) -> io::Result<()> {
        self.members += 1;
        if self.members > self.members_max {
            return Err(carry(Error::Limit(format!("more than {} gzip members", self.members_max))));
        }
        let mut head = [0; 10];
        self.input.read_exact(&mut head)?;
        if head[..3] != [0x1f, 0x8b, 8] {
            let what = if self.members == 1 { "not a gzip stream" } else { "garbage after the gzip stream" };
            return Err(corrupt(what));
        }
        self.skip_optional_fields(head[3])?;
        self.inflate.reset(false);
        self.crc.reset();
        self.within = true;
        Ok(())
    }

    fn skip_optional_fields(&mut self, flags: u8) -> io::Result<()> {
        if flags & RESERVED != 0 {
            return Err(corrupt("reserved gzip flags are set"));
        }
        if flags & HAS_EXTRA != 0 {
            let mut length = [0; 2];
            self.input.read_exact(&mut length)?;
            let mut extra = vec![0; usize::from(u16::from_le_bytes(length))];
            self.input.read_exact(&mut extra)?;
        }
        for flag in [HAS_NAME, HAS_COMMENT] {
            if flags & flag != 0 {
                self.skip_text()?;
            }
        }
        if flags & HAS_CRC != 0 {
            self.input.read_exact(&mut [0; 2])?;
        }
        Ok(())
    }

    fn skip_text(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        self.input.by_ref().take(GZIP_TEXT_BYTES_MAX as u64).read_until(0, &mut text)?;
        if text.last() == Some(&0) { Ok(()) } else { Err(corrupt("gzip header text is too long")) }
    }

    fn end_member(&mut self) -> io::Result<()> {
        let mut tail = [0; 8];
        self.input.read_exact(&mut tail)?;
        let [a, b, c, d, e, f, g, h] = tail;
        let sums = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if sums != (self.crc.sum(), self.crc.amount()) {
            return Err(corrupt("gzip checksum does not match"));
        }
        self.within = false;
        Ok(())
    }

    /// One step of inflating; how many bytes came out and whether the member ended.
    fn step(&mut self, out: &mut [u8]) -> io::Result<(usize, bool)> {
        let input = self.input.fill_buf()?;
        if input.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "gzip stream is cut short"));
        }
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, out, FlushDecompress::None);
        let used = (self.inflate.total_in() - before.0) as usize;
        let made = (self.inflate.total_out() - before.1) as usize;
        self.input.consume(used);
        self.crc.update(&out[..made]);
        match status {
            Ok(Status::StreamEnd) => Ok((made, true)),
            Ok(_) if used > 0 || made > 0 => Ok((made, false)),
            _ => Err(corrupt("deflate data is corrupt")),
        }
    }
}

fn corrupt(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !out.is_empty() {
            if !self.within {
                if self.input.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.start_member()?;
            }
            let (made, ended) = self.step(out)?;
            if ended {
                self.end_member()?;
            }
            if made > 0 {
                return Ok(made);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, GzBuilder};
    use std::io::Write;

    fn member(text: &[u8], name: &str) -> Vec<u8> {
        let mut gz =
            GzBuilder::new().filename(name).comment("c").extra("xx").write(Vec::new(), Compression::fast());
        gz.write_all(text).unwrap();
        gz.finish().unwrap()
    }

    fn gunzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Gunzip::new(bytes, &Limits { gzip_members: 3, ..Limits::default() })
            .read_to_end(&mut out)
            .map(|_| out)
    }

    #[test]
    fn members_are_joined() {
        let two = [member(b"hello ", "a"), member(b"world", "b")].concat();
        assert_eq!(gunzip(&two).unwrap(), b"hello world");
        assert_eq!(gunzip(&[member(b"", "a"), member(b"x", "b")].concat()).unwrap(), b"x");
        assert_eq!(gunzip(b"").unwrap(), b"");
    }

    #[test]
    fn anything_else_is_refused() {
        let good = member(b"hello", "a");
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let mut reserved = good.clone();
        reserved[3] |= 0x80;
        for (bytes, why) in [
            ([&good[..], b"\0\0\0\0\0\0\0\0\0\0\0\0"].concat(), "garbage after"),
            ([&good[..], b"x"].concat(), "fill whole buffer"),
            (good[..good.len() - 9].to_vec(), "cut short"),
            (flipped, "checksum"),
            (reserved, "reserved"),
            (b"not gzip at all".to_vec(), "not a gzip"),
            (member(b"hello", &"n".repeat(5000)), "too long"),
            (member(b"", "a").repeat(4), "more than 3 gzip members"),
        ] {
            let error = gunzip(&bytes).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
