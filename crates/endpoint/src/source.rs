//! The shape of everything that images come from.

use crate::{Error, resolve};
use async_trait::async_trait;
use oci::{Descriptor, Digest, Document, Image, Platform, Reference, limits::CONFIG_BYTES_MAX};
use registry::Verified;
use std::collections::BTreeMap;
use tokio::io::AsyncReadExt;

/// What a name leads to, before a platform is chosen: one manifest, or an index of several.
#[derive(Debug, Clone)]
pub struct Named {
    /// The whole name.
    pub reference: String,
    /// Type, digest and size of the document; annotations are those that the name itself has (in a layout's `index.json`).
    pub descriptor: Descriptor,
    /// The document as it is stored.
    pub bytes: Vec<u8>,
    /// The document.
    pub document: Document,
}

impl Named {
    /// Reads the document. `content_type` is what the transport says that it is.
    pub fn new(reference: String, bytes: Vec<u8>, content_type: Option<&str>) -> Result<Self, Error> {
        let parsed = Document::parse(&bytes, content_type);
        let (document, kind) = parsed.map_err(|source| Error::Image { item: reference.clone(), source })?;
        Ok(Named { descriptor: Descriptor::of(&kind, &bytes), reference, bytes, document })
    }

    /// The entries, where it is an index.
    pub fn entries(&self) -> Option<&[Descriptor]> {
        match &self.document {
            Document::Index(index) => Some(&index.manifests),
            Document::Manifest(_) => None,
        }
    }
}

/// An image as its source has it, every byte of manifest and config verified.
#[derive(Debug, Clone)]
pub struct SourceImage {
    /// The image for the platform.
    pub image: Image,
    /// Annotations of its entry in the index; empty where there is no index.
    pub annotations: BTreeMap<String, String>,
    /// Every platform the name leads to, in its order.
    pub platforms: Vec<Platform>,
    /// The whole name.
    pub reference: String,
    /// What the name leads to: the digest of the index, or of the manifest where there is no index.
    pub digest: Digest,
}

/// Something else that the place of a name may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// What another tag of the repository, or name of the layout, leads to.
    Tag(String),
    /// A manifest or index by its digest.
    Digest(Digest),
}

/// Something that holds one name. The blobs it opens are those that the name leads to.
#[async_trait]
pub trait Source: engine::BlobSource {
    /// What the name leads to.
    async fn named(&self) -> Result<Named, Error>;

    /// The bytes of a manifest or index that the name leads to, of the descriptor's digest and size, and what the transport says
    /// that they are.
    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error>;

    /// The bytes of a config, of the descriptor's digest and size.
    async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let item = || format!("config {} of {}", descriptor.digest, self.name());
        if descriptor.size > CONFIG_BYTES_MAX {
            return Err(Error::Corrupt { item: item(), why: format!("it claims {} bytes", descriptor.size) });
        }
        let opened = self.open(descriptor).await;
        let reader = opened.map_err(|e| Error::Blob { item: item(), source: e.into() })?;
        let mut bytes = Vec::new();
        let read = Verified::new(reader, &descriptor.digest, descriptor.size).read_to_end(&mut bytes).await;
        read.map(|_| bytes).map_err(|e| Error::blob(item(), e))
    }

    /// The image for a platform, among what the name leads to now.
    async fn image(&self, platform: &Platform) -> Result<SourceImage, Error> {
        self.image_in(&self.named().await?, platform).await
    }

    /// The image for a platform, among what the name led to when it was asked.
    async fn image_in(&self, named: &Named, platform: &Platform) -> Result<SourceImage, Error> {
        resolve::image(self, named, platform).await
    }

    /// What the very same place (the repository, the layout) has beside the name; what that leads to is opened as what the name
    /// itself leads to. `None` where it is not there, or where the place knows names only.
    async fn beside(&self, _what: &Beside) -> Result<Option<Named>, Error> {
        Ok(None)
    }

    /// Descriptors of what refers to a manifest by its digest (signatures, SBOMs); empty where the place knows no such thing.
    async fn referrers(&self, _digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        Ok(Vec::new())
    }

    /// Its name in a registry, where it is in one: from there the same registry can mount its blobs elsewhere.
    fn reference(&self) -> Option<&Reference>;

    /// Its whole name, for messages.
    fn name(&self) -> String;
}
