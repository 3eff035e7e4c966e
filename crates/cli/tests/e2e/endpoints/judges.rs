//! Whether a patched image is what it must be, by programs and readers that share no code with copa.

use super::subject::{AGE, PATCHED_AGE};
use serde_json::Value;
use std::path::Path;
use testkit::command::argv;
use testkit::distroless::scenario::{self as s, NEW};
use testkit::image::{self, Layout};
use testkit::image_reader::ImageReader;
use testkit::{dpkg, registry::Registry};

/// The labels that copa sets begin so.
const LABELS: &str = "sh.copa.";

/// What is compared.
pub struct Pair<'a> {
    /// The image as it was made.
    pub before: &'a ImageReader,
    /// The patched one, as it was taken out.
    pub after: &'a ImageReader,
}

impl Pair<'_> {
    /// One layer more; the others have the digests and sizes that they had, or hold the same tars uncompressed.
    pub fn layers_stay(&self, keeps_blobs: bool) {
        let (before, after) = (self.before.layers(), self.after.layers());
        let count = before.len();
        assert_eq!(after.len(), count + 1, "one layer more");
        assert_eq!(self.after.diff_ids()[..count], self.before.diff_ids()[..]);
        if keeps_blobs {
            assert_eq!(after[..count], before[..], "base descriptors are the same");
        }
    }

    /// Without the new layer, its line of history and copa's labels, the configuration is the same bytes.
    pub fn config_stays(&self, layout: &Path) {
        let read = |image: &ImageReader, layout: &Layout| {
            let digest = image.manifest["config"]["digest"].as_str().unwrap().to_owned();
            let bytes = std::fs::read(layout.blob_path(&digest)).unwrap();
            assert_eq!(image::digest(&bytes), digest);
            bytes
        };
        let after = read(self.after, &Layout::open(layout).unwrap());
        let mut config: Value = serde_json::from_slice(&after).unwrap();
        assert_eq!(config.to_string().as_bytes(), after, "written as it was, without spaces");
        let last = |list: &mut Value| list.as_array_mut().unwrap().pop().unwrap();
        last(&mut config["rootfs"]["diff_ids"]);
        assert!(last(&mut config["history"])["created_by"].as_str().unwrap().starts_with("copa"));
        let inner = config["config"].as_object_mut().unwrap();
        let labels = inner["Labels"].as_object_mut().unwrap();
        let own: Vec<String> = labels.keys().filter(|key| key.starts_with(LABELS)).cloned().collect();
        assert!(!own.is_empty());
        own.iter().for_each(|key| drop(labels.shift_remove(key)));
        if labels.is_empty() {
            inner.shift_remove("Labels");
        }
        assert_eq!(config, self.before.config);
        assert_eq!(
            config.to_string(),
            self.before.config.to_string(),
            "fields are in the order they were in"
        );
    }

    /// The packages have their new versions.
    pub fn is_patched(&self) {
        let versions = dpkg::versions(self.after).unwrap();
        for package in [s::LIBRARY, s::HARMLESS, s::ADDED] {
            assert_eq!(versions[package], NEW, "{package}");
        }
    }
}

/// `skopeo` reads it and copies every blob, `umoci` unpacks the copy with the new files in it. Neither looks at docker's manifests in OCI
/// layouts, so one of those is shown to them in `skopeo`'s own form.
pub fn accept(folder: &Path, layout: &Path, tag: &str) {
    let opened = Layout::open(layout).unwrap();
    let is_docker = opened.descriptor(tag).unwrap()["mediaType"] == image::Types::Docker.manifest();
    let (shown, copy, bundle) = (folder.join("shown"), folder.join("copy"), folder.join("bundle"));
    std::fs::create_dir_all(&shown).unwrap();
    let name = match is_docker {
        true => {
            opened.export(tag, &shown).unwrap();
            format!("dir:{}", shown.display())
        }
        false => format!("oci:{}:{tag}", layout.display()),
    };
    argv("skopeo", ["inspect", &name]).stdout().unwrap();
    argv("skopeo", ["copy", "--quiet", &name, &format!("oci:{}:{tag}", copy.display())]).stdout().unwrap();
    let unpacked = if is_docker { &copy } else { layout };
    let image = format!("{}:{tag}", unpacked.display());
    argv("umoci", ["unpack", "--image", &image, bundle.to_str().unwrap()]).stdout().unwrap();
    assert_eq!(std::fs::read_to_string(bundle.join(format!("rootfs{AGE}"))).unwrap(), PATCHED_AGE);
    std::fs::remove_dir_all(folder).unwrap();
}

/// `crane` finds every layer as its manifest and configuration say. It knows gzip only: the caller says whether all layers are.
pub fn crane_validates(reference: &str) {
    argv("crane", ["validate", "--insecure", "--remote", reference]).stdout().unwrap();
}

/// Whether all layers are compressed with gzip.
pub fn is_all_gzip(image: &ImageReader) -> bool {
    image.layers().iter().all(|layer| layer["mediaType"].as_str().unwrap().ends_with("gzip"))
}

/// The same for a layout: it is pushed as it is to a registry, for `crane` to look at.
pub fn crane_validates_layout(registry: &Registry, layout: &Path, tag: &str) {
    let layout = Layout::open(layout).unwrap();
    crane_validates(&registry.push(&layout, tag, &format!("judged:{tag}")).unwrap());
}
