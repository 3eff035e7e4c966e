//! Sources that misbehave.

use async_trait::async_trait;
use endpoint::{Error, Named, Source};
use engine::{BlobSource, BlobStream, CancellationToken};
use oci::{Descriptor, Digest, Reference};
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// How a source misbehaves when it is asked for one blob.
#[derive(Debug, Clone)]
pub enum Fault {
    /// One byte is another.
    Changed,
    /// It ends early.
    Short,
    /// It does not end in time.
    Long,
    /// It cannot be opened.
    Refused,
    /// Half of it comes; then the user interrupts, and nothing more comes.
    Interrupted(CancellationToken),
}

/// A source whose blob of one digest is not what it should be.
pub struct Faulty {
    pub inner: Arc<dyn Source>,
    pub blob: Digest,
    pub fault: Fault,
}

#[async_trait]
impl BlobSource for Faulty {
    async fn open(&self, descriptor: &Descriptor) -> Result<BlobStream, engine::Error> {
        let mut opened = self.inner.open(descriptor).await?;
        if descriptor.digest != self.blob {
            return Ok(opened);
        }
        let mut bytes = Vec::new();
        opened.read_to_end(&mut bytes).await.unwrap();
        let middle = bytes.len() / 2;
        match &self.fault {
            Fault::Changed => bytes[middle] ^= 1,
            Fault::Short => bytes.truncate(middle),
            Fault::Long => bytes.extend_from_slice(b"more"),
            Fault::Refused => {
                let source = "refused".into();
                return Err(engine::Error::Source { item: descriptor.digest.to_string(), source });
            }
            Fault::Interrupted(cancel) => {
                bytes.truncate(middle);
                let (mut near, far) = tokio::io::duplex(bytes.len() + 1);
                tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await.unwrap();
                let cancel = cancel.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    cancel.cancel();
                    // The other end stays open, as that of a server that has stopped sending.
                    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
                    drop(near);
                });
                return Ok(Box::new(far));
            }
        }
        Ok(Box::new(std::io::Cursor::new(bytes)))
    }
}

#[async_trait]
impl Source for Faulty {
    async fn named(&self) -> Result<Named, Error> {
        self.inner.named().await
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
        self.inner.manifest(descriptor).await
    }

    fn reference(&self) -> Option<&Reference> {
        self.inner.reference()
    }

    fn name(&self) -> String {
        self.inner.name()
    }
}
