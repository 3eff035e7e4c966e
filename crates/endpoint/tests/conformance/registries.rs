//! Registries: the scripted one of testkit, which keeps what it is sent.

use crate::place::{Abilities, Place};
use async_trait::async_trait;
use endpoint::{Connections, Destination, Source};
use registry::{Client, ClientOptions, DockerConfig};
use std::sync::Arc;
use testkit::fault_registry::FaultRegistry;

/// Repositories of one registry.
pub struct Registries {
    server: FaultRegistry,
    connections: Connections,
}

impl Registries {
    pub fn new() -> Self {
        let client = Client::new(ClientOptions::default()).unwrap();
        let connections = Connections::new(client, DockerConfig::default(), Vec::new());
        Registries { server: FaultRegistry::start(), connections }
    }

    fn address(&self, name: &str) -> endpoint::Address {
        format!("docker://{}/team/{name}:1", self.server.host()).parse().unwrap()
    }
}

#[async_trait]
impl Place for Registries {
    fn abilities(&self) -> Abilities {
        Abilities { kind: "registry", keeps_manifests: true, keeps_indexes: true, knows_itself: true }
    }

    async fn source(&self, name: &str) -> Arc<dyn Source> {
        self.connections.source(&self.address(name)).await.unwrap()
    }

    async fn destination(&self, name: &str, replace_source: bool) -> Arc<dyn Destination> {
        self.connections.destination(&self.address(name), replace_source).await.unwrap()
    }
}
