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
        let layer_type = media_type::layer(docker, patch.compression);
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
        // Docker's schema has no annotations; there the label alone carries the lineage.
        if !docker && !patch.annotations.is_empty() {
            manifest.annotations.get_or_insert_default().extend(patch.annotations.clone());
        }
        let manifest_bytes = serde_json::to_vec(&manifest).map_err(|e| Error::invalid("manifest", e))?;
        Image::new(manifest_bytes, Some(&self.descriptor.media_type), config_bytes)
    }

    /// The same image with other blobs, of one compression, for some of its layers: by their place, lowest first counted from 0.
    /// What the layers are stays, and so does the config.
    pub fn with_blobs(
        &self,
        blobs: &BTreeMap<usize, (Digest, u64)>,
        compression: media_type::Compression,
    ) -> Result<Image, Error> {
        let mut manifest = self.manifest.clone();
        let kind = media_type::layer(media_type::is_docker(&self.descriptor.media_type), compression);
        for (at, (digest, size)) in blobs {
            let beyond = || Error::invalid("manifest", format!("it has no layer {at}"));
            *manifest.layers.get_mut(*at).ok_or_else(beyond)? = Descriptor::new(kind, digest.clone(), *size);
        }
        let manifest_bytes = serde_json::to_vec(&manifest).map_err(|e| Error::invalid("manifest", e))?;
        Image::new(manifest_bytes, Some(&self.descriptor.media_type), self.config_bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hasher, Platform};
    use serde_json::{Value, json};

    fn layer(name: &str) -> (Descriptor, DiffId) {
        let blob = Descriptor::of(media_type::OCI_LAYER_GZIP, format!("gz {name}").as_bytes());
        (blob, DiffId(Digest::of(name.as_bytes())))
    }

    fn config(layers: &[&str], history: Value) -> Vec<u8> {
        let ids: Vec<String> = layers.iter().map(|l| layer(l).1.to_string()).collect();
        let config = json!({"architecture": "amd64", "os": "linux", "vendor.field": {"kept": [1, 2]},
            "config": {"Env": ["A=b"], "Labels": {"mine": "yes"}, "User": "4294967296"},
            "rootfs": {"type": "layers", "diff_ids": ids}, "history": history});
        serde_json::to_vec(&config).unwrap()
    }

    fn manifest(layers: &[&str], config: &[u8], kind: &str) -> Vec<u8> {
        let blobs: Vec<Descriptor> = layers.iter().map(|l| layer(l).0).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "vendorField": true,
            "config": Descriptor::of(media_type::OCI_CONFIG, config), "layers": blobs, "annotations": {"a": "b"}});
        serde_json::to_vec(&manifest).unwrap()
    }

    fn image(layers: &[&str], history: Value) -> Image {
        let config = config(layers, history);
        Image::new(manifest(layers, &config, media_type::OCI_MANIFEST), None, config).unwrap()
    }

    fn patch(base_layers: usize) -> Patch {
        let history = History { created: "t".into(), created_by: "copa".into(), comment: String::new() };
        Patch {
            base_layers,
            blob: (Hasher::default().finish(), 7),
            diff_id: layer("patch").1,
            compression: media_type::Compression::Gzip,
            history,
            labels: [("new".to_owned(), "label".to_owned())].into(),
            annotations: [("c".to_owned(), "d".to_owned())].into(),
        }
    }

    #[test]
    fn a_patch_changes_only_what_it_must() {
        let image =
            image(&["a", "b"], json!([{"created_by": "a"}, {"empty_layer": true}, {"created_by": "b"}]));
        let patched = image.patched(&patch(2)).unwrap();
        assert_eq!(patched.layers[..2], image.layers[..]);
        assert_eq!(patched.layers.len(), 3);
        assert_eq!(patched.config.get("vendor.field"), image.config.get("vendor.field"));
        assert_eq!(patched.config.get("config").unwrap()["User"], "4294967296");
        assert_eq!(patched.config.labels().len(), 2);
        assert_eq!(patched.manifest.rest.get("vendorField"), Some(&Value::Bool(true)));
        assert_eq!(patched.manifest.annotations.unwrap().len(), 2);
        assert_eq!(patched.config.get("history").unwrap().as_array().unwrap().len(), 4);
        assert_eq!(image.platform(), Platform::new("linux", "amd64", None));
    }

    #[test]
    fn an_earlier_patch_layer_is_replaced() {
        let history = json!([{"created_by": "a"}, {"created_by": "old patch"}, {"empty_layer": true, "created_by": "USER x"}]);
        let patched = image(&["a", "old"], history).patched(&patch(1)).unwrap();
        assert_eq!(patched.layers.len(), 2);
        let by: Vec<&str> = patched
            .config
            .get("history")
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|h| h["created_by"].as_str().unwrap())
            .collect();
        assert_eq!(by, ["a", "USER x", "copa"]);
    }

    #[test]
    fn history_that_does_not_fit_the_layers_is_left_alone() {
        let patched = image(&["a", "b"], json!([{"created_by": "a"}])).patched(&patch(2)).unwrap();
        assert_eq!(patched.config.get("history").unwrap().as_array().unwrap().len(), 1);
    }

    #[test]
    fn docker_images_stay_docker_images() {
        let config = config(&["a"], json!([]));
        let bytes = String::from_utf8(manifest(&["a"], &config, media_type::DOCKER_MANIFEST)).unwrap();
        let bytes = bytes.replace(",\"annotations\":{\"a\":\"b\"}", "").into_bytes();
        let patched = Image::new(bytes, None, config).unwrap().patched(&patch(1)).unwrap();
        assert_eq!(patched.descriptor.media_type, media_type::DOCKER_MANIFEST);
        assert_eq!(patched.manifest.layers[1].media_type, media_type::DOCKER_LAYER_GZIP);
        assert_eq!(patched.manifest.annotations, None);
    }

    #[test]
    fn layers_keep_what_they_are_under_other_blobs() {
        let image = image(&["a", "b"], json!([]));
        let blob = (Digest::of(b"zstd b"), 6);
        let other = image.with_blobs(&[(1, blob.clone())].into(), media_type::Compression::Zstd).unwrap();
        assert_eq!(other.layers[0], image.layers[0]);
        assert_eq!(other.layers[1].diff_id, image.layers[1].diff_id);
        let descriptor = Descriptor::new(media_type::OCI_LAYER_ZSTD, blob.0.clone(), blob.1);
        assert_eq!(other.layers[1].descriptor, descriptor);
        assert_eq!(
            (&other.config_bytes, &other.manifest.annotations),
            (&image.config_bytes, &image.manifest.annotations)
        );
        assert!(image.with_blobs(&[(2, blob)].into(), media_type::Compression::Zstd).is_err());
    }

    #[test]
    fn parts_that_do_not_fit_one_another_are_refused() {
        let config = config(&["a"], json!([]));
        let good = manifest(&["a"], &config, media_type::OCI_MANIFEST);
        assert!(Image::new(good.clone(), None, config.clone()).is_ok());
        assert!(Image::new(good.clone(), None, b"{}".to_vec()).is_err(), "config digest");
        assert!(
            Image::new(manifest(&["a", "b"], &config, media_type::OCI_MANIFEST), None, config.clone())
                .is_err()
        );
        assert!(
            Image::new(good.clone(), Some(media_type::OCI_INDEX), config.clone()).is_err(),
            "transport disagrees"
        );
        let both = String::from_utf8(good).unwrap().replacen('{', "{\"manifests\":[],", 1).into_bytes();
        assert!(Image::new(both, None, config).is_err(), "layers and manifests");
    }
}
