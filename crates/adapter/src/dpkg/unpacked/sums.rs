//! Sums of contents while they pass: MD5, which dpkg's records have, and SHA-256, which chisel's has.

use layer::{EntryPath, Error, Tree};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use std::{fmt::Write, io, io::Read};

/// Bytes read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// The sum of a file, lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sum {
    Md5(String),
    Sha256(String),
}

/// What passed through a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) md5: String,
    pub(super) sha256: String,
    pub(super) size: u64,
}

impl Passed {
    /// Whether a record's sum is that of this.
    pub(super) fn is(&self, sum: &Sum) -> bool {
        match sum {
            Sum::Md5(md5) => *md5 == self.md5,
            Sum::Sha256(sha256) => *sha256 == self.sha256,
        }
    }
}

/// A reader that sums up what passes.
pub(super) struct Summing<'a> {
    inner: &'a mut dyn Read,
    md5: Md5,
    sha256: Sha256,
    size: u64,
}

impl<'a> Summing<'a> {
    pub(super) fn of(inner: &'a mut dyn Read) -> Self {
        Summing { inner, md5: Md5::new(), sha256: Sha256::default(), size: 0 }
    }

    pub(super) fn finish(self) -> Passed {
        Passed {
            md5: hex(&self.md5.finalize()),
            sha256: hex(&sha2::Digest::finalize(self.sha256)),
            size: self.size,
        }
    }
}

impl Read for Summing<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.md5.update(&out[..count]);
        sha2::Digest::update(&mut self.sha256, &out[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes everything");
        text
    })
}

/// The sums of bytes.
pub(super) fn of_bytes(mut bytes: &[u8]) -> Passed {
    let mut summing = Summing::of(&mut bytes);
    io::copy(&mut summing, &mut io::sink()).expect("memory can be read");
    summing.finish()
}

/// The sums of a regular file of a tree.
pub(super) fn of_file(tree: &dyn Tree, path: &EntryPath) -> Result<Passed, Error> {
    let mut file = tree.open(path)?;
    let mut summing = Summing::of(&mut file);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match summing.read(&mut buffer) {
            Ok(0) => return Ok(summing.finish()),
            Ok(_) => {}
            Err(source) => return Err(Error::Io { doing: format!("reading {path}"), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_standards() {
        // The examples of RFC 1321 (A.5) and FIPS 180-2 (B.1).
        let passed = of_bytes(b"abc");
        assert_eq!(passed.md5, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(passed.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(passed.size, 3);
        assert!(passed.is(&Sum::Md5(passed.md5.clone())));
        assert!(!passed.is(&Sum::Sha256(passed.md5.clone())));
    }
}
