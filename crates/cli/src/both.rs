//! Two destinations as one: the layout first, the registry after it, so that the registry's tag moves last of all.

use async_trait::async_trait;
use endpoint::{Destination, Error, Receipt, WriteRequest};
use oci::Digest;
use std::sync::Arc;

/// Writes to the first and then to the second.
pub struct Both(pub Arc<dyn Destination>, pub Arc<dyn Destination>);

#[async_trait]
impl Destination for Both {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        let first = self.0.write(request).await?;
        let second = self.1.write(request).await?;
        Ok(Receipt {
            reference: second.reference,
            digest: second.digest,
            bytes_uploaded: first.bytes_uploaded + second.bytes_uploaded,
            base_bytes_uploaded: first.base_bytes_uploaded + second.base_bytes_uploaded,
            base_bytes_copied: first.base_bytes_copied + second.base_bytes_copied,
            mounted: first.mounted + second.mounted,
            existing: first.existing + second.existing,
        })
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        self.1.current().await
    }

    fn wants_base_blobs(&self) -> bool {
        self.0.wants_base_blobs() || self.1.wants_base_blobs()
    }

    fn name(&self) -> String {
        format!("{}, {}", self.1.name(), self.0.name())
    }
}
