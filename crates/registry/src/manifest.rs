//! Manifests: fetched with their digest verified, put with their arrival verified.

use crate::{Error, PutReport, Registry, auth::Scope};
use bytes::Bytes;
use fetch::client::{Body, HeaderName, HeaderValue, Method, Request, Response};
use oci::{Digest, DigestError, limits::MANIFEST_BYTES_MAX};

/// Every kind of document that we read.
const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");

/// A manifest or index as it came, its digest verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    /// The bytes.
    pub bytes: Bytes,
    /// `Content-Type`, where there was one.
    pub content_type: Option<String>,
    /// The digest of the bytes.
    pub digest: Digest,
}

impl Registry {
    /// Gets a manifest or index by tag or digest. By digest the bytes have it; by tag they have the digest that the
    /// registry names, where it names one.
    pub async fn manifest(&self, repository: &str, selector: &str) -> Result<FetchedManifest, Error> {
        let item = self.item(repository, selector);
        let doing = format!("get manifest of {item}");
        self.manifest_as(&Scope::pull(repository), repository, selector, (item, doing)).await
    }

    async fn manifest_as(
        &self,
        scope: &Scope,
        repository: &str,
        selector: &str,
        (item, doing): (String, String),
    ) -> Result<FetchedManifest, Error> {
        let response = self.ask_manifest(scope, Method::GET, (repository, selector), &doing).await?;
        if !response.status().is_success() {
            return Err(self.refused(response, &doing, &item).await);
        }
        let declared = self.declared_digest(&response, &doing)?;
        let content_type = response.header(&CONTENT_TYPE).map(str::to_owned);
        let read = response.bytes(MANIFEST_BYTES_MAX).await;
        let bytes = read.map_err(|source| Error::Http { doing, source })?;
        let digest = Digest::of(&bytes);
        for expected in selector.parse::<Digest>().ok().into_iter().chain(declared) {
            if expected != digest {
                let (expected, got) = (expected.to_string(), digest.to_string());
                return Err(Error::Corrupt { item: format!("manifest of {item}"), expected, got });
            }
        }
        Ok(FetchedManifest { bytes, content_type, digest })
    }

    /// The digest that a tag or digest leads to now, or `None` where it leads nowhere. Asked by whoever is about to push:
    /// many registries tell nobody else of a repository that does not exist yet.
    pub async fn manifest_digest(&self, repository: &str, selector: &str) -> Result<Option<Digest>, Error> {
        let item = self.item(repository, selector);
        let doing = format!("look up {item}");
        let scope = Scope::push(repository);
        let response = self.ask_manifest(&scope, Method::HEAD, (repository, selector), &doing).await?;
        if response.status() == 404 {
            return Ok(None);
        }
        if response.status().is_success()
            && let Some(digest) = self.declared_digest(&response, &doing)?
        {
            return Ok(Some(digest));
        }
        // Some registries answer HEAD without a digest, or not at all.
        match self.manifest_as(&scope, repository, selector, (item, doing)).await {
            Ok(fetched) => Ok(Some(fetched.digest)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a manifest under its digest, or under a tag, and verifies that it is there.
    pub async fn put_manifest(
        &self,
        repository: &str,
        selector: &str,
        kind: &str,
        bytes: Bytes,
    ) -> Result<Digest, Error> {
        Ok(self.put_and_report(repository, selector, kind, bytes).await?.digest)
    }

    /// Does what [`Registry::put_manifest`] does, and says whether the registry has noted the manifest's subject.
    pub async fn put_and_report(
        &self,
        repository: &str,
        selector: &str,
        kind: &str,
        bytes: Bytes,
    ) -> Result<PutReport, Error> {
        let item = self.item(repository, selector);
        let doing = format!("put manifest of {item}");
        let digest = Digest::of(&bytes);
        let kind =
            HeaderValue::from_str(kind).map_err(|_| self.protocol(&doing, "media type is no header"))?;
        let url = self.url(repository, &format!("manifests/{selector}")).await?;
        let request = Request::new(Method::PUT, url).header(CONTENT_TYPE, kind).body(Body::Bytes(bytes));
        let response = self.send(&Scope::push(repository), request, &doing).await?;
        if !response.status().is_success() {
            return Err(self.manifest_refused(response, &doing, item).await);
        }
        let subject = response.header(&OCI_SUBJECT).and_then(|text| text.parse().ok());
        let found = self.manifest_digest(repository, selector).await?;
        if found.as_ref() == Some(&digest) {
            return Ok(PutReport { digest, subject });
        }
        let got = found.map_or("nothing".into(), |d| d.to_string());
        Err(Error::Corrupt { item: format!("what was put at {item}"), expected: digest.to_string(), got })
    }

    async fn manifest_refused(&self, response: Response, doing: &str, item: String) -> Error {
        let source = response.into_error().await;
        let text = source.to_string();
        let unknown = ["BLOB_UNKNOWN", "blob unknown"].iter().any(|m| text.contains(m));
        if matches!(source.status(), Some(400 | 404)) && unknown {
            return Error::BlobUnknown { host: self.host().to_owned(), item, source };
        }
        self.refusal(source, doing, &item)
    }

    async fn ask_manifest(
        &self,
        scope: &Scope,
        method: Method,
        (repository, selector): (&str, &str),
        doing: &str,
    ) -> Result<Response, Error> {
        let url = self.url(repository, &format!("manifests/{selector}")).await?;
        let accept = HeaderName::from_static("accept");
        let request = Request::new(method, url).header(accept, HeaderValue::from_static(ACCEPT));
        self.send(scope, request, doing).await
    }

    /// `Docker-Content-Digest`. Of an algorithm that we do not have it says nothing; a broken one is an error.
    pub(crate) fn declared_digest(&self, response: &Response, doing: &str) -> Result<Option<Digest>, Error> {
        match response.header(&CONTENT_DIGEST).map(str::parse::<Digest>) {
            None | Some(Err(DigestError::Algorithm(_))) => Ok(None),
            Some(Ok(digest)) => Ok(Some(digest)),
            Some(Err(error)) => Err(self.protocol(doing, error.to_string())),
        }
    }

    /// `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`.
    pub(crate) fn item(&self, repository: &str, selector: &str) -> String {
        let mark = if selector.contains(':') { '@' } else { ':' };
        format!("{}/{repository}{mark}{selector}", self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

    #[test]
    fn every_document_that_is_read_is_asked_for() {
        for kind in [DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST] {
            assert!(ACCEPT.split(", ").any(|k| k == kind), "{kind}");
        }
    }
}
