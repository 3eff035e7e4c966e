//! From an address to what is there.

use crate::{
    Address, Destination, Error, LayoutDestination, LayoutSource, LocalDaemons, RegistryDestination,
    RegistrySource, Source,
    archive::Archives,
    mirrored::Mirrored,
    registries::{Registries, RegistrySettings},
};
use oci::Reference;
use registry::{CertificateFolders, Client, DockerConfig, Purpose, RegistriesConf, Registry, Routes};
use std::sync::Arc;
use tokio::sync::Mutex;

/// What is needed to reach images, shared by source and destination.
pub struct Connections {
    registries: Arc<Registries>,
    daemons: LocalDaemons,
    archives: Option<Mutex<Archives>>,
}

impl Connections {
    /// Nothing is reached yet. `plain_http_hosts` are hosts that the user says speak plain http.
    pub fn new(client: Client, config: DockerConfig, plain_http_hosts: Vec<String>) -> Self {
        Connections::with(RegistrySettings {
            client,
            logins: config.into(),
            routes: Routes::new(RegistriesConf::default(), plain_http_hosts),
            certificates: CertificateFolders::default(),
            note: Arc::new(|_| ()),
        })
    }

    /// Nothing is reached yet.
    pub fn with(settings: RegistrySettings) -> Self {
        let registries = Arc::new(Registries::new(settings));
        Connections { registries, daemons: LocalDaemons::default(), archives: None }
    }

    /// With ways to daemons of this machine.
    pub fn with_daemons(self, daemons: LocalDaemons) -> Self {
        Connections { daemons, ..self }
    }

    /// With archives and streams.
    pub fn with_archives(self, archives: Archives) -> Self {
        Connections { archives: Some(Mutex::new(archives)), ..self }
    }

    /// The daemons of this machine.
    pub fn daemons(&self) -> &LocalDaemons {
        &self.daemons
    }

    /// The registry that an image is written to, with the user's credentials for it.
    pub async fn registry(&self, image: &Reference) -> Result<Registry, Error> {
        self.registries.written(image).await
    }

    /// The whole name that a short one (`nginx`, `team/app:1`) means where registries.conf decides it: of several the first
    /// that exists. Other names are what they are.
    pub async fn qualified(&self, name: &str) -> Result<String, Error> {
        let Some(mut candidates) = self.registries.candidates(name)? else { return Ok(name.to_owned()) };
        let last = candidates.pop().unwrap_or_else(|| name.to_owned());
        for candidate in candidates {
            let Ok(image) = candidate.parse() else { continue };
            match self.pulled(&image)?.named().await {
                Ok(_) => return Ok(candidate),
                // Who is nobody is told of what does not exist that it is denied.
                Err(Error::Registry(
                    registry::Error::NotFound { .. } | registry::Error::Denied { anonymous: true, .. },
                )) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    /// Where an image is read from.
    fn pulled(&self, image: &Reference) -> Result<Mirrored, Error> {
        Ok(Mirrored::new(self.registries.clone(), self.registries.routes(image, Purpose::Pull)?))
    }

    /// The source at an address; a plain reference is looked up in its registry.
    pub async fn source(&self, address: &Address) -> Result<Arc<dyn Source>, Error> {
        if let Some(source) = self.daemons.source(address)? {
            return Ok(source);
        }
        if let Some(archives) = &self.archives
            && let Some(source) = archives.lock().await.source(address)?
        {
            return Ok(source);
        }
        Ok(match address {
            Address::Plain(reference) | Address::Registry(reference) => {
                Arc::new(RegistrySource::new(self.pulled(reference)?, reference.clone()))
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
        if let Some(destination) = self.daemons.destination(address, replace_source).await? {
            return Ok(destination);
        }
        if let Some(archives) = &self.archives
            && let Some(destination) = archives.lock().await.destination(address, replace_source)?
        {
            return Ok(destination);
        }
        Ok(match address {
            Address::Plain(reference) | Address::Registry(reference) => {
                let registries = self.registries.clone();
                Arc::new(RegistryDestination::open(registries, reference.clone(), replace_source).await?)
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
