//! A real Debian, patched by its own apt, into docker: from a registry, and where it is.

use super::place::{Kind, Place, search_path};
use crate::throwaway::shared_cache;
use crate::world::{Done, Vulnerable, World, needs};
use serde_json::Value;
use testkit::daemon::{DockerVersion, Store};
use testkit::image_reader::ImageReader;
use testkit::{debian_root, probe, scan, skip};

/// What the image is called where it is only in docker.
const LOCAL: &str = "local.example/team/app:v1";

/// Patches, and gives the result document.
fn patched(world: &World, docker: &Place, image: &str, report: &str) -> Value {
    let mut command = world.copa(&["patch", "-i", image, "-r", report, "-t", "patched", "--result", "-"]);
    command.env("PATH", search_path()).envs(docker.environment()).env("COPA_CACHE_DIR", shared_cache());
    let done = Done::of(command.output().unwrap());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&document["status"], &document["strategy"]), (&"patched".into(), &"in-place".into()));
    document
}

/// The image runs, its dpkg finds nothing amiss and has the versions that the document tells.
fn runs(docker: &Place, name: &str, document: &Value) {
    assert_eq!(docker.run(name, "/usr/bin/dpkg", &["--audit"]), "");
    let installed = docker.run(name, "/usr/bin/dpkg-query", &["-W", "-f", "${Package} ${Version}\n"]);
    let packages = document["packages"].as_array().unwrap();
    assert!(!packages.is_empty());
    for package in packages {
        let line = format!("{} {}", package["name"].as_str().unwrap(), package["to"].as_str().unwrap());
        assert!(installed.lines().any(|seen| seen == line), "{line}");
    }
}

/// It has one layer more, and nothing fixable is left.
fn judged(docker: &Place, name: &str, before: &ImageReader) {
    let layout = docker.take_as(name, "judged");
    let after = ImageReader::open(&layout, "judged").unwrap();
    let count = before.layers().len();
    assert_eq!(after.diff_ids().len(), count + 1);
    assert_eq!(after.diff_ids()[..count], before.diff_ids()[..]);
    assert_eq!(scan::layout(&layout, "judged").unwrap().fixable(), 0);
    std::fs::remove_dir_all(layout).unwrap();
}

#[test]
fn patched_by_its_own_apt() {
    let kind = Kind::Docker(DockerVersion::V28, Store::Classic);
    if let Err(reason) = probe::first_reason([needs(), kind.needs()]) {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let before = ImageReader::open(image.layout.directory(), debian_root::TAG).unwrap();
    let docker = Place::start(kind, &world.path("docker"));

    // What is in no daemon comes from its registry, and goes to the daemon there is.
    let document = patched(&world, &docker, &image.reference, image.report());
    runs(&docker, &image.registry.reference("library/debian:patched"), &document);
    assert!(
        !image.registry.requests().unwrap().iter().any(|r| r.method == "PUT" && r.path.contains("patched"))
    );
    eprintln!("row: debian | registry to docker 28 | pass");

    docker.put_as((&image.layout, debian_root::TAG), LOCAL);
    let document = patched(&world, &docker, LOCAL, image.report());
    runs(&docker, "local.example/team/app:patched", &document);
    judged(&docker, "local.example/team/app:patched", &before);
    assert_eq!(document["counters"]["baseBytesUploaded"], 0);
    eprintln!("row: debian | docker 28 to docker 28 | pass");
}
