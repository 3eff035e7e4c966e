//! An archive whose headers are read: files inside it by name, blobs by digest.

use super::{
    docker_names::blob_path,
    tar_index::{Range, TarIndex, corrupt, io_error},
};
use crate::{Error, Named, layout::index_file};
use bytes::Bytes;
use engine::BlobStream;
use futures_util::stream;
use oci::{Descriptor, Digest, Index, limits::MANIFEST_BYTES_MAX};
use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt, sync::Arc};
use tokio_util::io::StreamReader;

/// How much of a blob is read at once.
const CHUNK_BYTES: usize = 512 << 10;
/// Largest `oci-layout`.
const MARKER_BYTES_MAX: u64 = 4 << 10;

/// An open archive.
pub(super) struct Opened {
    file: Arc<File>,
    index: TarIndex,
    /// Its path, for messages.
    pub(super) shown: String,
}

/// Where a blob is that is not below `blobs/`.
#[derive(Debug, Clone)]
pub(super) enum Stored {
    /// In the archive under another name.
    Range(Range),
    /// Made from what the archive says.
    Bytes(Bytes),
}

/// What an archive leads to, and where its blobs are.
pub(super) struct Contents {
    pub(super) named: Named,
    /// Blobs that are not below `blobs/`.
    pub(super) stored: BTreeMap<Digest, Stored>,
}

impl Opened {
    /// Reads the headers.
    pub(super) fn new(file: File, shown: String) -> Result<Self, Error> {
        let index = TarIndex::read(&file, &shown)?;
        Ok(Opened { file: Arc::new(file), index, shown })
    }

    /// Where a file is.
    pub(super) fn find(&self, name: &str) -> Result<Option<Range>, Error> {
        self.index.file(name)
    }

    /// The archive itself.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The whole of a small file; `None` where nothing has the name.
    pub(super) fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(range) = self.find(name)? else { return Ok(None) };
        if range.size > max {
            let name = name.escape_default();
            return Err(corrupt(&self.shown, format!("{name} has more than {max} bytes")));
        }
        self.bytes(range).map(Some)
    }

    fn bytes(&self, range: Range) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; range.size as usize];
        self.file.read_exact_at(&mut bytes, range.offset).map_err(|e| io_error(&self.shown, e))?;
        Ok(bytes)
    }

    /// A whole small blob of a layout, verified; `None` where it is not there.
    pub(super) fn blob(&self, blob: &Descriptor, max: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(range) = self.find(&blob_path(&blob.digest))? else { return Ok(None) };
        self.sized(blob, range)?;
        if range.size > max {
            return Err(self.bad_blob(&blob.digest, format!("it claims {} bytes", blob.size)));
        }
        let bytes = self.bytes(range)?;
        let got = Digest::of(&bytes);
        if got != blob.digest {
            return Err(self.bad_blob(&blob.digest, format!("its digest is {got}")));
        }
        Ok(Some(bytes))
    }

    fn sized(&self, blob: &Descriptor, range: Range) -> Result<(), Error> {
        match range.size {
            size if size == blob.size => Ok(()),
            0 => {
                Err(self.bad_blob(&blob.digest, "its entry is empty, the archive was made without it".into()))
            }
            size => {
                Err(self
                    .bad_blob(&blob.digest, format!("it has {size} bytes where {} are expected", blob.size)))
            }
        }
    }

    fn bad_blob(&self, digest: &Digest, why: String) -> Error {
        Error::Corrupt { item: format!("blob {digest} in {}", self.shown), why }
    }

    /// Opens a blob.
    pub(super) fn open(&self, contents: &Contents, blob: &Descriptor) -> Result<BlobStream, Error> {
        let range = match contents.stored.get(&blob.digest) {
            Some(Stored::Bytes(bytes)) => return Ok(Box::new(io::Cursor::new(bytes.clone()))),
            Some(Stored::Range(range)) => Some(*range),
            None => self.find(&blob_path(&blob.digest))?,
        };
        let item = || format!("blob {} in {}", blob.digest, self.shown);
        let range = range.ok_or_else(|| Error::NotFound { item: item(), there: Vec::new() })?;
        self.sized(blob, range)?;
        Ok(self.stream(range))
    }

    fn stream(&self, range: Range) -> BlobStream {
        let chunks = stream::try_unfold((self.file.clone(), range), |(file, range)| async move {
            let most = usize::try_from(range.size).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            if most == 0 {
                return Ok(None);
            }
            let reading = tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; most];
                file.read_exact_at(&mut chunk, range.offset).map(|()| (chunk, file))
            });
            let (chunk, file) = reading.await.map_err(io::Error::other)??;
            let (offset, size) = (range.offset + most as u64, range.size - most as u64);
            Ok::<_, io::Error>(Some((Bytes::from(chunk), (file, Range { offset, size }))))
        });
        Box::new(StreamReader::new(Box::pin(chunks)))
    }

    /// `index.json` with its bytes, where the archive is a layout.
    pub(super) fn layout_index(&self) -> Result<Option<(Index, Vec<u8>)>, Error> {
        let wrong = |why: String| Error::Layout { dir: self.shown.clone(), why };
        let Some(marker) = self.read("oci-layout", MARKER_BYTES_MAX)? else { return Ok(None) };
        index_file::check_version(&marker).map_err(wrong)?;
        let index = self.read("index.json", MANIFEST_BYTES_MAX)?;
        let bytes = index.ok_or_else(|| wrong("it has no index.json".into()))?;
        Ok(Some((index_file::parse(&bytes, &self.shown)?, bytes)))
    }
}
