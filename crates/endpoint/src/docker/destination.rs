//! An image in a docker daemon, to write: loaded under a name of ours with what the daemon has left out, verified, and only then
//! given its name. What does not come together is loaded again in full.

use super::{
    Docker,
    api::{Client, ImageStore, repository_and_tag},
    loaded_already::{Held, held},
    loopback::random_name,
    temporary::Temporary,
    upload::upload,
    verify,
};
use crate::{
    Content, Destination, Error, From, Load, LocalName, Outgoing, Receipt, WriteRequest,
    archive::{BaseBlobs, LoadTar, Root, TarSent, docker_names::of_platform},
    content::is_base,
};
use async_trait::async_trait;
use oci::{Digest, ImageLayer, Platform, Reference};
use std::collections::BTreeSet;

/// The tag of names of ours.
const TAG: &str = "load";

/// A name in a docker daemon.
pub struct DockerDestination {
    client: Client,
    name: Reference,
    replace_source: bool,
    held: Held,
}

/// One image, or one index, that gets one name.
struct Piece<'a> {
    image: Option<&'a Outgoing>,
    name: Reference,
}

/// A piece that is there under a name of ours.
struct Loaded {
    temporary: Temporary,
    sent: TarSent,
    load: Load,
    note: Option<String>,
}

impl DockerDestination {
    /// Looks what the daemon has. A name without a tag means `latest`. `replace_source` allows it to be the source's own.
    pub async fn open(docker: &Docker, name: &LocalName, replace_source: bool) -> Result<Self, Error> {
        let LocalName::Reference(name) = name else {
            return Err(Error::NoTag { reference: crate::Address::Docker(name.clone()).to_string() });
        };
        if name.digest().is_some() {
            return Err(Error::NoTag { reference: name.to_string() });
        }
        let client = docker.client().await?;
        let held = held(&client).await?;
        Ok(DockerDestination { client, name: name.clone(), replace_source, held })
    }

    async fn digest_of(&self, name: &Reference) -> Result<Option<Digest>, Error> {
        let (repository, tag) = repository_and_tag(name);
        let found = self.client.inspect(&format!("{repository}:{tag}"), false).await?;
        Ok(found.map(|image| image.id))
    }

