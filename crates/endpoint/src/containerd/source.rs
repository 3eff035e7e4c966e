//! An image in containerd, to read: manifests and blobs as they were pulled, each by itself.

use super::Containerd;
use crate::{Error, LocalName, Named, Source};
use async_trait::async_trait;
use oci::{Descriptor, Document, Index, Reference};

/// A name in containerd.
pub struct ContainerdSource {
    containerd: Containerd,
    name: LocalName,
}

impl ContainerdSource {
    /// Nothing is asked yet.
    pub fn new(containerd: Containerd, name: LocalName) -> Self {
        ContainerdSource { containerd, name }
    }

    /// The document of a digest whose size is not known yet.
    async fn top(&self, kind: &str, digest: &oci::Digest) -> Result<Named, Error> {
        let answer = self.containerd.ctr.ask(["content", "get", digest.as_str()]).await?;
        let bytes = answer.map_err(|_| self.missing(digest))?;
        if oci::Digest::of(&bytes) != *digest {
            let item = format!("manifest {digest} of {}", self.name());
            return Err(Error::Corrupt { item, why: "containerd gives other bytes".into() });
        }
        Named::new(self.name(), bytes, Some(kind))
    }

    fn missing(&self, digest: &oci::Digest) -> Error {
        let there = Vec::new();
        Error::NotFound { item: format!("blob {digest} of {}", self.name()), there }
    }

    /// The entries of an index that are there: who pulls for one platform has the whole index, but not all that it names.
    async fn there(&self, named: Named) -> Result<Named, Error> {
        let Document::Index(index) = &named.document else { return Ok(named) };
        let content = self.containerd.content().await?;
        let there: Vec<Descriptor> =
            index.manifests.iter().filter(|e| content.contains(&e.digest)).cloned().collect();
        if there.len() == index.manifests.len() {
            return Ok(named);
        }
        let images = || there.iter().filter(|e| Index::platform(e).is_some());
        if let (Some(only), None) = (images().next(), images().nth(1)) {
            return self.top(&only.media_type, &only.digest).await;
        }
        let index = Index { manifests: there, ..index.clone() };
        let bytes = serde_json::to_vec(&index).expect("an index that was read can be written");
        Named::new(named.reference, bytes, Some(&named.descriptor.media_type))
    }
}

#[async_trait]
impl engine::BlobSource for ContainerdSource {
    async fn open(&self, descriptor: &Descriptor) -> Result<engine::BlobStream, engine::Error> {
        let opened = self.containerd.ctr.read(["content", "get", descriptor.digest.as_str()]);
        let stream = opened.map_err(|e| engine::Error::Source {
            item: format!("blob {} of {}", descriptor.digest, self.name()),
            source: Box::new(e),
        })?;
        Ok(Box::new(stream))
    }
}

#[async_trait]
impl Source for ContainerdSource {
    async fn named(&self) -> Result<Named, Error> {
        let found = self.containerd.image(&self.name).await?;
        let absent = || Error::NotFound { item: self.name(), there: Vec::new() };
        let (kind, digest) = found.ok_or_else(absent)?;
        self.there(self.top(&kind, &digest).await?).await
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
        let found = self.containerd.small(descriptor).await?;
        Ok((found.ok_or_else(|| self.missing(&descriptor.digest))?, Some(descriptor.media_type.clone())))
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let found = self.containerd.small(descriptor).await?;
        found.ok_or_else(|| self.missing(&descriptor.digest))
    }

    fn reference(&self) -> Option<&Reference> {
        None
    }

    fn name(&self) -> String {
        crate::Address::Containerd(self.name.clone()).to_string()
    }
}
