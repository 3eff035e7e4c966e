//! Manifests (image-spec `manifest.md`; docker v2 schema 2): parsed strictly enough that nothing is ambiguous.

use crate::{Descriptor, Error, Index, limits, media_type};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An image manifest; fields that we do not know are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own type, where the body names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Everything else (`artifactType`, `subject`).
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

/// What a reference may lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several images.
    Index(Index),
}

impl Document {
    /// Parses a manifest or index. `content_type` is what the transport said, where it said anything.
    /// A body that could be read as both, and a transport that says otherwise than the body, are refused (CVE-2021-41190).
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<(Document, String), Error> {
        if bytes.len() as u64 > limits::MANIFEST_BYTES_MAX {
            return Err(Error::invalid(
                "manifest",
                format!("larger than {} bytes", limits::MANIFEST_BYTES_MAX),
            ));
        }
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|e| Error::invalid("manifest", e))?;
        let kind = kind(&value, content_type)?;
        let parse_error = |e: serde_json::Error| Error::invalid("manifest", e);
        let document = match kind.as_str() {
            media_type::OCI_INDEX | media_type::DOCKER_LIST => {
                let index: Index = serde_json::from_value(value).map_err(parse_error)?;
                Document::Index(index.checked()?)
            }
            _ => {
                let manifest: Manifest = serde_json::from_value(value).map_err(parse_error)?;
                Document::Manifest(manifest.checked()?)
            }
        };
        Ok((document, kind))
    }
}

/// The media type of a body, from the body and the transport together.
fn kind(value: &serde_json::Value, content_type: Option<&str>) -> Result<String, Error> {
    let refuse = |why: String| Err(Error::invalid("manifest", why));
    let has = |key: &str| value.get(key).is_some();
    if has("fsLayers") || value.get("schemaVersion") == Some(&1.into()) {
        return Err(Error::Unsupported("docker schema 1 manifest".into()));
    }
    if value.get("schemaVersion") != Some(&2.into()) {
        return refuse("schemaVersion is not 2".into());
    }
    if has("layers") && has("manifests") {
        return refuse("has both layers and manifests".into());
    }
    let body = value.get("mediaType").and_then(|v| v.as_str());
    let transport = content_type.map(|t| t.split(';').next().unwrap_or(t).trim()).filter(|t| {
        // Plain JSON types and octet streams say nothing about which document it is.
        !matches!(*t, "" | "application/json" | "text/plain" | "application/octet-stream")
    });
    if let (Some(b), Some(t)) = (body, transport)
        && b != t
    {
        return refuse(format!(
            "mediaType is {} but it was sent as {}",
            b.escape_default(),
            t.escape_default()
        ));
    }
    let kind = match (body.or(transport), has("manifests")) {
        (Some(kind), _) => kind,
        (None, true) => media_type::OCI_INDEX,
        (None, false) => media_type::OCI_MANIFEST,
    };
    let is_index = matches!(kind, media_type::OCI_INDEX | media_type::DOCKER_LIST);
    let is_manifest = matches!(kind, media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST);
    if !is_index && !is_manifest {
        return Err(Error::Unsupported(format!("manifest of type {}", kind.escape_default())));
    }
    if is_index == has("manifests") {
        Ok(kind.to_owned())
    } else {
        refuse(format!("body does not fit its type {kind}"))
    }
}

impl Manifest {
    /// Refuses what cannot be patched or what lies about sizes.
    fn checked(self) -> Result<Self, Error> {
        if self.layers.len() > limits::LAYERS_MAX {
            return Err(Error::invalid("manifest", format!("more than {} layers", limits::LAYERS_MAX)));
        }
        if !matches!(self.config.media_type.as_str(), media_type::OCI_CONFIG | media_type::DOCKER_CONFIG) {
            let kind = self.config.media_type.escape_default();
            return Err(Error::Unsupported(format!(
                "artifact with config of type {kind} (not a container image)"
            )));
        }
        for layer in &self.layers {
            if media_type::compression(&layer.media_type).is_none() {
                let (kind, digest) = (layer.media_type.escape_default(), &layer.digest);
                return Err(Error::Unsupported(format!("layer {digest} of type {kind}")));
            }
            if layer.size > limits::BLOB_BYTES_MAX {
                return Err(Error::invalid(
                    "manifest",
                    format!("layer {} claims {} bytes", layer.digest, layer.size),
                ));
            }
        }
        if self.config.size > limits::CONFIG_BYTES_MAX {
            return Err(Error::invalid("manifest", format!("config claims {} bytes", self.config.size)));
        }
        Ok(self)
    }
}
