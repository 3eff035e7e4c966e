//! A reader that ends well only if its bytes have the digest and the exact size they should have.

use oci::{Digest, Hasher};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// Passes bytes on and hashes them. One byte too many, too few or other is an error instead of an end.
pub struct Verified<R> {
    inner: R,
    digest: Digest,
    size: u64,
    got: u64,
    hasher: Option<Hasher>,
}

impl<R> Verified<R> {
    /// Reads `size` bytes of this digest.
    pub fn new(inner: R, digest: &Digest, size: u64) -> Self {
        Verified { inner, digest: digest.clone(), size, got: 0, hasher: Some(Hasher::default()) }
    }

    fn wrong(&self, expected: String, got: String) -> io::Error {
        let item = self.digest.to_string();
        io::Error::new(io::ErrorKind::InvalidData, crate::Error::Corrupt { item, expected, got })
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        if self.got != self.size {
            return Err(self.wrong(format!("{} bytes", self.size), format!("{} bytes", self.got)));
        }
        let digest = hasher.finish();
        if digest != self.digest {
            return Err(self.wrong(self.digest.to_string(), digest.to_string()));
        }
        Ok(())
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Verified<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let fresh = buffer.filled().len() - before;
        if fresh == 0 {
            return Poll::Ready(self.end());
        }
        self.got += fresh as u64;
        if self.got > self.size {
            buffer.set_filled(before);
            let error = self.wrong(format!("{} bytes", self.size), "more".into());
            return Poll::Ready(Err(error));
        }
        let this = &mut *self;
        if let Some(hasher) = &mut this.hasher {
            hasher.update(&buffer.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    async fn read(bytes: &[u8], digest: &Digest, size: u64) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Verified::new(bytes, digest, size).read_to_end(&mut all).await?;
        Ok(all)
    }

    #[tokio::test]
    async fn only_the_very_bytes_pass() {
        let digest = Digest::of(b"hello");
        assert_eq!(read(b"hello", &digest, 5).await.unwrap(), b"hello");
        assert_eq!(read(b"", &Digest::of(b""), 0).await.unwrap(), b"");
        for (bytes, size) in
            [(&b"hellO"[..], 5), (b"hell", 5), (b"hello!", 5), (b"hello", 6), (b"hello", 4), (b"", 5)]
        {
            assert!(read(bytes, &digest, size).await.is_err(), "{bytes:?} {size}");
        }
        assert!(read(b"", &digest, 0).await.is_err());
    }
}
