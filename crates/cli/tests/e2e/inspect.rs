//! `copa inspect`: what is told of images that were patched and that were not, and what is refused.

use crate::within;
use crate::world::World;
use serde_json::Value;
use testkit::apk::{
    self,
    image::{Alpine, Options},
    scenario,
};
use testkit::debian_root::TAG;
use testkit::image::{Image, Layer, Types};
use testkit::image_reader::ImageReader;
use testkit::{probe, skip};

fn needs() -> Result<(), String> {
    probe::first_reason([apk::needs()])
}

fn json(world: &World, line: &[&str]) -> Value {
    let done = world.run(&[&["inspect", "--json"], line].concat());
    assert_eq!(done.code, Some(0), "{line:?} {}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

#[test]
fn an_image_tells_its_original_its_patch_and_what_that_changed() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (world, alpine) = (World::new(), Alpine::new(&Options::default()).unwrap());
    let layout = &alpine.layout;
    let wanted = [(scenario::LIBRARY, scenario::OLD, scenario::NEW)];
    let report = within::report(&world, ("alpine", "3.19.1"), &wanted);
    let host = alpine.served.host();
    let ran = within::patch((&world, layout, &host), (TAG, "patched"), Some(&report), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (original, patched) = (layout.name(TAG), layout.name("patched"));
    let before = ImageReader::open(layout.directory(), TAG).unwrap();
    let after = ImageReader::open(layout.directory(), "patched").unwrap();

    let plain = &json(&world, &[&original])["platforms"][0];
    assert_eq!((&plain["origin"], &plain["replacesPatch"]), (&"original".into(), &false.into()));
    assert!(plain["base"].is_null() && plain["patches"].as_array().unwrap().is_empty(), "{plain:#}");

    let whole = json(&world, &[&patched]);
    let seen = &whole["platforms"][0];
    assert_eq!((&seen["origin"], &seen["replacesPatch"]), (&"patched".into(), &true.into()));
    assert_eq!(seen["digest"], after.manifest_digest.as_str());
    assert_eq!(seen["base"]["digest"], before.manifest_digest.as_str());
    assert_eq!(seen["base"]["verified"], true);
    let layer = &seen["patches"][0];
    assert_eq!(layer["digest"], after.layers().last().unwrap()["digest"]);
    assert_eq!(layer["diffId"], after.diff_ids().last().unwrap().as_str());
    assert_eq!(layer["planDigest"], ran.document["patched"]["lineage"]["planDigest"]);
    assert!(layer["created"].as_str().unwrap().ends_with('Z'), "{layer}");
    assert!(seen["packages"].is_null(), "the databases were not asked for");

    let read = json(&world, &[&patched, "--packages"]);
    let changed = |packages: &Value| -> Vec<[String; 3]> {
        let text = |p: &Value, key: &str| p[key].as_str().unwrap_or("").to_owned();
        let all = packages.as_array().unwrap_or_else(|| panic!("{packages}"));
        all.iter().map(|p| [text(p, "name"), text(p, "from"), text(p, "to")]).collect()
    };
    assert_eq!(changed(&read["platforms"][0]["packages"]), changed(&ran.document["packages"]));
    let text = world.run(&["inspect", &patched, "--packages"]);
    let line = format!("{} {} → {}", scenario::LIBRARY, scenario::OLD, scenario::NEW);
    assert!(text.stdout.contains(&line) && text.stdout.contains("patched by copa"), "{}", text.stdout);
}

#[test]
fn every_platform_is_told_or_those_that_are_asked_for() {
    let world = World::new();
    let folder = world.path("layout");
    let layout = testkit::image::Layout::create(&folder).unwrap();
    for architecture in ["amd64", "arm64"] {
        let layers = vec![Layer::text(&format!("file x text={architecture}"))];
        layout.add(architecture, &Image { architecture: architecture.into(), ..Image::new(layers) }).unwrap();
    }
    layout.join("both", &["amd64", "arm64"], Types::Oci).unwrap();
    let platforms = |line: &[&str]| -> Vec<String> {
        let whole = json(&world, line);
        let all = whole["platforms"].as_array().unwrap();
        all.iter().map(|p| p["platform"].as_str().unwrap().to_owned()).collect()
    };
    let both = layout.name("both");
    assert_eq!(platforms(&[&both]), ["linux/amd64", "linux/arm64"]);
    assert_eq!(platforms(&[&both, "--platform", "linux/arm64"]), ["linux/arm64"]);
    assert_eq!(platforms(&[&layout.name("arm64")]), ["linux/arm64"]);
    for line in [&[&*both, "--platform", "linux/s390x"][..], &["oci:/nowhere:x"], &[""], &["a b"]] {
        let done = world.run(&[&["inspect"], line].concat());
        assert!(!matches!(done.code, Some(0) | None), "{line:?}");
        assert!(done.stderr.starts_with("Error") || done.stderr.contains("error"), "{}", done.stderr);
    }
}
