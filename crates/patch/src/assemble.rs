//! The words a patched image carries: annotations, digest of the plan, times; and what is counted by comparing it with
//! the original.

use crate::{lineage::Lineage, result::LayerRecord};
use layer::Packed;
use oci::Image;
use plan::{Plan, Scope};
use std::collections::BTreeMap;

/// When the image was made (image-spec annotation).
const CREATED: &str = "org.opencontainers.image.created";
/// When the image was patched (Copa's annotation).
const PATCHED: &str = "sh.copa.image.patched";
/// When images of the index were patched (Copa's annotation).
const INDEX_PATCHED: &str = "sh.copa.patched";
/// The version of what the image packages (image-spec annotation).
const VERSION: &str = "org.opencontainers.image.version";

/// The annotations to set: those of the index entry the image was chosen from (its manifest stands alone now), Copa's own
/// (time of the patch, version adjusted where the image names one), and the lineage.
pub(crate) fn annotations(
    image: &Image,
    entry: &BTreeMap<String, String>,
    lineage: &Lineage,
    (now, tag): (&str, Option<&str>),
) -> BTreeMap<String, String> {
    let own = image.manifest.annotations.clone().unwrap_or_default();
    let mut annotations: BTreeMap<String, String> = entry.clone();
    annotations.extend(own);
    annotations.extend(lineage.annotations());
    annotations.insert(CREATED.to_owned(), now.to_owned());
    annotations.insert(PATCHED.to_owned(), now.to_owned());
    version(&mut annotations, tag);
    annotations
}

/// Those of an index with patched images: its own, the time of the patch, the version adjusted where there is one.
pub(crate) fn index_annotations(
    own: Option<&BTreeMap<String, String>>,
    (now, tag): (&str, Option<&str>),
) -> BTreeMap<String, String> {
    let mut annotations = own.cloned().unwrap_or_default();
    annotations.insert(CREATED.to_owned(), now.to_owned());
    annotations.insert(INDEX_PATCHED.to_owned(), now.to_owned());
    version(&mut annotations, tag);
    annotations
}

/// Those of a patched image's entry in the index: its own; time and version only where it has them.
pub(crate) fn entry_annotations(
    own: &BTreeMap<String, String>,
    (now, tag): (&str, Option<&str>),
) -> BTreeMap<String, String> {
    let mut annotations = own.clone();
    if let Some(created) = annotations.get_mut(CREATED) {
        now.clone_into(created);
    }
    version(&mut annotations, tag);
    annotations
}

/// Adjusts the version, where there is one, to the new tag.
fn version(annotations: &mut BTreeMap<String, String>, tag: Option<&str>) {
    if let (Some(version), Some(tag)) = (annotations.get_mut(VERSION), tag) {
        *version = if tag.contains(version.as_str()) { tag.to_owned() } else { format!("{version}-{tag}") };
    }
}

/// RFC 3339 in UTC, whole seconds.
pub(crate) fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// A digest over what was asked for, so that two images patched by the same plan can be told.
pub(crate) fn plan_digest(plan: &Plan) -> String {
    let lines = match &plan.scope {
        Scope::UpdateAll => "update-all\n".to_owned(),
        Scope::Fixes(fixes) => fixes.iter().map(|f| format!("{} >= {}\n", f.package, f.at_least)).collect(),
    };
    oci::Digest::of(lines.as_bytes()).to_string()
}

/// How many of the base layers are not what they were, by descriptor.
pub(crate) fn reencoded(before: &Image, after: &Image, base_layers: usize) -> u64 {
    let same = |i: usize| after.layers.get(i).map(|l| &l.descriptor) == Some(&before.layers[i].descriptor);
    (0..base_layers).filter(|i| !same(*i)).count() as u64
}

pub(crate) fn layer_record(packed: &Packed) -> LayerRecord {
    LayerRecord {
        digest: packed.digest.to_string(),
        diff_id: packed.diff_id.to_string(),
        size: packed.size,
        uncompressed_size: packed.uncompressed_size,
        entries: packed.entries,
        removed: packed.removed,
        epoch: packed.epoch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_700_000_000), "2023-11-14T22:13:20Z");
    }

    /// An image whose manifest has these annotations.
    fn annotated(own: &serde_json::Value) -> Image {
        let config = r#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let descriptor = serde_json::json!({
            "mediaType": oci::media_type::OCI_CONFIG, "digest": oci::Digest::of(config.as_bytes()), "size": config.len(),
        });
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": oci::media_type::OCI_MANIFEST, "config": descriptor, "layers": [], "annotations": own,
        });
        Image::new(manifest.to_string().into_bytes(), None, config.into()).unwrap()
    }

    #[test]
    fn annotations_stay_and_those_of_the_patch_are_added() {
        let text = String::from;
        let lineage = Lineage {
            base_digest: text("sha256:base"),
            base_name: text("app:1"),
            base_layers: 0,
            base_chain: text("sha256:chain"),
            patch_layer: text("sha256:layer"),
            plan_digest: text("sha256:plan"),
            tool_version: text("1"),
            built_on: Vec::new(),
        };
        let image = annotated(
            &serde_json::json!({ VERSION: "1.21", "mine": "kept", "both": "manifest", CREATED: "old" }),
        );
        let entry = [("both", "entry"), ("entry", "kept")].map(|(k, v)| (text(k), text(v))).into();
        let now = "2023-11-14T22:13:20Z";
        for (tag, version) in
            [(Some("1.21-patched"), "1.21-patched"), (Some("patched"), "1.21-patched"), (None, "1.21")]
        {
            let found = annotations(&image, &entry, &lineage, (now, tag));
            for (key, value) in [
                (VERSION, version),
                (CREATED, now),
                (PATCHED, now),
                ("mine", "kept"),
                ("both", "manifest"),
                ("entry", "kept"),
            ] {
                assert_eq!(found.get(key).map(String::as_str), Some(value), "{key}, {tag:?}");
            }
            assert_eq!(found.len(), 6 + lineage.annotations().len());
        }
        let plain =
            annotations(&annotated(&serde_json::json!({})), &BTreeMap::new(), &lineage, (now, Some("x")));
        assert!(!plain.contains_key(VERSION), "none where the image names none");
    }

    #[test]
    fn plans_differ_by_what_they_ask() {
        let plan =
            |scope| Plan { scope, left_out: Vec::new(), excluded: Default::default(), notes: Vec::new() };
        let fix = |at_least: &str| plan::Fix {
            package: "a".parse().unwrap(),
            installed: "1".into(),
            at_least: at_least.into(),
            findings: Vec::new(),
        };
        let all = plan_digest(&plan(Scope::UpdateAll));
        let two = plan_digest(&plan(Scope::Fixes(vec![fix("2")])));
        let three = plan_digest(&plan(Scope::Fixes(vec![fix("3")])));
        assert!(all != two && two != three);
    }
}
