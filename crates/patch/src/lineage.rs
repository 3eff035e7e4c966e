//! Lineage: what a patched image records of its own origin, and how a later patch finds its way back by it.
//!
//! The record is one label (it survives every format) and annotations. It is a claim of an untrusted image: it is
//! believed only as far as the image's own layers bear it out, and it never makes us fetch anything.

mod base;
mod copa;

pub use base::{BaseError, Found, find};
pub use copa::{Claim, claim};

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

/// Longest label value looked at, and written.
const LABEL_BYTES_MAX: usize = 16 << 10;
/// Most images below one another that a record names.
const BUILT_ON_MAX: usize = 8;

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
    /// Where the image before its first patch was itself built on a patched image: what that one recorded, the first of all
    /// first. Their patch layers are among the layers below and stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub built_on: Vec<BuiltOn>,
}

/// A patched image that another was built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuiltOn {
    /// Manifest digest of the image before its first patch.
    pub base_digest: String,
    /// The name that image was asked for by.
    pub base_name: String,
    /// How many layers it had.
    pub base_layers: usize,
    /// Diff id of the patch layer on top of them.
    pub patch_layer: String,
}

/// What an image is: original, or patched before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It bears no record.
    Original,
    /// It bears a record that its layers bear out.
    Patched(Lineage),
    /// Go Copa patched it, and the original was read: its layers are the first of the image's.
    PatchedElsewhere(Base),
    /// It was built on an image that bears such a record: layers lie above the patch layer. All of it stays below a new patch.
    BuiltOn(Lineage),
    /// It bears a record that its layers do not bear out; treated as original.
    Disproved(String),
}

/// An original that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its manifest digest.
    pub digest: String,
    /// Its name.
    pub name: String,
    /// How many layers it has.
    pub layers: usize,
}

impl Origin {
    /// How many layers stay below the next patch layer.
    pub fn base_layers(&self, image: &Image) -> usize {
        match self {
            Origin::Patched(lineage) => lineage.base_layers,
            Origin::PatchedElsewhere(base) => base.layers,
            Origin::Original | Origin::BuiltOn(_) | Origin::Disproved(_) => image.layers.len(),
        }
    }

    /// Whether a new patch takes the place of an earlier one.
    pub fn is_patched(&self) -> bool {
        matches!(self, Origin::Patched(_) | Origin::PatchedElsewhere(_))
    }
}

/// Reads the record of an image and checks it against the image's own layers.
pub fn origin(image: &Image) -> Origin {
    let labels = image.config.labels();
    let Some(text) = labels.get(LABEL) else { return Origin::Original };
    let disproved = |why: &str| Origin::Disproved(format!("its {LABEL} label does not check out: {why}"));
    if text.len() > LABEL_BYTES_MAX {
        return disproved("too long");
    }
    let Ok(lineage) = serde_json::from_str::<Lineage>(text) else { return disproved("not a lineage record") };
    if lineage.built_on.len() > BUILT_ON_MAX {
        return disproved("it names too many images below one another");
    }
    if lineage.base_layers == 0 {
        return disproved("there is nothing below the patch layer");
    }
    let diff_ids: Vec<&DiffId> = image.layers.iter().map(|l| &l.diff_id).collect();
    let Some((base, above)) = diff_ids.split_at_checked(lineage.base_layers) else {
        return disproved("the image has fewer layers");
    };
    let Some((patch, built)) = above.split_first() else { return disproved("there is no patch layer") };
    if patch.to_string() != lineage.patch_layer {
        return disproved("the layer on top of the original's is not the patch layer");
    }
    if chain(base.iter().copied()) != lineage.base_chain {
        return disproved("the layers below are not those it was made on");
    }
    if built.is_empty() { Origin::Patched(lineage) } else { Origin::BuiltOn(lineage) }
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
            Origin::PatchedElsewhere(base) => (base.digest.clone(), base.name.clone()),
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
            built_on: built_on(origin),
        }
    }

    /// The label's value. Of very many images below one another, or very long names, those in the middle are left out.
    pub fn to_label(&self) -> String {
        let text =
            |record: &Lineage| serde_json::to_string(record).expect("a struct of strings always serialises");
        let (mut record, mut label) = (self.clone(), text(self));
        while label.len() > LABEL_BYTES_MAX && !record.built_on.is_empty() {
            record.built_on.remove(1.min(record.built_on.len() - 1));
            label = text(&record);
        }
        label
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

/// What the images below have recorded.
fn built_on(origin: &Origin) -> Vec<BuiltOn> {
    match origin {
        Origin::Patched(earlier) => earlier.built_on.clone(),
        Origin::BuiltOn(below) => {
            let mut all = below.built_on.clone();
            all.push(BuiltOn {
                base_digest: below.base_digest.clone(),
                base_name: below.base_name.clone(),
                base_layers: below.base_layers,
                patch_layer: below.patch_layer.clone(),
            });
            while all.len() > BUILT_ON_MAX {
                // The first of all is the one that matters most.
                all.remove(1);
            }
            all
        }
        _ => Vec::new(),
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
    fn what_is_built_on_a_patched_image_keeps_it_and_names_it() {
        let first = image(&["a", "b"], &[]);
        let mut inherited = label(&first, "p");
        let mut layers = vec!["a".to_owned(), "b".to_owned(), "p".to_owned()];
        for round in 1..12 {
            layers.push(format!("app{round}"));
            let names: Vec<&str> = layers.iter().map(String::as_str).collect();
            let built = image(&names, &[(LABEL, &inherited)]);
            let origin = origin(&built);
            assert!(matches!(&origin, Origin::BuiltOn(_)), "{origin:?}");
            assert!(!origin.is_patched());
            assert_eq!(origin.base_layers(&built), layers.len());
            let patch = format!("p{round}");
            let diff_id = DiffId(Digest::of(patch.as_bytes()));
            let facts = PatchFacts { diff_id: &diff_id, plan_digest: "p", tool_version: "1" };
            let record = Lineage::of(&built, "app", &origin, &facts);
            assert_eq!(record.base_digest, built.descriptor.digest.to_string());
            assert_eq!(record.built_on.len(), round.min(BUILT_ON_MAX));
            assert_eq!(record.built_on[0].base_digest, first.descriptor.digest.to_string());
            inherited = record.to_label();
            layers.push(patch);
        }
    }

    #[test]
    fn records_stay_within_what_is_read_again() {
        let below = |n: usize| BuiltOn {
            base_digest: n.to_string(),
            base_name: "n".repeat(4000),
            base_layers: 1,
            patch_layer: String::new(),
        };
        let original = image(&["a"], &[]);
        let diff_id = DiffId(Digest::of(b"p"));
        let facts = PatchFacts { diff_id: &diff_id, plan_digest: "p", tool_version: "1" };
        let mut record = Lineage::of(&original, "name", &Origin::Original, &facts);
        record.built_on = (0..BUILT_ON_MAX).map(below).collect();
        let Origin::Patched(read) = origin(&image(&["a", "p"], &[(LABEL, &record.to_label())])) else {
            panic!()
        };
        let left: Vec<&str> = read.built_on.iter().map(|b| b.base_digest.as_str()).collect();
        assert_eq!(left, ["0", "6", "7"]);
    }

    #[test]
    fn a_record_that_the_layers_contradict_is_not() {
        let two = label(&image(&["a", "b"], &[]), "p");
        for layers in [&["a", "b"][..], &["a", "x", "p"], &["a", "b", "q"], &["a", "b", "q", "p"], &["p"]] {
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
