//! Lineage: what a patched image records of its own origin, and how a later patch finds its way back by it.
//!
//! The record is one label (it survives every format) and annotations. It is a claim of an untrusted image: it is
//! believed only as far as the image's own layers bear it out, and it never makes us fetch anything.

use oci::{DiffId, Image};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The label that holds the record as compact JSON.
pub const LABEL: &str = "sh.copa.lineage";
/// Annotation: manifest digest of the image as it was before its first patch.
pub const BASE_DIGEST: &str = "sh.copa.patch.base.digest";
/// Annotation: the name that image was asked for by.
pub const BASE_NAME: &str = "sh.copa.patch.base.name";
/// Annotation: diff id of the patch layer.
pub const PATCH_LAYER: &str = "sh.copa.patch.layer";
/// Annotation: digest of the plan.
pub const PLAN_DIGEST: &str = "sh.copa.patch.plan";
/// Annotation: version of copa that made the patch.
pub const TOOL_VERSION: &str = "sh.copa.patch.version";

/// Longest label value looked at.
const LABEL_BYTES_MAX: usize = 4096;

/// Where a patched image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lineage {
    /// Manifest digest of the image before its first patch.
    pub base_digest: String,
    /// The name that image was asked for by.
    pub base_name: String,
    /// How many layers it had.
    pub base_layers: usize,
    /// Digest over its diff ids, lowest first, one a line.
    pub base_chain: String,
    /// Diff id of the patch layer on top of them.
    pub patch_layer: String,
    /// Digest of the plan that made it.
    pub plan_digest: String,
    /// Version of copa that made it.
    pub tool_version: String,
}

/// What an image is: original, or patched by us before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It bears no record.
    Original,
    /// It bears a record that its layers bear out.
    Patched(Lineage),
    /// It bears a record that its layers do not bear out; treated as original.
    Disproved(String),
}

impl Origin {
    /// How many layers stay below the next patch layer.
    pub fn base_layers(&self, image: &Image) -> usize {
        match self {
            Origin::Patched(lineage) => lineage.base_layers,
            _ => image.layers.len(),
        }
    }
}

/// Reads the record of an image and checks it against the image's layers.
pub fn origin(image: &Image) -> Origin {
    let labels = image.config.labels();
    let Some(text) = labels.get(LABEL) else { return Origin::Original };
    let disproved = |why: &str| Origin::Disproved(format!("its {LABEL} label does not check out: {why}"));
    if text.len() > LABEL_BYTES_MAX {
        return disproved("too long");
    }
    let Ok(lineage) = serde_json::from_str::<Lineage>(text) else { return disproved("not a lineage record") };
    let diff_ids: Vec<&DiffId> = image.layers.iter().map(|l| &l.diff_id).collect();
    if diff_ids.len() != lineage.base_layers.saturating_add(1) {
        return disproved("the patch layer is not the last layer");
    }
    if lineage.base_layers == 0 {
        return disproved("there is nothing below the patch layer");
    }
    let (base, patch) = diff_ids.split_at(lineage.base_layers);
    if patch[0].to_string() != lineage.patch_layer {
        return disproved("the last layer is not the patch layer");
    }
    if chain(base.iter().copied()) != lineage.base_chain {
        return disproved("the layers below are not those it was made on");
    }
    Origin::Patched(lineage)
}

/// A digest over diff ids, so that a record names all base layers in one value.
pub fn chain<'a>(diff_ids: impl Iterator<Item = &'a DiffId>) -> String {
    let lines: String = diff_ids.map(|d| format!("{d}\n")).collect();
    oci::Digest::of(lines.as_bytes()).to_string()
}

