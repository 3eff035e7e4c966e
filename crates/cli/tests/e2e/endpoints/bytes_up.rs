//! From a registry to the same registry: what goes up is the patch layer, the configuration and the manifest (once by its digest,
//! once under the tag), by the registry's own count of bytes.

use super::subject::{self, Subject};
use crate::world::Done;
use serde_json::Value;
use testkit::fault_registry::{Access, FaultRegistry};
use testkit::image::{Layout, Types};
use testkit::registry::Registry;
use testkit::{debian_root, skip};

/// Patches `v1` in the registry to `patched`; gives all bytes of bodies that came up, and the folder with what is there then.
fn pushed(subject: &Subject, hosts: &[String], front: &FaultRegistry, real: &Registry) -> (u64, Layout) {
    let image = format!("docker://{}/team/app:v1", front.host());
    let arguments = ["patch", "-i", &image, "--push", "-t", "patched", "--allow-host", &hosts.join(",")];
    front.clear_requests();
    let uploads = real.uploads().unwrap();
    let done = Done::of(subject.world.copa(&arguments).output().unwrap());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let up = front.bytes().0;
    let folder = subject.world.path("pulled");
    real.pull("team/app:patched", &folder, "patched").unwrap();
    let images = hosts.len();
    assert_eq!(real.uploads().unwrap() - uploads, 2 * images, "a layer and a configuration each");
    (up, Layout::open(&folder).unwrap())
}

fn size(descriptor: &Value) -> u64 {
    descriptor["size"].as_u64().unwrap()
}

/// The bytes of what is new in an image: its manifest, its configuration and its last layer.
fn new_bytes(layout: &Layout, entry: &Value) -> u64 {
    let manifest = layout.json(entry["digest"].as_str().unwrap()).unwrap();
    size(entry) + size(&manifest["config"]) + size(manifest["layers"].as_array().unwrap().last().unwrap())
}

#[test]
fn of_one_image_only_what_is_new_goes_up() {
    if let Err(reason) = subject::needs() {
        skip!("{reason}");
    }
    let (subject, real) = (Subject::new(), Registry::start().unwrap());
    real.push(&subject.made.layout, debian_root::TAG, "team/app:v1").unwrap();
    let front = FaultRegistry::in_front_of(&real.host(), Access::Open);
    let (up, layout) = pushed(&subject, &[subject.made.served.host()], &front, &real);
    let manifest = layout.descriptor("patched").unwrap();
    assert_eq!(up, new_bytes(&layout, &manifest) + size(&manifest), "{:#?}", front.requests());
    for layer in subject.original().layers() {
        assert_eq!(front.blob_bytes(layer["digest"].as_str().unwrap()).0, 0);
    }
    eprintln!(
        "row: bytes_up | one image | the patch layer and the configuration went up, and the manifest by its digest and under the tag: to the byte"
    );
}

#[test]
fn of_two_platforms_only_what_is_new_goes_up() {
    if let Err(reason) = subject::needs() {
        skip!("{reason}");
    }
    let subjects = ["amd64", "arm64"].map(|architecture| Subject::of(architecture, 0));
    let (first, second) = (&subjects[0].made.layout, &subjects[1].made.layout);
    for blob in std::fs::read_dir(second.directory().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        std::fs::copy(blob.path(), first.directory().join("blobs/sha256").join(blob.file_name())).unwrap();
    }
    first.tag("arm64", &second.descriptor(debian_root::TAG).unwrap()).unwrap();
    first.join("both", &[debian_root::TAG, "arm64"], Types::Oci).unwrap();
    let real = Registry::start().unwrap();
    real.push(first, "both", "team/app:v1").unwrap();
    let front = FaultRegistry::in_front_of(&real.host(), Access::Open);
    let hosts: Vec<String> = subjects.iter().map(|subject| subject.made.served.host()).collect();
    let (up, layout) = pushed(&subjects[0], &hosts, &front, &real);
    let index = layout.descriptor("patched").unwrap();
    let members = layout.json(index["digest"].as_str().unwrap()).unwrap();
    let members = members["manifests"].as_array().unwrap();
    assert_eq!(members.len(), 2);
    let expected = 2 * size(&index) + members.iter().map(|entry| new_bytes(&layout, entry)).sum::<u64>();
    assert_eq!(up, expected, "{:#?}", front.requests());
    eprintln!(
        "row: bytes_up | an index of two platforms | patch layer, configuration and manifest of each platform, and the index by its digest and under the tag: to the byte"
    );
}
