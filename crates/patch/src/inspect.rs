//! What is known of an image's patches: read, never run, and held against the original where that is at hand.

use crate::{
    index::{self, Held, Role},
    lineage::{self, BaseError, BuiltOn, Found, Lineage, Origin},
    pinned::Pinned,
    record,
    result::PackageRecord,
};
use endpoint::{Named, Source};
use engine::{Context, Engine, OpenRequest};
use inventory::Inventory;
use layer::Tree;
use oci::{Document, Image, Platform};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// The version of the document's shape.
pub const SCHEMA_VERSION: &str = "copa.sh/inspect/v1";

/// What to look at.
pub struct InspectRequest {
    /// The image as it was asked for.
    pub name: String,
    /// Where it is.
    pub source: Arc<dyn Source>,
    /// Its original, where the user names it.
    pub base: Option<Arc<dyn Source>>,
    /// Only these platforms; none: all.
    pub platforms: Vec<Platform>,
    /// Reads the package databases, which takes the layers. Nothing of the image is run.
    pub packages: Option<(Arc<dyn Engine>, Context)>,
}

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// Always `copa.sh/inspect/v1`.
    pub schema_version: String,
    /// As it was asked for.
    pub name: String,
    /// Digest of what the name leads to.
    pub digest: String,
    /// Each platform's image.
    pub platforms: Vec<PlatformInspection>,
}

/// What is known of the image of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlatformInspection {
    /// `linux/amd64`.
    pub platform: String,
    /// Manifest digest.
    pub digest: String,
    /// Type of the manifest.
    pub media_type: String,
    /// How many layers it has.
    pub layers: u64,
    /// `original`, `patched`, `patched-elsewhere` (by Go Copa), `built-on-patched`, `unproven` (its record does not check out).
    pub origin: String,
    /// Whether patching it again takes the place of the patch it has; else a patch layer is added.
    pub replaces_patch: bool,
    /// What it was before its patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseInspection>,
    /// Its patch layers, lowest first.
    pub patches: Vec<LayerInspection>,
    /// Patched images that it was built on, the first of all first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub built_on: Vec<BuiltOn>,
    /// What the layers above the original changed in the package database; absent where it was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<Vec<PackageRecord>>,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An image as it was before its patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaseInspection {
    /// The name it was asked for by.
    pub name: String,
    /// Its manifest digest.
    pub digest: String,
    /// How many layers it has.
    pub layers: u64,
    /// Whether it was read and has these layers. Else only the image's own layers speak for the record.
    pub verified: bool,
}

/// A patch layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LayerInspection {
    /// Its place, counted from 0.
    pub layer: u64,
    /// Digest of the blob.
    pub digest: String,
    /// Digest of its tar.
    pub diff_id: String,
    /// Bytes of the blob.
    pub size: u64,
    /// When it was made, as history has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What made it, as history has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Version of copa that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
    /// Digest of the plan that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
}

/// Why an image could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It could not be read.
    #[error("cannot read image {name}")]
    Source {
        /// The image as asked for.
        name: String,
        /// What the endpoint said.
        #[source]
        source: endpoint::Error,
    },
    /// The original that the user names cannot be taken for it.
    #[error("cannot go by the original that was named")]
    Base(#[source] BaseError),
    /// Its layers could not be read.
    #[error("cannot read the layers of {name}")]
    Engine {
        /// The image as asked for.
        name: String,
        /// What the engine said.
        #[source]
        source: engine::Error,
    },
    /// Its package database could not be read.
    #[error("cannot read the package database of {name}")]
    Database {
        /// The image as asked for.
        name: String,
        /// What the adapter said.
        #[source]
        source: adapter::Error,
    },
}

/// Looks at an image, platform by platform.
pub async fn inspect(request: &InspectRequest) -> Result<Inspection, InspectError> {
    let failed = |source| InspectError::Source { name: request.name.clone(), source };
    let named = request.source.named().await.map_err(failed)?;
    let mut platforms = Vec::new();
    for (image, place) in images(request, &named).await.map_err(failed)? {
        platforms.push(one(request, &image, place).await?);
    }
    Ok(Inspection {
        schema_version: SCHEMA_VERSION.to_owned(),
        name: request.name.clone(),
        digest: named.descriptor.digest.to_string(),
        platforms,
    })
}

