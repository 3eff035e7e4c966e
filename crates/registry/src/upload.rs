//! Uploading a blob: a session, then all bytes in one request; a session that breaks is begun anew.

use crate::{Error, Registry, auth::Scope};
use fetch::client::{
    Body, HeaderName, HeaderValue, Method, Reach, Request, Response, StatusCode, Url, is_loopback_host,
    printable, same_origin,
};
use oci::Digest;
use std::time::Duration;

/// How often an upload is begun.
const TRIES: u32 = 4;
/// Pause after the first failure; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest location shown in a message.
const LOCATION_CHARS_SHOWN: usize = 200;

impl Registry {
    /// Uploads a blob. The registry verifies the digest itself; a wrong one is its refusal.
    pub async fn upload_blob(&self, repository: &str, digest: &Digest, body: Body) -> Result<(), Error> {
        let doing = format!("upload blob {}", self.item(repository, digest.as_str()));
        let mut pause = PAUSE.min(self.client().options().backoff);
        for _ in 1..TRIES {
            match self.upload_once(repository, digest, body.clone(), &doing).await {
                Err(error) if error.is_transient() || is_lost_session(&error) => {
                    tracing::debug!(%digest, %error, "upload is begun anew");
                }
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.upload_once(repository, digest, body, &doing).await
    }

    async fn upload_once(
        &self,
        repository: &str,
        digest: &Digest,
        body: Body,
        doing: &str,
    ) -> Result<(), Error> {
        let scope = Scope::push(repository);
        let (mut url, reach) = self.begin_upload(repository, &scope, doing).await?;
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let octets = HeaderValue::from_static("application/octet-stream");
        let request = Request::new(Method::PUT, url)
            .header(HeaderName::from_static("content-type"), octets)
            .body(body)
            .reach(reach)
            .once();
        let response = self.send(&scope, request, doing).await?;
        match response.status() {
            StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => Ok(()),
            StatusCode::ACCEPTED => Err(self.protocol(doing, "the upload is still open after its last byte")),
            _ => Err(self.refused(response, doing, "upload session").await),
        }
    }

    async fn begin_upload(
        &self,
        repository: &str,
        scope: &Scope,
        doing: &str,
    ) -> Result<(Url, Reach), Error> {
        let url = self.url(repository, "blobs/uploads/").await?;
        let response = self.send(scope, Request::new(Method::POST, url), doing).await?;
        if response.status() != StatusCode::ACCEPTED {
            let repository = format!("{}/{repository}", self.host());
            return Err(self.refused(response, doing, &repository).await);
        }
        let url = self.location(&response, doing)?;
        let reach = Reach::Named.beyond(response.url(), &url).await;
        Ok((url, reach))
    }

    /// Where the registry wants the bytes. Another origin gets them without credentials, and never less protected.
    fn location(&self, response: &Response, doing: &str) -> Result<Url, Error> {
        let text = response.header(&HeaderName::from_static("location"));
        let text = text.ok_or_else(|| self.protocol(doing, "it names no location for the bytes"))?;
        let base = response.url();
        let refuse = |why: &str| {
            self.protocol(doing, format!("location {} {why}", printable(text, LOCATION_CHARS_SHOWN)))
        };
        let url = base.join(text).map_err(|_| refuse("is not a valid URL"))?;
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

/// Whether the registry has forgotten the session (404, or 416 where it lost bytes).
fn is_lost_session(error: &Error) -> bool {
    match error {
        Error::NotFound { item } => item == "upload session",
        Error::Http { source, .. } => source.status() == Some(416),
        _ => false,
    }
}
