//! The shape of everything that images go to.

use crate::{Content, Error, Source};
use async_trait::async_trait;
use engine::CancellationToken;
use oci::{Digest, ImageLayer};

/// What to write, and with what.
pub struct WriteRequest<'a> {
    /// What the name shall lead to.
    pub content: &'a Content,
    /// Where blobs are that are the source's own.
    pub source: &'a dyn Source,
    /// Takes a blob's digest, bytes sent and bytes in all, for every blob that is sent; must not block.
    pub progress: &'a (dyn Fn(&Digest, u64, u64) + Send + Sync),
    /// Cancelled to stop. What is sent stays; the tag does not move.
    pub cancel: &'a CancellationToken,
}

impl WriteRequest<'_> {
    /// The future's value, or an error as soon as the request is cancelled.
    pub(crate) async fn or_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.cancel.run_until_cancelled(work).await.unwrap_or(Err(Error::Cancelled))
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The whole name.
    pub reference: String,
    /// The digest of what the name leads to now.
    pub digest: Digest,
    /// Bytes of all blobs that were sent or written.
    pub bytes_uploaded: u64,
    /// Those of them that are base layers and were sent to the registry they came from. Must be 0.
    pub base_bytes_uploaded: u64,
    /// Those of them that are base layers and were copied from another place.
    pub base_bytes_copied: u64,
    /// Blobs that the registry took over from another of its repositories.
    pub mounted: usize,
    /// Blobs that were there before.
    pub existing: usize,
    /// How it was brought there, where there is a choice.
    pub load: Option<Load>,
    /// The other places that it was written to before, where there are several; the numbers above are of all of them.
    pub before: Vec<Written>,
    /// What the user should know: what the place could not take, or was asked to forget.
    pub notes: Vec<String>,
}

/// A name, and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The whole name.
    pub reference: String,
    /// The digest of what it leads to now.
    pub digest: Digest,
    /// How it was brought there, where there is a choice.
    pub load: Option<Load>,
}

/// How a local daemon was given an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Only what it did not have.
    Thin,
    /// All of it.
    Full,
}

impl Receipt {
    /// Every place that it was written to, in that order.
    pub fn written(&self) -> Vec<Written> {
        let Receipt { reference, digest, load, .. } = self.clone();
        self.before.iter().cloned().chain([Written { reference, digest, load }]).collect()
    }

    pub(crate) fn new(reference: String, digest: Digest) -> Self {
        Receipt {
            reference,
            digest,
            bytes_uploaded: 0,
            base_bytes_uploaded: 0,
            base_bytes_copied: 0,
            mounted: 0,
            existing: 0,
            load: None,
            before: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Something that takes an image, or an index of images, under one name.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Writes the content: blobs first, then the manifests, the index, the name last. Fails without the name being moved
    /// where it is the source's own (unless that is allowed) or where somebody else moved it meanwhile. A place that cannot
    /// hold an index takes each patched image under a name of its own and the one of this host under the name itself, and
    /// says so in the receipt's notes.
    async fn write(&self, request: &WriteRequest<'_>) -> Result<Receipt, Error>;

    /// What the name leads to now.
    async fn current(&self) -> Result<Option<Digest>, Error>;

    /// Whether it is going to read blobs of these base layers, whatever the source is: not those that it has already.
    fn wants_base_blobs(&self, base: &[ImageLayer]) -> bool;

    /// Its whole name, for messages.
    fn name(&self) -> String;
}
