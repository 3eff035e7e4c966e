//! The main job: a registry image and a report go in, a patched image with one new layer comes out, and judges agree.

use crate::world::{Vulnerable, World, mounts_below, needs};
use serde_json::Value;
use std::collections::BTreeMap;
use testkit::command::argv;
use testkit::image_reader::ImageReader;
use testkit::{dpkg, scan, skip, syft};

#[test]
fn a_real_image_is_patched_and_every_judge_agrees() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    assert!(image.fixable > 0);
    let uploads_before = image.registry.uploads().unwrap();
    let vex = world.path("vex.json");
    let result = world.succeed(&[
        "patch",
        "-i",
        &image.reference,
        "-r",
        image.report(),
        "-t",
        "patched",
        "--push",
        "-o",
        vex.to_str().unwrap(),
    ]);
    assert_eq!(result["status"], "patched", "{result:#}");
    assert_eq!(result["patched"]["layers"], 2);
    counters_hold(&result);
    let uploads = image.registry.uploads().unwrap() - uploads_before;
    assert_eq!(uploads, 2, "the patch layer and the config, nothing else");

    let pulled = image.pull(&world, "patched");
    let rescanned = scan::layout(&pulled, "patched").unwrap();
    assert_eq!(rescanned.fixable(), 0, "{:#?}", rescanned.findings);
    base_is_untouched(&image, &pulled);
    syft_agrees(&result, &pulled);
    judges_accept(&world, &pulled);
    vex_says_only_what_was_read_back(&result, &std::fs::read(&vex).unwrap());
    assert_eq!(mounts_below(world.folder.path()), Vec::<String>::new());
}

#[test]
fn without_a_report_everything_is_updated_and_a_second_run_finds_nothing() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let result = world.succeed(&["patch", "-i", &image.reference, "-t", "all", "--push"]);
    assert_eq!((&result["status"], &result["scope"]), (&"patched".into(), &"update-all".into()));
    assert!(!result["packages"].as_array().unwrap().is_empty());
    let pulled = image.pull(&world, "all");
    assert_eq!(scan::layout(&pulled, "all").unwrap().fixable(), 0);
    let patched = image.registry.reference("library/debian:all");
    let tags_before = image.registry.requests().unwrap().len();
    let again = world.succeed(&["patch", "-i", &patched, "-t", "again", "--push"]);
    assert_eq!(again["status"], "up-to-date", "{again:#}");
    let writes = image.registry.requests().unwrap().split_off(tags_before);
    assert!(writes.iter().all(|r| matches!(r.method.as_str(), "GET" | "HEAD")), "{writes:?}");
    let detailed = world.run(&["patch", "-i", &patched, "-t", "again", "--push", "--detailed-exit-code"]);
    assert_eq!(detailed.code, Some(20), "{}", detailed.stderr);
}

#[test]
fn a_plan_writes_nothing() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let before = image.registry.requests().unwrap().len();
    let result = world.succeed(&["patch", "-i", &image.reference, "-r", image.report(), "--dry-run"]);
    assert_eq!(result["status"], "planned");
    let planned = result["findings"].as_array().unwrap().iter().filter(|f| f["outcome"] == "planned").count();
    assert_eq!(planned, image.fixable);
    let requests = image.registry.requests().unwrap().split_off(before);
    assert!(requests.iter().all(|r| matches!(r.method.as_str(), "GET" | "HEAD")), "{requests:?}");
}

#[test]
fn a_layout_is_patched_in_place_and_other_tags_stay() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let folder = image.pull(&world, "12");
    let name = format!("oci:{}:12", folder.display());
    let before = ImageReader::open(&folder, "12").unwrap().layers().to_vec();
    let result = world.succeed(&["patch", "-i", &name, "-r", image.report(), "-t", "12-patched"]);
    assert_eq!(result["status"], "patched", "{result:#}");
    assert_eq!(ImageReader::open(&folder, "12").unwrap().layers(), before);
    let patched = ImageReader::open(&folder, "12-patched").unwrap();
    assert_eq!(patched.layers()[..1], before[..]);
    assert_eq!(scan::layout(&folder, "12-patched").unwrap().fixable(), 0);
    judges_accept(&world, &folder);
}

