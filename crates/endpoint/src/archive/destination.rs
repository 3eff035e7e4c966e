//! An image, or an index of images, written as an archive: to a file that appears whole or not at all, or to a stream.

use super::{
    docker_names::tag as tag_of,
    load_tar::{
        BaseBlobs, LayoutTar, LoadTar, REF_NAME, Root, TarSent, root_entry, write_layout_tar, write_load_tar,
    },
    source::ArchiveSource,
};
use crate::{Address, Destination, Error, Receipt, Source, WriteRequest, layout::read::blocking};
use async_trait::async_trait;
use oci::{Digest, ImageLayer, Reference};
use std::{
    fs::{File, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncWrite, BufWriter},
    sync::Mutex,
};

/// How our unfinished files are called.
const TEMP_PREFIX: &str = ".copa-tmp-";
/// How much is collected before it is written.
const BUFFER_BYTES: usize = 1 << 20;

/// A tar that goes out.
pub type OutputStream = Box<dyn AsyncWrite + Send + Unpin>;

/// What becomes an archive file.
pub struct ArchiveDestination {
    file: PathBuf,
    form: Form,
    replace_source: bool,
    work_dir: PathBuf,
}

/// How the archive is made.
enum Form {
    /// A tar of an OCI layout, with a name in its index.
    Oci(Option<String>),
    /// The same with `manifest.json`, which `docker load` and `podman load` read.
    Docker(Option<Reference>),
}

impl ArchiveDestination {
    /// A tar of an OCI layout. Nothing is written yet; a file that is there is replaced with all that is in it.
    /// `replace_source` allows that where it is the source. `work_dir` is for temporary files.
    pub fn oci(file: PathBuf, tag: Option<String>, replace_source: bool, work_dir: PathBuf) -> Self {
        ArchiveDestination { file, form: Form::Oci(tag), replace_source, work_dir }
    }

    /// A tar that `docker load` reads and that is an OCI layout too; else as [`ArchiveDestination::oci`].
    pub fn docker(
        file: PathBuf,
        reference: Option<Reference>,
        replace_source: bool,
        work_dir: PathBuf,
    ) -> Self {
        ArchiveDestination { file, form: Form::Docker(reference), replace_source, work_dir }
    }

    /// Writes the archive to an output.
    async fn send(&self, request: &WriteRequest<'_>, out: File) -> Result<TarSent, Error> {
        let out = BufWriter::with_capacity(BUFFER_BYTES, tokio::fs::File::from_std(out));
        match &self.form {
            Form::Oci(name) => {
                let mut entry = root_entry(request.content, &Root::Whole);
                entry.annotations = name.clone().map(|name| [(REF_NAME.to_owned(), name)].into());
                let (root, base) = (Root::Whole, BaseBlobs::Full);
                let tar = LayoutTar { entries: vec![entry], docker: None, root: &root, base: &base };
                write_layout_tar(request, &tar, out).await
            }
            Form::Docker(reference) => {
                let names: Vec<Reference> = reference.clone().into_iter().collect();
                let tar = LoadTar { root: Root::Whole, names: &names, base: BaseBlobs::Full };
                write_load_tar(request, &tar, out).await
            }
        }
    }

    /// Writes to a file beside the target, which then takes its place.
    async fn replace(&self, request: &WriteRequest<'_>, target: Target) -> Result<TarSent, Error> {
        let failed = |source| Error::Io { doing: format!("writing {}", self.file.display()), source };
        let temp = target.temp().map_err(failed)?;
        let sent = self.send(request, temp.reopen().map_err(failed)?).await?;
        if request.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let shown = self.file.display().to_string();
        // Once begun it is waited for: who gave up here could not say whether the archive has appeared.
        blocking(move || {
            let failed = |source| Error::Io { doing: format!("writing {shown}"), source };
            temp.as_file().sync_all().map_err(failed)?;
            temp.persist(&target.path).map_err(|e| failed(e.error))?;
            File::open(&target.folder).and_then(|folder| folder.sync_all()).map_err(failed)
        })
        .await?;
        Ok(sent)
    }

    fn source(&self) -> ArchiveSource {
        let (file, work_dir) = (self.file.clone(), self.work_dir.clone());
        match &self.form {
            Form::Oci(tag) => ArchiveSource::oci(file, tag.clone(), work_dir),
            Form::Docker(reference) => ArchiveSource::docker(file, reference.clone(), work_dir),
        }
    }
}

/// Where a file is to appear.
pub(super) struct Target {
    /// Its path, links resolved.
    pub(super) path: PathBuf,
    folder: PathBuf,
    /// What is there now.
    is: Now,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Now {
    Nothing,
    /// A file, which is replaced.
    File,
    /// A pipe or device, which is written to.
    Other,
}

impl Target {
    pub(super) fn find(path: &Path) -> io::Result<Target> {
        let (path, is) = match std::fs::canonicalize(path) {
            Ok(real) => {
                let meta = std::fs::metadata(&real)?;
                if meta.is_dir() {
                    return Err(ErrorKind::IsADirectory.into());
                }
                (real, if meta.is_file() { Now::File } else { Now::Other })
            }
            Err(e) if e.kind() == ErrorKind::NotFound => (path.to_owned(), Now::Nothing),
            Err(e) => return Err(e),
        };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Target { folder: folder.to_owned(), path, is })
    }

