//! Descriptors (image-spec `descriptor.md`), unknown fields kept.

use crate::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A typed, sized, content-addressed pointer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: String,
    /// Their digest.
    pub digest: Digest,
    /// Their exact number. Untrusted until verified: nothing is allocated by it.
    pub size: u64,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Everything else, kept as found (`platform`, `urls`, `artifactType`, `data`).
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

impl Descriptor {
    /// A descriptor of bytes at hand.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor from its three parts.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let rest = serde_json::Map::new();
        Descriptor { media_type: media_type.to_owned(), digest, size, annotations: None, rest }
    }
}
