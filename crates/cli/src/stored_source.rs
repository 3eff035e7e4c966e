//! A source that looks in the cache first, so that blobs kept for the destination are not downloaded twice.

use async_trait::async_trait;
use endpoint::{Beside, Named, Source};
use engine::{BlobSource, BlobStream};
use oci::{Descriptor, Digest, Reference};
use std::sync::Arc;
use store::Store;

/// What the cache has comes from there, the rest from the source.
pub struct StoredFirst {
    /// The cache.
    pub store: Arc<Store>,
    /// Where everything is.
    pub source: Arc<dyn Source>,
}

#[async_trait]
impl BlobSource for StoredFirst {
    async fn open(&self, descriptor: &Descriptor) -> Result<BlobStream, engine::Error> {
        let (store, digest) = (self.store.clone(), descriptor.digest.clone());
        // The cache checks what it has by reading it where it may have changed; that blocks.
        let looked = tokio::task::spawn_blocking(move || store.blob(&digest)).await;
        match looked {
            Ok(Ok(Some(blob))) => Ok(Box::new(tokio::fs::File::from_std(blob.file))),
            // A cache that fails is no reason not to ask the source.
            _ => self.source.open(descriptor).await,
        }
    }
}

#[async_trait]
impl Source for StoredFirst {
    async fn named(&self) -> Result<Named, endpoint::Error> {
        self.source.named().await
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), endpoint::Error> {
        self.source.manifest(descriptor).await
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, endpoint::Error> {
        self.source.config(descriptor).await
    }

    async fn beside(&self, what: &Beside) -> Result<Option<Named>, endpoint::Error> {
        self.source.beside(what).await
    }

    async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, endpoint::Error> {
        self.source.referrers(digest).await
    }

    fn reference(&self) -> Option<&Reference> {
        self.source.reference()
    }

    fn name(&self) -> String {
        self.source.name()
    }
}
