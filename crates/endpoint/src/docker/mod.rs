//! A docker daemon: its images as sources, and as a destination that is given only what it does not have.

mod answers;
mod api;
mod context;
mod destination;
mod loaded_already;
mod loopback;
mod pipe;
mod read_out;
mod settings;
mod source;
mod temporary;
mod tls;
mod upload;
mod verify;

pub use api::ImageStore;
pub use destination::DockerDestination;
pub use settings::DockerSettings;
pub use source::DockerSource;

use crate::{Error, LocalName};
use api::{Client, Connected};
use std::sync::Arc;

/// A daemon and how to reach it. Nothing is reached before it is asked for something; clones share the connection.
#[derive(Debug, Clone, Default)]
pub struct Docker {
    settings: Arc<DockerSettings>,
    connected: Arc<Connected>,
}

/// What answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerFacts {
    /// Its address.
    pub address: String,
    /// Its version.
    pub version: String,
    /// How it keeps images.
    pub store: ImageStore,
}

impl std::fmt::Display for DockerFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let store = match self.store {
            ImageStore::Classic => "its own image store",
            ImageStore::Containerd => "containerd's image store",
        };
        write!(f, "{} at {}, {store}", self.version, self.address)
    }
}

impl Docker {
    /// The daemon of the settings.
    pub fn new(settings: DockerSettings) -> Self {
        Docker { settings: Arc::new(settings), connected: Arc::default() }
    }

    /// Whether the user has named a daemon, so that it is an error where it cannot be reached.
    pub fn is_explicit(&self) -> bool {
        self.settings.is_explicit()
    }

    /// Asks it what it is.
    pub async fn facts(&self) -> Result<DockerFacts, Error> {
        let client = self.client().await?;
        Ok(DockerFacts {
            address: client.place().shown(),
            version: client.server().to_owned(),
            store: client.store(),
        })
    }

    /// Whether it has an image of this name.
    pub async fn has(&self, name: &LocalName) -> Result<bool, Error> {
        Ok(self.client().await?.inspect(&name.to_string(), false).await?.is_some())
    }

    pub(crate) async fn client(&self) -> Result<Client, Error> {
        self.connected.client(&self.settings).await
    }
}
