//! The archive within a package: cpio in its "new ASCII" form, read strictly and in one pass.
//!
//! Source: cpio(5), "New ASCII Format"; rpm's manual on the format of packages. rpm's own form for files beyond 4 GiB has no
//! names and is refused.

use std::io::{self, Read};

const HEAD_BYTES: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";

/// Longest name taken.
const NAME_BYTES_MAX: u64 = 8192;

/// Bytes taken after the end of the archive, all zero.
const END_BYTES_MAX: u64 = 1 << 20;

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// As it is written, without the closing zero.
    pub(crate) name: Vec<u8>,
    /// Type and permissions.
    pub(crate) mode: u32,
    /// Bytes of content.
    pub(crate) size: u64,
}

/// Reads an archive; itself reads the content of the member that came last.
pub(crate) struct Reader<R> {
    input: R,
    left: u64,
    padding: u64,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// From its first byte.
    pub(crate) fn new(input: R) -> Self {
        Reader { input, left: 0, padding: 0, ended: false }
    }

    /// The next member; what is left of the content before is passed over.
    pub(crate) fn next(&mut self) -> io::Result<Option<Member>> {
        if self.ended {
            return Ok(None);
        }
        self.skip(self.left + self.padding)?;
        let mut head = [0; HEAD_BYTES];
        self.input.read_exact(&mut head)?;
        if !matches!(&head[..6], b"070701" | b"070702") {
            return Err(refused("not a cpio archive of a form that we know"));
        }
        let field = |number: usize| hex(&head[6 + number * 8..][..8]);
        let (mode, size, length) = (field(1)?, u64::from(field(6)?), u64::from(field(11)?));
        if length == 0 || length > NAME_BYTES_MAX {
            return Err(refused("a name that is too long"));
        }
        let mut name = Vec::new();
        (&mut self.input).take(length).read_to_end(&mut name)?;
        let whole = name.len() as u64 == length && name.pop() == Some(0) && !name.contains(&0);
        if !whole {
            return Err(refused("a name that breaks off"));
        }
        self.skip(padding(HEAD_BYTES as u64 + length))?;
        (self.left, self.padding) = (size, padding(size));
        if name == TRAILER {
            self.ended = true;
            return self.end().map(|()| None);
        }
        Ok(Some(Member { name, mode, size }))
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let passed = io::copy(&mut (&mut self.input).take(bytes), &mut io::sink())?;
        self.left = 0;
        if passed == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn end(&mut self) -> io::Result<()> {
        let mut rest = Vec::new();
        (&mut self.input).take(END_BYTES_MAX + 1).read_to_end(&mut rest)?;
        match self.left == 0 && rest.len() as u64 <= END_BYTES_MAX && rest.iter().all(|b| *b == 0) {
            true => Ok(()),
            false => Err(refused("something after its end")),
        }
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut out[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// What fills up to a multiple of four.
fn padding(length: u64) -> u64 {
    (4 - length % 4) % 4
}

fn hex(digits: &[u8]) -> io::Result<u32> {
    let plain = digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain);
    text.and_then(|text| u32::from_str_radix(text, 16).ok()).ok_or_else(|| refused("a number that is none"))
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn archive(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        let pad = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(4), 0);
        for (name, mode, content) in members.iter().chain(&[("TRAILER!!!", 0, &b""[..])]) {
            let fields = [1, *mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
            out.extend(b"070701");
            out.extend(fields.iter().flat_map(|f| format!("{f:08x}").into_bytes()));
            out.extend(name.as_bytes());
            out.push(0);
            pad(&mut out);
            out.extend(*content);
            pad(&mut out);
        }
        out
    }

    #[test]
    fn members_and_contents_are_read_or_passed_over() {
        let bytes =
            archive(&[("./a", 0o100_644, b"hello"), ("./b", 0o40_755, b""), ("./c", 0o100_644, b"xyz")]);
        let mut reader = Reader::new(&bytes[..]);
        assert_eq!(reader.next().unwrap().unwrap().size, 5);
        let mut content = String::new();
        reader.read_to_string(&mut content).unwrap();
        assert_eq!(content, "hello");
        assert_eq!(reader.next().unwrap().unwrap().name, b"./b");
        assert_eq!(reader.next().unwrap().unwrap().name, b"./c");
        assert!(reader.next().unwrap().is_none() && reader.next().unwrap().is_none());
    }

    #[test]
    fn what_breaks_off_or_goes_on_is_refused() {
        let good = archive(&[("./a", 0o100_644, b"hello")]);
        let all = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            while reader.next()?.is_some() {}
            Ok::<_, io::Error>(())
        };
        all(&good).unwrap();
        for end in 0..good.len() - 3 {
            assert!(all(&good[..end]).is_err(), "{end}");
        }
        assert!(all(&[&good[..], b"more"].concat()).is_err());
        let damaged = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            all(&bytes)
        };
        assert!(damaged(5, b'X').is_err() && damaged(14, b'+').is_err() && damaged(94, b'f').is_err());
    }
}
