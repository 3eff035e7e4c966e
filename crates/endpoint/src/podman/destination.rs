//! An image in podman's store, to write: loaded without a name and without what the store has, verified, and only then given its
//! name. What does not come together is loaded again in full.

use super::{Inspected, Podman, id_digest};
use crate::{
    Content, Destination, Error, Load, LocalName, Outgoing, Receipt, WriteRequest,
    archive::{
        BaseBlobs, LoadTar, Root, TarSent,
        docker_names::{of_platform, whole},
        write_load_tar,
    },
    content::is_base,
};
use async_trait::async_trait;
use oci::{Digest, ImageLayer, Platform, Reference};
use std::collections::BTreeSet;

/// A name in podman's store.
pub struct PodmanDestination {
    podman: Podman,
    name: Reference,
    replace_source: bool,
}

/// One image that gets one name.
struct Piece<'a> {
    image: &'a Outgoing,
    name: Reference,
}

impl PodmanDestination {
    /// Nothing is asked yet. A name without a tag means `latest`. `replace_source` allows it to be the source's own.
    pub fn new(podman: Podman, name: &LocalName, replace_source: bool) -> Result<Self, Error> {
        match name {
            LocalName::Reference(name) if name.digest().is_none() => {
                Ok(PodmanDestination { podman, name: name.clone(), replace_source })
            }
            _ => Err(Error::NoTag { reference: crate::Address::Podman(name.clone()).to_string() }),
        }
    }

    /// What is loaded under which name: the name itself comes last.
    fn pieces<'a>(&self, content: &'a Content) -> Result<Vec<Piece<'a>>, Error> {
        let nothing = || Error::Unfit { why: format!("there is no image for {}", self.name()) };
        let own = content.image_for(&Platform::host()).ok_or_else(nothing)?;
        let others = content.manifests().iter().filter(|m| m.patched && m.entry.digest != own.entry.digest);
        let named = |image: &'a Outgoing| {
            let name = of_platform(&self.name, &image.platform()?);
            Some(name.map(|name| Piece { image, name }))
        };
        let pieces: Result<Vec<_>, _> = others.filter_map(named).collect();
        let mut pieces = pieces.map_err(|e| Error::Unfit { why: e.to_string() })?;
        pieces.push(Piece { image: own, name: self.name.clone() });
        Ok(pieces)
    }

    /// Loads one image without a name.
    async fn bring(
        &self,
        request: &WriteRequest<'_>,
        image: &Outgoing,
    ) -> Result<(TarSent, Load, Option<String>), Error> {
        let base = image.layers().iter().filter(|b| is_base(b));
        let base: BTreeSet<Digest> = base.map(|b| b.descriptor.digest.clone()).collect();
        let mut note = None;
        if !base.is_empty() {
            match self.load(request, image, BaseBlobs::Empty(base)).await? {
                Ok(sent) => return Ok((sent, Load::Thin, None)),
                Err(why) => {
                    tracing::info!(why, "loaded in full");
                    // Where the image comes from elsewhere it is no news that podman has nothing of it.
                    let own = request.source.name().starts_with("podman:");
                    note = own.then(|| format!("podman was given the whole image: {why}"));
                }
            }
        }
        let failed = |why: String| Error::Daemon { what: format!("loading {}", self.name()), why };
        Ok((self.load(request, image, BaseBlobs::Full).await?.map_err(failed)?, Load::Full, note))
    }

    async fn load(
        &self,
        request: &WriteRequest<'_>,
        image: &Outgoing,
        base: BaseBlobs,
    ) -> Result<Result<TarSent, String>, Error> {
        let tar = LoadTar { root: Root::Image(image), names: &[], base };
        let write = async |stdin| write_load_tar(request, &tar, stdin).await;
        let sent = match self.podman.program.feed(["load", "--quiet"], write).await? {
            Ok((sent, _)) => sent,
            Err(said) => return Ok(Err(said.0)),
        };
        Ok(match self.podman.inspect(config_of(image)?.hex()).await? {
            None => Err("it is not there".into()),
            Some(found) if !is_same(&found, image) => Err("its layers are others".into()),
            Some(_) => Ok(sent),
        })
    }

    async fn load_all<'a>(
        &self,
        request: &WriteRequest<'a>,
    ) -> Result<Vec<(Piece<'a>, TarSent, Load, Option<String>)>, Error> {
        let before = self.current().await?;
        let mut all = Vec::new();
        for piece in self.pieces(request.content)? {
            let (sent, load, note) = self.bring(request, piece.image).await?;
            all.push((piece, sent, load, note));
        }
        let (now, own) = (self.current().await?, all.last().map(|(piece, ..)| config_of(piece.image)));
        if now != before && now.as_ref() != own.transpose()?.as_ref() {
            let text = |d: Option<Digest>| d.map_or("absent".into(), |d| d.to_string());
            return Err(Error::TagMoved { reference: self.name(), was: text(before), now: text(now) });
        }
        Ok(all)
    }

    /// Which of the images that are going to be loaded podman has not.
    async fn absent(&self, content: &Content) -> Result<Vec<Digest>, Error> {
        let mut absent = Vec::new();
        for piece in self.pieces(content)? {
            let id = config_of(piece.image)?;
            if self.podman.inspect(id.hex()).await?.is_none() {
                absent.push(id);
            }
        }
        Ok(absent)
    }

    /// Takes away what was loaded and got no name. What has one by now is somebody's.
    async fn forget(&self, loaded: &[Digest]) {
        for id in loaded {
            // It may not have come so far.
            let Ok(Some(found)) = self.podman.inspect(id.hex()).await else { continue };
            if found.names.is_none_or(|names| names.is_empty()) {
                let _ = self.podman.program.ask(["rmi", id.hex()]).await;
            }
        }
    }

    async fn tag(&self, id: &Digest, name: &Reference) -> Result<(), Error> {
        let tagged = self.podman.program.ask(["tag", id.hex(), &whole(name)]).await?;
        let failed = |why| Error::Daemon { what: format!("naming {}", whole(name)), why };
        tagged.map(drop).map_err(|said| failed(said.0))
    }
}