    /// What is loaded under which name: the name itself comes last.
    fn pieces<'a>(&self, content: &'a Content) -> Result<Vec<Piece<'a>>, Error> {
        let whole = Piece { image: None, name: self.name.clone() };
        if self.client.store() == ImageStore::Containerd || matches!(content, Content::Image(_)) {
            return Ok(vec![whole]);
        }
        let nothing = || Error::Unfit { why: format!("there is no image for {}", self.name()) };
        let own = content.image_for(&Platform::host()).ok_or_else(nothing)?;
        let others = content.manifests().iter().filter(|m| m.patched && m.entry.digest != own.entry.digest);
        let named = |image: &'a Outgoing| {
            let platform = image.platform()?;
            let name = of_platform(&self.name, &platform);
            Some(name.map(|name| Piece { image: Some(image), name }))
        };
        let pieces: Result<Vec<_>, _> = others.filter_map(named).collect();
        let mut pieces = pieces.map_err(|e| Error::Unfit { why: e.to_string() })?;
        pieces.push(Piece { image: Some(own), ..whole });
        Ok(pieces)
    }

    /// Everything but the names.
    async fn load_all<'a>(
        &self,
        request: &WriteRequest<'a>,
    ) -> Result<Vec<(Piece<'a>, Option<Digest>, Loaded)>, Error> {
        if request.source.name() == self.name() && !self.replace_source {
            return Err(Error::SourceTag { reference: self.name() });
        }
        let mut all = Vec::new();
        for piece in self.pieces(request.content)? {
            let before = self.digest_of(&piece.name).await?;
            let loaded = self.bring(request, &piece).await?;
            all.push((piece, before, loaded));
        }
        for (piece, before, loaded) in &all {
            let (was, now) = (before, self.digest_of(&piece.name).await?);
            let wanted = self.digest_of_piece(request.content, piece);
            if now != *was && now.as_ref() != Some(&wanted) {
                let text = |d: Option<&Digest>| d.map_or("absent".into(), ToString::to_string);
                let (was, now) = (text(was.as_ref()), text(now.as_ref()));
                return Err(Error::TagMoved { reference: loaded.temporary.name(), was, now });
            }
        }
        Ok(all)
    }

    /// What the daemon calls a piece.
    fn digest_of_piece(&self, content: &Content, piece: &Piece<'_>) -> Digest {
        let image = piece.image.or(match content {
            Content::Image(image) => Some(image),
            Content::Index { .. } => None,
        });
        let config = image.and_then(|image| image.blobs.first()).map(|blob| &blob.descriptor.digest);
        match self.client.store() {
            ImageStore::Classic => config.unwrap_or(&content.descriptor().digest).clone(),
            ImageStore::Containerd => content.descriptor().digest.clone(),
        }
    }

    /// Loads a piece with what the daemon has left out; where it does not come together, in full.
    async fn bring(&self, request: &WriteRequest<'_>, piece: &Piece<'_>) -> Result<Loaded, Error> {
        let left_out = self.left_out(request, piece);
        let mut note = None;
        if !left_out.is_empty() {
            match self.load(request, piece, BaseBlobs::Empty(left_out.clone()), &left_out).await {
                Ok((temporary, sent)) => return Ok(Loaded { temporary, sent, load: Load::Thin, note }),
                Err(error @ Error::Daemon { .. }) => {
                    tracing::info!(%error, "loaded in full");
                    note = Some(format!(
                        "docker did not take {} without the layers it has: it was loaded in full",
                        piece.name
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        let (temporary, sent) = self.load(request, piece, BaseBlobs::Full, &BTreeSet::new()).await?;
        Ok(Loaded { temporary, sent, load: Load::Full, note })
    }

    /// Base layers that the daemon has.
    fn left_out(&self, request: &WriteRequest<'_>, piece: &Piece<'_>) -> BTreeSet<Digest> {
        let own = request.source.name().starts_with("docker-daemon:");
        let manifests = match piece.image {
            Some(image) => std::slice::from_ref(image),
            None => request.content.manifests(),
        };
        let mut left_out = BTreeSet::new();
        for manifest in manifests {
            let base: Vec<_> =
                manifest.layers().iter().take_while(|blob| blob.from == From::Source).collect();
            let ids = manifest.image.iter().flat_map(|image| &image.layers).take(base.len());
            let ids: Vec<_> = ids.map(|layer| layer.diff_id.clone()).collect();
            if own || (!ids.is_empty() && self.held.has(&ids)) {
                let layers = base.iter().filter(|blob| is_base(blob));
                left_out.extend(layers.map(|blob| blob.descriptor.digest.clone()));
            }
        }
        left_out
    }

    /// Loads a piece under a name of ours, and judges what the daemon has made of it.
    async fn load(
        &self,
        request: &WriteRequest<'_>,
        piece: &Piece<'_>,
        base: BaseBlobs,
        left_out: &BTreeSet<Digest>,
    ) -> Result<(Temporary, TarSent), Error> {
        let io = |source| Error::Io { doing: "getting random bytes".to_owned(), source };
        let repository = format!("copa.invalid/{}", random_name().map_err(io)?);
        let temporary = Temporary::new(self.client.clone(), repository, TAG);
        let name: Result<Reference, _> = temporary.name().parse();
        let name = [name.map_err(|e| self.client.failed("a name of ours", e.to_string()))?];
        let root = piece.image.map_or(Root::Whole, Root::Image);
        let tar = LoadTar { root, names: &name, base };
        let sent = upload(&self.client, request, &tar, (&piece.name.to_string(), &temporary)).await?;
        let loaded = verify::Loaded {
            client: &self.client,
            name: &temporary.name(),
            digest: self.digest_of_piece(request.content, piece),
            images: match piece.image {
                Some(image) => std::slice::from_ref(image),
                None => request.content.manifests(),
            },
            left_out,
        };
        loaded.verify().await?;
        Ok((temporary, sent))
    }

    /// Gives every piece its name.
    async fn publish(
        &self,
        all: Vec<(Piece<'_>, Option<Digest>, Loaded)>,
        content: &Content,
    ) -> Result<Receipt, Error> {
        let mut receipt = Receipt::new(self.name(), content.descriptor().digest.clone());
        for (piece, _, loaded) in all {
            let (repository, tag) = repository_and_tag(&piece.name);
            self.client.tag(&loaded.temporary.name(), &repository, &tag).await?;
            loaded.temporary.remove().await?;
            receipt.digest = self.digest_of_piece(content, &piece);
            receipt.bytes_uploaded += loaded.sent.bytes;
            receipt.base_bytes_copied += loaded.sent.base_bytes;
            receipt.existing += loaded.sent.empty;
            if receipt.load != Some(Load::Full) {
                receipt.load = Some(loaded.load);
            }
            receipt.notes.extend(loaded.note);
            if piece.name != self.name
                && let Some(platform) = piece.image.and_then(Outgoing::platform)
            {
                receipt
                    .notes
                    .push(format!("docker keeps one platform a name here: {platform} is {}", piece.name));
            }
        }
        Ok(receipt)
    }
}

#[async_trait]
impl Destination for DockerDestination {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        let all = request.or_cancelled(self.load_all(request)).await?;
        if request.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        // Once asked for, the names are waited for: who gave up here could not say whether they have moved.
        self.publish(all, request.content).await
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        self.digest_of(&self.name).await
    }

    fn wants_base_blobs(&self, base: &[ImageLayer]) -> bool {
        let ids: Vec<_> = base.iter().map(|layer| layer.diff_id.clone()).collect();
        !self.held.has(&ids)
    }

    fn name(&self) -> String {
        crate::Address::Docker(LocalName::Reference(self.name.clone())).to_string()
    }
}
