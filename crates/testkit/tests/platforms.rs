//! Images of several platforms with attestations, judged by the real `crane`, `skopeo`, a registry and docker.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

use testkit::command::argv;
use testkit::daemon::{DockerVersion, Dockerd, Store};
use testkit::image::{self, Layout, native_architecture};
use testkit::registry::Registry;
use testkit::{binfmt, debian_root, platforms, probe, skip, tiny_image};

/// A layout with one image for each platform, and all of them with their attestations as `all`.
fn made(folder: &std::path::Path) -> Layout {
    let layout = Layout::create(folder).unwrap();
    for architecture in ["amd64", "arm64"] {
        layout.add(architecture, &tiny_image::image(architecture).unwrap()).unwrap();
    }
    platforms::windows(&layout, "windows").unwrap();
    platforms::join_attested(&layout, "all", &["amd64", "arm64", "windows"]).unwrap();
    layout
}

#[test]
fn an_index_with_attestations_is_pushed_as_it_is_and_crane_finds_it_valid() {
    let tools = probe::programs(&["crane", "skopeo", "docker-registry"]);
    if let Err(reason) = probe::first_reason([tools, tiny_image::needs()]) {
        skip!("{reason}");
    }
    let folder = tempfile::tempdir().unwrap();
    let layout = made(folder.path());
    let registry = Registry::start().unwrap();
    let reference = registry.push(&layout, "all", "several/platforms:1").unwrap();
    let raw = argv("crane", ["manifest", "--insecure", &reference]).stdout().unwrap();
    let digest = layout.descriptor("all").unwrap()["digest"].as_str().unwrap().to_owned();
    assert_eq!(image::digest(raw.trim_ascii_end()), digest);
    let index = layout.json(&digest).unwrap();
    let members = index["manifests"].as_array().unwrap();
    assert_eq!(members.len(), 6);
    for (image, attestation) in members[..3].iter().zip(&members[3..]) {
        assert_eq!(attestation["platform"]["os"], "unknown");
        assert_eq!(attestation["annotations"][platforms::REFERENCE_DIGEST], image["digest"]);
        assert_eq!(attestation["annotations"][platforms::REFERENCE_TYPE], platforms::ATTESTATION);
    }
    for member in &members[..3] {
        let one =
            format!("{}@{}", registry.reference("several/platforms"), member["digest"].as_str().unwrap());
        let said = argv("crane", ["validate", "--insecure", "--remote", &one]).output().unwrap();
        assert!(said.status.success(), "{said:?}");
    }
    let damaged = layout.blob_path(members[0]["digest"].as_str().unwrap());
    std::fs::write(&damaged, "{}").unwrap();
    assert!(registry.push(&layout, "all", "several/platforms:2").is_err());
}

#[test]
fn docker_runs_each_platform_of_it() {
    if let Err(reason) = probe::first_reason([Dockerd::probe(), tiny_image::needs(), binfmt::ensure("arm64")])
    {
        skip!("{reason}");
    }
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start().unwrap();
    let reference = registry.push(&made(folder.path()), "all", "several/platforms:1").unwrap();
    let docker = Dockerd::start(DockerVersion::V28, Store::Containerd).unwrap();
    for (platform, machine) in [("linux/amd64", "x86_64\n"), ("linux/arm64", "aarch64\n")] {
        docker.docker(&["pull", "--quiet", "--platform", platform, &reference]).stdout().unwrap();
        let run = ["run", "--rm", "--network", "none", "--platform", platform, &reference];
        assert_eq!(docker.docker(&run).text().unwrap(), machine);
    }
}

#[test]
fn debian_for_several_platforms_is_one_image() {
    let architectures = ["amd64", "arm64"];
    let needs = architectures.map(debian_root::needs);
    if let Err(reason) = probe::first_reason(needs) {
        skip!("{reason}");
    }
    let layout = platforms::debian(debian_root::Suite::Bookworm, &architectures).unwrap();
    let native = testkit::scan::layout(layout.directory(), platforms::TAG).unwrap();
    assert!(native.fixable() > 0 && architectures.contains(&native_architecture()));
    let other = testkit::scan::layout(layout.directory(), "arm64").unwrap();
    assert!(other.fixable() > 0);
}
