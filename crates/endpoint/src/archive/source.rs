//! An image in an archive, to read. The archive is opened once and stays open: what is read is always of one file.

use super::{
    docker, layout,
    opened::{Contents, Opened},
    spool::{put_aside, uncompressed},
};
use crate::{Address, Error, Named, Source, layout::read::blocking};
use async_trait::async_trait;
use oci::{Descriptor, Digest, Reference, limits::MANIFEST_BYTES_MAX};
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::{Mutex, OnceCell},
};

/// A tar that comes in.
pub type InputStream = Box<dyn AsyncRead + Send + Unpin>;

/// A name in an archive.
pub struct ArchiveSource {
    wanted: Wanted,
    input: Input,
    work_dir: PathBuf,
    address: String,
    opened: OnceCell<(Arc<Opened>, Contents)>,
}

/// Which image of which kind of archive.
enum Wanted {
    Oci(Option<String>),
    Docker(Option<Reference>),
    /// Of whatever kind it is.
    Any,
}

enum Input {
    File(PathBuf),
    /// Until it is read.
    Stream(Mutex<Option<InputStream>>),
}

impl ArchiveSource {
    /// A tar of an OCI layout. Nothing is read yet. Without a tag it must hold one image. `work_dir` is for temporary
    /// files: compressed archives are unpacked there.
    pub fn oci(file: PathBuf, tag: Option<String>, work_dir: PathBuf) -> Self {
        let address = Address::OciArchive { file: file.clone(), tag: tag.clone() }.to_string();
        ArchiveSource::new(Wanted::Oci(tag), Input::File(file), address, work_dir)
    }

    /// A tar as `docker save` writes it. Nothing is read yet. Without a reference it must hold one image.
    pub fn docker(file: PathBuf, reference: Option<Reference>, work_dir: PathBuf) -> Self {
        let address = Address::DockerArchive { file: file.clone(), reference: reference.clone() }.to_string();
        ArchiveSource::new(Wanted::Docker(reference), Input::File(file), address, work_dir)
    }

    /// A tar of either kind that comes in by a stream and must hold one image. It is put aside in `work_dir` before it is read.
    pub fn stream(input: InputStream, work_dir: PathBuf) -> Self {
        let input = Input::Stream(Mutex::new(Some(input)));
        ArchiveSource::new(Wanted::Any, input, Address::Stream.to_string(), work_dir)
    }

    /// A tar that somebody saves for us: of a layout, or of whatever kind it is. It is put aside in `work_dir` before it is read.
    /// `address` is what it is of, for messages.
    pub(crate) fn saved(input: InputStream, address: String, is_layout: bool, work_dir: PathBuf) -> Self {
        let wanted = if is_layout { Wanted::Oci(None) } else { Wanted::Any };
        ArchiveSource::new(wanted, Input::Stream(Mutex::new(Some(input))), address, work_dir)
    }

    fn new(wanted: Wanted, input: Input, address: String, work_dir: PathBuf) -> Self {
        ArchiveSource { wanted, input, work_dir, address, opened: OnceCell::new() }
    }

    async fn opened(&self) -> Result<&(Arc<Opened>, Contents), Error> {
        self.opened.get_or_try_init(|| self.open_archive()).await
    }

    async fn open_archive(&self) -> Result<(Arc<Opened>, Contents), Error> {
        let (file, shown) = match &self.input {
            Input::File(path) => (open_file(path, &self.work_dir).await?, path.display().to_string()),
            Input::Stream(stream) => {
                let own = self.address == Address::Stream.to_string();
                let shown = if own { "standard input".to_owned() } else { self.address.clone() };
                // A stream that failed once has nothing more to give.
                let stream = stream.lock().await.take().ok_or_else(|| used_up(&shown))?;
                (put_aside(stream, &self.work_dir, &shown).await?, shown)
            }
        };
        let file = uncompressed(file, &self.work_dir, &shown).await?;
        let address = self.address.clone();
        let wanted = match &self.wanted {
            Wanted::Oci(tag) => Wanted::Oci(tag.clone()),
            Wanted::Docker(reference) => Wanted::Docker(reference.clone()),
            Wanted::Any => Wanted::Any,
        };
        blocking(move || {
            let opened = Opened::new(file, shown)?;
            let contents = match wanted {
                Wanted::Oci(tag) => layout::contents(&opened, address, tag.as_deref())?,
                Wanted::Docker(reference) => docker::contents(&opened, address, reference.as_ref())?,
                Wanted::Any if docker::is_docker(&opened)? => docker::contents(&opened, address, None)?,
                Wanted::Any => layout::contents(&opened, address, None)?,
            };
            Ok((Arc::new(opened), contents))
        })
        .await
    }
}

fn used_up(shown: &str) -> Error {
    Error::NotFound { item: format!("an archive on {shown}, which was read before,"), there: Vec::new() }
}

/// Opens an archive; what is no regular file is put aside as a stream is.
async fn open_file(path: &Path, work_dir: &Path) -> Result<File, Error> {
    let shown = path.display().to_string();
    let path = path.to_owned();
    let file = blocking(move || match File::open(&path) {
        Ok(file) => Ok(file),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::NotFound { item: format!("archive {}", path.display()), there: Vec::new() })
        }
        Err(source) => Err(Error::Io { doing: format!("opening {}", path.display()), source }),
    })
    .await?;
    let meta = file.metadata().map_err(|source| Error::Io { doing: format!("reading {shown}"), source })?;
    match meta.is_file() {
        true => Ok(file),
        false => put_aside(tokio::fs::File::from_std(file), work_dir, &shown).await,
    }
}

#[async_trait]
impl engine::BlobSource for ArchiveSource {
    async fn open(&self, descriptor: &Descriptor) -> Result<engine::BlobStream, engine::Error> {
        let opened = self.opened().await.and_then(|(archive, contents)| archive.open(contents, descriptor));
        opened.map_err(|e| engine::Error::Source {
            item: format!("blob {} of {}", descriptor.digest, self.address),
            source: Box::new(e),
        })
    }
}

#[async_trait]
impl Source for ArchiveSource {
    async fn named(&self) -> Result<Named, Error> {
        self.opened().await.map(|(_, contents)| contents.named.clone())
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
        let item = || format!("manifest {} of {}", descriptor.digest, self.address);
        if descriptor.size > MANIFEST_BYTES_MAX {
            return Err(Error::Corrupt { item: item(), why: format!("it claims {} bytes", descriptor.size) });
        }
        let (archive, contents) = self.opened().await?;
        let mut bytes = Vec::new();
        let mut reader = archive.open(contents, descriptor)?.take(descriptor.size + 1);
        reader.read_to_end(&mut bytes).await.map_err(|e| Error::blob(item(), e))?;
        let got = Digest::of(&bytes);
        if got != descriptor.digest {
            return Err(Error::Corrupt { item: item(), why: format!("its digest is {got}") });
        }
        Ok((bytes, Some(descriptor.media_type.clone())))
    }

    fn reference(&self) -> Option<&Reference> {
        None
    }

    fn name(&self) -> String {
        self.address.clone()
    }
}
