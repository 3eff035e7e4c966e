//! An image in containerd, to write: imported under a name of ours with what the content store has left out, verified, and only
//! then given its name. What does not come together is imported again in full.

use super::Containerd;
use crate::{
    Content, Destination, Error, Load, LocalName, Receipt, WriteRequest,
    archive::{BaseBlobs, LoadTar, Root, TarSent, docker_names::whole, write_load_tar},
    content::is_base,
};
use async_trait::async_trait;
use oci::{Digest, ImageLayer, Reference};
use std::collections::BTreeSet;

/// How much of a digest is in a name of ours.
const TEMPORARY_CHARS: usize = 16;

/// A name in containerd.
pub struct ContainerdDestination {
    containerd: Containerd,
    name: Reference,
    replace_source: bool,
    content: BTreeSet<Digest>,
}

/// What was imported under a name of ours.
struct Imported {
    sent: TarSent,
    load: Load,
    note: Option<String>,
}

impl ContainerdDestination {
    /// Looks what containerd has. A name without a tag means `latest`. `replace_source` allows it to be the source's own.
    pub async fn open(containerd: Containerd, name: &LocalName, replace_source: bool) -> Result<Self, Error> {
        let shown = || crate::Address::Containerd(name.clone()).to_string();
        let LocalName::Reference(name) = name else { return Err(Error::NoTag { reference: shown() }) };
        if name.digest().is_some() {
            return Err(Error::NoTag { reference: shown() });
        }
        let content = containerd.content().await?;
        Ok(ContainerdDestination { containerd, name: name.clone(), replace_source, content })
    }

    /// A name that nobody else uses: of this content and this process.
    fn temporary(&self, request: &WriteRequest<'_>) -> Result<Reference, Error> {
        let hex = request.content.descriptor().digest.hex();
        let hex = hex.get(..TEMPORARY_CHARS).unwrap_or(hex);
        let name = format!("copa.invalid/load/{hex}-{}:load", std::process::id()).parse();
        name.map_err(|_| self.containerd.ctr.wrong("a name of ours is none".into()))
    }

    async fn load(&self, request: &WriteRequest<'_>, temporary: &Reference) -> Result<Imported, Error> {
        let blobs = request.content.blobs();
        let base = blobs.iter().filter(|b| is_base(b)).map(|b| b.descriptor.digest.clone());
        let there: BTreeSet<Digest> = base.filter(|d| self.content.contains(d)).collect();
        let mut note = None;
        if !there.is_empty() {
            match self.import(request, temporary, BaseBlobs::Empty(there)).await? {
                Ok(sent) => return Ok(Imported { sent, load: Load::Thin, note }),
                Err(why) => note = Some(format!("containerd was given the whole image: {why}")),
            }
        }
        let failed = |why: String| Error::Daemon { what: format!("importing {}", self.name()), why };
        let sent = self.import(request, temporary, BaseBlobs::Full).await?.map_err(failed)?;
        Ok(Imported { sent, load: Load::Full, note })
    }

    /// Imports, and says what is wrong with what came of it.
    async fn import(
        &self,
        request: &WriteRequest<'_>,
        temporary: &Reference,
        base: BaseBlobs,
    ) -> Result<Result<TarSent, String>, Error> {
        let tar = LoadTar { root: Root::Whole, names: std::slice::from_ref(temporary), base };
        let several = matches!(request.content, Content::Index { .. });
        let arguments = ["images", "import"].into_iter().chain(several.then_some("--all-platforms"));
        let write = async |stdin| write_load_tar(request, &tar, stdin).await;
        match self.containerd.ctr.feed(arguments.chain(["-"]), write).await? {
            Ok((sent, _)) => Ok(self.complaint(request, temporary).await?.map_or(Ok(sent), Err)),
            Err(said) => Ok(Err(said.0)),
        }
    }

    /// What is wrong with the image now that it is there.
    async fn complaint(&self, request: &WriteRequest<'_>, name: &Reference) -> Result<Option<String>, Error> {
        let wanted = &request.content.descriptor().digest;
        match self.digest_of(name).await? {
            Some(found) if found == *wanted => {}
            Some(found) => return Ok(Some(format!("it leads to {found}, not to {wanted}"))),
            None => return Ok(Some("it is not there".into())),
        }
        let content = self.containerd.content().await?;
        let blobs = request.content.blobs();
        let missing = blobs.iter().map(|b| &b.descriptor.digest).find(|d| !content.contains(*d));
        Ok(missing.map(|digest| format!("blob {digest} is missing")))
    }

    async fn digest_of(&self, name: &Reference) -> Result<Option<Digest>, Error> {
        let found = self.containerd.image(&LocalName::Reference(name.clone())).await?;
        Ok(found.map(|(_, digest)| digest))
    }

    /// Gives what is there under a name of ours its own name, unless somebody else has moved that meanwhile.
    async fn publish(
        &self,
        request: &WriteRequest<'_>,
        temporary: &Reference,
        before: Option<Digest>,
    ) -> Result<(), Error> {
        let now = self.current().await?;
        if now != before && now.as_ref() != Some(&request.content.descriptor().digest) {
            let text = |d: Option<Digest>| d.map_or("absent".into(), |d| d.to_string());
            return Err(Error::TagMoved { reference: self.name(), was: text(before), now: text(now) });
        }
        let (from, to) = (whole(temporary), whole(&self.name));
        let tagged = self.containerd.ctr.ask(["images", "tag", "--force", &from, &to]).await?;
        let failed = |why| Error::Daemon { what: format!("naming {}", self.name()), why };
        tagged.map(drop).map_err(|said| failed(said.0))
    }

    /// Under a name of ours first, under its own at last.
    async fn bring(&self, request: &WriteRequest<'_>, temporary: &Reference) -> Result<Imported, Error> {
        let before = self.current().await?;
        let imported = request.or_cancelled(self.load(request, temporary)).await?;
        if request.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        // Once asked for, the name is waited for: who gave up here could not say whether it has moved.
        self.publish(request, temporary, before).await?;
        Ok(imported)
    }
}

#[async_trait]
impl Destination for ContainerdDestination {
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error> {
        if request.source.name() == self.name() && !self.replace_source {
            return Err(Error::SourceTag { reference: self.name() });
        }
        let temporary = self.temporary(request)?;
        let brought = self.bring(request, &temporary).await;
        // Whatever came of it, the name of ours goes. It may not even be there.
        let _ = self.containerd.ctr.ask(["images", "rm", &whole(&temporary)]).await;
        let Imported { sent, load, note } = brought?;
        let mut receipt = Receipt::new(self.name(), request.content.descriptor().digest.clone());
        receipt.bytes_uploaded = sent.bytes;
        receipt.base_bytes_copied = sent.base_bytes;
        receipt.existing = sent.empty;
        receipt.load = Some(load);
        receipt.notes.extend(note);
        Ok(receipt)
    }

    async fn current(&self) -> Result<Option<Digest>, Error> {
        self.digest_of(&self.name).await
    }

    fn wants_base_blobs(&self, base: &[ImageLayer]) -> bool {
        !base.iter().all(|layer| self.content.contains(&layer.descriptor.digest))
    }

    fn name(&self) -> String {
        crate::Address::Containerd(LocalName::Reference(self.name.clone())).to_string()
    }
}