/// The images of the platforms that were asked for, with where the rest of each is.
async fn images(
    request: &InspectRequest,
    named: &Named,
) -> Result<Vec<(Image, Arc<dyn Source>)>, endpoint::Error> {
    let source = &request.source;
    if let Document::Manifest(manifest) = &named.document {
        let config = source.config(&manifest.config).await?;
        let image = Image::new(named.bytes.clone(), Some(&named.descriptor.media_type), config);
        let image = image.map_err(|e| endpoint::Error::Image { item: named.reference.clone(), source: e })?;
        let platform = image.platform();
        return match request.platforms.iter().find(|wanted| **wanted != platform) {
            Some(wanted) => Err(missing(named, wanted, vec![platform])),
            None => Ok(vec![(image, source.clone())]),
        };
    }
    let members = index::members(&**source, named).await?;
    let all = index::flat(&members);
    let there: Vec<_> = all
        .into_iter()
        .filter_map(|member| match &member.role {
            Role::Image(platform) => Some((&member.entry, platform)),
            _ => None,
        })
        .collect();
    let available = || there.iter().map(|(_, platform)| (*platform).clone()).collect::<Vec<_>>();
    if let Some(wanted) = request.platforms.iter().find(|w| !there.iter().any(|(_, p)| p == w)) {
        return Err(missing(named, wanted, available()));
    }
    let (mut found, mut held) = (Vec::new(), Held::default());
    let wanted = |platform: &Platform| request.platforms.is_empty() || request.platforms.contains(platform);
    for (entry, platform) in there.iter().filter(|(_, platform)| wanted(platform)) {
        let place: Arc<dyn Source> =
            Arc::new(Pinned::entry(source.clone(), named, (entry, platform), available()).await?);
        let image = place.image(platform).await?.image;
        held.take(image.manifest_bytes.len() + image.config_bytes.len(), &named.reference)?;
        found.push((image, place));
    }
    Ok(found)
}

fn missing(named: &Named, wanted: &Platform, available: Vec<Platform>) -> endpoint::Error {
    endpoint::Error::NoPlatform { item: named.reference.clone(), wanted: Box::new(wanted.clone()), available }
}

async fn one(
    request: &InspectRequest,
    image: &Image,
    place: Arc<dyn Source>,
) -> Result<PlatformInspection, InspectError> {
    let found = lineage::find(image, &*place, request.base.as_deref()).await.map_err(InspectError::Base)?;
    let base = base(&found);
    let packages = match (&request.packages, &base) {
        (Some(reader), Some(base)) => Some(packages(request, image, place, (reader, base.layers)).await?),
        _ => None,
    };
    Ok(PlatformInspection {
        platform: image.platform().to_string(),
        digest: image.descriptor.digest.to_string(),
        media_type: image.descriptor.media_type.clone(),
        layers: image.layers.len() as u64,
        origin: word(&found.origin).to_owned(),
        replaces_patch: found.origin.is_patched(),
        base,
        patches: patches(image, &found.origin),
        built_on: match &found.origin {
            Origin::Patched(lineage) | Origin::BuiltOn(lineage) => lineage.built_on.clone(),
            _ => Vec::new(),
        },
        packages,
        notes: found.notes,
    })
}

fn word(origin: &Origin) -> &'static str {
    match origin {
        Origin::Original => "original",
        Origin::Patched(_) => "patched",
        Origin::PatchedElsewhere(_) => "patched-elsewhere",
        Origin::BuiltOn(_) => "built-on-patched",
        Origin::Disproved(_) => "unproven",
    }
}

fn base(found: &Found) -> Option<BaseInspection> {
    match &found.origin {
        Origin::Patched(lineage) | Origin::BuiltOn(lineage) => Some(BaseInspection {
            name: lineage.base_name.clone(),
            digest: lineage.base_digest.clone(),
            layers: lineage.base_layers as u64,
            verified: found.base_read,
        }),
        Origin::PatchedElsewhere(base) => Some(BaseInspection {
            name: base.name.clone(),
            digest: base.digest.clone(),
            layers: base.layers as u64,
            verified: found.base_read,
        }),
        Origin::Original | Origin::Disproved(_) => None,
    }
}

