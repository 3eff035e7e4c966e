//! A real Debian of a foreign architecture, whose programs run through an emulator.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

use testkit::chroot::{self, Chroot, words};
use testkit::debian_root::{self, Suite, TAG};
use testkit::image_reader::ImageReader;
use testkit::{image, probe, scan, skip, syft};

#[test]
fn a_debian_of_a_foreign_architecture_runs_and_has_fixable_findings() {
    let foreign = if image::native_architecture() == "arm64" { "amd64" } else { "arm64" };
    let tools = probe::programs(&["skopeo", "syft"]);
    if let Err(reason) = probe::first_reason([debian_root::needs(foreign), chroot::needs(), tools]) {
        skip!("{reason}");
    }
    let layout = debian_root::image_for(Suite::Bookworm, foreign).unwrap();
    let image = ImageReader::open_platform(layout.directory(), TAG, foreign).unwrap();
    assert_eq!(image.config["architecture"], foreign);
    assert_eq!(testkit::dpkg::installed(&image).unwrap()["dpkg"].0.architecture, foreign);
    let root = Chroot::of(&layout, TAG).unwrap();
    let ran = root.run(&["/usr/bin/dpkg", "--print-architecture"]).unwrap();
    assert_eq!(words(&ran), format!("{foreign}\n"));
    let scan = scan::layout(layout.directory(), TAG).unwrap();
    assert!(scan.fixable() > 0);
    assert_eq!(syft::packages(layout.directory(), TAG).unwrap(), scan.packages);
}
