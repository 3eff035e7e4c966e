//! The engine contract: an image opened as a root, a recipe run on it, changes and evidence given back.
//!
//! An engine never knows which package manager it runs; an adapter never knows which engine runs its recipe.

mod collect;
mod recipe;

pub use collect::{EVIDENCE_BYTES_MAX, add_each_folder, add_evidence, collect, image_error};
pub use recipe::{Evidence, Exclusion, Exec, Look, Mount, Recipe, Step, When};

use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::io::AsyncRead;
pub use tokio_util::sync::CancellationToken;

/// A blob on its way in; not verified yet.
pub type BlobStream = Box<dyn AsyncRead + Send + Unpin>;

/// Where the layers of an opened image come from.
#[async_trait]
pub trait BlobSource: Send + Sync {
    /// Opens one blob from its beginning. What it yields is untrusted: the caller verifies digest and size.
    async fn open(&self, descriptor: &oci::Descriptor) -> Result<BlobStream, Error>;
}

/// What an engine tells while it works.
#[derive(Debug, Clone)]
pub enum Event {
    /// A layer was looked up, or more of it has arrived.
    Layer {
        /// Its digest.
        digest: oci::Digest,
        /// Compressed bytes so far.
        done: u64,
        /// Compressed bytes in all, as declared.
        total: u64,
        /// Where it is on its way.
        stage: LayerStage,
    },
    /// A step begins.
    StepStarted {
        /// Counted from 0.
        index: usize,
        /// Steps in all.
        total: usize,
        /// What it does, in words for the user.
        title: String,
    },
    /// A line of a step's output, made printable, at most 4 KiB.
    StepOutput {
        /// Which step.
        index: usize,
        /// The line.
        line: String,
    },
    /// A step has ended.
    StepEnded {
        /// Which step.
        index: usize,
        /// Exit code of its process (128 + n for signal n); 0 for steps without one.
        exit: i32,
        /// How long it took.
        took: Duration,
    },
}

/// Where a layer is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerStage {
    /// It was in the store.
    Cached,
    /// Bytes arrive and are unpacked.
    Pulling,
    /// It is verified, unpacked and in the store.
    Ready,
}

/// What every call needs beside its subject: where to tell progress, and the order to stop.
#[derive(Clone)]
pub struct Context {
    /// Takes events; must not block.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
    /// Cancelled on Ctrl-C and at the deadline; every wait in an engine ends within 2 s of it.
    pub cancel: CancellationToken,
}

impl Context {
    /// A context that nobody listens to or cancels.
    pub fn silent() -> Self {
        Context { events: Arc::new(|_| ()), cancel: CancellationToken::new() }
    }
}

/// What to open.
#[derive(Clone)]
pub struct OpenRequest {
    /// The image as it is now.
    pub image: oci::Image,
    /// How many of its layers, from the first, are the base. Layers above (an earlier patch) become the start of the
    /// upper directory, so that one patch layer takes their place.
    pub base_layers: usize,
    /// Where layers that are not in the store come from.
    pub blobs: Arc<dyn BlobSource>,
    /// Keep the compressed blobs too, because the destination will need them.
    pub keep_blobs: bool,
}

/// Where the programs of a tooling image see the image that is patched, with its own `/proc`, `/dev` and `/sys`. Files
/// that a [`Recipe`] shows are in the tooling image's `/dev` only, not in the one below this.
pub const TARGET: &str = "/target";

/// An engine.
#[async_trait]
pub trait Engine: Send + Sync {
    /// `embedded`, `buildkit`.
    fn name(&self) -> &'static str;

    /// The URL of the proxy that steps with network reach, where the engine has one.
    fn proxy_url(&self) -> Option<String>;

    /// Whether programs of images of this platform run: by the processor, or by an emulator that the machine which runs them
    /// has. Where they do not, [`Error::Unavailable`] names the platform and what is missing, with its remedy. What an image
    /// holds can be read, and changed without running anything of it, whatever the answer. An engine that does not know better
    /// runs those of this machine's architecture.
    async fn can_run(&self, platform: &oci::Platform, _context: &Context) -> Result<(), Error> {
        let host = oci::Platform::host();
        if (&platform.os, &platform.architecture) == (&host.os, &host.architecture) {
            return Ok(());
        }
        let shown = platform.to_string().escape_default().to_string();
        let what = format!("emulation is not enabled for platform {shown}");
        let remedy = format!("patch it on a machine of platform {shown}");
        Err(Error::Unavailable { engine: self.name(), what, remedy })
    }

    /// Makes every layer present and verified, and gives the image as a root to read and run in.
    async fn open(&self, request: OpenRequest, context: &Context) -> Result<Box<dyn Root>, Error>;
}