/// podman's id of an image: the digest of its config.
fn config_of(image: &Outgoing) -> Result<Digest, Error> {
    let config = image.blobs.first().map(|blob| blob.descriptor.digest.clone());
    config.ok_or_else(|| Error::Unfit { why: format!("{} is no image", image.entry.digest) })
}

fn is_same(found: &Inspected, image: &Outgoing) -> bool {
    let wanted = image.image.iter().flat_map(|image| &image.layers).map(|layer| layer.diff_id.to_string());
    found.root.diff_ids.iter().cloned().eq(wanted)
}

#[async_trait]
impl Destination for PodmanDestination {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        if request.source.name() == self.name() && !self.replace_source {
            return Err(Error::SourceTag { reference: self.name() });
        }
        let absent = request.or_cancelled(self.absent(request.content)).await?;
        let all = match request.or_cancelled(self.load_all(request)).await {
            Ok(all) if !request.cancel.is_cancelled() => all,
            failed => {
                self.forget(&absent).await;
                return Err(failed.err().unwrap_or(Error::Cancelled));
            }
        };
        let mut receipt = Receipt::new(self.name(), request.content.descriptor().digest.clone());
        // Once asked for, the names are waited for: who gave up here could not say whether they have moved.
        for (piece, sent, load, note) in all {
            receipt.digest = config_of(piece.image)?;
            self.tag(&receipt.digest, &piece.name).await?;
            receipt.bytes_uploaded += sent.bytes;
            receipt.base_bytes_copied += sent.base_bytes;
            receipt.existing += sent.empty;
            if receipt.load != Some(Load::Full) {
                receipt.load = Some(load);
            }
            receipt.notes.extend(note);
            if piece.name != self.name
                && let Some(platform) = piece.image.platform()
            {
                receipt.notes.push(format!("podman keeps one platform a name: {platform} is {}", piece.name));
            }
        }
        Ok(receipt)
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        Ok(self.podman.inspect(&whole(&self.name)).await?.and_then(|found| id_digest(&found.id)))
    }

    /// What podman has it does not say by digests of blobs: they may all be needed.
    fn wants_base_blobs(&self, _base: &[ImageLayer]) -> bool {
        true
    }

    fn name(&self) -> String {
        crate::Address::Podman(LocalName::Reference(self.name.clone())).to_string()
    }
}
