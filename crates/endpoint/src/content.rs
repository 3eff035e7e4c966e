//! What is to be delivered under one name: one image, or an index of several, with where each blob's bytes are.

use bytes::Bytes;
use oci::{Descriptor, Digest, Image, Index, Platform, media_type};
use std::{collections::BTreeMap, path::PathBuf};

/// Where a blob's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// At the source; for a layer this means that it is one of the source's own, unchanged.
    Source,
    /// In a file of ours.
    File(PathBuf),
    /// Here.
    Bytes(Bytes),
}

/// One blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its digest and size.
    pub descriptor: Descriptor,
    /// Where it is.
    pub from: From,
}

/// One manifest with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its type, digest and size; in an index the whole entry with platform and annotations.
    pub entry: Descriptor,
    /// The manifest as it is to be stored.
    pub bytes: Vec<u8>,
    /// What it refers to: the config first, then the layers, lowest first. None for an index inside an index.
    pub blobs: Vec<Blob>,
    /// The image, where it is one that can run. Attestations and indexes are none.
    pub image: Option<Image>,
    /// Whether it was patched; everything else stays bit for bit.
    pub patched: bool,
}

impl Outgoing {
    /// An image that was made here. Its config is new; layers that are not in `files` are the source's.
    pub fn patched(image: Image, files: &BTreeMap<Digest, PathBuf>) -> Self {
        let config = Blob {
            descriptor: image.manifest.config.clone(),
            from: From::Bytes(image.config_bytes.clone().into()),
        };
        let layer = |descriptor: &Descriptor| Blob {
            from: files.get(&descriptor.digest).map_or(From::Source, |path| From::File(path.clone())),
            descriptor: descriptor.clone(),
        };
        let layers = image.manifest.layers.iter().map(layer);
        Outgoing {
            blobs: std::iter::once(config).chain(layers).collect(),
            entry: image.descriptor.clone(),
            bytes: image.manifest_bytes.clone(),
            image: Some(image),
            patched: true,
        }
    }

    /// The platform: as its entry says, else as its config does. `None` for attestations and indexes.
    pub fn platform(&self) -> Option<Platform> {
        let image = self.image.as_ref()?;
        Some(Index::platform(&self.entry).unwrap_or_else(|| image.platform()))
    }

    /// Its layers.
    pub fn layers(&self) -> &[Blob] {
        self.blobs.get(1..).unwrap_or_default()
    }
}

/// Everything that goes under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One image.
    Image(Box<Outgoing>),
    /// Several, and what else the index names.
    Index {
        /// Type, digest and size of the index.
        descriptor: Descriptor,
        /// The index as it is to be stored.
        bytes: Vec<u8>,
        /// What it names, in its order; before an index inside it, what that one names.
        manifests: Vec<Outgoing>,
    },
}

impl Content {
    /// An image that was made here, alone.
    pub fn patched(image: Image, files: &BTreeMap<Digest, PathBuf>) -> Self {
        Content::Image(Box::new(Outgoing::patched(image, files)))
    }

    /// Type, digest and size of what the name shall lead to.
    pub fn descriptor(&self) -> &Descriptor {
        match self {
            Content::Image(image) => &image.entry,
            Content::Index { descriptor, .. } => descriptor,
        }
    }

    /// The document that the name shall lead to.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Content::Image(image) => &image.bytes,
            Content::Index { bytes, .. } => bytes,
        }
    }

    /// All manifests, those of an index inside the index before it; not the top one of an index.
    pub fn manifests(&self) -> &[Outgoing] {
        match self {
            Content::Image(image) => std::slice::from_ref(image),
            Content::Index { manifests, .. } => manifests,
        }
    }

    /// Every blob once, in the order of the manifests.
    pub fn blobs(&self) -> Vec<&Blob> {
        let mut seen = std::collections::BTreeSet::new();
        let all = self.manifests().iter().flat_map(|m| &m.blobs);
        all.filter(|blob| seen.insert(&blob.descriptor.digest)).collect()
    }

    /// The one image that a place without indexes takes under the name itself: that of the platform, else the first that was
    /// patched.
    pub fn image_for(&self, platform: &Platform) -> Option<&Outgoing> {
        let images = || self.manifests().iter().filter(|m| m.image.is_some());
        let host = images().find(|m| m.platform().as_ref() == Some(platform));
        host.or_else(|| images().find(|m| m.patched)).or_else(|| images().next())
    }
}

/// Whether a blob is a layer of the source's own: such bytes are counted apart.
pub(crate) fn is_base(blob: &Blob) -> bool {
    blob.from == From::Source && media_type::compression(&blob.descriptor.media_type).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn image(architecture: &str, layers: &[&str]) -> Image {
        let ids: Vec<String> = layers.iter().map(|l| Digest::of(l.as_bytes()).to_string()).collect();
        let config = json!({"os": "linux", "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": ids}});
        let config = serde_json::to_vec(&config).unwrap();
        let blobs: Vec<Descriptor> =
            layers.iter().map(|l| Descriptor::of(media_type::OCI_LAYER, l.as_bytes())).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config), "layers": blobs});
        Image::new(serde_json::to_vec(&manifest).unwrap(), None, config).unwrap()
    }

    #[test]
    fn blobs_are_told_by_where_they_are_and_named_once() {
        let files = BTreeMap::from([(Digest::of(b"new"), PathBuf::from("/new"))]);
        let both = ["amd64", "arm64"].map(|a| Outgoing::patched(image(a, &["base", "new"]), &files));
        let content = Content::Index {
            descriptor: Descriptor::of(media_type::OCI_INDEX, b"{}"),
            bytes: b"{}".to_vec(),
            manifests: both.to_vec(),
        };
        let blobs = content.blobs();
        let kinds: Vec<_> = blobs.iter().map(|b| (b.descriptor.size > 9, is_base(b))).collect();
        assert_eq!(kinds, [(true, false), (false, true), (false, false), (true, false)]);
        assert_eq!(blobs[2].from, From::File("/new".into()));
        let arm: Platform = "linux/arm64".parse().unwrap();
        assert_eq!(content.image_for(&arm).unwrap().platform(), Some(arm));
        let first = content.image_for(&"linux/s390x".parse().unwrap()).unwrap();
        assert_eq!(first.platform().unwrap().architecture, "amd64");
    }
}
