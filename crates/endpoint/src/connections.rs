//! From an address to what is there: one registry connection per host, credentials looked up once.

use crate::{
    Address, Destination, Error, LayoutDestination, LayoutSource, RegistryDestination, RegistrySource, Source,
};
use registry::{Client, DockerConfig, Registry, Transport};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Mutex;

/// What is needed to reach registries, shared by source and destination.
pub struct Connections {
    client: Client,
    config: DockerConfig,
    plain_http_hosts: Vec<String>,
    open: Mutex<BTreeMap<String, Registry>>,
}

impl Connections {
    /// Nothing is reached yet. `plain_http_hosts` are hosts that the user says speak plain http.
    pub fn new(client: Client, config: DockerConfig, plain_http_hosts: Vec<String>) -> Self {
        Connections { client, config, plain_http_hosts, open: Mutex::default() }
    }

    /// The registry of a host, with the user's credentials for it.
    pub async fn registry(&self, host: &str) -> Result<Registry, Error> {
        let mut open = self.open.lock().await;
        if let Some(registry) = open.get(host) {
            return Ok(registry.clone());
        }
        let credentials = self.config.credentials(host).await?;
        let transport = Transport::of(host, &self.plain_http_hosts);
        let registry = Registry::new(self.client.clone(), host, transport, credentials);
        open.insert(host.to_owned(), registry.clone());
        Ok(registry)
    }

    /// The source at an address; a plain reference is looked up in its registry.
    pub async fn source(&self, address: &Address) -> Result<Arc<dyn Source>, Error> {
        Ok(match address {
            Address::Plain(reference) | Address::Registry(reference) => {
                Arc::new(RegistrySource::new(self.registry(reference.host()).await?, reference.clone()))
            }
            Address::OciLayout { dir, tag } => Arc::new(LayoutSource::new(dir.clone(), tag.clone())),
            other => return Err(unavailable(other)),
        })
    }

    /// The destination at an address. `replace_source` allows it to be the source's own name.
    pub async fn destination(
        &self,
        address: &Address,
        replace_source: bool,
    ) -> Result<Arc<dyn Destination>, Error> {
        Ok(match address {
            Address::Plain(reference) | Address::Registry(reference) => {
                let registry = self.registry(reference.host()).await?;
                Arc::new(RegistryDestination::new(registry, reference.clone(), replace_source)?)
            }
            Address::OciLayout { dir, tag } => {
                Arc::new(LayoutDestination::new(dir.clone(), tag.clone(), replace_source))
            }
            other => return Err(unavailable(other)),
        })
    }
}

fn unavailable(address: &Address) -> Error {
    Error::Unavailable { what: address.to_string(), tried: Vec::new() }
}
