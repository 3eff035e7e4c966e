//! What can go wrong between a repository's configuration and an opened package. Each names its item.

use version::PackageName;

/// Why packages could not be resolved, had or opened. Texts from outside are printable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image names no repository that can be used, and none is known for its release.
    #[error("no package repository for {os}: {why}")]
    NoSources {
        /// Which release.
        os: String,
        /// Why.
        why: String,
    },
    /// The release is no longer kept up.
    #[error("{os} is no longer kept up; its packages are in an archive only")]
    Archived {
        /// Which release.
        os: String,
    },
    /// A file of the image's configuration is not understood, and to pass over it could be wrong.
    #[error("{path}: {why}")]
    Configuration {
        /// Which file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// There is no key to check a repository with.
    #[error("no key for {url}: {why}")]
    NoKey {
        /// Which repository.
        url: String,
        /// Which file or table has none.
        why: String,
    },
    /// The head of an index is not signed as it must be.
    #[error("{url}: {fault}")]
    Signature {
        /// Which head.
        url: String,
        /// What is the matter.
        fault: SignatureFault,
    },
    /// What came is no index.
    #[error("{url} is no package index: {why}")]
    NotAnIndex {
        /// Which URL.
        url: String,
        /// What it is instead, or where it breaks off.
        why: String,
    },
    /// The repository has no such suite, or no index for it.
    #[error("{url} is missing in the repository")]
    Missing {
        /// Which URL.
        url: String,
    },
    /// The index may no longer be used.
    #[error("{url} has expired on {until}")]
    Expired {
        /// Which head.
        url: String,
        /// `Valid-Until`, or what the configuration makes of it.
        until: String,
    },
    /// The index is dated in the future.
    #[error("{url} is dated in the future: {date}")]
    NotYetValid {
        /// Which head.
        url: String,
        /// Its date.
        date: String,
    },
    /// The index is older than one seen before.
    #[error("{url} of {date} is older than the one of {seen} that was seen before")]
    Rollback {
        /// Which head.
        url: String,
        /// Its date.
        date: String,
        /// The newest date seen from there.
        seen: String,
    },
    /// The index is of another suite than was asked for.
    #[error("{url} is of suite \"{got}\", not \"{asked}\"")]
    WrongSuite {
        /// Which head.
        url: String,
        /// What the configuration asks for.
        asked: String,
        /// What the head says.
        got: String,
    },
    /// The bytes are not those that the signed index promises.
    #[error("{url} is not what its index promises: {why}")]
    Mismatch {
        /// Which file.
        url: String,
        /// Size or digest.
        why: String,
    },
    /// Something packed is malformed, or unpacks to too much.
    #[error("{item}: {why}")]
    Packed {
        /// Which file.
        item: String,
        /// What is wrong.
        why: String,
    },
    /// A package archive is not acceptable.
    #[error("package {item}: {why}")]
    Archive {
        /// Which package.
        item: String,
        /// What is wrong.
        why: String,
    },
    /// A dependency cannot be met.
    #[error("{package} {version} needs {dependency}: {why}")]
    Unsatisfied {
        /// Which package needs it.
        package: PackageName,
        /// At which version.
        version: String,
        /// What it needs, as it says it.
        dependency: String,
        /// Why there is none.
        why: String,
    },
    /// Two packages cannot be together, and neither has a version that changes it.
    #[error("{package} {version} cannot be together with {other}: {relation}")]
    Conflict {
        /// Which package says so.
        package: PackageName,
        /// At which version.
        version: String,
        /// The other.
        other: String,
        /// How it says it.
        relation: String,
    },
    /// More than any real resolution takes.
    #[error("limit reached: {0}")]
    Limit(String),
    /// A file could not be had.
    #[error(transparent)]
    Fetch(#[from] fetch::client::Error),
    /// The cache.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Entries of a package, or whoever takes them.
    #[error(transparent)]
    Layer(#[from] layer::Error),
    /// The system refused.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Told to stop.
    #[error("interrupted")]
    Cancelled,
    /// An invariant of our own does not hold.
    #[error("internal error: {0}")]
    Internal(&'static str),
}

/// What is the matter with a signature. The worst is not told first but the most telling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// There is none.
    #[error("not signed")]
    Missing,
    /// What should be a signed text has another form.
    #[error("malformed signature: {0}")]
    Malformed(String),
    /// Signed by keys that are not among those for this repository.
    #[error("signed by unknown key {0}")]
    UnknownKey(String),
    /// The key is known, the signature is not of this text.
    #[error("bad signature by key {0}")]
    Bad(String),
    /// The key had expired when it signed, or the signature has.
    #[error("signature by key {0} has expired")]
    Expired(String),
    /// The key has been revoked.
    #[error("key {0} is revoked")]
    Revoked(String),
    /// The signature or key is of a kind that can be forged.
    #[error("signature by key {key} is too weak: {why}")]
    Weak {
        /// Which key.
        key: String,
        /// What is weak.
        why: &'static str,
    },
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>, source: std::io::Error) -> Self {
        Error::Io { doing: doing.into(), source }
    }
}
