//! The patch layer as a docker build context: a Dockerfile, and the files that it copies over the image. What COPY cannot do is
//! refused before anything is written.

use super::{
    destination::Target,
    owned::{ARCHIVE, Owned},
};
use crate::{Content, Destination, Error, From, Outgoing, Receipt, WriteRequest, layout::read::blocking};
use async_trait::async_trait;
use engine::CancellationToken;
use layer::{Entry, EntryPath, Kind, Limits, TarReader, TarWriter};
use oci::{Descriptor, Digest, ImageLayer, Reference, media_type};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// When the image was patched (Copa's annotation, and its label in build contexts).
const PATCHED: &str = "sh.copa.image.patched";
/// What the name of a removal begins with in a layer (image-spec `layer.md`).
const WHITEOUT: &[u8] = b".wh.";
/// Most paths named in a refusal.
const NAMED_MAX: usize = 5;
/// How much is collected before it is written.
const BUFFER_BYTES: usize = 1 << 20;
/// The folder that `COPY patch/ /` copies, as Copa calls it.
const FOLDER: &str = "patch";

/// Where a build context goes.
pub enum ContextOutput {
    /// To a file, which appears whole or not at all.
    File(PathBuf),
    /// To a stream, such as the one that `docker build -` reads.
    Stream(Box<dyn Write + Send>),
}

/// What becomes a build context.
pub struct BuildContext {
    from: String,
    output: Mutex<Option<ContextOutput>>,
    name: String,
}

impl BuildContext {
    /// A context whose Dockerfile begins with the image as it was typed. Nothing is written yet.
    pub fn new(from: String, output: ContextOutput) -> Result<Self, Error> {
        // A reference has no character that means anything in a Dockerfile.
        from.parse::<Reference>().map_err(|e| Error::Unfit { why: e.to_string() })?;
        let name = match &output {
            ContextOutput::File(path) => format!("build context {}", path.display()),
            ContextOutput::Stream(_) => "build context on standard output".to_owned(),
        };
        Ok(BuildContext { from, output: Mutex::new(Some(output)), name })
    }

    fn refused(&self, why: impl std::fmt::Display) -> Error {
        Error::Unfit { why: format!("no build context can be made for {}: {why}", self.from) }
    }

    /// The patch layer, which is all that is new.
    fn layer(&self, image: &Outgoing) -> Result<PatchLayer, Error> {
        let mut files = image.layers().iter().filter_map(|blob| match &blob.from {
            From::File(path) => Some((blob.descriptor.clone(), path.clone())),
            _ => None,
        });
        match (files.next(), files.next()) {
            (Some((descriptor, path)), None) => Ok(PatchLayer { descriptor, path }),
            _ => Err(self.refused("it has not just one new layer")),
        }
    }

    /// The new layer must lie on what the Dockerfile begins with. On a patched image it replaces the earlier patch layer, which
    /// a build cannot.
    async fn check_base(&self, request: &WriteRequest<'_>, image: &Outgoing) -> Result<(), Error> {
        let Some(platform) = image.platform() else { return Err(self.refused("it has no platform")) };
        let original = request.source.image(&platform).await?.image;
        match original.layers.len() + 1 == image.layers().len() {
            true => Ok(()),
            false => Err(self.refused(
                "it is patched already, and a build would keep the earlier patch; name the original image",
            )),
        }
    }
}

