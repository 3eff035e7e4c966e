//! A source that says what was seen at the beginning, whatever its name leads to by now.

use async_trait::async_trait;
use endpoint::{Beside, Error, Named, Source, SourceImage};
use engine::{BlobSource, BlobStream};
use oci::{Descriptor, Digest, Document, Platform, Reference};
use std::sync::Arc;

/// A source held to one document: to what its name led to, or to one manifest of the index that it led to.
pub(crate) struct Pinned {
    source: Arc<dyn Source>,
    named: Named,
    /// Digest of what the name led to, and the platforms there; none where the document is the whole.
    within: Option<(Digest, Vec<Platform>)>,
    /// What the index says the platform is.
    platform: Option<Platform>,
}

impl Pinned {
    /// Held to what the name led to.
    pub(crate) fn whole(source: Arc<dyn Source>, named: Named) -> Self {
        Pinned { source, named, within: None, platform: None }
    }

    /// Held to one manifest of an index, which may say of what platform it is.
    pub(crate) async fn entry(
        source: Arc<dyn Source>,
        index: &Named,
        (entry, platform): (&Descriptor, &Platform),
        platforms: Vec<Platform>,
    ) -> Result<Self, Error> {
        let (bytes, content_type) = source.manifest(entry).await?;
        let content_type = content_type.as_deref().or(Some(&entry.media_type));
        let mut named = Named::new(index.reference.clone(), bytes, content_type)?;
        if !matches!(named.document, Document::Manifest(_)) {
            let item = format!("{} in {}", entry.digest, index.reference);
            return Err(Error::Corrupt { item, why: "it is no manifest of an image".to_owned() });
        }
        named.descriptor.annotations.clone_from(&entry.annotations);
        let within = Some((index.descriptor.digest.clone(), platforms));
        Ok(Pinned { source, named, within, platform: Some(platform.clone()) })
    }
}

#[async_trait]
impl BlobSource for Pinned {
    async fn open(&self, descriptor: &Descriptor) -> Result<BlobStream, engine::Error> {
        self.source.open(descriptor).await
    }
}

#[async_trait]
impl Source for Pinned {
    async fn named(&self) -> Result<Named, Error> {
        Ok(self.named.clone())
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
        self.source.manifest(descriptor).await
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        self.source.config(descriptor).await
    }

    async fn beside(&self, what: &Beside) -> Result<Option<Named>, Error> {
        self.source.beside(what).await
    }

    async fn image_in(&self, named: &Named, platform: &Platform) -> Result<SourceImage, Error> {
        let mut found = self.source.image_in(named, platform).await?;
        let is = found.image.platform();
        if let Some(said) = self.platform.as_ref().filter(|said| !is.fits(said)) {
            let (item, wanted) = (named.reference.clone(), Box::new(said.clone()));
            return Err(Error::OtherPlatform { item, wanted, found: is.into() });
        }
        if let Some((digest, platforms)) = &self.within {
            found.digest.clone_from(digest);
            found.platforms.clone_from(platforms);
        }
        Ok(found)
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        self.source.referrers(digest).await
    }

    fn reference(&self) -> Option<&Reference> {
        self.source.reference()
    }

    fn name(&self) -> String {
        self.source.name()
    }
}