/// An opened image.
#[async_trait]
pub trait Root: Send + Sync {
    /// The image's whole tree as it is now (with an earlier patch), read-only.
    fn tree(&self) -> &dyn layer::Tree;

    /// The base layers alone, read-only. They stay where they are as long as this lives.
    fn base(&self) -> Result<Box<dyn layer::Tree>, Error>;

    /// What the layers above the base (an earlier patch) change of it, all together; `None` where there are none. Folders that
    /// they use without describing them are as the image shows them.
    fn earlier(&self) -> Result<Option<Box<dyn layer::Changes>>, Error>;

    /// Opens another image, with all its layers. From now on steps run in its tree, of which nothing is kept, and have the image
    /// that is patched at [`TARGET`]; paths of steps that write or remove are of that tree too, and links below [`TARGET`]
    /// lead nowhere but below it. Changes, base, `after` and evidence stay those of the image that is patched.
    async fn attach_tooling(&mut self, request: OpenRequest, context: &Context) -> Result<(), Error>;

    /// The tooling image's tree, read-only, where one is attached.
    fn tooling(&self) -> Option<&dyn layer::Tree>;

    /// Runs the recipe on a fresh upper directory. A step that fails ends the run with [`Error::StepFailed`] unless the
    /// step says otherwise. Whatever happens, nothing is left running or mounted afterwards.
    async fn run(&mut self, recipe: &Recipe, context: &Context) -> Result<Run, Error>;
}

/// What a run left.
pub struct Run {
    /// The raw difference to the base layers (not to an earlier patch).
    pub changes: Box<dyn layer::Changes>,
    /// The base layers alone: what changes are compared with.
    pub base: Box<dyn layer::Tree>,
    /// The whole tree after the run, read-only.
    pub after: Box<dyn layer::Tree>,
    /// Evidence the recipe asked for, read back from `after`.
    pub evidence: Evidence,
    /// How each step ended, in order.
    pub steps: Vec<StepResult>,
    /// Every request that left the sandbox or was refused.
    pub fetches: Vec<Fetch>,
    /// The wall-clock times, in seconds since 1970, between which the run took place; what carries a time within was
    /// made by the run and not by a package.
    pub window: (i64, i64),
    /// Whether the engine proved that syncs do nothing inside (the counter `fsyncInSandbox`).
    pub syncs_suppressed: bool,
}

/// How one step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepResult {
    /// What it did.
    pub title: String,
    /// Exit code; `None` where it was skipped by its [`When`].
    pub exit: Option<i32>,
    /// Standard output and error together, the last 64 KiB, made printable.
    pub tail: String,
    /// How long it took.
    pub took: Duration,
}

/// One request at the egress proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// `GET`, `CONNECT`, …
    pub method: String,
    /// URL without credentials, or `host:port` of a tunnel.
    pub target: String,
    /// Status given to the client; 403 where refused.
    pub status: u16,
    /// Bytes of body given to the client (both ways for a tunnel).
    pub bytes: u64,
    /// Whether it was answered from the cache, passed on, or refused and why.
    pub how: FetchKind,
}

/// How a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchKind {
    /// From the cache, upstream not asked.
    Hit,
    /// From the cache after upstream said it is unchanged.
    Revalidated,
    /// From upstream, and stored.
    Miss,
    /// From upstream, not stored.
    Passed,
    /// A tunnel (CONNECT).
    Tunnel,
    /// Refused.
    Refused(String),
    /// Upstream failed.
    Failed(String),
}

/// Why an engine could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host or kernel does not allow what the engine needs.
    #[error("{engine} engine is unavailable: {what}")]
    Unavailable {
        /// Which engine.
        engine: &'static str,
        /// What was tried and what the kernel said.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// The image's bytes are not what they claim, or not acceptable.
    #[error("{item}: {why}")]
    Image {
        /// Which layer or entry.
        item: String,
        /// What is wrong.
        why: String,
    },
    /// A blob could not be got.
    #[error("cannot get {item}")]
    Source {
        /// Which blob.
        item: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A step failed.
    #[error("{title} failed with exit code {exit}")]
    StepFailed {
        /// What it was to do.
        title: String,
        /// Its exit code (128 + n for signal n).
        exit: i32,
        /// The end of its output, printable.
        tail: String,
        /// What the proxy refused or could not get during the run, for the hint.
        fetches: Vec<Fetch>,
    },
    /// A step or the whole run took too long.
    #[error("{title} took longer than {limit:?}")]
    TimedOut {
        /// Which step.
        title: String,
        /// Its limit.
        limit: Duration,
    },
    /// Told to stop.
    #[error("interrupted")]
    Cancelled,
    /// A limit of the sandbox was reached (memory, disk, processes).
    #[error("limit reached: {0}")]
    Limit(String),
    /// Our own disk or system calls.
    #[error("{doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
