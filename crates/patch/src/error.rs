//! Why an image could not be patched: which part of the line, and what it said.

use crate::result::ResultDocument;

/// One variant a part of the line; what each part said is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image could not be read from where it is.
    #[error("cannot read image {name}")]
    Source {
        /// The image as asked for.
        name: String,
        /// What the endpoint said.
        #[source]
        source: endpoint::Error,
    },
    /// The original that the user names cannot be taken for it.
    #[error("cannot go by the original that was named")]
    Base(#[source] crate::lineage::BaseError),
    /// The image's own records are unreadable, or its distribution is not supported.
    #[error("image {name} cannot be patched")]
    Adapter {
        /// The image as asked for.
        name: String,
        /// What the adapter said.
        #[source]
        source: adapter::Error,
    },
    /// The image's release is no longer kept up, and that is to be an error.
    #[error("exiting due to EOL operating system: {os}")]
    EndOfLife {
        /// Distribution and version.
        os: String,
    },
    /// Report and image do not belong together.
    #[error("the report does not fit the image")]
    Plan(#[source] plan::Error),
    /// The engine failed.
    #[error("the {engine} engine failed")]
    Engine {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        #[source]
        source: engine::Error,
    },
    /// Packages could not be resolved or had.
    #[error("cannot get packages from the repositories")]
    Repository(#[source] Box<repository::Error>),
    /// The image whose tools are needed could not be had.
    #[error("cannot get the tooling image {reference}")]
    Tooling {
        /// Which.
        reference: String,
        /// What the endpoint said.
        #[source]
        source: endpoint::Error,
    },
    /// The package tool did not do what was asked: findings stay, packages were removed or downgraded.
    #[error("{what}")]
    Packages {
        /// Each offence, one line.
        what: String,
        /// The one to do something about first.
        worst: Offence,
    },
    /// What the package tool left is no image to deliver.
    #[error("the package tool left image {name} broken")]
    After {
        /// The image as asked for.
        name: String,
        /// What the adapter said.
        #[source]
        source: adapter::Error,
    },
    /// The image's format does not take what was asked for.
    #[error("{why}")]
    Format {
        /// What it does not take.
        why: String,
    },
    /// The patch layer could not be made.
    #[error("cannot make the patch layer")]
    Layer(#[source] layer::Error),
    /// The patched image could not be put together.
    #[error("cannot put the patched image together")]
    Image(#[source] oci::Error),
    /// The image could not be delivered; no tag moved.
    #[error("cannot deliver {name}")]
    Destination {
        /// Where to.
        name: String,
        /// What the endpoint said.
        #[source]
        source: endpoint::Error,
    },
    /// What was asked for cannot be had of the platforms there are.
    #[error("{what}")]
    Platforms {
        /// Why.
        what: String,
    },
    /// A folder of reports does not fit the image's platforms.
    #[error("{what}")]
    Reports {
        /// Which report or platform, and why.
        what: String,
    },
    /// One of several platforms could not be patched; none was delivered.
    #[error("platform {platform} cannot be patched")]
    Platform {
        /// Which.
        platform: String,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// Our own disk.
    #[error("{doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Told to stop.
    #[error("interrupted")]
    Cancelled,
}

/// What a run did that it must not, or did not that it must; the worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// Packages were downgraded, or moved although they are held or excluded. Nothing allows that.
    Changed,
    /// Packages were removed, which the user may allow.
    Removed,
    /// A fix failed.
    Failed,
    /// The repositories have no version that is high enough.
    Behind,
}

/// A run that failed, with all that was known by then: image, plan, steps, requests, findings.
#[derive(Debug, thiserror::Error)]
#[error("the image was not patched")]
pub struct Failed {
    /// Why.
    #[source]
    pub error: Error,
    /// What was known. Findings that were to be fixed are still `planned` where the run did not come so far as to judge them.
    pub document: Box<ResultDocument>,
}