    /// Whether it is no file that could be replaced, but a pipe or a device.
    pub(super) fn is_written_to(&self) -> bool {
        self.is == Now::Other
    }

    pub(super) fn temp(&self) -> io::Result<NamedTempFile> {
        // As any new file: what the user's umask lets through.
        let mode = Permissions::from_mode(0o666);
        tempfile::Builder::new().prefix(TEMP_PREFIX).permissions(mode).tempfile_in(&self.folder)
    }

    /// Whether it is the file that an address names.
    fn is_file_of(&self, address: &str) -> bool {
        let file = match address.parse() {
            Ok(Address::OciArchive { file, .. } | Address::DockerArchive { file, .. }) => file,
            _ => return false,
        };
        let identity = |path: &Path| std::fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
        let (theirs, ours) = (identity(&file), identity(&self.path));
        theirs.is_some() && theirs == ours
    }
}

#[async_trait]
impl Destination for ArchiveDestination {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        let failed = |source| Error::Io { doing: format!("writing {}", self.file.display()), source };
        let target = Target::find(&self.file).map_err(failed)?;
        if target.is_file_of(&request.source.name()) && !self.replace_source {
            return Err(Error::SourceTag { reference: self.name() });
        }
        let is = target.is;
        let sent = match is {
            Now::Other => {
                let path = target.path;
                let open = move || File::options().write(true).open(path).map_err(failed_opening);
                self.send(request, blocking(open).await?).await?
            }
            Now::Nothing | Now::File => self.replace(request, target).await?,
        };
        let mut receipt = receipt(self.name(), request, &sent);
        if is == Now::File {
            let shown = self.file.display();
            receipt.notes.push(format!("{shown} was there before; it was replaced with all that was in it"));
        }
        Ok(receipt)
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        if Target::find(&self.file).is_ok_and(|target| target.is != Now::File) {
            return Ok(None);
        }
        match self.source().named().await {
            Ok(named) => Ok(Some(named.descriptor.digest)),
            // What is there is no such archive: the name leads to nothing.
            Err(
                Error::NotFound { .. } | Error::Corrupt { .. } | Error::Layout { .. } | Error::Image { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn wants_base_blobs(&self, _: &[ImageLayer]) -> bool {
        true
    }

    fn name(&self) -> String {
        match &self.form {
            Form::Oci(tag) => Address::OciArchive { file: self.file.clone(), tag: tag.clone() }.to_string(),
            Form::Docker(reference) => {
                Address::DockerArchive { file: self.file.clone(), reference: reference.clone() }.to_string()
            }
        }
    }
}

fn failed_opening(source: io::Error) -> Error {
    Error::Io { doing: "opening the archive for writing".into(), source }
}

fn receipt(name: String, request: &WriteRequest<'_>, sent: &TarSent) -> Receipt {
    let mut receipt = Receipt::new(name, request.content.descriptor().digest.clone());
    receipt.bytes_uploaded = sent.bytes;
    receipt.base_bytes_copied = sent.base_bytes;
    if sent.names.len() > 1 {
        let one = |(name, platform): &(String, Option<oci::Platform>)| {
            platform.as_ref().map_or(name.clone(), |platform| format!("{name} is {platform}"))
        };
        let all: Vec<String> = sent.names.iter().map(one).collect();
        receipt.notes.push(format!("in manifest.json {}", all.join(", ")));
    }
    receipt
}

/// A tar as of [`ArchiveDestination::docker`], written to a stream.
pub struct StreamDestination {
    out: Mutex<Option<OutputStream>>,
    names: Vec<Reference>,
}

impl StreamDestination {
    /// Writes to `out`, once. `names` are what the archive calls the image. Where writing fails, what is out by then has no
    /// name in it.
    pub fn new(out: OutputStream, names: Vec<Reference>) -> Self {
        StreamDestination { out: Mutex::new(Some(out)), names }
    }
}

#[async_trait]
impl Destination for StreamDestination {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        let out = self.out.lock().await.take();
        let out = out.ok_or_else(|| failed_opening(ErrorKind::BrokenPipe.into()))?;
        let tar = LoadTar { root: Root::Whole, names: &self.names, base: BaseBlobs::Full };
        let sent = write_load_tar(request, &tar, BufWriter::with_capacity(BUFFER_BYTES, out)).await?;
        Ok(receipt(self.name(), request, &sent))
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        Ok(None)
    }

    fn wants_base_blobs(&self, _: &[ImageLayer]) -> bool {
        true
    }

    fn name(&self) -> String {
        match self.names.first() {
            Some(name) => {
                format!("standard output, as {}/{}:{}", name.host(), name.repository(), tag_of(name))
            }
            None => "standard output".to_owned(),
        }
    }
}
