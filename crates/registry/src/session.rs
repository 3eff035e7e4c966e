//! One registry: its address, its authentication, and every request to it.

use crate::{
    Credentials, Error, Transport,
    auth::{Auth, Scope},
    transport,
    upload::Uploads,
};
use fetch::client::{Client, Error as HttpError, Request, Response, Url, same_origin};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// A registry as one user sees it. Cheap to clone; clones share connections and tokens.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    client: Client,
    host: String,
    transport: Transport,
    auth: Auth,
    base: OnceCell<Url>,
    uploads: Uploads,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({})", self.0.host)
    }
}

impl Registry {
    /// A registry by its host as references name it (`docker.io`, `localhost:5000`). Nothing is sent yet.
    pub fn new(client: Client, host: &str, transport: Transport, credentials: Credentials) -> Self {
        let auth = Auth::new(host, credentials);
        let (base, uploads) = (OnceCell::new(), Uploads::default());
        Registry(Arc::new(Inner { client, host: host.to_owned(), transport, auth, base, uploads }))
    }

    /// Its host, as references name it.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.0.uploads
    }

    /// Where its API is.
    pub(crate) async fn base(&self) -> Result<&Url, Error> {
        let inner = &self.0;
        inner.base.get_or_try_init(|| transport::base(&inner.client, &inner.host, inner.transport)).await
    }

    /// `/v2/REPOSITORY/TAIL`.
    pub(crate) async fn url(&self, repository: &str, tail: &str) -> Result<Url, Error> {
        let mut url = self.base().await?.clone();
        url.set_path(&format!("/v2/{repository}/{tail}"));
        Ok(url)
    }

    /// Sends a request with what the registry wants to see, and once more after a refusal that can be answered. What
    /// goes to another origin goes without credentials.
    pub(crate) async fn send(&self, scope: &Scope, request: Request, doing: &str) -> Result<Response, Error> {
        let base = self.base().await?.clone();
        let own = |url: &Url| same_origin(url, &base);
        let mut last = false;
        loop {
            let header =
                if own(request.url()) { self.0.auth.header(self.client(), scope).await? } else { None };
            let sent = self.client().send(request.clone().authorization(header.clone())).await;
            let response = sent.map_err(|source| Error::Http { doing: doing.to_owned(), source })?;
            let refused = response.status() == 401 && own(response.url());
            if !refused || last || !self.0.auth.learn(&base, &response, scope, header.as_ref()).await? {
                return Ok(response);
            }
            last = true;
        }
    }

    /// What an answer of no use means.
    pub(crate) async fn refused(&self, response: Response, doing: &str, item: &str) -> Error {
        self.refusal(response.into_error().await, doing, item)
    }

    pub(crate) fn refusal(&self, source: HttpError, doing: &str, item: &str) -> Error {
        let (host, doing) = (self.host().to_owned(), doing.to_owned());
        match source.status() {
            Some(401 | 403) => Error::Denied { host, doing, anonymous: self.0.auth.is_anonymous(), source },
            Some(404) => Error::NotFound { item: item.to_owned() },
            _ => Error::Http { doing, source },
        }
    }

    pub(crate) fn protocol(&self, doing: &str, why: impl Into<String>) -> Error {
        Error::Protocol { host: self.host().to_owned(), doing: doing.to_owned(), why: why.into() }
    }
}
