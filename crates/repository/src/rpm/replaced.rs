//! The header of the installed version, from its own package where the repositories still have that: it tells which files the
//! image has of it, which the image itself does not record.

use super::{
    keys::Signers,
    open::{self, HEADER_BYTES_MAX},
};
use crate::Session;
use fetch::client::{HeaderName, HeaderValue, Request, Url};
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// On whose word a package is taken, and what it takes the place of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    pub(crate) signers: Signers,
    pub(crate) replaced: Option<Replaced>,
}

/// A package in whose place another comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    pub(super) urls: Vec<Url>,
    /// Who must have signed it.
    pub(super) signers: Signers,
    /// Where its header ends.
    pub(super) end: u64,
}

impl Provenance {
    /// The header of what is replaced, signed by a key of the repository. None where it cannot be had: it is a help, no need. None
    /// too where packages need no signature: whoever serves it could name any file of the image as what may go.
    pub(crate) async fn replaced_header(&self, session: &Session<'_>) -> Option<Arc<Vec<u8>>> {
        let replaced = self.replaced.as_ref().filter(|replaced| replaced.end <= HEADER_BYTES_MAX)?;
        replaced.signers.0.as_ref()?;
        for url in &replaced.urls {
            match replaced.beginning(url, session).await {
                Ok(bytes) => match open::installed_header(&bytes, replaced, session.now) {
                    Ok(header) => return Some(Arc::new(header)),
                    Err(why) => tracing::debug!(name = replaced.name, why, "installed package is not known"),
                },
                Err(why) => tracing::debug!(name = replaced.name, why, "installed package is not known"),
            }
        }
        None
    }
}

impl Replaced {
    pub(super) fn is(&self, name: &str, version: &str, architecture: &str) -> bool {
        (self.name.as_str(), self.version.as_str(), self.architecture.as_str())
            == (name, version, architecture)
    }

    /// Its beginning, whether the server takes orders for a part or not.
    async fn beginning(&self, url: &Url, session: &Session<'_>) -> Result<Vec<u8>, String> {
        let last = self.end.saturating_sub(1);
        let range = HeaderValue::try_from(format!("bytes=0-{last}")).map_err(|e| e.to_string())?;
        let request = Request::get(url.clone()).reach(session.reach(url));
        let request = request.header(HeaderName::from_static("range"), range);
        let response = session.client.send(request).await.map_err(|e| e.to_string())?;
        let response = response.success().await.map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        let read = response.into_reader().take(self.end).read_to_end(&mut bytes).await;
        read.map(|_| bytes).map_err(|e| e.to_string())
    }
}
