//! A blob on its way in: hashed and counted, never read past its declared size by more than one byte.

use crate::{Error, failure::carry};
use oci::{Digest, Hasher};
use std::io::{self, Read};

/// A reader of one blob. What it yields is untrusted until [`Verified::finish`] says otherwise.
pub struct Verified<R> {
    inner: R,
    digest: Digest,
    size: u64,
    read: u64,
    hasher: Hasher,
}

impl<R: Read> Verified<R> {
    /// A blob that should have this digest and exactly this size.
    pub fn new(inner: R, digest: Digest, size: u64) -> Self {
        Verified { inner, digest, size, read: 0, hasher: Hasher::default() }
    }

    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        self.read
    }

    /// Says whether the blob was what its descriptor says: all of it read, nothing after it, the right digest.
    pub fn finish(mut self) -> Result<(), Error> {
        let mut one = [0];
        let more = self.read(&mut one).map_err(|e| crate::failure::uncarry(|| self.reading(), e))?;
        if more > 0 {
            return Err(self.wrong("has bytes after the end of its content"));
        }
        self.check()
    }

    /// Reads what is left, to be able to say that the blob itself is wrong where its content made no sense.
    pub(crate) fn drain(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return self.check(),
                Ok(_) => {}
                Err(e) => return Err(crate::failure::uncarry(|| self.reading(), e)),
            }
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.read != self.size {
            return Err(self.wrong(&format!("has {} bytes, not the {} declared", self.read, self.size)));
        }
        let actual = self.hasher.clone().finish();
        if actual == self.digest { Ok(()) } else { Err(self.wrong(&format!("has digest {actual}"))) }
    }

    fn wrong(&self, what: &str) -> Error {
        Error::Verification(format!("blob {} {what}", self.digest))
    }

    fn reading(&self) -> String {
        format!("reading blob {}", self.digest)
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.size.saturating_add(1) - self.read.min(self.size);
        let most = usize::try_from(allowed).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.inner.read(&mut buffer[..most])?;
        self.hasher.update(&buffer[..count]);
        self.read += count as u64;
        if self.read > self.size {
            let declared = self.size;
            return Err(carry(self.wrong(&format!("is larger than the {declared} bytes declared"))));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(body: &[u8], digest: Digest, size: u64) -> Result<Vec<u8>, Error> {
        let mut blob = Verified::new(body, digest, size);
        let mut content = Vec::new();
        blob.read_to_end(&mut content).map_err(|e| crate::failure::uncarry(String::new, e))?;
        blob.finish().map(|()| content)
    }

    #[test]
    fn only_the_exact_blob_passes() {
        let good = Digest::of(b"hello");
        assert_eq!(verify(b"hello", good.clone(), 5).unwrap(), b"hello");
        for (body, size, says) in [
            (&b"hello"[..], 4, "larger than the 4"),
            (b"hello", 6, "5 bytes, not the 6"),
            (b"hellp", 5, "has digest"),
            (b"hello!", 5, "larger than"),
            (b"", 5, "0 bytes"),
            (b"hello", u64::MAX, "5 bytes, not the"),
        ] {
            let error = verify(body, good.clone(), size).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains(good.as_str()), "{error}");
        }
    }

    #[test]
    fn no_more_than_one_byte_too_many_is_read() {
        let body = vec![7; 1 << 20];
        let mut left = &body[..];
        let mut blob = Verified::new(&mut left, Digest::of(b""), 10);
        assert!(blob.read_to_end(&mut Vec::new()).is_err());
        assert_eq!(body.len() - left.len(), 11);
    }

    #[test]
    fn what_is_left_unread_is_trailing() {
        let mut blob = Verified::new(&b"hello"[..], Digest::of(b"hello"), 5);
        blob.read_exact(&mut [0; 3]).unwrap();
        assert!(blob.finish().unwrap_err().to_string().contains("after the end"));
    }
}
