//! Indexes (image-spec `image-index.md`; docker manifest lists) and the choice of a platform in them.

use crate::{Descriptor, Error, Platform, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An index; fields that we do not know are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Its own type, where the body names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The images.
    pub manifests: Vec<Descriptor>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

impl Index {
    pub(crate) fn checked(self) -> Result<Self, Error> {
        let max = limits::INDEX_ENTRIES_MAX;
        match self.manifests.len() {
            n if n > max => Err(Error::invalid("index", format!("{n} entries, more than {max}"))),
            _ => Ok(self),
        }
    }

    /// The platform an entry names; `None` for attestations (`unknown/unknown`) and entries without one.
    pub fn platform(entry: &Descriptor) -> Option<Platform> {
        let platform: Platform = serde_json::from_value(entry.rest.get("platform")?.clone()).ok()?;
        (platform.os != "unknown")
            .then(|| Platform::new(&platform.os, &platform.architecture, platform.variant.as_deref()))
    }

    /// The entry for a platform.
    pub fn find(&self, wanted: &Platform) -> Option<&Descriptor> {
        self.manifests.iter().find(|m| Index::platform(m).as_ref() == Some(wanted))
    }

    /// Every platform it has, in its order.
    pub fn platforms(&self) -> Vec<Platform> {
        self.manifests.iter().filter_map(Index::platform).collect()
    }
}