/// The layers that are patches.
fn patches(image: &Image, origin: &Origin) -> Vec<LayerInspection> {
    let (places, lineage): (Vec<usize>, Option<&Lineage>) = match origin {
        Origin::Patched(lineage) | Origin::BuiltOn(lineage) => {
            let earlier = lineage.built_on.iter().map(|below| below.base_layers);
            (earlier.chain([lineage.base_layers]).collect(), Some(lineage))
        }
        Origin::PatchedElsewhere(base) => ((base.layers..image.layers.len()).collect(), None),
        Origin::Original | Origin::Disproved(_) => (Vec::new(), None),
    };
    let history = image.config.layer_history();
    let last = places.last().copied();
    let layer = |at: usize| {
        let layer = image.layers.get(at)?;
        let entry = history.as_ref().and_then(|h| h.get(at));
        let told = |text: fn(&oci::History) -> &String| entry.map(text).filter(|t| !t.is_empty()).cloned();
        let ours = lineage.filter(|_| last == Some(at));
        Some(LayerInspection {
            layer: at as u64,
            digest: layer.descriptor.digest.to_string(),
            diff_id: layer.diff_id.to_string(),
            size: layer.descriptor.size,
            created: told(|h| &h.created),
            created_by: told(|h| &h.created_by),
            tool_version: ours.map(|l| l.tool_version.clone()),
            plan_digest: ours.map(|l| l.plan_digest.clone()),
        })
    };
    places.into_iter().filter_map(layer).collect()
}

/// What lies above the base has changed in the package database: both are read.
async fn packages(
    request: &InspectRequest,
    image: &Image,
    blobs: Arc<dyn Source>,
    ((engine, context), base_layers): (&(Arc<dyn Engine>, Context), u64),
) -> Result<Vec<PackageRecord>, InspectError> {
    let failed = |source| InspectError::Engine { name: request.name.clone(), source };
    let base_layers = usize::try_from(base_layers).unwrap_or(usize::MAX);
    let open = OpenRequest { image: image.clone(), base_layers, blobs, keep_blobs: false };
    let root = engine.open(open, context).await.map_err(failed)?;
    let base = root.base().map_err(failed)?;
    let (before, after) = (inventory(&*base, request)?, inventory(root.tree(), request)?);
    Ok(record::packages(&plan::upgrades(&before, &after)))
}

fn inventory(tree: &dyn Tree, request: &InspectRequest) -> Result<Inventory, InspectError> {
    let engine = |source| InspectError::Engine { name: request.name.clone(), source };
    let database = |source| InspectError::Database { name: request.name.clone(), source };
    let os = adapter::os_release(&engine::collect(tree, &adapter::os_looks()).map_err(engine)?);
    let os = os.map_err(database)?;
    let adapter = adapter::choose(&os).map_err(database)?;
    let evidence = engine::collect(tree, &adapter.looks()).map_err(engine)?;
    adapter.facts(os, &evidence).map(|facts| facts.inventory).map_err(database)
}

/// The JSON Schema of the document.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Inspection).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{Store, platform};
    use oci::{Descriptor, Digest, media_type};
    use serde_json::json;

    #[tokio::test]
    async fn images_are_bounded_in_all_not_only_each() {
        let (mut store, padding) = (Store::default(), "x".repeat(4_000_000));
        let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers",
            "diff_ids": [Digest::of(b"layer")]}});
        let config = store.put(media_type::OCI_CONFIG, &config, &json!({}));
        let layer = Descriptor::of(media_type::OCI_LAYER, b"layer");
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config,
            "layers": [layer], "annotations": {"padding": padding}});
        let image = store.put(media_type::OCI_MANIFEST, &manifest, &platform("amd64"));
        let tops = [2, 17].map(|times| store.index(&vec![image.clone(); times]));
        let named = tops.map(|top| store.named(&top));
        let source: Arc<dyn Source> = Arc::new(store);
        let request = InspectRequest {
            name: "app:1".into(),
            source,
            base: None,
            platforms: Vec::new(),
            packages: None,
        };
        let [few, many] = named;
        assert_eq!(images(&request, &few).await.map(|found| found.len()).ok(), Some(2));
        let refused = format!("{:?}", images(&request, &many).await.err());
        assert!(refused.contains("bytes in all"), "{refused}");
    }
}
