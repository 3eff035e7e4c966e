//! What a docker daemon answers, as far as it is looked at.

use super::api::{ImageStore, Inspected, KnownManifest};
use oci::{
    Descriptor, DiffId, Digest,
    limits::{INDEX_ENTRIES_MAX, LAYERS_MAX},
};
use serde::Deserialize;
use serde_json::Value;

/// What `driver-type` is where containerd keeps the images.
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1";

/// `GET /info`.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    #[serde(rename = "OSType")]
    pub(super) os_type: Option<String>,
    #[serde(rename = "ServerVersion")]
    pub(super) server_version: Option<String>,
    #[serde(rename = "DriverStatus")]
    driver_status: Option<Vec<Vec<String>>>,
}

impl Info {
    /// Which store it is.
    pub(super) fn store(&self) -> ImageStore {
        let status = self.driver_status.iter().flatten();
        let containerd = |pair: &Vec<String>| {
            pair.first().is_some_and(|k| k == "driver-type") && pair.get(1).is_some_and(|v| v == SNAPSHOTTER)
        };
        if status.into_iter().any(containerd) { ImageStore::Containerd } else { ImageStore::Classic }
    }
}

/// `GET /images/NAME/json`.
#[derive(Debug, Deserialize)]
pub(super) struct Image {
    #[serde(rename = "Id")]
    id: Digest,
    #[serde(rename = "RepoTags")]
    repo_tags: Option<Vec<String>>,
    #[serde(rename = "RootFS")]
    root_fs: Option<RootFs>,
    #[serde(rename = "Manifests")]
    manifests: Option<Vec<Manifest>>,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(rename = "Layers")]
    layers: Option<Vec<DiffId>>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(rename = "Descriptor")]
    descriptor: Descriptor,
    #[serde(rename = "Available")]
    available: bool,
    #[serde(rename = "Kind", default)]
    kind: String,
}

impl Image {
    /// Within bounds.
    pub(super) fn inspected(self) -> Result<Inspected, String> {
        let diff_ids = self.root_fs.and_then(|r| r.layers).unwrap_or_default();
        if diff_ids.len() > LAYERS_MAX {
            return Err(format!("it has more than {LAYERS_MAX} layers"));
        }
        if self.manifests.as_ref().is_some_and(|m| m.len() > INDEX_ENTRIES_MAX) {
            return Err(format!("it has more than {INDEX_ENTRIES_MAX} manifests"));
        }
        let known = |m: Manifest| KnownManifest {
            is_image: m.kind == "image",
            descriptor: m.descriptor,
            available: m.available,
        };
        let manifests = self.manifests.map(|all| all.into_iter().map(known).collect());
        let has_name = self.repo_tags.iter().flatten().any(|name| !name.contains("<none>"));
        Ok(Inspected { id: self.id, has_name, diff_ids, manifests })
    }
}

/// One of `GET /images/json`.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "Id")]
    pub(super) id: Digest,
}

/// What an error answer says.
pub(super) fn message(answer: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(answer).ok()?;
    value.get("message").and_then(Value::as_str).map(str::to_owned)
}

/// The failure among the lines that a daemon tells while it works, which are JSON objects one after another. What is none
/// is a failure too: so is an answer that somebody else gives.
pub(super) fn failure(told: &[u8]) -> Option<String> {
    let lines = serde_json::Deserializer::from_slice(told).into_iter::<Value>();
    for line in lines {
        let Ok(line) = line else { return Some("what it tells cannot be read".to_owned()) };
        let detail = line.get("errorDetail").and_then(|d| d.get("message"));
        if let Some(text) = detail.or_else(|| line.get("error")) {
            return Some(text.as_str().unwrap_or("it failed").to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_told_by_the_driver() {
        for (text, store) in [
            (
                r#"{"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}"#,
                ImageStore::Containerd,
            ),
            (r#"{"DriverStatus": [["Backing Filesystem", "extfs"], ["x"], []]}"#, ImageStore::Classic),
            (r#"{"DriverStatus": null, "OSType": "linux"}"#, ImageStore::Classic),
        ] {
            assert_eq!(serde_json::from_str::<Info>(text).unwrap().store(), store, "{text}");
        }
    }

    #[test]
    fn images_are_read_within_bounds() {
        let id = Digest::of(b"x");
        let read = |layers: usize| {
            let layers = vec![id.to_string(); layers];
            let text = serde_json::json!({"Id": id, "RootFS": {"Layers": layers}, "Manifests": [{"Descriptor": {"mediaType": "a", "digest": id, "size": 1}, "Available": false, "Kind": "image"}]});
            serde_json::from_value::<Image>(text).unwrap().inspected()
        };
        let found = read(2).unwrap();
        let manifest = &found.manifests.unwrap()[0];
        assert_eq!((found.diff_ids.len(), &manifest.descriptor.digest), (2, &id));
        assert!(manifest.is_image && !manifest.available);
        assert!(read(LAYERS_MAX + 1).is_err());
        assert!(serde_json::from_str::<Image>(r#"{"Id": "../x"}"#).is_err());
    }

    #[test]
    fn failures_are_found_among_what_is_told() {
        for (told, found) in [
            ("", None),
            ("{\"status\":\"a\"}\r\n{\"stream\":\"b\"}", None),
            (r#"{"status":"a"}{"errorDetail":{"message":"no space"},"error":"x"}"#, Some("no space")),
            (r#"{"error":"x"}"#, Some("x")),
            (r#"{"error":{}}"#, Some("it failed")),
            ("<html>", Some("what it tells cannot be read")),
            (r#"{"status":"#, Some("what it tells cannot be read")),
        ] {
            assert_eq!(failure(told.as_bytes()).as_deref(), found, "{told}");
        }
        assert_eq!(message(br#"{"message":"no such image"}"#).as_deref(), Some("no such image"));
        assert_eq!(message(b"x"), None);
    }
}
