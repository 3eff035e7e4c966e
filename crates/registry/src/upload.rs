//! Uploading a blob: a session, then all bytes in one request, or in chunks where the registry wants that; a session that
//! breaks is begun anew.

use crate::{
    Error, Registry,
    auth::Scope,
    chunks::{self, Chunks},
};
use fetch::client::{
    Body, HeaderName, HeaderValue, Method, Pauses, Reach, Request, Response, StatusCode, Url,
    is_loopback_host, printable, same_origin, shown,
};
use oci::Digest;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, atomic::AtomicU64, atomic::Ordering},
};

/// How often a registry is asked for a session until it says where that is.
const BEGIN_TRIES: usize = 2;
/// Longest location shown in a message.
const LOCATION_CHARS_SHOWN: usize = 200;
/// Most sessions kept that a mount has begun.
const KEPT_MAX: usize = 256;

/// What is not there where a session is refused.
pub(crate) const SESSION: &str = "upload session";

pub(crate) const LOCATION: HeaderName = HeaderName::from_static("location");
const CHUNK_MIN: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// What is known of a registry's uploads.
#[derive(Default)]
pub(crate) struct Uploads {
    /// The longest body that it takes, where it refused a longer one; else 0.
    limit: AtomicU64,
    /// Sessions that it has begun in place of a mount, by repository and digest.
    kept: Mutex<BTreeMap<(String, Digest), Session>>,
}

impl Uploads {
    /// The longest body that the registry takes, where it refused a longer one.
    pub(crate) fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// Notes that longer bodies are refused.
    pub(crate) fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    fn take(&self, repository: &str, digest: &Digest) -> Option<Session> {
        let key = (repository.to_owned(), digest.clone());
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&key)
    }

    fn keep(&self, repository: &str, digest: &Digest, session: Session) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.insert((repository.to_owned(), digest.clone()), session);
        }
    }
}

/// Where the bytes of an upload go.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) url: Url,
    pub(crate) reach: Reach,
    /// `OCI-Chunk-Min-Length`.
    pub(crate) chunk_min: Option<u64>,
}

/// Why one try of an upload failed.
pub(crate) enum Failure {
    /// Its session is of no use any more: another one may do.
    Lost(Error),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    /// The registry has forgotten the session (404, or 416 where it lost bytes), or something else is wrong.
    fn from(error: Error) -> Self {
        let forgotten = matches!(&error, Error::NotFound { item } if item == SESSION);
        if forgotten || status(&error) == Some(416) { Failure::Lost(error) } else { Failure::Other(error) }
    }
}

/// A blob that is to be uploaded.
pub(crate) struct Upload<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) repository: &'a str,
    pub(crate) digest: &'a Digest,
    pub(crate) scope: Scope,
    pub(crate) body: Body,
    pub(crate) doing: String,
}

impl Registry {
    /// Uploads a blob: in one request, or in chunks where the registry names a length for them or takes no longer bodies.
    /// What breaks is taken up where it broke, or begun anew; a body that is a stream is then opened again. The registry
    /// verifies the digest itself; a wrong one is its refusal.
    pub async fn upload_blob(&self, repository: &str, digest: &Digest, body: Body) -> Result<(), Error> {
        let doing = format!("upload blob {}", self.item(repository, digest.as_str()));
        let scope = Scope::push(repository);
        Upload { registry: self, repository, digest, scope, body, doing }.run().await
    }

    /// Keeps the upload that a mount has begun, for the upload that follows.
    pub(crate) async fn keep_upload(
        &self,
        repository: &str,
        digest: &Digest,
        response: &Response,
        doing: &str,
    ) {
        match self.session(response, doing).await {
            Ok(session) => self.uploads().keep(repository, digest, session),
            Err(error) => tracing::debug!(%digest, %error, "what a mount has begun is of no use"),
        }
    }

    /// The session that an answer has begun.
    async fn session(&self, response: &Response, doing: &str) -> Result<Session, Error> {
        let url = self.location(response, doing)?;
        let reach = self.reach(response, &url).await?;
        let chunk_min = response.header(&CHUNK_MIN).and_then(|text| text.trim().parse().ok());
        Ok(Session { url, reach, chunk_min })
    }

    /// How far a request may reach that the registry sends to this URL.
    pub(crate) async fn reach(&self, response: &Response, url: &Url) -> Result<Reach, Error> {
        match same_origin(url, self.base().await?) {
            true => Ok(Reach::Named),
            false => Ok(Reach::Named.beyond(response.url(), response.peer(), url).await),
        }
    }