#[async_trait]
impl Destination for BuildContext {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        let image = match request.content {
            Content::Image(image) => &**image,
            Content::Index { manifests, .. } => {
                let mut patched = manifests.iter().filter(|m| m.patched);
                match (patched.next(), patched.next()) {
                    (Some(only), None) => only,
                    _ => {
                        return Err(
                            self.refused("a build context is of one platform; name it with --platform")
                        );
                    }
                }
            }
        };
        self.check_base(request, image).await?;
        let (layer, cancel) = (self.layer(image)?, request.cancel.clone());
        let surveyed = {
            let (layer, cancel) = (layer.clone(), cancel.clone());
            blocking(move || survey(&layer, &cancel)).await?
        };
        surveyed.check().map_err(|why| self.refused(why))?;
        let output = self.output.lock().ok().and_then(|mut output| output.take());
        let output = output.ok_or_else(|| self.refused("it was written before"))?;
        let dockerfile = dockerfile(&self.from, &surveyed.owned, image);
        let context = Context { layer, dockerfile, owned: surveyed.owned, cancel };
        let bytes = blocking(move || context.put(output)).await?;
        let mut receipt = Receipt::new(self.name.clone(), image.entry.digest.clone());
        receipt.bytes_uploaded = bytes;
        Ok(receipt)
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        Ok(None)
    }

    fn wants_base_blobs(&self, _: &[ImageLayer]) -> bool {
        false
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// The Dockerfile.
fn dockerfile(from: &str, owned: &Owned, image: &Outgoing) -> String {
    let annotations = image.image.as_ref().and_then(|image| image.manifest.annotations.as_ref());
    let time = annotations.and_then(|annotations| annotations.get(PATCHED));
    let label = time.map(|time| format!("LABEL {PATCHED}=\"{time}\"\n")).unwrap_or_default();
    format!("FROM {from}\nCOPY {FOLDER}/ /\n{}{label}", owned.instruction())
}

/// The layer on this disk.
#[derive(Clone)]
struct PatchLayer {
    descriptor: Descriptor,
    path: PathBuf,
}

impl PatchLayer {
    /// Calls `visit` for every entry, with its content.
    fn walk(
        &self,
        cancel: &CancellationToken,
        mut visit: impl FnMut(Entry, &mut dyn Read) -> Result<(), layer::Error>,
    ) -> Result<(), Error> {
        let doing = || format!("reading the patch layer {}", self.path.display());
        let file = File::open(&self.path).map_err(|source| Error::Io { doing: doing(), source })?;
        let Descriptor { media_type, digest, size, .. } = &self.descriptor;
        let compression = media_type::compression(media_type)
            .ok_or_else(|| Error::Unfit { why: format!("a layer of type {media_type} cannot be read") })?;
        let verified = layer::Verified::new(file, digest.clone(), *size);
        let limits = Limits::default();
        let walk = |stream: &mut dyn Read| {
            let mut tar = TarReader::new(stream, &limits);
            while let Some(entry) = tar.next_entry()? {
                visit(entry, &mut tar)?;
            }
            Ok(())
        };
        match layer::decompress(verified, compression, &limits, &|| cancel.is_cancelled(), walk) {
            Ok(_) => Ok(()),
            Err(layer::Error::Cancelled) => Err(Error::Cancelled),
            Err(layer::Error::Io { doing, source }) => Err(Error::Io { doing, source }),
            Err(error) => Err(Error::Blob { item: "the patch layer".into(), source: error.into() }),
        }
    }
}

/// What was seen of the layer before anything is written.
#[derive(Default)]
struct Survey {
    removed: Vec<String>,
    removed_count: usize,
    special: Vec<String>,
    owned: Owned,
}

fn survey(layer: &PatchLayer, cancel: &CancellationToken) -> Result<Survey, Error> {
    let mut seen = Survey::default();
    layer.walk(cancel, |entry, _| {
        seen.take(&entry);
        Ok(())
    })?;
    Ok(seen)
}

impl Survey {
    fn take(&mut self, entry: &Entry) {
        if let Some(name) = entry.path.name().strip_prefix(WHITEOUT) {
            self.removed_count += 1;
            if self.removed.len() < NAMED_MAX {
                let folder = entry.path.parent().unwrap_or_default();
                // An opaque folder hides all that was in it.
                let gone = if name == b".wh..opq" { folder } else { folder.join(name).unwrap_or(folder) };
                self.removed.push(gone.to_string());
            }
            return;
        }
        if matches!(entry.kind, Kind::Char { .. } | Kind::Block { .. } | Kind::Fifo) {
            self.special.push(entry.path.to_string());
        }
        self.owned.take(entry);
    }

    /// Why COPY cannot do it, if so.
    fn check(&self) -> Result<(), String> {
        if self.removed_count > 0 {
            let (count, named) = (self.removed_count, self.removed.join(", "));
            let more = if count > self.removed.len() { ", …" } else { "" };
            return Err(format!(
                "the patch removes {count} of its paths ({named}{more}), which COPY cannot; 'copa patch' can"
            ));
        }
        match self.special.first() {
            Some(first) => Err(format!("{first} is a device or pipe, which COPY does not take")),
            None => Ok(()),
        }
    }
}

/// All that is needed to write.
struct Context {
    layer: PatchLayer,
    dockerfile: String,
    owned: Owned,
    cancel: CancellationToken,
}

impl Context {
    /// Writes it; how many bytes it has.
    fn put(&self, output: ContextOutput) -> Result<u64, Error> {
        match output {
            ContextOutput::Stream(out) => self.write(out),
            ContextOutput::File(path) => {
                let failed = |source| Error::Io { doing: format!("writing {}", path.display()), source };
                let target = Target::find(&path).map_err(failed)?;
                if target.is_written_to() {
                    let out = File::options().write(true).open(&target.path).map_err(failed)?;
                    return self.write(Box::new(out));
                }
                let temp = target.temp().map_err(failed)?;
                let bytes = self.write(Box::new(temp.reopen().map_err(failed)?))?;
                temp.as_file().sync_all().map_err(failed)?;
                temp.persist(&target.path).map_err(|e| failed(e.error))?;
                Ok(bytes)
            }
        }
    }

    fn write(&self, out: Box<dyn Write + Send>) -> Result<u64, Error> {
        let out = Counting { out: BufWriter::with_capacity(BUFFER_BYTES, out), bytes: 0 };
        let mut tar = TarWriter::new(out);
        let mut first = || -> Result<(), layer::Error> {
            let size = self.dockerfile.len() as u64;
            let dockerfile = plain("Dockerfile", Kind::File { size }, 0o644)?;
            tar.entry(&dockerfile, Some(&mut self.dockerfile.as_bytes()))?;
            tar.entry(&plain(FOLDER, Kind::Directory, 0o755)?, None)
        };
        first().map_err(written)?;
        self.layer.walk(&self.cancel, |entry, content| {
            if entry.path.is_root() {
                return Ok(());
            }
            // A folder is needed here too: what is in it may be root's. Its owner is set afterwards.
            if self.owned.has(&entry.path) && entry.kind != Kind::Directory {
                return Ok(());
            }
            let kind = match entry.kind {
                Kind::Hardlink { target } => Kind::Hardlink { target: below(&target)? },
                kind => kind,
            };
            copy(
                &mut tar,
                Entry { path: below(&entry.path)?, kind, xattrs: BTreeMap::new(), ..entry },
                content,
            )
        })?;
        if !self.owned.is_empty() {
            let mut inner = self.apart()?;
            let size = inner.metadata().map_err(failed_writing)?.len();
            let mut put = || tar.entry(&plain(ARCHIVE, Kind::File { size }, 0o644)?, Some(&mut inner));
            put().map_err(written)?;
        }
        let mut out = tar.finish().map_err(written)?;
        out.flush().map_err(failed_writing)?;
        Ok(out.bytes)
    }

    /// The tar of what COPY would change, in a file without a name.
    fn apart(&self) -> Result<File, Error> {
        let folder = self.layer.path.parent().unwrap_or(Path::new("."));
        let file = tempfile::tempfile_in(folder).map_err(failed_writing)?;
        let mut tar = TarWriter::new(BufWriter::with_capacity(BUFFER_BYTES, file));
        self.layer.walk(&self.cancel, |entry, content| match self.owned.has(&entry.path) {
            true => copy(&mut tar, entry, content),
            false => Ok(()),
        })?;
        let out = tar.finish().map_err(written)?;
        let mut file = out.into_inner().map_err(|e| failed_writing(e.into_error()))?;
        file.rewind().map_err(failed_writing)?;
        Ok(file)
    }
}

fn copy<W: Write>(tar: &mut TarWriter<W>, entry: Entry, content: &mut dyn Read) -> Result<(), layer::Error> {
    let has_content = matches!(entry.kind, Kind::File { .. });
    tar.entry(&entry, has_content.then_some(content))
}

/// Where a path of the image is in the context.
fn below(path: &EntryPath) -> Result<EntryPath, layer::Error> {
    EntryPath::new(&[FOLDER.as_bytes(), b"/", path.as_bytes()].concat())
}

fn failed_writing(source: std::io::Error) -> Error {
    Error::Io { doing: "writing the build context".into(), source }
}

fn plain(path: &str, kind: Kind, mode: u32) -> Result<Entry, layer::Error> {
    let path = EntryPath::new(path.as_bytes())?;
    Ok(Entry { path, kind, mode, uid: 0, gid: 0, mtime: (0, 0), xattrs: BTreeMap::new() })
}

fn written(error: layer::Error) -> Error {
    match error {
        layer::Error::Io { source, .. } => failed_writing(source),
        other => Error::Unfit { why: other.to_string() },
    }
}

/// Counts what passes.
struct Counting {
    out: BufWriter<Box<dyn Write + Send>>,
    bytes: u64,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
