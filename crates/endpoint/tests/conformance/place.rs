//! What the checks have to know of a kind of place.

use async_trait::async_trait;
use endpoint::{Destination, Source};
use std::sync::Arc;

/// What a kind can do.
#[derive(Debug, Clone, Copy)]
pub struct Abilities {
    /// What it is called where a check fails.
    pub kind: &'static str,
    /// Manifests come back byte for byte. Else only configs and contents of layers do.
    pub keeps_manifests: bool,
    /// It holds indexes, byte for byte.
    pub keeps_indexes: bool,
    /// A name can be read from again while or after it is written to. Streams cannot.
    pub knows_itself: bool,
}

/// A place of some kind, empty at first. Names are single words; the place makes its own addresses of them.
#[async_trait]
pub trait Place: Sync {
    /// What it can do.
    fn abilities(&self) -> Abilities;

    /// A name in it, to read.
    async fn source(&self, name: &str) -> Arc<dyn Source>;

    /// A name in it, to write.
    async fn destination(&self, name: &str, replace_source: bool) -> Arc<dyn Destination>;
}
