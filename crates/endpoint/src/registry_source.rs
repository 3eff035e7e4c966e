//! An image in a registry, to read.

use crate::{Beside, Error, Named, Source, mirrored::Mirrored};
use async_trait::async_trait;
use futures_util::future::join_all;
use oci::{Descriptor, Digest, Reference};
use registry::Verified;
use tokio::io::AsyncReadExt;

/// What cosign puts beside an image, by the endings of tags that begin with its digest.
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];
/// The tag of what was found by a tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

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

impl RegistrySource {
    /// What has a tag that says whom it refers to, with that tag.
    async fn tagged(&self, tag: String) -> Result<Option<Descriptor>, Error> {
        match self.beside(&Beside::Tag(tag.clone())).await? {
            None => Ok(None),
            Some(Named { mut descriptor, .. }) => {
                descriptor.annotations.get_or_insert_default().insert(REF_NAME.to_owned(), tag);
                Ok(Some(descriptor))
            }
        }
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

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        let tagged = COSIGN.map(|ending| self.tagged(format!("sha256-{}.{ending}", digest.hex())));
        let (listed, tagged) = tokio::join!(self.places.referrers(digest), join_all(tagged));
        let mut found = listed?;
        for one in tagged {
            found.extend(one?);
        }
        Ok(found)
    }

    fn reference(&self) -> Option<&Reference> {
        Some(&self.reference)
    }

    fn name(&self) -> String {
        self.reference.to_string()
    }
}
