//! Parts of a file that are read independently of each other.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

/// A part of a file, to be read from its beginning. Others of the same file do not disturb it.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Section {
    pub(crate) fn whole(file: Arc<File>, size: u64) -> Self {
        Section { file, at: 0, end: size }
    }

    /// Bytes left.
    pub(crate) fn len(&self) -> u64 {
        self.end - self.at
    }

    /// The part of it that begins so far from its beginning and has so many bytes, if it has.
    pub(crate) fn part(&self, at: u64, size: u64) -> Option<Section> {
        let at = self.at.checked_add(at)?;
        let end = at.checked_add(size).filter(|end| *end <= self.end)?;
        Some(Section { file: Arc::clone(&self.file), at, end })
    }
}

impl io::Read for Section {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.len()).unwrap_or(usize::MAX).min(out.len());
        let count = self.file.read_at(&mut out[..most], self.at)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use std::io::Write;

    pub(crate) fn section(bytes: &[u8]) -> Section {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Section::whole(Arc::new(file), bytes.len() as u64)
    }
}
