//! An image as a value: manifest, config, layers; and the one change we make to it, the patch layer.

use crate::{Config, Descriptor, DiffId, Digest, Document, Error, History, Manifest, Platform, media_type};
use std::collections::BTreeMap;

/// One image of one platform, verified and consistent. Never changed in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Type, digest and size of the manifest bytes.
    pub descriptor: Descriptor,
    /// The manifest as it is stored.
    pub manifest_bytes: Vec<u8>,
    /// The manifest.
    pub manifest: Manifest,
    /// The config as it is stored.
    pub config_bytes: Vec<u8>,
    /// The config.
    pub config: Config,
    /// Layers, lowest first.
    pub layers: Vec<ImageLayer>,
}

/// One layer: how it is transferred and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of its uncompressed tar.
    pub diff_id: DiffId,
}

/// The patch to put on an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// How many layers, from the first, stay: those below an earlier patch.
    pub base_layers: usize,
    /// Digest and size of the new blob.
    pub blob: (Digest, u64),
    /// The new layer's diff id.
    pub diff_id: DiffId,
    /// How the new blob is compressed.
    pub compression: media_type::Compression,
    /// Its history entry.
    pub history: History,
    /// Labels to set in the config.
    pub labels: BTreeMap<String, String>,
    /// Annotations to set in the manifest.
    pub annotations: BTreeMap<String, String>,
}

impl Image {
    /// Puts manifest and config together; both must already be verified against their digests. Refuses an image whose
    /// parts do not fit one another.
    pub fn new(
        manifest_bytes: Vec<u8>,
        content_type: Option<&str>,
        config_bytes: Vec<u8>,
    ) -> Result<Self, Error> {
        let (document, kind) = Document::parse(&manifest_bytes, content_type)?;
        let Document::Manifest(manifest) = document else {
            return Err(Error::invalid("manifest", "an index, where an image was expected"));
        };
        let descriptor = Descriptor::of(&kind, &manifest_bytes);
        let config_digest = Digest::of(&config_bytes);
        if config_digest != manifest.config.digest {
            let want = &manifest.config.digest;
            return Err(Error::invalid(
                "config",
                format!("digest is {config_digest}, the manifest says {want}"),
            ));
        }
        if config_bytes.len() as u64 != manifest.config.size {
            let (got, want) = (config_bytes.len(), manifest.config.size);
            return Err(Error::invalid("config", format!("{got} bytes, the manifest says {want}")));
        }
        let config = Config::parse(&config_bytes)?;
        let diff_ids = config.diff_ids()?;
        if diff_ids.len() != manifest.layers.len() {
            let (ids, layers) = (diff_ids.len(), manifest.layers.len());
            return Err(Error::invalid("config", format!("{ids} diff ids for {layers} layers")));
        }
        let pair = |(descriptor, diff_id): (&Descriptor, DiffId)| ImageLayer {
            descriptor: descriptor.clone(),
            diff_id,
        };
        let layers = manifest.layers.iter().zip(diff_ids).map(pair).collect();
        Ok(Image { descriptor, manifest_bytes, manifest, config_bytes, config, layers })
    }

    /// The platform, as the config says.
    pub fn platform(&self) -> Platform {
        self.config.platform()
    }

    /// A new image: the base layers untouched, one patch layer in place of whatever lay above them, config and manifest
    /// otherwise as they were, media types of the same family.
    pub fn patched(&self, patch: &Patch) -> Result<Image, Error> {
        let docker = media_type::is_docker(&self.descriptor.media_type);
        let layer_type = match (docker, patch.compression) {
            (true, media_type::Compression::Gzip) => media_type::DOCKER_LAYER_GZIP,
            (true, media_type::Compression::None) => media_type::DOCKER_LAYER,
            (true, media_type::Compression::Zstd) => media_type::DOCKER_LAYER_ZSTD,
            (false, media_type::Compression::Gzip) => media_type::OCI_LAYER_GZIP,
            (false, media_type::Compression::None) => media_type::OCI_LAYER,
            (false, media_type::Compression::Zstd) => media_type::OCI_LAYER_ZSTD,
        };
        let mut config = self.config.clone();
        config.truncate(patch.base_layers)?;
        config.push_layer(&patch.diff_id, &patch.history)?;
        for (key, value) in &patch.labels {
            config.set_label(key, value)?;
        }
        let config_bytes = config.to_bytes();
        let mut manifest = self.manifest.clone();
        manifest.layers.truncate(patch.base_layers);
        manifest.layers.push(Descriptor::new(layer_type, patch.blob.0.clone(), patch.blob.1));
        manifest.config.digest = Digest::of(&config_bytes);
        manifest.config.size = config_bytes.len() as u64;
        manifest.annotations.get_or_insert_default().extend(patch.annotations.clone());
        let manifest_bytes = serde_json::to_vec(&manifest).map_err(|e| Error::invalid("manifest", e))?;
        Image::new(manifest_bytes, Some(&self.descriptor.media_type), config_bytes)
    }
}
