//! An image in a layout directory, to read.

use super::{
    dir::LayoutDir,
    index_file::{among, check_marker, entries, read},
};
use crate::{Beside, Error, Named, Source};
use async_trait::async_trait;
use oci::{
    Descriptor, Digest, Reference,
    limits::{CONFIG_BYTES_MAX, MANIFEST_BYTES_MAX},
};
use std::{fs::File, io::Read, path::PathBuf};

/// A name in a layout directory.
pub struct LayoutSource {
    dir: PathBuf,
    tag: Option<String>,
}

impl LayoutSource {
    /// Nothing is read yet. Without a tag the layout must hold one image.
    pub fn new(dir: PathBuf, tag: Option<String>) -> Self {
        LayoutSource { dir, tag }
    }

    async fn open_file(&self, digest: &Digest, size: u64) -> Result<File, Error> {
        let (path, digest) = (self.dir.clone(), digest.clone());
        blocking(move || {
            let dir = open_layout(&path)?;
            let item = || format!("blob {digest} in {}", dir.shown());
            dir.blob(&digest, size)?.ok_or_else(|| Error::NotFound { item: item(), there: Vec::new() })
        })
        .await
    }

    /// A whole small blob, verified.
    async fn small(&self, descriptor: &Descriptor, max: u64, what: &str) -> Result<Vec<u8>, Error> {
        let item = format!("{what} {} in {}", descriptor.digest, self.dir.display());
        if descriptor.size > max {
            return Err(Error::Corrupt { item, why: format!("it claims {} bytes", descriptor.size) });
        }
        let file = self.open_file(&descriptor.digest, descriptor.size).await?;
        let (size, digest) = (descriptor.size, descriptor.digest.clone());
        blocking(move || {
            let mut bytes = Vec::new();
            let read = file.take(size + 1).read_to_end(&mut bytes);
            read.map_err(|source| Error::Io { doing: format!("reading {item}"), source })?;
            let got = Digest::of(&bytes);
            if got != digest {
                return Err(Error::Corrupt { item, why: format!("its digest is {got}") });
            }
            Ok(bytes)
        })
        .await
    }
}

impl LayoutSource {
    /// A manifest or index that the layout has, whether or not a name leads to it.
    async fn by_digest(&self, digest: Digest) -> Result<Option<Named>, Error> {
        let (path, name) = (self.dir.clone(), format!("{} in {}", digest, self.dir.display()));
        let found = blocking(move || {
            let bytes = open_layout(&path)?.small_blob(&digest, MANIFEST_BYTES_MAX)?;
            Ok(bytes.filter(|bytes| Digest::of(bytes) == digest))
        });
        found.await?.map(|bytes| Named::new(name, bytes, None)).transpose()
    }
}

/// Opens a directory that must be a layout.
pub(super) fn open_layout(path: &std::path::Path) -> Result<LayoutDir, Error> {
    let absent = || Error::NotFound { item: format!("OCI layout {}", path.display()), there: Vec::new() };
    let dir = LayoutDir::open(path)?.ok_or_else(absent)?;
    if check_marker(&dir)? { Ok(dir) } else { Err(dir.wrong("it has no file oci-layout")) }
}

/// Runs work on files off the threads that drive the network.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // The runtime drops blocking work only when it ends itself.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Cancelled))
}

#[async_trait]
impl engine::BlobSource for LayoutSource {
    async fn open(&self, descriptor: &Descriptor) -> Result<engine::BlobStream, engine::Error> {
        let opened = self.open_file(&descriptor.digest, descriptor.size).await;
        let file = opened.map_err(|e| engine::Error::Source {
            item: format!("blob {} of {}", descriptor.digest, self.name()),
            source: Box::new(e),
        })?;
        Ok(Box::new(tokio::fs::File::from_std(file)))
    }
}

#[async_trait]
impl Source for LayoutSource {
    async fn named(&self) -> Result<Named, Error> {
        let (path, tag) = (self.dir.clone(), self.tag.clone());
        let (found, index): (Vec<Descriptor>, Vec<u8>) = blocking(move || {
            let dir = open_layout(&path)?;
            let place = format!("oci:{}", dir.shown());
            let (index, bytes) = read(&dir)?.ok_or_else(|| dir.wrong("it has no index.json"))?;
            Ok((entries(&place, &index, tag.as_deref())?, bytes))
        })
        .await?;
        let [entry] = found.as_slice() else {
            return among(self.name(), &index, found);
        };
        let (bytes, content_type) = self.manifest(entry).await?;
        let mut named = Named::new(self.name(), bytes, content_type.as_deref())?;
        named.descriptor.annotations.clone_from(&entry.annotations);
        Ok(named)
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
        let bytes = self.small(descriptor, MANIFEST_BYTES_MAX, "manifest").await?;
        Ok((bytes, Some(descriptor.media_type.clone())))
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        self.small(descriptor, CONFIG_BYTES_MAX, "config").await
    }

    async fn beside(&self, what: &Beside) -> Result<Option<Named>, Error> {
        match what {
            Beside::Tag(tag) => match LayoutSource::new(self.dir.clone(), Some(tag.clone())).named().await {
                Err(Error::NotFound { .. }) => Ok(None),
                found => found.map(Some),
            },
            Beside::Digest(digest) => self.by_digest(digest.clone()).await,
        }
    }

    fn reference(&self) -> Option<&Reference> {
        None
    }

    fn name(&self) -> String {
        crate::Address::OciLayout { dir: self.dir.clone(), tag: self.tag.clone() }.to_string()
    }
}
