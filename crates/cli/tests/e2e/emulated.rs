//! Platforms whose own programs have to run: with an emulator they are patched as any other, without one they stay as they are
//! and that is said.

use crate::throwaway::{self, Extra, Throwaway, shared_cache};
use crate::world::{self, World};
use serde_json::{Value, json};
use std::path::Path;
use testkit::apt_repository::scenario;
use testkit::chroot::{self, Chroot};
use testkit::debian_root::{self, Suite};
use testkit::image::{Layout, Types};
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;
use testkit::{dpkg, platforms, probe, skip};

/// A library of the smallest Debian that its makers have updated since, and that no other package comes with. One is enough: an
/// emulator is slow.
const LIBRARY: &str = "liblzma5";

/// An architecture that has no emulator here.
fn foreign() -> Result<&'static str, String> {
    let registered = Path::new("/proc/sys/fs/binfmt_misc/qemu-s390x").exists();
    if registered { Err("this machine emulates s390x".to_owned()) } else { Ok("s390x") }
}

#[test]
fn a_platform_that_nothing_here_runs_is_preserved_unless_it_was_asked_for() {
    let foreign = match throwaway::needs().and_then(|()| foreign()) {
        Ok(foreign) => foreign,
        Err(reason) => skip!("{reason}"),
    };
    let made = Throwaway::offering(&scenario::updates());
    made.add("foreign", &Extra { top: json!({ "architecture": foreign }), ..Extra::default() });
    made.layout.join("both", &[throwaway::TAG, "foreign"], Types::Oci).unwrap();
    let run = |more: &[&str]| {
        let (name, host) = (made.layout.name("both"), made.served.host());
        let mut command = made.world.copa(&["patch", "-i", &name, "-t", "new", "--allow-host", &host]);
        command.args(["--progress", "plain", "--result"]).arg(made.world.path("result.json"));
        command.args(more).env("COPA_CACHE_DIR", shared_cache());
        made.finish(command)
    };
    let named = format!("linux/{foreign}");
    let ran = run(&["--platform", &named]);
    assert_eq!(ran.code, Some(6), "{}", ran.stderr);
    for words in [&*format!("platform {named} cannot be patched"), "emulation is not enabled"] {
        assert!(ran.stderr.contains(words), "{words}\n{}", ran.stderr);
    }
    assert!(made.layout.descriptor("new").is_err());
    let ran = run(&[]);
    assert_eq!((ran.code, &ran.document["status"]), (Some(0), &"patched".into()), "{}", ran.stderr);
    let said = format!("warning: {named} is preserved as it is: ");
    assert!(ran.stderr.contains(&said) && ran.stderr.contains("emulation is not enabled"), "{}", ran.stderr);
    let preserved = &ran.document["preserved"];
    assert_eq!((preserved.as_array().unwrap().len(), &preserved[0]["platform"]), (1, &named.into()));
    assert!(preserved[0]["why"].as_str().unwrap().contains("emulation"), "{preserved:#}");
    let index = |tag: &str| {
        made.layout.json(made.layout.descriptor(tag).unwrap()["digest"].as_str().unwrap()).unwrap()
    };
    let (old, new) = (index("both"), index("new"));
    assert_eq!(new["manifests"][1], old["manifests"][1]);
    let image = ImageReader::open_platform(made.layout.directory(), throwaway::TAG, "").unwrap();
    made.layout.tag("patched", &new["manifests"][0]).unwrap();
    let patched = ImageReader::open(made.layout.directory(), "patched").unwrap();
    let version = |image: &ImageReader| dpkg::versions(image).unwrap()[scenario::BASE].clone();
    assert_eq!([version(&image), version(&patched)], [scenario::OLD, scenario::NEW]);
}

/// Why the real ones cannot be patched and judged here, if so.
fn real_needs() -> Result<(), String> {
    probe::first_reason([
        world::needs(),
        chroot::needs(),
        debian_root::needs("arm64"),
        debian_root::needs("amd64"),
    ])
}

#[test]
fn a_real_debian_of_two_platforms_is_patched_in_place_and_runs() {
    if let Err(reason) = real_needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let layout = platforms::debian(Suite::Bookworm, &["amd64", "arm64"]).unwrap();
    let registry = Registry::start().unwrap();
    let reference = registry.push(&layout, platforms::TAG, "library/debian:12").unwrap();
    let folder = world.path("beside");
    let arguments =
        ["patch", "-i", &reference, "--include", LIBRARY, "--push", "--oci-dir", folder.to_str().unwrap()];
    let document = world.succeed(&[&arguments[..], &["--timeout", "15m"]].concat());
    let each = document["platforms"].as_array().unwrap();
    let told: Vec<[&Value; 3]> =
        each.iter().map(|of| [&of["image"]["platform"], &of["status"], &of["strategy"]]).collect();
    let expected =
        ["linux/amd64", "linux/arm64"].map(|platform| [json!(platform), json!("patched"), json!("in-place")]);
    assert_eq!(json!(told), json!(expected));
    assert_eq!(document["counters"]["baseBytesUploaded"], 0);
    let pulled = world.path("pulled");
    registry.pull("library/debian:12-patched", &pulled, "12-patched").unwrap();
    for directory in [&pulled, &folder] {
        let layout = Layout::open(directory).unwrap();
        let top = layout.descriptor("12-patched").unwrap();
        assert_eq!(top["digest"], document["index"]["digest"]);
        let index = layout.json(top["digest"].as_str().unwrap()).unwrap();
        assert_eq!(
            index["manifests"].as_array().unwrap().len(),
            2,
            "attestations of the originals are left out"
        );
        for (entry, of) in index["manifests"].as_array().unwrap().iter().zip(each) {
            assert_eq!(entry["digest"], of["patched"]["digest"]);
        }
    }
    for (entry, of) in ["amd64", "arm64"].iter().zip(each) {
        its_programs_run(&Layout::open(&pulled).unwrap(), entry, of);
    }
}

/// Programs of the patched image run, and say what is there.
fn its_programs_run(layout: &Layout, architecture: &str, told: &Value) {
    let packages = told["packages"].as_array().unwrap();
    let to = packages.iter().find(|p| p["name"] == LIBRARY).unwrap()["to"].as_str().unwrap();
    let index = layout.json(layout.descriptor("12-patched").unwrap()["digest"].as_str().unwrap()).unwrap();
    let is = |entry: &&Value| entry["platform"]["architecture"] == architecture;
    layout.tag(architecture, index["manifests"].as_array().unwrap().iter().find(is).unwrap()).unwrap();
    let root = Chroot::of(layout, architecture).unwrap();
    let said = |arguments: &[&str]| chroot::words(&root.run(arguments).unwrap());
    let asked = said(&["dpkg-query", "--show", "--showformat=${Architecture} ${Version}", LIBRARY]);
    assert_eq!(asked.trim(), format!("{architecture} {to}"));
    assert_eq!(said(&["dpkg", "--print-architecture"]).trim(), architecture);
    assert_eq!(said(&["dpkg", "--audit"]), "");
    assert!(said(&["dpkg-deb", "--version"]).contains("Debian 'dpkg-deb'"), "loads {LIBRARY}");
}
