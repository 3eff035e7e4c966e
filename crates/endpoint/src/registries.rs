//! The registries of a run: each opened once, with its own credentials, certificates and transport.

use crate::{Error, Note, note::TakeNote};
use oci::Reference;
use registry::{
    CertificateFolders, Client, ClientOptions, Logins, Purpose, Registry, Route, Routes, Transport,
};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::Mutex;

/// A mirror that does not answer has another behind it, so it is not waited for as long as the only one is.
const MIRROR_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often what a mirror does not answer is asked again.
const MIRROR_RETRIES: u32 = 2;

/// How registries are reached.
pub struct RegistrySettings {
    /// What asks them, as far as a registry has nothing of its own.
    pub client: Client,
    /// Who we are to them.
    pub logins: Logins,
    /// Which places stand for which images.
    pub routes: Routes,
    /// Certificates by registry.
    pub certificates: CertificateFolders,
    /// Told what the user should know.
    pub note: TakeNote,
}

/// Open registries, by the part of a host that credentials are for and by how the host is spoken to.
pub(crate) struct Registries {
    settings: RegistrySettings,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    clients: BTreeMap<(String, Manner), Client>,
    registries: BTreeMap<(String, Manner), Registry>,
}

/// What of a route makes a connection another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Manner {
    plain_http: bool,
    unverified: bool,
    is_mirror: bool,
}

impl Registries {
    pub(crate) fn new(settings: RegistrySettings) -> Self {
        Registries { settings, open: Mutex::default() }
    }

    /// Places to ask for an image.
    pub(crate) fn routes(&self, image: &Reference, purpose: Purpose) -> Result<Vec<Route>, Error> {
        Ok(self.settings.routes.of(image, purpose)?)
    }

    /// What a short name means, where registries.conf says it.
    pub(crate) fn candidates(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        Ok(self.settings.routes.candidates(name)?.map(|c| c.0))
    }

    pub(crate) fn note(&self, note: Note) {
        (self.settings.note)(note);
    }

    /// The registry that an image is written to.
    pub(crate) async fn written(&self, image: &Reference) -> Result<Registry, Error> {
        let routes = self.routes(image, Purpose::Push)?;
        let nowhere = || Error::NotFound { item: image.to_string(), there: Vec::new() };
        self.open(routes.last().ok_or_else(nowhere)?).await
    }

    /// The registry at a place, with the user's credentials for that part of it.
    pub(crate) async fn open(&self, route: &Route) -> Result<Registry, Error> {
        let host = route.reference.host();
        let manner = Manner {
            plain_http: route.transport == Transport::PlainHttp,
            unverified: route.unverified,
            is_mirror: route.is_mirror,
        };
        let scope = self.settings.logins.scope(host, route.reference.repository());
        let mut open = self.open.lock().await;
        if let Some(registry) = open.registries.get(&(scope.clone(), manner)) {
            return Ok(registry.clone());
        }
        let client = match open.clients.get(&(host.to_owned(), manner)) {
            Some(client) => client.clone(),
            None => self.client(host, manner)?,
        };
        open.clients.insert((host.to_owned(), manner), client.clone());
        let credentials = self.settings.logins.credentials(&scope).await?;
        let registry = Registry::new(client, host, route.transport, credentials);
        open.registries.insert((scope, manner), registry.clone());
        Ok(registry)
    }

    fn client(&self, host: &str, manner: Manner) -> Result<Client, Error> {
        let mut tls = self.settings.certificates.of(host)?;
        tls.unverified = manner.unverified;
        if manner.unverified {
            self.note(Note::Unverified { host: host.to_owned() });
        }
        let base = &self.settings.client;
        let base = match manner.is_mirror {
            false => base.clone(),
            true => {
                let options = ClientOptions {
                    connect_timeout: base.options().connect_timeout.min(MIRROR_CONNECT_TIMEOUT),
                    retries: base.options().retries.min(MIRROR_RETRIES),
                    ..base.options().clone()
                };
                let doing = || format!("reach mirror {host}");
                Client::new(options).map_err(|source| registry::Error::Http { doing: doing(), source })?
            }
        };
        Ok(registry::client_for(&base, host, &tls)?)
    }
}
