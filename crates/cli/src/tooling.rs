//! Images whose package tools are used on images that have none: opened like any other, their layers kept in the cache.

use crate::stored_source::StoredFirst;
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
}

#[async_trait]
impl patch::ToolingImages for ToolingImages {
    async fn open(&self, reference: &str) -> Result<Arc<dyn Source>, Error> {
        let unknown = |_| Error::NotFound { item: reference.to_owned(), there: Vec::new() };
        let address: Address = reference.parse().map_err(unknown)?;
        let source = self.connections.source(&address).await?;
        Ok(Arc::new(StoredFirst { store: self.store.clone(), source }))
    }
}
