//! An image in podman's store, to read: saved once as an archive, which keeps the config as it is. The store has layers unpacked
//! only, so they come uncompressed.

use super::{Podman, asked};
use crate::{Error, LocalName, Named, Source, archive::ArchiveSource};
use async_trait::async_trait;
use oci::{Descriptor, Reference};
use std::path::PathBuf;
use tokio::sync::OnceCell;

/// A name in podman's store.
pub struct PodmanSource {
    podman: Podman,
    name: LocalName,
    work_dir: PathBuf,
    saved: OnceCell<ArchiveSource>,
}

impl PodmanSource {
    /// Nothing is asked yet. `work_dir` is for the archive.
    pub fn new(podman: Podman, name: LocalName, work_dir: PathBuf) -> Self {
        PodmanSource { podman, name, work_dir, saved: OnceCell::new() }
    }

    async fn saved(&self) -> Result<&ArchiveSource, Error> {
        self.saved.get_or_try_init(|| self.save()).await
    }

    async fn save(&self) -> Result<ArchiveSource, Error> {
        let name = asked(&self.name);
        if self.podman.inspect(&name).await?.is_none() {
            return Err(Error::NotFound { item: self.name(), there: Vec::new() });
        }
        let tar = self.podman.program.read(["save", "--quiet", "--format", "docker-archive", &name])?;
        Ok(ArchiveSource::stream(Box::new(tar), self.work_dir.clone()))
    }
}

#[async_trait]
impl engine::BlobSource for PodmanSource {
    async fn open(&self, descriptor: &Descriptor) -> Result<engine::BlobStream, engine::Error> {
        let saved = self.saved().await.map_err(|e| engine::Error::Source {
            item: format!("blob {} of {}", descriptor.digest, self.name()),
            source: Box::new(e),
        })?;
        saved.open(descriptor).await
    }
}

#[async_trait]
impl Source for PodmanSource {
    async fn named(&self) -> Result<Named, Error> {
        Ok(Named { reference: self.name(), ..self.saved().await?.named().await? })
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
        self.saved().await?.manifest(descriptor).await
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        self.saved().await?.config(descriptor).await
    }

    fn reference(&self) -> Option<&Reference> {
        None
    }

    fn name(&self) -> String {
        crate::Address::Podman(self.name.clone()).to_string()
    }
}
