//! The keys of a repository, from files of the image or from where they are published.

use super::{
    Request, defaults,
    source::{KeyPlace, Source, web},
};
use crate::{Error, Session, heads::Ask, openpgp::Keyring};
use fetch::client::{Url, shown};
use std::sync::Arc;

/// Keys of which one must have signed a package; or none, where the image's own configuration takes packages without.
#[derive(Debug, Clone)]
pub(crate) struct Signers(pub(crate) Option<Arc<Keyring>>);

impl PartialEq for Signers {
    /// Whether they are the same keys, not merely equal ones.
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        }
    }
}

impl Eq for Signers {}

/// The keys of a repository. An error where one that is named cannot be had or is none, or where there are none at all.
pub(super) async fn keyring(
    source: &Source,
    request: &Request,
    session: &Session<'_>,
) -> Result<Arc<Keyring>, Error> {
    let at = source.bases.first().map(shown).unwrap_or_default();
    let refuse = |why: String| Error::NoKey { url: at.clone(), why };
    let mut ring = Keyring::default();
    for place in &source.keys {
        match place {
            KeyPlace::File(path) => match (request.files.get(path), defaults::key_named(path)) {
                (Some(bytes), _) => {
                    let named = |why| refuse(format!("{}: {why}", inventory::printable(path)));
                    ring.add(bytes).map_err(named)?;
                }
                (None, Some(key)) => {
                    let url = web(key.url).ok_or(Error::Internal("a key's address that is none"))?;
                    add(&mut ring, &url, Some(key.fingerprint), session).await?;
                }
                (None, None) => {
                    return Err(refuse(format!("{} is not there", inventory::printable(path))));
                }
            },
            KeyPlace::Published { url, fingerprint } => add(&mut ring, url, *fingerprint, session).await?,
        }
    }
    match ring.is_empty() {
        true => Err(refuse("the image has no key for it".into())),
        false => Ok(Arc::new(ring)),
    }
}

/// Adds a published key.
async fn add(
    ring: &mut Keyring,
    url: &Url,
    fingerprint: Option<&str>,
    session: &Session<'_>,
) -> Result<(), Error> {
    let refuse = |why: String| Error::NoKey { url: shown(url), why };
    let head = session.head(url, Ask::IfChanged).await?.ok_or_else(|| refuse("it is not there".into()))?;
    let mut got = Keyring::default();
    got.add(&head.bytes).map_err(refuse)?;
    if let Some(fingerprint) = fingerprint {
        got.restrict(&[fingerprint.to_owned()]);
        if got.is_empty() {
            return Err(refuse(format!("what is there is not the key {fingerprint}")));
        }
    }
    session.remember(&head, 0).await?;
    ring.join(got);
    Ok(())
}
