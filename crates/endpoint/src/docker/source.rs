//! An image in a docker daemon, to read: from containerd's store piece by piece, from docker's own store as a whole.

use super::{
    Docker, DockerSettings,
    api::{Client, ImageStore, Inspected},
    read_out::{self, ReadOut},
};
use crate::{Error, LocalName, Named, Source, archive::ArchiveSource};
use async_trait::async_trait;
use engine::BlobSource;
use oci::{Descriptor, Digest, Document, Index, Reference};
use tokio::sync::OnceCell;

/// A name in a docker daemon.
pub struct DockerSource {
    docker: Docker,
    name: LocalName,
    found: OnceCell<Found>,
}

/// The image as it was found, by its digest: the name may move meanwhile.
struct Found {
    client: Client,
    id: Digest,
    content: Content,
}

enum Content {
    /// Manifests and configurations are here; each layer is asked for when it is needed.
    Pieces(Box<ReadOut>),
    /// All of it was saved.
    Saved(Box<ArchiveSource>),
}

impl DockerSource {
    /// Nothing is asked yet.
    pub fn new(docker: Docker, name: LocalName) -> Self {
        DockerSource { docker, name, found: OnceCell::new() }
    }

    async fn found(&self) -> Result<&Found, Error> {
        self.found.get_or_try_init(|| self.find()).await
    }

    async fn find(&self) -> Result<Found, Error> {
        let client = self.docker.client().await?;
        let inspected = client.inspect(&self.name.to_string(), false).await?;
        let absent = || Error::NotFound { item: self.name(), there: Vec::new() };
        let inspected = inspected.ok_or_else(absent)?;
        let content = content(&client, &inspected, self.name(), &self.docker.settings).await?;
        Ok(Found { client, id: inspected.id, content })
    }

    /// What was saved must be what was asked for: docker's own store knows images by their configurations.
    fn is_asked_for(&self, found: &Found, named: &Named) -> Result<(), Error> {
        let got = match (found.client.store(), &named.document) {
            (ImageStore::Classic, Document::Manifest(manifest)) => &manifest.config.digest,
            _ => &named.descriptor.digest,
        };
        match *got == found.id {
            true => Ok(()),
            false => {
                Err(found.client.failed(&self.name(), format!("it was saved as {got}, not as {}", found.id)))
            }
        }
    }

    fn absent(&self, what: &str, digest: &Digest) -> Error {
        Error::NotFound { item: format!("{what} {digest} of {}", self.name()), there: Vec::new() }
    }
}

async fn content(
    client: &Client,
    Inspected { id, has_name, .. }: &Inspected,
    name: String,
    settings: &DockerSettings,
) -> Result<Content, Error> {
    let containerd = client.store() == ImageStore::Containerd;
    // Pieces come by a name of ours. An image that has no other would go with it.
    if containerd && *has_name && client.place().shares_loopback() {
        match read_out::read_out(client, id).await {
            Ok(pieces) => return Ok(Content::Pieces(Box::new(pieces))),
            // A daemon in a network of its own does not reach us; one that has not all of an index does not push it.
            Err(error @ Error::Daemon { .. }) => tracing::debug!(%error, "the image is saved as a whole"),
            Err(error) => return Err(error),
        }
    }
    let nowhere = || client.failed(id.as_str(), "there is no folder for temporary files".to_owned());
    let folder = settings.temp_dir.clone().ok_or_else(nowhere)?;
    let saved = client.save(id.as_str()).await?;
    Ok(Content::Saved(Box::new(ArchiveSource::saved(Box::new(saved), name, containerd, folder))))
}

/// Of an index that was pulled for some platforms only, those that are there; one of them alone is no index any more.
async fn what_is_there(archive: &ArchiveSource, named: Named) -> Result<Named, Error> {
    let Document::Index(index) = &named.document else { return Ok(named) };
    let mut there = Vec::new();
    for entry in &index.manifests {
        match archive.manifest(entry).await {
            Ok(_) => there.push(entry),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if there.len() == index.manifests.len() {
        return Ok(named);
    }
    match there.as_slice() {
        [only] => {
            let (bytes, kind) = archive.manifest(only).await?;
            Named::new(named.reference, bytes, kind.as_deref())
        }
        _ => {
            let manifests = there.into_iter().cloned().collect();
            let index = Index { manifests, ..index.clone() };
            let bytes = serde_json::to_vec(&index).expect("an index that was read can be written");
            Named::new(named.reference, bytes, Some(&named.descriptor.media_type))
        }
    }
}

#[async_trait]
impl BlobSource for DockerSource {
    async fn open(&self, descriptor: &Descriptor) -> Result<engine::BlobStream, engine::Error> {
        let digest = &descriptor.digest;
        let found = self.found().await.map_err(|e| engine::Error::Source {
            item: format!("blob {digest} of {}", self.name()),
            source: Box::new(e),
        })?;
        let pieces = match &found.content {
            Content::Pieces(pieces) => pieces,
            Content::Saved(archive) => return archive.open(descriptor).await,
        };
        if let Some(bytes) = pieces.configs.get(digest) {
            return Ok(Box::new(std::io::Cursor::new(bytes.clone())));
        }
        Ok(Box::new(pieces.stream(&found.client, found.id.as_str(), digest)))
    }
}

#[async_trait]
impl Source for DockerSource {
    async fn named(&self) -> Result<Named, Error> {
        let found = self.found().await?;
        let top = match &found.content {
            Content::Pieces(pieces) => &pieces.top,
            Content::Saved(archive) => {
                let named = archive.named().await?;
                self.is_asked_for(found, &named)?;
                let named = what_is_there(archive, named).await?;
                return Ok(Named { reference: self.name(), ..named });
            }
        };
        Named::new(self.name(), top.bytes.to_vec(), Some(&top.content_type))
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
        let found = match &self.found().await?.content {
            Content::Pieces(pieces) => pieces.manifests.get(&descriptor.digest),
            Content::Saved(archive) => return archive.manifest(descriptor).await,
        };
        let found = found.ok_or_else(|| self.absent("manifest", &descriptor.digest))?;
        if found.bytes.len() as u64 != descriptor.size {
            let why = format!("it has {} bytes, its index says {}", found.bytes.len(), descriptor.size);
            return Err(Error::Corrupt {
                item: format!("manifest {} of {}", descriptor.digest, self.name()),
                why,
            });
        }
        Ok((found.bytes.to_vec(), Some(found.content_type.clone())))
    }

    fn reference(&self) -> Option<&Reference> {
        None
    }

    fn name(&self) -> String {
        crate::Address::Docker(self.name.clone()).to_string()
    }
}
