//! OCI nouns and the pure functions on them: reference, digest, platform, descriptor, manifest, config, image.
//!
//! Formats: OCI image-spec 1.1 and docker image manifest v2 schema 2. No I/O here.

mod config;
mod descriptor;
mod digest;
mod image;
mod index;
pub mod limits;
mod manifest;
pub mod media_type;
mod platform;
mod reference;

pub use config::{Config, History};
pub use descriptor::Descriptor;
pub use digest::{DiffId, Digest, DigestError, Hasher};
pub use image::{Image, ImageLayer, Patch};
pub use index::Index;
pub use manifest::{Document, Manifest};
pub use platform::Platform;
pub use reference::{Reference, ReferenceError, is_tag};

/// Why bytes are no manifest, index or config that we take. The message names the offending item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not JSON, or JSON of another shape.
    #[error("{what} is not valid: {why}")]
    Invalid {
        /// `manifest`, `index`, `config`, with its digest where known.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Valid, but nothing that can be patched.
    #[error("unsupported: {0}")]
    Unsupported(String),
}

impl Error {
    pub(crate) fn invalid(what: &str, why: impl std::fmt::Display) -> Self {
        Error::Invalid { what: what.to_owned(), why: why.to_string() }
    }
}
