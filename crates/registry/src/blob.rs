//! Blobs: whether they are there, opened as a stream that survives a broken connection, mounted from elsewhere.

use crate::{Error, Registry, auth::Scope};
use fetch::client::{
    HeaderName, HeaderValue, InParts, Method, Opener, PartOpener, Request, Response, first_part, in_parts,
};
use futures_util::future::BoxFuture;
use oci::{Descriptor, Digest};
use std::{io, sync::Arc};
use tokio::io::AsyncRead;

/// The range of a whole blob, which is asked for without one.
const WHOLE: &str = "bytes=0-";

/// The bytes of a blob on their way.
pub type BlobReader = Box<dyn AsyncRead + Send + Unpin>;

impl Registry {
    /// Whether a repository says it has a blob of this digest and size. Asked by whoever is about to push.
    pub async fn has_blob(&self, repository: &str, digest: &Digest, size: u64) -> Result<bool, Error> {
        let item = self.item(repository, digest.as_str());
        let doing = format!("look up blob {item}");
        let url = self.url(repository, &format!("blobs/{digest}")).await?;
        let response = self.send(&Scope::push(repository), Request::head(url), &doing).await?;
        match response.status().as_u16() {
            404 => Ok(false),
            // One of another size is not the one we mean, whatever its name.
            200..=299 => Ok(response.declared_length().is_none_or(|declared| declared == size)),
            _ => Err(self.refused(response, &doing, &item).await),
        }
    }

    /// Opens a blob from its beginning: exactly as many bytes as the descriptor says, in their order, or an error. Which
    /// bytes they are is for the reader to verify ([`crate::Verified`]). A connection that breaks is resumed where it
    /// broke; a large blob comes in several parts at once, where the registry can.
    pub async fn open_blob(&self, repository: &str, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let blob = Blob {
            registry: self.clone(),
            repository: repository.to_owned(),
            digest: descriptor.digest.clone(),
            item: self.item(repository, descriptor.digest.as_str()),
        };
        let size = descriptor.size;
        let first = blob.first(size).await?;
        let (parts, rest) = (blob.clone(), blob);
        let part: PartOpener = Arc::new(move |first, last| parts.open(format!("bytes={first}-{last}")));
        let whole: Opener = Arc::new(move |at| rest.open(format!("bytes={at}-")));
        Ok(Box::new(in_parts(self.client(), InParts { first, part, whole, size })))
    }

    /// Makes a blob of another repository of this registry appear in this one. Whether it did; where not, it must be
    /// uploaded.
    pub async fn mount_blob(&self, repository: &str, digest: &Digest, from: &str) -> Result<bool, Error> {
        let doing = format!("mount blob {digest} from {from} into {repository}");
        let mut url = self.url(repository, "blobs/uploads/").await?;
        url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from);
        let request = Request::new(Method::POST, url);
        let response = match self.send(&Scope::mount(repository, from), request, &doing).await {
            Ok(response) => response,
            // Whoever may not read there can still upload here.
            Err(error @ (Error::Token { .. } | Error::Denied { .. })) => {
                tracing::debug!(%digest, from, %error, "no mount");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let status = response.status();
        tracing::debug!(%digest, from, status = status.as_u16(), "mount");
        if status == 202 {
            // An upload was begun instead. Where its location is of no use, the upload begins another one, and says why.
            self.keep_upload(repository, digest, &response, &doing).await;
        }
        // Refusals show again, with words, at the upload.
        Ok(status == 201)
    }
}

/// A blob that is asked for.
#[derive(Clone)]
struct Blob {
    registry: Registry,
    repository: String,
    digest: Digest,
    item: String,
}

impl Blob {
    /// The answer to the first request: a part where the blob is large and the registry knows parts, else the whole.
    async fn first(&self, size: u64) -> Result<Response, Error> {
        let Some((first, last)) = first_part(&self.registry.client().options().parts, size) else {
            return self.ask(WHOLE).await;
        };
        match self.ask(&format!("bytes={first}-{last}")).await {
            // What a registry says that makes nothing of ranges.
            Err(Error::Http { source, .. }) if matches!(source.status(), Some(400 | 416 | 501)) => {
                self.ask(WHOLE).await
            }
            result => result,
        }
    }

    fn open(&self, range: String) -> BoxFuture<'static, io::Result<Response>> {
        let blob = self.clone();
        Box::pin(async move { blob.ask(&range).await.map_err(io::Error::other) })
    }

    async fn ask(&self, range: &str) -> Result<Response, Error> {
        let registry = &self.registry;
        let doing = format!("get blob {}", self.item);
        let url = registry.url(&self.repository, &format!("blobs/{}", self.digest)).await?;
        let mut request = Request::get(url);
        if range != WHOLE {
            let range = HeaderValue::from_str(range).map_err(|e| registry.protocol(&doing, e.to_string()))?;
            request = request.header(HeaderName::from_static("range"), range);
        }
        let response = registry.send(&Scope::pull(&self.repository), request, &doing).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(registry.refused(response, &doing, &self.item).await)
    }
}
