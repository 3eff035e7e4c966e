//! An image in a layout directory, to write: blobs by rename, `index.json` last, entries of other names untouched.

use super::{
    dir::LayoutDir,
    index_file::{check_marker, empty, entries, read, set, write, write_marker},
    read::blocking,
};
use crate::{Blob, Content, Destination, Error, Receipt, WriteRequest, content::is_base, feed};
use async_trait::async_trait;
use oci::{Descriptor, Digest, ImageLayer};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::io::AsyncReadExt;

/// How often a lock that somebody holds is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How much is written at once.
const CHUNK_BYTES: usize = 1 << 20;

/// A name in a layout directory.
pub struct LayoutDestination {
    dir: PathBuf,
    tag: Option<String>,
    replace_source: bool,
}

impl LayoutDestination {
    /// Nothing is written yet. Without a tag the entry has no name. `replace_source` allows it to be the source's own.
    pub fn new(dir: PathBuf, tag: Option<String>, replace_source: bool) -> Self {
        LayoutDestination { dir, tag, replace_source }
    }

    /// Everything but the index.
    async fn write_blobs(&self, request: &WriteRequest<'_>) -> Result<(Arc<LayoutDir>, Receipt), Error> {
        if request.source.name() == self.name() && !self.replace_source {
            return Err(Error::SourceTag { reference: self.name() });
        }
        let dir = self.prepare().await?;
        let content = request.content;
        let mut receipt = Receipt::new(self.name(), content.descriptor().digest.clone());
        for blob in content.blobs() {
            put_blob(&dir, request, blob, &mut receipt).await?;
        }
        for manifest in content.manifests() {
            put_bytes(&dir, manifest.bytes.clone(), &mut receipt).await?;
        }
        if let Content::Index { bytes, .. } = content {
            put_bytes(&dir, bytes.clone(), &mut receipt).await?;
        }
        Ok((dir, receipt))
    }

    /// The index, which makes the image appear.
    async fn publish(&self, dir: Arc<LayoutDir>, request: &WriteRequest<'_>) -> Result<(), Error> {
        let mut entry = request.content.descriptor().clone();
        if let Content::Image(image) = request.content
            && let Some(platform) = image.platform()
        {
            let platform = serde_json::to_value(platform);
            let platform = platform.map_err(|e| dir.wrong(format!("the platform cannot be written: {e}")))?;
            entry.rest.insert("platform".into(), platform);
        }
        let tag = self.tag.clone();
        blocking(move || {
            let mut index = read(&dir)?.map_or_else(empty, |(index, _)| index);
            set(&mut index, entry, tag.as_deref());
            write(&dir, &index)
        })
        .await
    }

    /// The directory, made where it is missing, locked for us.
    async fn prepare(&self) -> Result<Arc<LayoutDir>, Error> {
        let path = self.dir.clone();
        let dir = blocking(move || {
            let io = |source| Error::Io { doing: format!("making {}", path.display()), source };
            std::fs::create_dir_all(&path).map_err(io)?;
            let dir = LayoutDir::open(&path)?;
            let dir =
                dir.ok_or_else(|| Error::NotFound { item: path.display().to_string(), there: Vec::new() })?;
            Ok(Arc::new(dir))
        })
        .await?;
        while !dir.try_lock()? {
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        blocking(move || {
            dir.remove_leftovers()?;
            if !check_marker(&dir)? {
                if read(&dir)?.is_some() {
                    return Err(dir.wrong("it has an index.json but no file oci-layout"));
                }
                write_marker(&dir)?;
            }
            dir.make_folders()?;
            Ok(dir)
        })
        .await
    }
}

/// Writes a blob that is not there yet. One that is there is verified, and replaced if it is bad.
async fn put_blob(
    dir: &Arc<LayoutDir>,
    request: &WriteRequest<'_>,
    blob: &Blob,
    receipt: &mut Receipt,
) -> Result<(), Error> {
    let Descriptor { digest, size, .. } = &blob.descriptor;
    if has(dir, &blob.descriptor).await? {
        receipt.existing += 1;
        return Ok(());
    }
    let mut reader = feed::open(request, blob).await?;
    let mut temp = dir.temp()?;
    let mut done = 0;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut reader).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await;
        read.map_err(|e| Error::blob(format!("blob {digest}"), e))?;
        if chunk.is_empty() {
            break;
        }
        done += chunk.len() as u64;
        temp = blocking(move || temp.write(&chunk).map(|()| temp)).await?;
        (request.progress)(digest, done, *size);
    }
    let name = digest.clone();
    blocking(move || temp.finish_blob(&name)).await?;
    receipt.bytes_uploaded += size;
    if is_base(blob) {
        receipt.base_bytes_copied += size;
    }
    Ok(())
}

/// Whether a blob is there with the right bytes.
async fn has(dir: &Arc<LayoutDir>, blob: &Descriptor) -> Result<bool, Error> {
    let (dir, blob) = (dir.clone(), blob.clone());
    blocking(move || {
        let file = match dir.blob(&blob.digest, blob.size) {
            Ok(Some(file)) => file,
            Ok(None) | Err(Error::Corrupt { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let doing = || format!("reading blob {} in {}", blob.digest, dir.shown());
        let digest = digest_of(file).map_err(|source| Error::Io { doing: doing(), source })?;
        Ok(digest == blob.digest)
    })
    .await
}

fn digest_of(mut file: std::fs::File) -> std::io::Result<Digest> {
    let mut hasher = oci::Hasher::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match std::io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

async fn put_bytes(dir: &Arc<LayoutDir>, bytes: Vec<u8>, receipt: &mut Receipt) -> Result<(), Error> {
    let blob = Descriptor::of("", &bytes);
    if has(dir, &blob).await? {
        receipt.existing += 1;
        return Ok(());
    }
    receipt.bytes_uploaded += blob.size;
    let dir = dir.clone();
    blocking(move || {
        let mut temp = dir.temp()?;
        temp.write(&bytes)?;
        temp.finish_blob(&blob.digest)
    })
    .await
}

#[async_trait]
impl Destination for LayoutDestination {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        let (dir, receipt) = request.or_cancelled(self.write_blobs(request)).await?;
        if request.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        // Once begun, the index is waited for: who gave up here could not say whether the image has appeared.
        self.publish(dir, request).await?;
        Ok(receipt)
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        let (path, tag) = (self.dir.clone(), self.tag.clone());
        blocking(move || {
            let Some(dir) = LayoutDir::open(&path)? else { return Ok(None) };
            let Some((index, _)) = read(&dir)? else { return Ok(None) };
            match entries(&format!("oci:{}", dir.shown()), &index, tag.as_deref()) {
                Ok(found) => Ok(found.first().map(|e| e.digest.clone())),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// What is there with the right size is verified when the image is written, and replaced from the source if it is bad.
    fn wants_base_blobs(&self, base: &[ImageLayer]) -> bool {
        let Ok(Some(dir)) = LayoutDir::open(&self.dir) else { return true };
        let has = |layer: &ImageLayer| {
            matches!(dir.blob(&layer.descriptor.digest, layer.descriptor.size), Ok(Some(_)))
        };
        !base.iter().all(has)
    }

    fn name(&self) -> String {
        crate::Address::OciLayout { dir: self.dir.clone(), tag: self.tag.clone() }.to_string()
    }
}
