//! A tar written entry by entry to an asynchronous output: root's, of 1970, so that it depends on nothing but its contents.

use layer::{Entry, EntryPath, Kind, TarWriter};
use std::{collections::BTreeMap, io};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of a tar block.
const BLOCK: u64 = 512;
/// How much is copied at once.
const CHUNK_BYTES: usize = 256 << 10;

/// A tar on its way out.
pub(super) struct TarStream<W> {
    out: W,
}

/// Why an entry was not written.
pub(super) enum Failure {
    /// The content could not be read.
    Read(io::Error),
    /// The output takes no more.
    Write(io::Error),
}

impl<W: AsyncWrite + Unpin> TarStream<W> {
    pub(super) fn new(out: W) -> Self {
        TarStream { out }
    }

    /// A folder.
    pub(super) async fn folder(&mut self, path: &str) -> io::Result<()> {
        self.out.write_all(&head(path, Kind::Directory)?).await
    }

    /// A file whose bytes are here.
    pub(super) async fn bytes(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let size = bytes.len() as u64;
        self.out.write_all(&head(path, Kind::File { size })?).await?;
        self.out.write_all(bytes).await?;
        self.pad(size).await
    }

    /// A file of `size` bytes. The reader must end well after just so many. `told` takes how many are written.
    pub(super) async fn stream(
        &mut self,
        path: &str,
        size: u64,
        mut reader: impl AsyncRead + Unpin,
        told: impl Fn(u64),
    ) -> Result<(), Failure> {
        let head = head(path, Kind::File { size }).map_err(Failure::Write)?;
        self.out.write_all(&head).await.map_err(Failure::Write)?;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let mut done = 0;
        told(0);
        loop {
            chunk.clear();
            reader.read_buf(&mut chunk).await.map_err(Failure::Read)?;
            if chunk.is_empty() {
                break;
            }
            done += chunk.len() as u64;
            if done > size {
                return Err(Failure::Read(io::ErrorKind::InvalidData.into()));
            }
            self.out.write_all(&chunk).await.map_err(Failure::Write)?;
            told(done);
        }
        if done < size {
            return Err(Failure::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        self.pad(size).await.map_err(Failure::Write)
    }

    /// Ends the archive; everything is flushed.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK as usize]).await?;
        self.out.flush().await
    }

    async fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = (size.next_multiple_of(BLOCK) - size) as usize;
        self.out.write_all(&[0; BLOCK as usize][..padding]).await
    }
}

/// What stands before a content.
fn head(path: &str, kind: Kind) -> io::Result<Vec<u8>> {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    let path = EntryPath::new(path.as_bytes()).map_err(io::Error::other)?;
    let entry = Entry { path, kind, mode, uid: 0, gid: 0, mtime: (0, 0), xattrs: BTreeMap::new() };
    let mut writer = TarWriter::new(Vec::new());
    writer.head(&entry).map_err(io::Error::other)?;
    Ok(std::mem::take(writer.output()))
}