#[test]
fn a_second_image_of_the_same_suites_downloads_no_index_again() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let fetches = |tag: &str| {
        let result =
            world.succeed(&["patch", "-i", &image.reference, "-r", image.report(), "-t", tag, "--push"]);
        result["counters"]["indexFetches"].as_u64().unwrap()
    };
    assert!(fetches("first") > 0);
    assert_eq!(fetches("second"), 0);
}

pub fn counters_hold(result: &Value) {
    let counters = &result["counters"];
    for name in ["layersReencoded", "baseBytesUploaded", "lowerTreeWalks", "fsyncInSandbox"] {
        assert_eq!(counters[name], 0, "{name}: {counters:#}");
    }
}

fn base_is_untouched(image: &Vulnerable, pulled: &std::path::Path) {
    let before = ImageReader::open(image.layout.directory(), testkit::debian_root::TAG).unwrap();
    let after = ImageReader::open(pulled, &tag_of(pulled)).unwrap();
    assert_eq!(
        after.layers()[..before.layers().len()],
        before.layers()[..],
        "base descriptors are byte-identical"
    );
    assert_eq!(after.layers().len(), before.layers().len() + 1);
}

fn tag_of(pulled: &std::path::Path) -> String {
    pulled.file_name().unwrap().to_str().unwrap().trim_start_matches("pulled-").to_owned()
}

/// What `syft` reads of the image is what the result document says, package by package.
fn syft_agrees(result: &Value, pulled: &std::path::Path) {
    let seen = syft::packages(pulled, &tag_of(pulled)).unwrap();
    let own: BTreeMap<String, String> =
        dpkg::versions(&ImageReader::open(pulled, &tag_of(pulled)).unwrap()).unwrap().into_iter().collect();
    assert_eq!(seen, own);
    for package in result["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        assert_eq!(seen.get(name).map(String::as_str), package["to"].as_str(), "{name}");
    }
    for finding in result["findings"].as_array().unwrap().iter().filter(|f| f["outcome"] == "fixed") {
        let name = finding["package"].as_str().unwrap();
        assert_eq!(seen.get(name).map(String::as_str), finding["now"].as_str(), "{name}");
    }
}

/// `skopeo` reads and copies it, `umoci` unpacks it.
fn judges_accept(world: &World, pulled: &std::path::Path) {
    let tag = ["patched", "12-patched"].into_iter().find(|t| ImageReader::open(pulled, t).is_ok()).unwrap();
    let name = format!("oci:{}:{tag}", pulled.display());
    argv("skopeo", ["inspect", &name]).stdout().unwrap();
    let copy = format!("oci:{}:copy", world.path("copy").display());
    argv("skopeo", ["copy", "--quiet", &name, &copy]).stdout().unwrap();
    let bundle = world.path("bundle");
    let image = format!("{}:{tag}", pulled.display());
    argv("umoci", ["unpack", "--image", &image, bundle.to_str().unwrap()]).stdout().unwrap();
    assert!(bundle.join("rootfs/var/lib/dpkg/status").is_file());
    let audit = argv("dpkg", ["--root", bundle.join("rootfs").to_str().unwrap(), "--audit"]).text().unwrap();
    assert_eq!(audit, "", "dpkg finds nothing amiss");
    std::fs::remove_dir_all(bundle).unwrap();
}

fn vex_says_only_what_was_read_back(result: &Value, vex: &[u8]) {
    let vex: Value = serde_json::from_slice(vex).unwrap();
    let fixed: std::collections::BTreeSet<&str> = result["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["outcome"] == "fixed" || f["outcome"] == "already-fixed")
        .map(|f| f["vulnerability"].as_str().unwrap())
        .collect();
    let claimed: std::collections::BTreeSet<&str> = vex["statements"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|s| s["status"] == "fixed")
        .map(|s| s["vulnerability"]["name"].as_str().or(s["vulnerability"]["@id"].as_str()).unwrap())
        .collect();
    assert_eq!(claimed, fixed);
}
