//! The shape of everything that images go to.

use crate::{Error, Source};
use async_trait::async_trait;
use engine::CancellationToken;
use oci::{Digest, Image, ImageLayer};
use std::path::Path;

/// What to write, and with what.
pub struct WriteRequest<'a> {
    /// The image.
    pub image: &'a Image,
    /// How many of its layers, from the first, are the source's. Above them lies the new blob.
    pub base_layers: usize,
    /// Where the base layers are.
    pub source: &'a dyn Source,
    /// The file that holds the new blob.
    pub new_blob: &'a Path,
    /// Takes a blob's digest, bytes sent and bytes in all, for every blob that is sent; must not block.
    pub progress: &'a (dyn Fn(&Digest, u64, u64) + Send + Sync),
    /// Cancelled to stop. What is sent stays; the tag does not move.
    pub cancel: &'a CancellationToken,
}

impl WriteRequest<'_> {
    /// The layers that come from the source.
    pub(crate) fn base(&self) -> impl Iterator<Item = &oci::Descriptor> {
        self.image.layers.iter().take(self.base_layers).map(|l| &l.descriptor)
    }

    /// The layers that come from the file.
    pub(crate) fn new_layers(&self) -> impl Iterator<Item = &oci::Descriptor> {
        self.image.layers.iter().skip(self.base_layers).map(|l| &l.descriptor)
    }

    /// The future's value, or an error as soon as the request is cancelled.
    pub(crate) async fn or_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.cancel.run_until_cancelled(work).await.unwrap_or(Err(Error::Cancelled))
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The whole name.
    pub reference: String,
    /// The digest of the manifest.
    pub digest: Digest,
    /// Bytes of all blobs that were sent or written.
    pub bytes_uploaded: u64,
    /// Those of them that are base layers and were sent to the registry they came from. Must be 0.
    pub base_bytes_uploaded: u64,
    /// Those of them that are base layers and were copied from another place.
    pub base_bytes_copied: u64,
    /// Blobs that the registry took over from another of its repositories.
    pub mounted: usize,
    /// Blobs that were there before.
    pub existing: usize,
}

impl Receipt {
    pub(crate) fn new(reference: String, digest: Digest) -> Self {
        Receipt {
            reference,
            digest,
            bytes_uploaded: 0,
            base_bytes_uploaded: 0,
            base_bytes_copied: 0,
            mounted: 0,
            existing: 0,
        }
    }
}

/// Something that takes one image under one name.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Writes the image: blobs first, then the config, the manifest, the name last. Fails without the name being moved
    /// where it is the source's own (unless that is allowed) or where somebody else moved it meanwhile.
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error>;

    /// What the name leads to now.
    async fn current(&self) -> Result<Option<Digest>, Error>;

    /// Whether it is going to read blobs of these base layers, whatever the source is: not those that it has already.
    fn wants_base_blobs(&self, base: &[ImageLayer]) -> bool;

    /// Its whole name, for messages.
    fn name(&self) -> String;
}
