//! An image in a registry, to write: only what is missing is sent, the tag moves last.

use crate::{
    Blob, Destination, Error, From, Outgoing, Receipt, WriteRequest, content::is_base, feed::feed,
    registries::Registries,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use oci::{Digest, ImageLayer, Reference};
use registry::{Body, Purpose, Registry};
use std::sync::Arc;

/// Blobs on their way at once: enough to hide round trips, few enough for slow lines.
const AT_ONCE: usize = 4;

/// A tag in a registry.
pub struct RegistryDestination {
    registry: Registry,
    reference: Reference,
    tag: String,
    replace_source: bool,
    /// Knows where images that are read really are.
    registries: Arc<Registries>,
}

/// How a blob got there.
enum Arrival {
    Existing,
    Mounted,
    Sent(u64),
}

impl RegistryDestination {
    /// Nothing but credentials is asked yet. `replace_source` allows the tag to be the source's own.
    pub(crate) async fn open(
        registries: Arc<Registries>,
        reference: Reference,
        replace_source: bool,
    ) -> Result<Self, Error> {
        let tag = reference.tag().map(str::to_owned);
        let tag = tag.ok_or_else(|| Error::NoTag { reference: reference.to_string() })?;
        let registry = registries.written(&reference).await?;
        Ok(RegistryDestination { registry, reference, tag, replace_source, registries })
    }

    /// The source's names in registries: its own, and those of the places that it is read from instead.
    fn sources(&self, request: &WriteRequest<'_>) -> Vec<Reference> {
        let Some(own) = request.source.reference() else { return Vec::new() };
        // What may not be read was refused long ago.
        let routes = self.registries.routes(own, Purpose::Pull).unwrap_or_default();
        [own.clone()].into_iter().chain(routes.into_iter().map(|route| route.reference)).collect()
    }

    fn repository(&self) -> &str {
        self.reference.repository()
    }

    fn refuse_source(&self, request: &WriteRequest<'_>) -> Result<(), Error> {
        let same = self.sources(request).iter().any(|source| {
            source.host() == self.reference.host()
                && source.repository() == self.repository()
                && source.digest().is_none()
                && source.tag().unwrap_or("latest") == self.tag
        });
        if same && !self.replace_source {
            return Err(Error::SourceTag { reference: self.reference.to_string() });
        }
        Ok(())
    }

    /// Where the source is in this very registry: its repository.
    fn neighbour(&self, request: &WriteRequest<'_>) -> Option<String> {
        let near = self.sources(request).into_iter().find(|source| source.host() == self.registry.host())?;
        Some(near.repository().to_owned())
    }

    /// Everything but the tag.
    async fn prepare(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        self.refuse_source(request)?;
        let before = self.current().await?;
        let top = request.content.descriptor();
        let mut receipt = Receipt::new(self.reference.to_string(), top.digest.clone());
        let put = self.send(request, &mut receipt, true).await;
        if let Err(Error::Registry(registry::Error::BlobUnknown { .. })) = put {
            // The registry said that it had a blob which it has not: this time nothing it says is believed.
            self.send(request, &mut receipt, false).await?;
        } else {
            put?;
        }
        let now = self.current().await?;
        if now != before && now.as_ref() != Some(&receipt.digest) {
            let text = |d: Option<Digest>| d.map_or("absent".into(), |d| d.to_string());
            let reference = self.reference.to_string();
            return Err(Error::TagMoved { reference, was: text(before), now: text(now) });
        }
        Ok(receipt)
    }

    /// Blobs, then the manifests, then the index, all by digest.
    async fn send(
        &self,
        request: &WriteRequest<'_>,
        receipt: &mut Receipt,
        believe: bool,
    ) -> Result<(), Error> {
        let content = request.content;
        let missing = self.missing(content.manifests(), believe).await?;
        self.send_blobs(request, &missing, receipt, believe).await?;
        for manifest in missing {
            let bytes = manifest.bytes.clone().into();
            self.put(manifest.entry.digest.as_str(), &manifest.entry.media_type, bytes).await?;
        }
        if let crate::Content::Index { descriptor, bytes, .. } = content {
            self.put(descriptor.digest.as_str(), &descriptor.media_type, bytes.clone().into()).await?;
        }
        Ok(())
    }

    /// The manifests that the registry lacks: of what was preserved it may have all, if it is where it comes from.
    async fn missing<'a>(
        &self,
        manifests: &'a [Outgoing],
        believe: bool,
    ) -> Result<Vec<&'a Outgoing>, Error> {
        let mut missing = Vec::new();
        for manifest in manifests {
            let digest = &manifest.entry.digest;
            let there = believe
                && !manifest.patched
                && self.registry.manifest_digest(self.repository(), digest.as_str()).await?.as_ref()
                    == Some(digest);
            if !there {
                missing.push(manifest);
            }
        }
        Ok(missing)
    }

    async fn send_blobs(
        &self,
        request: &WriteRequest<'_>,
        manifests: &[&Outgoing],
        receipt: &mut Receipt,
        believe: bool,
    ) -> Result<(), Error> {
        let mut seen = std::collections::BTreeSet::new();
        let all = manifests.iter().flat_map(|m| &m.blobs);
        let blobs: Vec<Blob> = all.filter(|b| seen.insert(&b.descriptor.digest)).cloned().collect();
        let sending = stream::iter(blobs).map(|blob| async move {
            let arrival = self.blob(request, &blob, believe).await?;
            Ok::<_, Error>((blob, arrival))
        });
        let arrivals: Vec<(Blob, Arrival)> = sending.buffer_unordered(AT_ONCE).try_collect().await?;
        for (blob, arrival) in arrivals {
            count(receipt, &blob, &arrival, self.neighbour(request).is_some());
        }
        Ok(())
    }

    async fn blob(&self, request: &WriteRequest<'_>, blob: &Blob, believe: bool) -> Result<Arrival, Error> {
        let repository = self.repository();
        let (digest, size) = (&blob.descriptor.digest, blob.descriptor.size);
        if believe && self.registry.has_blob(repository, digest, size).await? {
            return Ok(Arrival::Existing);
        }
        if believe
            && blob.from == From::Source
            && let Some(there) = self.neighbour(request).filter(|there| *there != repository)
            && self.registry.mount_blob(repository, digest, &there).await?
        {
            return Ok(Arrival::Mounted);
        }
        if let From::Bytes(bytes) = &blob.from {
            self.registry.upload_blob(repository, digest, Body::Bytes(bytes.clone())).await?;
            return Ok(Arrival::Sent(size));
        }
        let upload = async |body| Ok(self.registry.upload_blob(repository, digest, body).await?);
        feed(request, blob, upload).await?;
        Ok(Arrival::Sent(size))
    }

    async fn put(&self, selector: &str, media_type: &str, bytes: Bytes) -> Result<(), Error> {
        self.registry.put_manifest(self.repository(), selector, media_type, bytes).await?;
        Ok(())
    }
}

fn count(receipt: &mut Receipt, blob: &Blob, arrival: &Arrival, same_registry: bool) {
    match *arrival {
        Arrival::Existing => receipt.existing += 1,
        Arrival::Mounted => receipt.mounted += 1,
        Arrival::Sent(bytes) => {
            receipt.bytes_uploaded += bytes;
            match is_base(blob) {
                false => {}
                true if same_registry => receipt.base_bytes_uploaded += bytes,
                true => receipt.base_bytes_copied += bytes,
            }
        }
    }
}

#[async_trait]
impl Destination for RegistryDestination {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        let receipt = request.or_cancelled(self.prepare(request)).await?;
        if request.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        // Once asked for, the tag is waited for: who gave up here could not say whether it has moved.
        let top = request.content.descriptor();
        self.put(&self.tag, &top.media_type, request.content.bytes().to_vec().into()).await?;
        Ok(receipt)
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        Ok(self.registry.manifest_digest(self.repository(), &self.tag).await?)
    }

    fn wants_base_blobs(&self, _base: &[ImageLayer]) -> bool {
        false
    }

    fn name(&self) -> String {
        self.reference.to_string()
    }
}
