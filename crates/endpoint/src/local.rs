//! The daemons of this machine that keep images, in the order in which they are asked.

use crate::{Address, Destination, Docker, DockerDestination, DockerSource, Error, LocalName, Source};
use oci::Reference;
use std::sync::Arc;

/// Ways to daemons. Nothing is reached before it is needed.
#[derive(Debug, Clone, Default)]
pub struct LocalDaemons {
    /// Docker.
    pub docker: Docker,
}

/// A kind of daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// containerd.
    Containerd,
}

impl Daemon {
    /// The address of a name in it.
    pub fn address(self, name: LocalName) -> Address {
        match self {
            Daemon::Docker => Address::Docker(name),
            Daemon::Podman => Address::Podman(name),
            Daemon::Containerd => Address::Containerd(name),
        }
    }
}

impl LocalDaemons {
    /// The source at an address; `None` where it is in no daemon of these.
    pub(crate) fn source(&self, address: &Address) -> Option<Arc<dyn Source>> {
        match address {
            Address::Docker(name) => Some(Arc::new(DockerSource::new(self.docker.clone(), name.clone()))),
            _ => None,
        }
    }

    /// The destination at an address; `None` where it is in no daemon of these.
    pub(crate) async fn destination(
        &self,
        address: &Address,
        replace_source: bool,
    ) -> Result<Option<Arc<dyn Destination>>, Error> {
        Ok(match address {
            Address::Docker(name) => {
                Some(Arc::new(DockerDestination::open(&self.docker, name, replace_source).await?))
            }
            _ => None,
        })
    }

    /// Where an image is: docker is asked first, then podman, then containerd. A daemon that is not there has no image; one
    /// that is there and does not say whether it has it is an error, or another image could be taken for it.
    pub async fn find(&self, image: &Reference) -> Result<Option<Address>, Error> {
        let name = LocalName::Reference(image.clone());
        match self.docker.has(&name).await {
            Ok(true) => return Ok(Some(Address::Docker(name))),
            Ok(false) => {}
            Err(error @ Error::Unavailable { .. }) if self.docker.is_explicit() => {
                tracing::warn!(%error, "not looked for in docker");
            }
            Err(error @ Error::Unavailable { .. }) => tracing::debug!(%error, "not looked for in docker"),
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// The first daemon that is there, for an image that comes from elsewhere: docker, then podman. An error names what was tried.
    pub async fn first(&self) -> Result<Daemon, Error> {
        let mut tried = Vec::new();
        match self.docker.facts().await {
            Ok(_) => return Ok(Daemon::Docker),
            Err(Error::Unavailable { what, tried: these }) => tried.push(missing(&what, &these)),
            Err(error) => return Err(error),
        }
        Err(Error::Unavailable { what: "a local daemon".to_owned(), tried })
    }
}

fn missing(what: &str, tried: &[String]) -> String {
    let why = if tried.is_empty() { "it is not there".to_owned() } else { tried.join("; ") };
    format!("{what} ({why})")
}