    /// Where the registry wants the bytes. Another origin gets them without credentials, and never less protected.
    pub(crate) fn location(&self, response: &Response, doing: &str) -> Result<Url, Error> {
        let text = response.header(&LOCATION);
        let text = text.ok_or_else(|| self.protocol(doing, "it names no location for the bytes"))?;
        let base = response.url();
        let url = base.join(text);
        let url = url.map_err(|_| self.protocol(doing, "the location that it names is not a valid URL"))?;
        // What follows the path may be a token, so it is not repeated.
        let refuse = |why: &str| {
            let url = printable(&shown(&url), LOCATION_CHARS_SHOWN);
            self.protocol(doing, format!("location {url} {why}"))
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("holds a user or password"));
        }
        if !matches!(url.scheme(), "https" | "http") {
            return Err(refuse("is neither http nor https"));
        }
        let loopback = |url: &Url| url.host_str().is_some_and(is_loopback_host);
        if !same_origin(base, &url) {
            if url.scheme() != "https" && base.scheme() != "http" {
                return Err(refuse("leads from https to http"));
            }
            if loopback(&url) && !loopback(base) {
                return Err(refuse("leads from a remote host to this machine"));
            }
        }
        Ok(url)
    }
}

impl Upload<'_> {
    async fn run(&self) -> Result<(), Error> {
        let mut pauses = Pauses::new(self.registry.client().options());
        loop {
            let error = match self.once().await {
                Ok(()) => return Ok(()),
                Err(Failure::Lost(error)) => error,
                // The answer may be what was lost, not the bytes.
                Err(Failure::Other(error)) if error.is_transient() => match self.has_arrived().await {
                    true => return Ok(()),
                    false => error,
                },
                Err(Failure::Other(error)) => return Err(error),
            };
            let Some(pause) = pauses.next(retry_after(&error)) else { return Err(error) };
            tracing::debug!(digest = %self.digest, %error, ?pause, "upload is begun anew");
            tokio::time::sleep(pause).await;
        }
    }

    pub(crate) async fn has_arrived(&self) -> bool {
        let size = self.size();
        self.registry.has_blob(self.repository, self.digest, size).await.unwrap_or(false)
    }

    pub(crate) fn size(&self) -> u64 {
        match &self.body {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Stream { size, .. } => *size,
        }
    }

    async fn once(&self) -> Result<(), Failure> {
        let session = self.begin().await?;
        let uploads = self.registry.uploads();
        if let Some(length) = chunks::length(self.size(), session.chunk_min, uploads.limit()) {
            return Chunks::new(self, session, length).run().await;
        }
        match self.send_whole(&session).await {
            Err(error) if status(&error) == Some(413) && self.size() > chunks::LENGTH_MIN => {
                let length = chunks::LENGTH.min(self.size() / 2);
                uploads.set_limit(length);
                tracing::debug!(digest = %self.digest, length, "the body is too long for the registry: chunks");
                Chunks::new(self, self.begin().await?, length).run().await
            }
            result => Ok(result?),
        }
    }

    async fn send_whole(&self, session: &Session) -> Result<(), Error> {
        let response = self.end(session, self.body.clone()).await?;
        self.ended(response).await
    }

    /// Ends a session with its last bytes.
    pub(crate) async fn end(&self, session: &Session, body: Body) -> Result<Response, Error> {
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", self.digest.as_str());
        let request = Request::new(Method::PUT, url)
            .header(HeaderName::from_static("content-type"), octets())
            .body(body)
            .reach(session.reach)
            .once();
        self.registry.send(&self.scope, request, &self.doing).await
    }

    /// What the answer to the last bytes means.
    pub(crate) async fn ended(&self, response: Response) -> Result<(), Error> {
        let registry = self.registry;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => {}
            StatusCode::ACCEPTED => {
                return Err(registry.protocol(&self.doing, "the upload is still open after its last byte"));
            }
            _ => return Err(registry.refused(response, &self.doing, SESSION).await),
        }
        match registry.declared_digest(&response, &self.doing)? {
            Some(other) if other != *self.digest => {
                let item = format!("what {} took as blob", registry.host());
                let (expected, got) = (self.digest.to_string(), other.to_string());
                Err(Error::Corrupt { item, expected, got })
            }
            _ => Ok(()),
        }
    }

    async fn begin(&self) -> Result<Session, Error> {
        let registry = self.registry;
        if let Some(kept) = registry.uploads().take(self.repository, self.digest) {
            return Ok(kept);
        }
        for _ in 1..BEGIN_TRIES {
            let response = self.ask_session().await?;
            if response.header(&LOCATION).is_some() {
                return registry.session(&response, &self.doing).await;
            }
        }
        registry.session(&self.ask_session().await?, &self.doing).await
    }

    async fn ask_session(&self) -> Result<Response, Error> {
        let url = self.registry.url(self.repository, "blobs/uploads/").await?;
        let request = Request::new(Method::POST, url);
        let response = self.registry.send(&self.scope, request, &self.doing).await?;
        if response.status() == StatusCode::ACCEPTED {
            return Ok(response);
        }
        let repository = format!("{}/{}", self.registry.host(), self.repository);
        Err(self.registry.refused(response, &self.doing, &repository).await)
    }
}

pub(crate) fn octets() -> HeaderValue {
    HeaderValue::from_static("application/octet-stream")
}

pub(crate) fn status(error: &Error) -> Option<u16> {
    if let Error::Http { source, .. } = error { source.status() } else { None }
}

pub(crate) fn retry_after(error: &Error) -> Option<std::time::Duration> {
    if let Error::Http { source, .. } = error { source.retry_after() } else { None }
}
