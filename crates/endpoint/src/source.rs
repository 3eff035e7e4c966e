//! The shape of everything that images come from.

use crate::Error;
use async_trait::async_trait;
use oci::{Digest, Image, Platform, Reference};
use std::collections::BTreeMap;

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

/// Something that holds one named image. The blobs it opens are those of that image.
#[async_trait]
pub trait Source: engine::BlobSource {
    /// The image for a platform.
    async fn image(&self, platform: &Platform) -> Result<SourceImage, Error>;

    /// Its name in a registry, where it is in one: from there the same registry can mount its blobs elsewhere.
    fn reference(&self) -> Option<&Reference>;

    /// Its whole name, for messages.
    fn name(&self) -> String;
}
