//! What cannot be read twice or from any place goes into a file without a name first: streams, and archives that are compressed.

use super::tar_index::{corrupt, io_error};
use crate::{Error, layout::read::blocking};
use layer::{
    Gunzip, Limits,
    limits::{RATIO_FREE_BYTES, RATIO_MAX},
};
use oci::media_type::Compression;
use rustix::fs::fstatvfs;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Largest archive that is put aside: as large as the largest blob.
const SPOOL_BYTES_MAX: u64 = oci::limits::BLOB_BYTES_MAX;
/// So much of the disk stays free for everybody else.
const FREE_BYTES_KEPT: u64 = 256 << 20;
/// How often the disk is asked how much is free.
const LOOK_EVERY_BYTES: u64 = 64 << 20;
/// How much is copied at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Base-2 logarithm of the largest zstd window, as layers may have it.
const ZSTD_WINDOW_LOG_MAX: u32 = layer::limits::ZSTD_WINDOW_LOG_MAX;

/// A file on its way in, within bounds.
struct Spool {
    file: File,
    written: u64,
    max: u64,
    looked_at: u64,
    shown: String,
}

impl Spool {
    /// A file that has no name and is gone when it is closed.
    fn new(work_dir: &Path, shown: &str, max: u64) -> Result<Self, Error> {
        let doing = || format!("making a temporary file in {}", work_dir.display());
        let file = tempfile::tempfile_in(work_dir).map_err(|source| Error::Io { doing: doing(), source })?;
        Ok(Spool { file, written: 0, max, looked_at: 0, shown: shown.to_owned() })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        if self.written > self.max {
            return Err(corrupt(&self.shown, format!("it has more than {} bytes", self.max)));
        }
        if self.written - self.looked_at >= LOOK_EVERY_BYTES {
            self.looked_at = self.written;
            let free = fstatvfs(&self.file).map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize));
            if free < FREE_BYTES_KEPT {
                return Err(self.failed(io::ErrorKind::StorageFull.into()));
            }
        }
        self.file.write_all(bytes).map_err(|e| self.failed(e))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { doing: format!("putting {} aside", self.shown), source }
    }
}

/// Puts a stream aside.
pub(super) async fn put_aside(
    mut input: impl AsyncRead + Unpin,
    work_dir: &Path,
    shown: &str,
) -> Result<File, Error> {
    let mut spool = Spool::new(work_dir, shown, SPOOL_BYTES_MAX)?;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut input).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await;
        read.map_err(|e| io_error(shown, e))?;
        if chunk.is_empty() {
            return Ok(spool.file);
        }
        spool = blocking(move || spool.take(&chunk).map(|()| spool)).await?;
    }
}

/// Sets its flag when dropped, so that work on another thread ends with whoever waits for it.
struct StopWithMe(Arc<AtomicBool>);

impl Drop for StopWithMe {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The archive as it is, or unpacked into another file where it is compressed.
pub(super) async fn uncompressed(file: File, work_dir: &Path, shown: &str) -> Result<File, Error> {
    let stop = StopWithMe(Arc::default());
    let (stopped, work_dir, shown) = (stop.0.clone(), work_dir.to_owned(), shown.to_owned());
    blocking(move || {
        let compression = match magic(&file, 0).map_err(|e| io_error(&shown, e))? {
            Magic::Known(Compression::None) => return Ok(file),
            Magic::Known(compression) => compression,
            Magic::Unsupported(name) => {
                return Err(corrupt(&shown, format!("it is compressed with {name}, which is not supported")));
            }
        };
        let length = file.metadata().map_err(|e| io_error(&shown, e))?.len();
        let most = length.saturating_mul(RATIO_MAX).clamp(RATIO_FREE_BYTES, SPOOL_BYTES_MAX);
        let mut spool = Spool::new(&work_dir, &shown, most)?;
        let input = BufReader::with_capacity(CHUNK_BYTES, FromStart(&file, 0));
        let mut decoder = decoder(input, compression).map_err(|e| io_error(&shown, e))?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            if stopped.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let count = decoder.read(&mut buffer).map_err(|e| unpacking(&shown, e))?;
            if count == 0 {
                return Ok(spool.file);
            }
            spool.take(&buffer[..count])?;
        }
    })
    .await
}

/// Reads a file from its beginning, wherever it stands.
struct FromStart<'a>(&'a File, u64);

impl Read for FromStart<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read_at(out, self.1)?;
        self.1 += count as u64;
        Ok(count)
    }
}

fn decoder<'a>(input: impl BufRead + 'a, compression: Compression) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(Gunzip::new(input, &Limits::default())),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
    })
}

/// A broken stream is the archive's fault, everything else the system's.
fn unpacking(shown: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => corrupt(shown, "its compressed stream is cut short".into()),
        io::ErrorKind::InvalidData | io::ErrorKind::Other => {
            corrupt(shown, format!("its compressed stream is broken: {error}"))
        }
        _ => io_error(shown, error),
    }
}

/// What the first bytes of a file say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Magic {
    /// Something that we read; anything unknown is taken for uncompressed.
    Known(Compression),
    /// Something that we do not.
    Unsupported(&'static str),
}

/// The compression of what begins at an offset.
pub(super) fn magic(file: &File, offset: u64) -> io::Result<Magic> {
    let mut start = Vec::new();
    FromStart(file, offset).take(6).read_to_end(&mut start)?;
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => Magic::Known(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Magic::Known(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Magic::Unsupported("xz"),
        [b'B', b'Z', b'h', ..] => Magic::Unsupported("bzip2"),
        _ => Magic::Known(Compression::None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    async fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let dir = std::env::temp_dir();
        let aside = put_aside(bytes, &dir, "x").await.unwrap();
        let mut file = uncompressed(aside, &dir, "x").await.map_err(|e| e.to_string())?;
        let mut all = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut all).unwrap();
        Ok(all)
    }

    #[tokio::test]
    async fn compressed_archives_are_unpacked_and_broken_ones_named() {
        let content: Vec<u8> =
            (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut gzip = layer::ParallelGzip::new(Vec::new(), 1, 2).unwrap();
        gzip.write_all(&content).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&content[..], 1).unwrap();
        for packed in [&content, &gzip, &zstd] {
            assert!(unpacked(packed).await.unwrap() == content);
        }
        for packed in [&gzip, &zstd] {
            let error = unpacked(&packed[..packed.len() - 9]).await.unwrap_err();
            assert!(error.contains("cut short") || error.contains("broken"), "{error}");
        }
        assert!(unpacked(b"\xfd7zXZ\0rest").await.unwrap_err().contains("xz"));
        assert_eq!(unpacked(b"").await.unwrap(), b"");
    }
}
