//! The daemons of this machine that keep images, in the order in which they are asked.

use crate::{
    Address, Containerd, ContainerdDestination, ContainerdSource, Destination, Docker, DockerDestination,
    DockerSource, Error, LocalName, Podman, PodmanDestination, PodmanSource, Programs, Source,
};
use oci::Reference;
use std::{path::PathBuf, sync::Arc};

/// Ways to daemons. Nothing is reached before it is needed.
#[derive(Debug, Clone, Default)]
pub struct LocalDaemons {
    /// Docker.
    pub docker: Docker,
    /// Where `podman` and `ctr` are.
    pub programs: Programs,
    /// Where containerd listens.
    pub containerd_socket: PathBuf,
    /// For what has to be put aside.
    pub temp_dir: PathBuf,
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
    /// All, in the order in which they are asked.
    pub const ALL: [Daemon; 3] = [Daemon::Docker, Daemon::Podman, Daemon::Containerd];

    /// As its users call it.
    pub fn name(self) -> &'static str {
        match self {
            Daemon::Docker => "docker",
            Daemon::Podman => "podman",
            Daemon::Containerd => "containerd",
        }
    }

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
    /// podman, where it is installed.
    pub fn podman(&self) -> Result<Podman, Error> {
        Podman::find(&self.programs)
    }

    /// containerd, where its command line is installed and it has a socket.
    pub fn containerd(&self) -> Result<Containerd, Error> {
        Containerd::find(&self.programs, &self.containerd_socket)
    }

    /// The source at an address; `None` where it is in no daemon.
    pub(crate) fn source(&self, address: &Address) -> Result<Option<Arc<dyn Source>>, Error> {
        Ok(Some(match address {
            Address::Docker(name) => Arc::new(DockerSource::new(self.docker.clone(), name.clone())),
            Address::Podman(name) => {
                Arc::new(PodmanSource::new(self.podman()?, name.clone(), self.temp_dir.clone()))
            }
            Address::Containerd(name) => Arc::new(ContainerdSource::new(self.containerd()?, name.clone())),
            _ => return Ok(None),
        }))
    }

    /// The destination at an address; `None` where it is in no daemon.
    pub(crate) async fn destination(
        &self,
        address: &Address,
        replace_source: bool,
    ) -> Result<Option<Arc<dyn Destination>>, Error> {
        Ok(Some(match address {
            Address::Docker(name) => {
                Arc::new(DockerDestination::open(&self.docker, name, replace_source).await?)
            }
            Address::Podman(name) => Arc::new(PodmanDestination::new(self.podman()?, name, replace_source)?),
            Address::Containerd(name) => {
                Arc::new(ContainerdDestination::open(self.containerd()?, name, replace_source).await?)
            }
            _ => return Ok(None),
        }))
    }

    /// Where an image is: docker is asked first, then podman, then containerd. One that does not answer has no image; where
    /// it is there, or the user has named it, that is told.
    pub async fn find(&self, image: &Reference) -> Option<Address> {
        let name = LocalName::Reference(image.clone());
        for daemon in Daemon::ALL {
            match self.has(daemon, &name).await {
                Ok(true) => return Some(daemon.address(name)),
                Ok(false) => {}
                Err(error @ Error::Unavailable { .. })
                    if daemon != Daemon::Docker || !self.docker.is_explicit() =>
                {
                    tracing::debug!(%error, "{image} is not looked for there");
                }
                Err(error) => tracing::warn!(%error, "{image} is not looked for there"),
            }
        }
        None
    }

    /// What answers, by its version.
    pub async fn facts(&self, daemon: Daemon) -> Result<String, Error> {
        match daemon {
            Daemon::Docker => self.docker.facts().await.map(|facts| facts.to_string()),
            Daemon::Podman => self.podman()?.version().await,
            Daemon::Containerd => self.containerd()?.version().await,
        }
    }

    async fn has(&self, daemon: Daemon, name: &LocalName) -> Result<bool, Error> {
        match daemon {
            Daemon::Docker => self.docker.has(name).await,
            Daemon::Podman => self.podman()?.has(name).await,
            Daemon::Containerd => self.containerd()?.has(name).await,
        }
    }

    /// The first daemon that is there, for an image that comes from elsewhere: docker, then podman. An error names what was tried.
    pub async fn first(&self) -> Result<Daemon, Error> {
        let mut tried = Vec::new();
        for daemon in [Daemon::Docker, Daemon::Podman] {
            match self.facts(daemon).await {
                Ok(_) => return Ok(daemon),
                Err(Error::Unavailable { what, tried: these }) => tried.push(missing(&what, &these)),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Unavailable { what: "a local daemon".to_owned(), tried })
    }
}

fn missing(what: &str, tried: &[String]) -> String {
    let why = if tried.is_empty() { "it is not there".to_owned() } else { tried.join("; ") };
    format!("{what} ({why})")
}
