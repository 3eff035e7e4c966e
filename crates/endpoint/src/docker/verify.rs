//! What a daemon has made of a tar: it may say that all is well when a layer is missing.

use super::{
    api::{Client, ImageStore, Inspected, KnownManifest},
    read_out::present,
};
use crate::{Error, Outgoing};
use oci::Digest;
use std::collections::BTreeSet;

/// What was loaded.
pub(super) struct Loaded<'a> {
    pub(super) client: &'a Client,
    pub(super) name: &'a str,
    /// What the daemon must call it.
    pub(super) digest: Digest,
    pub(super) images: &'a [Outgoing],
    /// Layers that were not sent.
    pub(super) left_out: &'a BTreeSet<Digest>,
}

impl Loaded<'_> {
    /// An error where anything is missing. Docker's own store has layers by what they contain and refuses what it lacks;
    /// in containerd's, every manifest must be complete.
    pub(super) async fn verify(&self) -> Result<(), Error> {
        let found = self.client.inspect(self.name, true).await?;
        let found = found.ok_or_else(|| self.wrong("it is not there"))?;
        if found.id != self.digest {
            return Err(self.wrong(&format!("it is {}, not {}", found.id, self.digest)));
        }
        let known = |image: &Outgoing| {
            image.image.iter().any(|i| i.layers.iter().map(|l| &l.diff_id).eq(&found.diff_ids))
        };
        if !self.images.iter().any(known) {
            return Err(self.wrong("its layers are not those that were loaded"));
        }
        match (self.client.store(), &found.manifests) {
            (ImageStore::Classic, _) => Ok(()),
            (ImageStore::Containerd, Some(_)) => self.complete(&found),
            (ImageStore::Containerd, None) => self.has_what_was_left_out().await,
        }
    }

    fn complete(&self, found: &Inspected) -> Result<(), Error> {
        let all = || found.manifests.iter().flatten();
        let is = |m: &KnownManifest, digest: &Digest| m.descriptor.digest == *digest && m.available;
        let available = |digest: &Digest| all().any(|m| is(m, digest));
        let runs = self.images.iter().filter(|image| image.image.is_some());
        match runs.map(|image| &image.entry.digest).find(|digest| !available(digest)) {
            Some(digest) => Err(self.wrong(&format!("manifest {digest} is not complete"))),
            None => Ok(()),
        }
    }

    async fn has_what_was_left_out(&self) -> Result<(), Error> {
        let there = present(self.client, self.name, self.left_out).await?;
        match self.left_out.iter().find(|digest| !there.contains(digest)) {
            Some(digest) => Err(self.wrong(&format!("blob {digest} is missing"))),
            None => Ok(()),
        }
    }

    fn wrong(&self, why: &str) -> Error {
        self.client.failed("what was loaded", why.to_owned())
    }
}
