//! What an image in containerd's store consists of, without its layers: the daemon pushes it to a registry of ours.

use super::{
    api::Client,
    loopback::{Ask, Loopback, Pushed, TAG, Taken},
    temporary::Temporary,
};
use crate::Error;
use bytes::Bytes;
use oci::{Descriptor, Digest, Document};
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
}

/// Reads an image out. `image` is its name or its digest in the daemon.
pub(super) async fn read_out(client: &Client, image: &str) -> Result<ReadOut, Error> {
    let Taken { top, mut manifests, .. } = push(client, image, Ask::Manifests).await?;
    let nothing = || client.failed(image, "it was pushed without a manifest".to_owned());
    let top = top.ok_or_else(nothing)?;
    let configs: BTreeSet<Digest> = manifests.values().filter_map(config).map(|c| c.digest).collect();
    let missing = || client.failed(image, "it was pushed without all of its configurations".to_owned());
    let blobs = push(client, image, Ask::Small(configs.clone())).await?.blobs;
    if !configs.iter().all(|digest| blobs.contains_key(digest)) {
        return Err(missing());
    }
    manifests.remove(&Digest::of(&top.bytes));
    Ok(ReadOut { top, manifests, configs: blobs })
}

fn config(pushed: &Pushed) -> Option<Descriptor> {
    match Document::parse(&pushed.bytes, Some(&pushed.content_type)) {
        Ok((Document::Manifest(manifest), _)) => Some(manifest.config),
        // What cannot be read is refused when it is asked for.
        _ => None,
    }
}

/// One blob of an image, as it comes. The push goes on as long as it is read.
pub(super) fn stream(client: &Client, image: &str, digest: &Digest) -> DuplexStream {
    let (near, far) = tokio::io::duplex(PIPE_BYTES);
    let (client, image, digest) = (client.clone(), image.to_owned(), digest.clone());
    tokio::spawn(async move {
        // Where it fails the reader sees an end that comes too early.
        if let Err(error) = push(&client, &image, Ask::Stream(digest.clone(), far)).await {
            tracing::debug!(%digest, %error, "a blob was not read to its end");
        }
    });
    near
}

/// Which of these blobs of an image the daemon has.
pub(super) async fn present(
    client: &Client,
    image: &str,
    blobs: &BTreeSet<Digest>,
) -> Result<BTreeSet<Digest>, Error> {
    let mut found = BTreeSet::new();
    let all: Vec<&Digest> = blobs.iter().collect();
    for some in all.chunks(AT_ONCE) {
        let some: BTreeSet<Digest> = some.iter().map(|&digest| digest.clone()).collect();
        found.extend(push(client, image, Ask::Begin(some)).await?.begun);
    }
    Ok(found)
}

/// One push. The name it needs is gone afterwards.
async fn push(client: &Client, image: &str, ask: Ask) -> Result<Taken, Error> {
    let begins = matches!(ask, Ask::Begin(_));
    let io = |source| Error::Io { doing: "listening on loopback".to_owned(), source };
    let registry = Loopback::start(ask).await.map_err(io)?;
    let name = Temporary::new(client.clone(), registry.repository().to_owned(), TAG);
    client.tag(image, name.repository(), name.tag()).await?;
    let pushing = client.push(name.repository(), name.tag());
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
