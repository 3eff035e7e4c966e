//! What can go wrong between us and a registry.

use fetch::client::Error as HttpError;

/// Why a registry could not be used. Texts from outside are printable; no secret is in any of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request failed.
    #[error("cannot {doing}")]
    Http {
        /// What was being done, with its object.
        doing: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// The registry wants other credentials, or none will do.
    #[error("registry {host} does not let us {doing}{}", if *.anonymous { " without credentials" } else { "" })]
    Denied {
        /// Which registry.
        host: String,
        /// What was being done, with its object.
        doing: String,
        /// Whether we had no credentials for it.
        anonymous: bool,
        /// What it said.
        #[source]
        source: HttpError,
    },
    /// It is not there.
    #[error("{item} does not exist in the registry")]
    NotFound {
        /// What.
        item: String,
    },
    /// The registry asks for a kind of authentication that we do not have or trust.
    #[error("registry {host} asks for authentication that cannot be given: {why}")]
    Challenge {
        /// Which registry.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// The token service gave no token.
    #[error("no token for registry {host} from {realm}")]
    Token {
        /// Which registry.
        host: String,
        /// Which token service.
        realm: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The docker configuration or a credential helper gives no credentials though it should.
    #[error("no credentials for {host} from {from}: {why}")]
    Credentials {
        /// Which registry.
        host: String,
        /// A file, `docker configuration`, `docker-credential-x`.
        from: String,
        /// What is wrong.
        why: String,
    },
    /// A configuration file makes no sense.
    #[error("{file} cannot be used: {why}")]
    Configuration {
        /// Its path, printable.
        file: String,
        /// What is wrong, printable.
        why: String,
    },
    /// The user's or the system's configuration forbids the image.
    #[error("{image} is blocked by registries.conf (\"{prefix}\")")]
    Blocked {
        /// Which image.
        image: String,
        /// Which entry blocks it.
        prefix: String,
    },
    /// The bytes are not those that were asked for.
    #[error("{item} is corrupt: expected {expected}, got {got}")]
    Corrupt {
        /// What.
        item: String,
        /// Digest or size that was asked for.
        expected: String,
        /// What came.
        got: String,
    },
    /// The bytes are those, but no image.
    #[error("{item} cannot be used")]
    Image {
        /// What.
        item: String,
        /// Why.
        #[source]
        source: oci::Error,
    },
    /// The registry breaks the distribution protocol.
    #[error("registry {host} answers wrongly to \"{doing}\": {why}")]
    Protocol {
        /// Which registry.
        host: String,
        /// What was being done.
        doing: String,
        /// What is wrong.
        why: String,
    },
    /// The registry refuses a manifest because it lacks a blob, whatever it said before.
    #[error("registry {host} lacks blobs of {item}")]
    BlobUnknown {
        /// Which registry.
        host: String,
        /// Which manifest.
        item: String,
        /// What it said.
        #[source]
        source: HttpError,
    },
}

impl Error {
    /// Whether the same may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Http { source, .. } if source.is_transient())
    }
}
