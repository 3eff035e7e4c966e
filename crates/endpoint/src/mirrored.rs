//! Reading an image from the first of its places that has it: mirrors in order, then its own registry.

use crate::{Error, Note, registries::Registries};
use oci::{Descriptor, Digest, Reference};
use registry::{BlobReader, FetchedManifest, Registry, Route};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The places of one image. Credentials of a place are looked up when it is asked first.
pub(crate) struct Mirrored {
    registries: Arc<Registries>,
    routes: Vec<Route>,
    /// The first place that is worth asking.
    first: AtomicUsize,
}

impl Mirrored {
    /// Nothing is asked yet. There is at least one route.
    pub(crate) fn new(registries: Arc<Registries>, routes: Vec<Route>) -> Self {
        Mirrored { registries, routes, first: AtomicUsize::new(0) }
    }

    /// The manifest or index that the image's name leads to. Mirrors without it are not asked for its blobs.
    pub(crate) async fn named(&self) -> Result<FetchedManifest, Error> {
        let asked = self.attempt(|registry, place| async move {
            registry.manifest(place.repository(), &place.selector()).await
        });
        let (at, fetched) = asked.await?;
        self.first.fetch_max(at, Ordering::Relaxed);
        Ok(fetched)
    }

    /// A manifest or index of the image's repository, by tag or digest.
    pub(crate) async fn manifest(&self, selector: &str) -> Result<FetchedManifest, Error> {
        let asked = self.attempt(|registry, place| {
            let selector = selector.to_owned();
            async move { registry.manifest(place.repository(), &selector).await }
        });
        asked.await.map(|(_, fetched)| fetched)
    }

    /// What refers to a manifest of the image's repository.
    pub(crate) async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, Error> {
        let asked = self.attempt(|registry, place| {
            let digest = digest.clone();
            async move { registry.referrers(place.repository(), &digest).await }
        });
        asked.await.map(|(_, found)| found)
    }

    /// A blob of the image's repository, from its beginning.
    pub(crate) async fn open_blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let asked = self.attempt(|registry, place| {
            let descriptor = descriptor.clone();
            async move { registry.open_blob(place.repository(), &descriptor).await }
        });
        asked.await.map(|(_, reader)| reader)
    }

    /// Asks one place after the other. A mirror that fails is told and passed over, the next time too unless it merely
    /// lacks something; the error of the last place is the error.
    async fn attempt<T, F>(&self, ask: impl Fn(Registry, Reference) -> F) -> Result<(usize, T), Error>
    where
        F: Future<Output = Result<T, registry::Error>>,
    {
        let last = self.routes.len() - 1;
        for at in self.first.load(Ordering::Relaxed)..last {
            let route = &self.routes[at];
            // What is wrong with the user's own configuration is no failure of the mirror.
            let registry = self.registries.open(route).await?;
            match ask(registry, route.reference.clone()).await {
                Ok(found) => return Ok((at, found)),
                Err(registry::Error::NotFound { item }) => tracing::debug!(item, "not in this mirror"),
                Err(error) => self.pass_over(at, &error),
            }
        }
        let route = &self.routes[last];
        let registry = self.registries.open(route).await?;
        Ok((last, ask(registry, route.reference.clone()).await?))
    }

    fn pass_over(&self, at: usize, error: &registry::Error) {
        if self.first.fetch_max(at + 1, Ordering::Relaxed) > at {
            return;
        }
        let mirror = self.routes[at].reference.to_string();
        self.registries.note(Note::MirrorFailed { mirror, why: registry::error_text(error) });
    }
}