impl Lineage {
    /// The record of a new patch on an image. The origin of an image that was patched before is carried on.
    pub fn of(image: &Image, name: &str, origin: &Origin, patch: &PatchFacts<'_>) -> Lineage {
        let base = &image.layers[..origin.base_layers(image)];
        let (base_digest, base_name) = match origin {
            Origin::Patched(earlier) => (earlier.base_digest.clone(), earlier.base_name.clone()),
            _ => (image.descriptor.digest.to_string(), name.to_owned()),
        };
        Lineage {
            base_digest,
            base_name,
            base_layers: base.len(),
            base_chain: chain(base.iter().map(|l| &l.diff_id)),
            patch_layer: patch.diff_id.to_string(),
            plan_digest: patch.plan_digest.to_owned(),
            tool_version: patch.tool_version.to_owned(),
        }
    }

    /// The label's value.
    pub fn to_label(&self) -> String {
        serde_json::to_string(self).expect("a struct of strings always serialises")
    }

    /// The annotations.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let pairs = [
            (BASE_DIGEST, &self.base_digest),
            (BASE_NAME, &self.base_name),
            (PATCH_LAYER, &self.patch_layer),
            (PLAN_DIGEST, &self.plan_digest),
            (TOOL_VERSION, &self.tool_version),
        ];
        pairs.into_iter().map(|(k, v)| (k.to_owned(), v.clone())).collect()
    }
}

/// What a lineage record says of the patch itself.
#[derive(Debug, Clone, Copy)]
pub struct PatchFacts<'a> {
    /// Diff id of the patch layer.
    pub diff_id: &'a DiffId,
    /// Digest of the plan.
    pub plan_digest: &'a str,
    /// Version of copa.
    pub tool_version: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::{Descriptor, Digest, media_type};
    use serde_json::json;

    /// An image with one layer a word, and labels.
    fn image(layers: &[&str], labels: &[(&str, &str)]) -> Image {
        let ids: Vec<String> = layers.iter().map(|l| Digest::of(l.as_bytes()).to_string()).collect();
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids},
            "config": {"Labels": labels}});
        let config = serde_json::to_vec(&config).unwrap();
        let blobs: Vec<Descriptor> = layers
            .iter()
            .map(|l| Descriptor::of(media_type::OCI_LAYER_GZIP, format!("z{l}").as_bytes()))
            .collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config), "layers": blobs});
        Image::new(serde_json::to_vec(&manifest).unwrap(), None, config).unwrap()
    }

    fn label(original: &Image, patch: &str) -> String {
        let diff_id = DiffId(Digest::of(patch.as_bytes()));
        let facts = PatchFacts { diff_id: &diff_id, plan_digest: "p", tool_version: "1" };
        Lineage::of(original, "name", &Origin::Original, &facts).to_label()
    }

    #[test]
    fn a_record_borne_out_by_the_layers_is_believed() {
        let original = image(&["a", "b"], &[]);
        let label = label(&original, "p");
        let patched = image(&["a", "b", "p"], &[(LABEL, &label)]);
        let Origin::Patched(found) = origin(&patched) else { panic!("{:?}", origin(&patched)) };
        assert_eq!((found.base_layers, found.base_name.as_str()), (2, "name"));
        assert_eq!(found.base_digest, original.descriptor.digest.to_string());
    }

    #[test]
    fn a_record_that_the_layers_contradict_is_not() {
        let two = label(&image(&["a", "b"], &[]), "p");
        for layers in [&["a", "b"][..], &["a", "x", "p"], &["a", "b", "q"], &["a", "b", "p", "c"], &["p"]] {
            let origin = origin(&image(layers, &[(LABEL, &two)]));
            assert!(matches!(origin, Origin::Disproved(_)), "{layers:?} {origin:?}");
        }
        for text in ["", "{}", "null", "{\"baseLayers\": 18446744073709551615}"] {
            assert!(matches!(origin(&image(&["a"], &[(LABEL, text)])), Origin::Disproved(_)), "{text}");
        }
        let whole = label(&image(&[], &[]), "p");
        assert!(matches!(origin(&image(&["p"], &[(LABEL, &whole)])), Origin::Disproved(_)), "{whole}");
        assert_eq!(origin(&image(&["a"], &[("BaseImage", "evil.example/x:y")])), Origin::Original);
    }
}
