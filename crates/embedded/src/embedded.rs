//! The engine itself.

use crate::{
    NAME, errors, foreign,
    opened::{Opened, Parts, has_layers},
    options::EngineOptions,
    proxy, ready,
};
use async_trait::async_trait;
use engine::{Context, Engine, Error, OpenRequest, Root};
use std::sync::Arc;

/// The engine in this process. Needs to be uid 0 of the machine or of a user namespace: see [`enter`](crate::host::enter).
pub struct Embedded {
    options: Arc<EngineOptions>,
}

impl Embedded {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Self {
        Embedded { options: Arc::new(options) }
    }
}

#[async_trait]
impl Engine for Embedded {
    fn name(&self) -> &'static str {
        NAME
    }

    fn proxy_url(&self) -> Option<String> {
        Some(proxy::URL.to_owned())
    }

    async fn can_run(&self, platform: &oci::Platform, context: &Context) -> Result<(), Error> {
        foreign::can_run(&self.options, platform, context).await
    }

    async fn open(&self, request: OpenRequest, context: &Context) -> Result<Box<dyn Root>, Error> {
        has_layers(&request)?;
        if request.base_layers > request.image.layers.len() {
            let why = format!("has no {} layers", request.base_layers);
            return Err(Error::Image { item: request.image.descriptor.digest.to_string(), why });
        }
        let layers = ready::all(&self.options, &request, context).await?;
        let programs = foreign::Programs::of(&request.image.platform());
        let image = Parts { layers, base_layers: request.base_layers, programs };
        Ok(Box::new(Opened::new(self.options.clone(), image).map_err(errors::of_layer)?))
    }
}
