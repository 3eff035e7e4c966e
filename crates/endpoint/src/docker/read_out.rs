//! What an image in containerd's store consists of, without its layers: the daemon pushes it to a registry of ours.

use super::{
    api::Client,
    loopback::{Ask, Loopback, Pushed, TAG, Taken},
    temporary::Temporary,
};
use crate::Error;
use bytes::Bytes;
use oci::{Descriptor, Digest, Document, Index, Manifest, Platform, media_type};
use std::collections::{BTreeMap, BTreeSet};
use tokio::io::DuplexStream;

/// How much lies between daemon and reader.
const PIPE_BYTES: usize = 512 << 10;
/// Blobs that a daemon pushes at once (`max-concurrent-uploads`).
const AT_ONCE: usize = 5;

/// An image, or an index of several, as the daemon has it.
#[derive(Debug)]
pub(super) struct ReadOut {
    /// What the name leads to.
    pub(super) top: Pushed,
    /// Manifests and indexes below it.
    pub(super) manifests: BTreeMap<Digest, Pushed>,
    /// The configurations of all images.
    pub(super) configs: BTreeMap<Digest, Bytes>,
    /// Of an index that is not all there: the platform that a blob belongs to, and can be had with.
    platforms: BTreeMap<Digest, Platform>,
}

/// Reads an image out, by its digest in the daemon. Of an index that was pulled for some platforms only,
/// those are read that are there.
pub(super) async fn read_out(client: &Client, id: &Digest) -> Result<ReadOut, Error> {
    let image = id.as_str();
    let known = client.inspect(image, true).await?.and_then(|found| found.manifests).unwrap_or_default();
    if known.iter().all(|manifest| manifest.available) {
        return part(client, image, (None, id)).await;
    }
    let there: Vec<Descriptor> =
        known.into_iter().filter(|m| m.available && m.is_image).map(|m| m.descriptor).collect();
    let mut parts = Vec::new();
    for descriptor in &there {
        let platform = Index::platform(descriptor);
        let unknown = || client.failed(image, format!("{} is of no platform", descriptor.digest));
        let platform = Some(platform.ok_or_else(unknown)?);
        parts.push(part(client, image, (platform, &descriptor.digest)).await?);
    }
    joined(there, parts).ok_or_else(|| client.failed(image, "none of its platforms is there".to_owned()))
}

/// Images that were read one by one as an index of them; of one image that itself.
fn joined(descriptors: Vec<Descriptor>, parts: Vec<ReadOut>) -> Option<ReadOut> {
    let several = parts.len() > 1;
    let whole = parts.into_iter().reduce(|mut all, mut part| {
        all.manifests.insert(Digest::of(&part.top.bytes), part.top);
        all.manifests.append(&mut part.manifests);
        all.configs.append(&mut part.configs);
        all.platforms.append(&mut part.platforms);
        all
    });
    let mut whole = whole?;
    if several {
        let index = Index {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            manifests: descriptors,
            annotations: None,
            rest: serde_json::Map::new(),
        };
        let bytes = serde_json::to_vec(&index).ok()?.into();
        let first = std::mem::replace(
            &mut whole.top,
            Pushed { bytes, content_type: media_type::OCI_INDEX.to_owned() },
        );
        whole.manifests.insert(Digest::of(&first.bytes), first);
    }
    Some(whole)
}

/// Reads out all that a name leads to, or one platform of it; either must have the digest that is wanted.
async fn part(
    client: &Client,
    image: &str,
    (platform, wanted_top): (Option<Platform>, &Digest),
) -> Result<ReadOut, Error> {
    let what = What { client, image, platform: platform.as_ref() };
    let Taken { top, mut manifests, .. } = what.push(Ask::Manifests).await?;
    let nothing = || client.failed(image, "it was pushed without a manifest".to_owned());
    let top = top.ok_or_else(nothing)?;
    let got = Digest::of(&top.bytes);
    if got != *wanted_top {
        return Err(client.failed(image, format!("it was pushed as {got}, not as {wanted_top}")));
    }
    let read: Vec<Manifest> = manifests.values().filter_map(manifest).collect();
    let wanted: BTreeSet<Digest> = read.iter().map(|m| m.config.digest.clone()).collect();
    let configs = what.push(Ask::Small(wanted.clone())).await?.blobs;
    if !wanted.iter().all(|digest| configs.contains_key(digest)) {
        return Err(client.failed(image, "it was pushed without all of its configurations".to_owned()));
    }
    manifests.remove(&got);
    let layers = read.into_iter().flat_map(|m| m.layers);
    let platforms =
        platform.iter().flat_map(|platform| layers.clone().map(|layer| (layer.digest, platform.clone())));
    let platforms = platforms.collect();
    Ok(ReadOut { top, manifests, configs, platforms })
}

fn manifest(pushed: &Pushed) -> Option<Manifest> {
    match Document::parse(&pushed.bytes, Some(&pushed.content_type)) {
        Ok((Document::Manifest(manifest), _)) => Some(manifest),
        // What cannot be read is refused when it is asked for.
        _ => None,
    }
}

/// What is pushed.
#[derive(Clone, Copy)]
struct What<'a> {
    client: &'a Client,
    image: &'a str,
    /// Which platform of an index; all where there is none.
    platform: Option<&'a Platform>,
}

impl ReadOut {
    /// One blob of the image, as it comes. The push goes on as long as it is read.
    pub(super) fn stream(&self, client: &Client, image: &str, digest: &Digest) -> DuplexStream {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let (client, image, digest) = (client.clone(), image.to_owned(), digest.clone());
        let platform = self.platforms.get(&digest).cloned();
        tokio::spawn(async move {
            let what = What { client: &client, image: &image, platform: platform.as_ref() };
            // Where it fails the reader sees an end that comes too early.
            if let Err(error) = what.push(Ask::Stream(digest.clone(), far)).await {
                tracing::debug!(%digest, %error, "a blob was not read to its end");
            }
        });
        near
    }
}

/// Which of these blobs of an image the daemon has.
pub(super) async fn present(
    client: &Client,
    image: &str,
    blobs: &BTreeSet<Digest>,
) -> Result<BTreeSet<Digest>, Error> {
    let what = What { client, image, platform: None };
    let mut found = BTreeSet::new();
    let all: Vec<&Digest> = blobs.iter().collect();
    for some in all.chunks(AT_ONCE) {
        let some: BTreeSet<Digest> = some.iter().map(|&digest| digest.clone()).collect();
        found.extend(what.push(Ask::Begin(some)).await?.begun);
    }
    Ok(found)
}

impl What<'_> {
    /// One push. The name it needs is gone afterwards.
    async fn push(&self, ask: Ask) -> Result<Taken, Error> {
        let begins = matches!(ask, Ask::Begin(_));
        let io = |source| Error::Io { doing: "listening on loopback".to_owned(), source };
        let registry = Loopback::start(ask).await.map_err(io)?;
        let name = Temporary::new(self.client.clone(), registry.repository().to_owned(), TAG);
        self.client.tag(self.image, name.repository(), name.tag()).await?;
        let pushing = self.client.push(name.repository(), name.tag(), self.platform);
        let pushed = if begins {
            // Which of them begin is all that is asked; that the push then fails is how it ends.
            tokio::select! {
                _ = pushing => Ok(()),
                () = registry.all_begun() => Ok(()),
            }
        } else {
            pushing.await
        };
        let taken = registry.taken();
        drop(registry);
        name.remove().await?;
        pushed.map(|()| taken)
    }
}
