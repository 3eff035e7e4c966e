//! Blobs: whether they are there, opened as a stream that survives a broken connection, mounted from elsewhere.

use crate::{Error, Registry, auth::Scope};
use fetch::client::{HeaderName, HeaderValue, Method, Opener, Request, resumable};
use oci::{Descriptor, Digest};
use std::{io, sync::Arc};
use tokio::io::AsyncRead;

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

    /// Opens a blob from its beginning: exactly as many bytes as the descriptor says, or an error. Which bytes they are
    /// is for the reader to verify ([`crate::Verified`]). A connection that breaks is resumed where it broke.
    pub async fn open_blob(&self, repository: &str, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let item = self.item(repository, descriptor.digest.as_str());
        let (registry, repository) = (self.clone(), repository.to_owned());
        let digest = descriptor.digest.clone();
        let first = self.ask_blob(&repository, &digest, 0, &item).await?;
        let first = Arc::new(std::sync::Mutex::new(Some(first)));
        let open: Opener = Arc::new(move |at| {
            let (registry, repository, item) = (registry.clone(), repository.clone(), item.clone());
            let (digest, first) = (digest.clone(), first.clone());
            Box::pin(async move {
                let ready = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                match ready {
                    Some(response) => Ok(response),
                    None => {
                        registry.ask_blob(&repository, &digest, at, &item).await.map_err(io::Error::other)
                    }
                }
            })
        });
        Ok(Box::new(resumable(open, descriptor.size, self.client().options())))
    }

    async fn ask_blob(
        &self,
        repository: &str,
        digest: &Digest,
        at: u64,
        item: &str,
    ) -> Result<fetch::client::Response, Error> {
        let doing = format!("get blob {item}");
        let url = self.url(repository, &format!("blobs/{digest}")).await?;
        let mut request = Request::get(url);
        if at > 0 {
            let range = HeaderValue::from_str(&format!("bytes={at}-"))
                .map_err(|e| self.protocol(&doing, e.to_string()))?;
            request = request.header(HeaderName::from_static("range"), range);
        }
        let response = self.send(&Scope::pull(repository), request, &doing).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response, &doing, item).await)
    }

    /// Makes a blob of another repository of this registry appear in this one. Whether it did; where not, it must be
    /// uploaded.
    pub async fn mount_blob(&self, repository: &str, digest: &Digest, from: &str) -> Result<bool, Error> {
        let doing = format!("mount blob {digest} from {from} into {repository}");
        let mut url = self.url(repository, "blobs/uploads/").await?;
        url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from);
        let request = Request::new(Method::POST, url);
        let response = self.send(&Scope::mount(repository, from), request, &doing).await?;
        let mounted = response.status() == 201;
        tracing::debug!(%digest, from, status = response.status().as_u16(), "mount");
        // 202 is an upload begun instead, which ends by itself; refusals show again, with words, at the upload.
        Ok(mounted)
    }
}
