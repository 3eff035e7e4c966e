//! An image in a registry, to write: only what is missing is sent, the tag moves last.

use crate::{
    Destination, Error, Receipt, WriteRequest,
    feed::{From, feed},
};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use oci::{Descriptor, Digest, ImageLayer, Reference};
use registry::{Body, Registry};

/// Blobs on their way at once: enough to hide round trips, few enough for slow lines.
const AT_ONCE: usize = 4;

/// A tag in a registry.
pub struct RegistryDestination {
    registry: Registry,
    reference: Reference,
    tag: String,
    replace_source: bool,
}

/// How a blob got there.
enum Arrival {
    Existing,
    Mounted,
    Sent(u64),
}

impl RegistryDestination {
    /// Nothing is asked yet. `replace_source` allows the tag to be the source's own.
    pub fn new(registry: Registry, reference: Reference, replace_source: bool) -> Result<Self, Error> {
        let tag = reference.tag().map(str::to_owned);
        let tag = tag.ok_or_else(|| Error::NoTag { reference: reference.to_string() })?;
        Ok(RegistryDestination { registry, reference, tag, replace_source })
    }

    fn repository(&self) -> &str {
        self.reference.repository()
    }

    fn refuse_source(&self, request: &WriteRequest<'_>) -> Result<(), Error> {
        let Some(source) = request.source.reference() else { return Ok(()) };
        let same = source.host() == self.reference.host()
            && source.repository() == self.repository()
            && source.digest().is_none()
            && source.tag().unwrap_or("latest") == self.tag;
        if same && !self.replace_source {
            return Err(Error::SourceTag { reference: self.reference.to_string() });
        }
        Ok(())
    }

    /// Where the source is in this very registry: its repository.
    fn neighbour<'a>(&self, request: &WriteRequest<'a>) -> Option<&'a str> {
        let source = request.source.reference()?;
        (source.host() == self.registry.host()).then(|| source.repository())
    }

    /// Everything but the tag.
    async fn prepare(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        self.refuse_source(request)?;
        let before = self.current().await?;
        let mut receipt = self.receipt(request);
        self.send_blobs(request, &mut receipt, true).await?;
        let put = self.put(request, request.image.descriptor.digest.as_str()).await;
        if let Err(Error::Registry(registry::Error::BlobUnknown { .. })) = put {
            // The registry said that it had a blob which it has not: this time nothing it says is believed.
            self.send_blobs(request, &mut receipt, false).await?;
            self.put(request, request.image.descriptor.digest.as_str()).await?;
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

    fn receipt(&self, request: &WriteRequest<'_>) -> Receipt {
        Receipt::new(self.reference.to_string(), request.image.descriptor.digest.clone())
    }

    async fn send_blobs(
        &self,
        request: &WriteRequest<'_>,
        receipt: &mut Receipt,
        believe: bool,
    ) -> Result<(), Error> {
        let base = request.base().map(|blob| (blob.clone(), From::Source));
        let new = request.new_layers().map(|blob| (blob.clone(), From::File));
        let mut blobs: Vec<(Descriptor, From)> = base.chain(new).collect();
        let mut seen = std::collections::BTreeSet::new();
        blobs.retain(|(blob, _)| seen.insert(blob.digest.clone()));
        let sending = stream::iter(blobs).map(|(blob, from)| async move {
            self.blob(request, &blob, from, believe).await.map(|arrival| (from, arrival))
        });
        let arrivals: Vec<(From, Arrival)> = sending.buffer_unordered(AT_ONCE).try_collect().await?;
        for (from, arrival) in arrivals {
            count(receipt, from, &arrival, self.neighbour(request).is_some());
        }
        let config = self.config(request, believe).await?;
        count(receipt, From::File, &config, false);
        Ok(())
    }

    async fn blob(
        &self,
        request: &WriteRequest<'_>,
        blob: &Descriptor,
        from: From,
        believe: bool,
    ) -> Result<Arrival, Error> {
        let repository = self.repository();
        if believe && self.registry.has_blob(repository, &blob.digest, blob.size).await? {
            return Ok(Arrival::Existing);
        }
        if believe
            && from == From::Source
            && let Some(there) = self.neighbour(request).filter(|there| *there != repository)
            && self.registry.mount_blob(repository, &blob.digest, there).await?
        {
            return Ok(Arrival::Mounted);
        }
        let upload = async |body| Ok(self.registry.upload_blob(repository, &blob.digest, body).await?);
        feed(request, blob, from, upload).await?;
        Ok(Arrival::Sent(blob.size))
    }

    async fn config(&self, request: &WriteRequest<'_>, believe: bool) -> Result<Arrival, Error> {
        let config = &request.image.manifest.config;
        let repository = self.repository();
        if believe && self.registry.has_blob(repository, &config.digest, config.size).await? {
            return Ok(Arrival::Existing);
        }
        let body = Body::Bytes(request.image.config_bytes.clone().into());
        self.registry.upload_blob(repository, &config.digest, body).await?;
        Ok(Arrival::Sent(config.size))
    }

    async fn put(&self, request: &WriteRequest<'_>, selector: &str) -> Result<(), Error> {
        let image = request.image;
        let bytes = image.manifest_bytes.clone().into();
        self.registry.put_manifest(self.repository(), selector, &image.descriptor.media_type, bytes).await?;
        Ok(())
    }
}

fn count(receipt: &mut Receipt, from: From, arrival: &Arrival, same_registry: bool) {
    match *arrival {
        Arrival::Existing => receipt.existing += 1,
        Arrival::Mounted => receipt.mounted += 1,
        Arrival::Sent(bytes) => {
            receipt.bytes_uploaded += bytes;
            match from {
                From::File => {}
                From::Source if same_registry => receipt.base_bytes_uploaded += bytes,
                From::Source => receipt.base_bytes_copied += bytes,
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
        self.put(request, &self.tag).await?;
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
