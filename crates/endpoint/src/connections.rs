//! From an address to what is there.

use crate::{
    Address, Destination, Error, LayoutDestination, LayoutSource, RegistryDestination, RegistrySource, Source,
    mirrored::Mirrored,
    registries::{Registries, RegistrySettings},
};
use oci::Reference;
use registry::{CertificateFolders, Client, DockerConfig, Purpose, RegistriesConf, Registry, Routes};
use std::sync::Arc;

/// What is needed to reach images, shared by source and destination.
pub struct Connections {
    registries: Arc<Registries>,
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
        Connections { registries: Arc::new(Registries::new(settings)) }
    }

    /// The registry that an image is written to, with the user's credentials for it.
    pub async fn registry(&self, image: &Reference) -> Result<Registry, Error> {
        let routes = self.registries.routes(image, Purpose::Push)?;
        let route =
            routes.last().ok_or_else(|| Error::NotFound { item: image.to_string(), there: Vec::new() })?;
        self.registries.open(route).await
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
        Ok(match address {
            Address::Plain(reference) | Address::Registry(reference) => {
                let registry = self.registry(reference).await?;
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
