//! An image in a registry, to read.

use crate::{Beside, Error, Named, Source, mirrored::Mirrored};
use async_trait::async_trait;
use oci::{Descriptor, Reference};
use registry::Verified;
use tokio::io::AsyncReadExt;

/// An image in a registry.
pub struct RegistrySource {
    places: Mirrored,
    reference: Reference,
}

impl RegistrySource {
    /// Nothing is asked yet.
    pub(crate) fn new(places: Mirrored, reference: Reference) -> Self {
        RegistrySource { places, reference }
    }
}

#[async_trait]
impl engine::BlobSource for RegistrySource {
    async fn open(&self, descriptor: &Descriptor) -> Result<engine::BlobStream, engine::Error> {
        let opened = self.places.open_blob(descriptor).await;
        opened.map_err(|e| engine::Error::Source {
            item: format!("blob {} of {}", descriptor.digest, self.reference),
            source: Box::new(e),
        })
    }
}

#[async_trait]
impl Source for RegistrySource {
    async fn named(&self) -> Result<Named, Error> {
        let fetched = self.places.named().await?;
        Named::new(self.reference.to_string(), fetched.bytes.into(), fetched.content_type.as_deref())
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
        let digest = &descriptor.digest;
        let fetched = self.places.manifest(digest.as_str()).await?;
        if fetched.bytes.len() as u64 != descriptor.size {
            let why = format!("it has {} bytes, its index says {}", fetched.bytes.len(), descriptor.size);
            return Err(Error::Corrupt { item: format!("manifest {digest} of {}", self.reference), why });
        }
        Ok((fetched.bytes.into(), fetched.content_type))
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let reader = self.places.open_blob(descriptor).await?;
        // The manifest was refused if it claims a config beyond its limit, so this is bounded.
        let mut bytes = Vec::new();
        let mut verified = Verified::new(reader, &descriptor.digest, descriptor.size);
        let read = verified.read_to_end(&mut bytes).await;
        let item = || format!("config {} of {}", descriptor.digest, self.reference);
        read.map(|_| bytes).map_err(|e| Error::blob(item(), e))
    }

    async fn beside(&self, what: &Beside) -> Result<Option<Named>, Error> {
        let reference = match what {
            Beside::Tag(tag) => self.reference.with_tag(tag).ok(),
            Beside::Digest(digest) => Some(self.reference.with_digest(digest)),
        };
        let Some(reference) = reference else { return Ok(None) };
        match self.places.manifest(&reference.selector()).await {
            Ok(fetched) => {
                Named::new(reference.to_string(), fetched.bytes.into(), fetched.content_type.as_deref())
                    .map(Some)
            }
            Err(Error::Registry(registry::Error::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn reference(&self) -> Option<&Reference> {
        Some(&self.reference)
    }

    fn name(&self) -> String {
        self.reference.to_string()
    }
}
