//! Images whose package tools are used on images that have none: opened like any other, their layers kept in the cache.

use crate::{source_policy::SourcePolicy, stored_source::StoredFirst};
use async_trait::async_trait;
use endpoint::{Address, Connections, Error, Source};
use std::sync::Arc;
use store::Store;

/// Opens them.
pub struct ToolingImages {
    /// Ways to registries.
    pub connections: Arc<Connections>,
    /// The cache.
    pub store: Arc<Store>,
    /// Which images may be used, and which take the place of others.
    pub policy: SourcePolicy,
}

#[async_trait]
impl patch::ToolingImages for ToolingImages {
    async fn open(&self, reference: &str) -> Result<Arc<dyn Source>, Error> {
        let unknown = |item: String| Error::NotFound { item, there: Vec::new() };
        let mut address: Address = reference.parse().map_err(|_| unknown(reference.to_owned()))?;
        if let Address::Plain(image) | Address::Registry(image) = &address {
            let allowed = self.policy.image(&image.to_string());
            let allowed = allowed.map_err(|refused| Error::Refused { why: refused.to_string() })?;
            address = allowed.parse().map_err(|_| unknown(allowed.clone()))?;
        }
        let source = self.connections.source(&address).await?;
        Ok(Arc::new(StoredFirst { store: self.store.clone(), source }))
    }
}
