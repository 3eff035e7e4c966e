//! Patching a patched image: one patch layer holds both patches, and edits of the config made in between stay.

use crate::world::{Vulnerable, World, needs};
use serde_json::Value;
use testkit::command::argv;
use testkit::image_reader::ImageReader;
use testkit::{dpkg, scan, skip};

/// A report with only some of the packages of another.
fn only(report: &std::path::Path, to: &std::path::Path, keep: impl Fn(&str) -> bool) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    // The image is another one by then, and says so by its digest; this report is about its packages only.
    value["Metadata"].as_object_mut().unwrap().retain(|key, _| key == "OS" || key == "ImageConfig");
    for result in value["Results"].as_array_mut().unwrap() {
        let all = result["Vulnerabilities"].as_array_mut().unwrap();
        all.retain(|v| keep(v["PkgName"].as_str().unwrap()));
    }
    std::fs::write(to, serde_json::to_vec(&value).unwrap()).unwrap();
}

#[test]
fn a_second_patch_replaces_the_layer_and_keeps_packages_and_config_edits() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let (first, second) = (world.path("first.json"), world.path("second.json"));
    let early = |name: &str| name < "libk";
    only(&image.report, &first, early);
    only(&image.report, &second, |name| !early(name));
    let one = world.succeed(&[
        "patch",
        "-i",
        &image.reference,
        "-r",
        first.to_str().unwrap(),
        "-t",
        "one",
        "--push",
    ]);
    assert_eq!(one["patched"]["layers"], 2, "{one:#}");

    // Someone edits the config in between.
    let layout = image.pull(&world, "one");
    let at = format!("{}:one", layout.display());
    argv("umoci", ["config", "--image", &at, "--config.label", "mine=kept", "--config.user", "1000"])
        .stdout()
        .unwrap();
    let edited = image.registry.reference("library/debian:edited");
    let from = format!("oci:{}:one", layout.display());
    argv("skopeo", ["copy", "--quiet", "--dest-tls-verify=false", &from, &format!("docker://{edited}")])
        .stdout()
        .unwrap();

    let two = world.succeed(&["patch", "-i", &edited, "-r", second.to_str().unwrap(), "-t", "two", "--push"]);
    assert_eq!(two["patched"]["layers"], 2, "layer count unchanged: {two:#}");
    assert_eq!(two["image"]["repatched"], true);
    let pulled = image.pull(&world, "two");
    assert_eq!(scan::layout(&pulled, "two").unwrap().fixable(), 0, "both patches are there");
    let reader = ImageReader::open(&pulled, "two").unwrap();
    let original = ImageReader::open(image.layout.directory(), testkit::debian_root::TAG).unwrap();
    assert_eq!(reader.layers()[..1], original.layers()[..]);
    assert_eq!(reader.config["config"]["Labels"]["mine"], "kept");
    assert_eq!(reader.config["config"]["User"], "1000");
    let versions = dpkg::versions(&reader).unwrap();
    for package in one["packages"].as_array().unwrap() {
        assert_eq!(
            versions.get(package["name"].as_str().unwrap()).map(String::as_str),
            package["to"].as_str()
        );
    }
    let lineage = |document: &Value| document["patched"]["lineage"].clone();
    assert_eq!(lineage(&two)["baseDigest"], lineage(&one)["baseDigest"]);
    assert_eq!(lineage(&two)["baseLayers"], 1);
}

#[test]
fn both_patches_in_one_go_give_the_same_layer_as_one_after_the_other_in_content() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    world.succeed(&["patch", "-i", &image.reference, "-t", "all", "--push"]);
    let all = image.registry.reference("library/debian:all");
    // With a report that the patched image already satisfies, nothing is done.
    let report = world.path("all.json");
    only(&image.report, &report, |_| true);
    let again =
        world.succeed(&["patch", "-i", &all, "-r", report.to_str().unwrap(), "-t", "again", "--push"]);
    assert_eq!(again["status"], "up-to-date");
    let outcomes: Vec<&Value> = again["findings"].as_array().unwrap().iter().map(|f| &f["outcome"]).collect();
    assert!(outcomes.iter().filter(|o| **o == "already-fixed").count() >= image.fixable, "{outcomes:?}");
}
