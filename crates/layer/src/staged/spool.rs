//! Contents of staged files: small ones in memory, the others one after another in a single file.

use crate::{
    EntryPath, Error,
    failure::{bad_entry, uncarry},
};
use std::{
    fs::File,
    io::{self, Cursor, Read},
    os::unix::fs::FileExt as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Larger contents go to the file; package files are mostly smaller than a page or much larger.
const INLINE_MAX: u64 = 4096;
/// Bytes of all contents in memory; beyond, small ones go to the file too.
const INLINE_BYTES_MAX: u64 = 64 << 20;
/// Bytes copied at a time.
const CHUNK: usize = 128 << 10;

/// Where the content of a file is.
#[derive(Clone)]
pub(crate) enum Content {
    Inline(Arc<[u8]>),
    Spooled {
        at: u64,
        size: u64,
    },
    /// What the lower tree has at this path.
    Lower(EntryPath),
}

/// The file, which only grows.
pub(crate) struct Spool {
    file: Arc<File>,
    end: AtomicU64,
    inline: AtomicU64,
}

/// A file's content on its way in.
pub(crate) struct Incoming<'a> {
    /// Whose it is, for errors.
    pub(crate) path: &'a EntryPath,
    /// How many bytes are read.
    pub(crate) size: u64,
    pub(crate) from: &'a mut dyn Read,
    pub(crate) cancel: &'a dyn Fn() -> bool,
}

impl Spool {
    pub(crate) fn new(file: File) -> Self {
        Spool { file: Arc::new(file), end: AtomicU64::new(0), inline: AtomicU64::new(0) }
    }

    /// Bytes taken so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.end.load(Ordering::Relaxed).saturating_add(self.inline.load(Ordering::Relaxed))
    }

    /// Takes in a content. What fails half way leaves its room unused.
    pub(crate) fn take(&self, incoming: Incoming<'_>) -> Result<Content, Error> {
        let size = incoming.size;
        if size <= INLINE_MAX && self.inline.load(Ordering::Relaxed) + size <= INLINE_BYTES_MAX {
            let mut bytes = Vec::new();
            incoming.copy(&mut |_, chunk| {
                bytes.extend_from_slice(chunk);
                Ok(())
            })?;
            self.inline.fetch_add(size, Ordering::Relaxed);
            return Ok(Content::Inline(bytes.into()));
        }
        let at = self.end.fetch_add(size, Ordering::Relaxed);
        incoming.copy(&mut |offset, chunk| self.file.write_all_at(chunk, at + offset))?;
        Ok(Content::Spooled { at, size })
    }

    /// Reads a content that is here.
    pub(crate) fn read(&self, at: u64, size: u64) -> impl Read + Send + use<> {
        Part { file: self.file.clone(), at, end: at + size }
    }
}

impl Incoming<'_> {
    fn copy(self, to: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> Result<(), Error> {
        let fail = |e| uncarry(|| format!("staging {}", self.path), e);
        let (mut buffer, mut done) = (vec![0; CHUNK.min(usize::try_from(self.size).unwrap_or(CHUNK))], 0);
        while done < self.size {
            if (self.cancel)() {
                return Err(Error::Cancelled);
            }
            let most = usize::try_from(self.size - done).unwrap_or(usize::MAX).min(buffer.len());
            let count = match self.from.read(&mut buffer[..most]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(fail)?,
            };
            if count == 0 {
                return Err(bad_entry(self.path, format!("content is {} bytes short", self.size - done)));
            }
            to(done, &buffer[..count]).map_err(fail)?;
            done += count as u64;
        }
        Ok(())
    }
}

/// A content in memory, to read.
pub(crate) fn inline(bytes: &Arc<[u8]>) -> impl Read + Send + use<> {
    Cursor::new(bytes.clone())
}

/// A part of the file.
struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(out.len());
        let count = self.file.read_at(&mut out[..most], self.at)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}
