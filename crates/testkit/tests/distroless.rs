//! Distroless images, judged by the real `syft`, the real apt and their own program.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

use std::collections::BTreeMap;
use testkit::apt_repository::{Apt, Release, Signature};
use testkit::debian_root::TAG;
use testkit::distroless::hermetic::{Hermetic, Options};
use testkit::distroless::{self, Distroless, Repositories, scenario};
use testkit::image_reader::ImageReader;
use testkit::{apt_repository, command::argv, debs, probe, scan, skip, syft};

#[test]
fn a_real_one_has_fixable_findings_and_nothing_to_fix_them_with() {
    let needs = [distroless::needs(), probe::root(), probe::programs(&["skopeo", "syft", "umoci"])];
    if let Err(reason) = probe::first_reason(needs) {
        skip!("{reason}");
    }
    for repositories in [Repositories::Unnamed, Repositories::Named] {
        let layout = distroless::image(Distroless { repositories, ..Distroless::default() }).unwrap();
        let scan = scan::layout(layout.directory(), TAG).unwrap();
        assert!(scan.fixable() >= 20, "{}", scan.fixable());
        assert_eq!(syft::packages(layout.directory(), TAG).unwrap(), scan.packages);
        let files = ImageReader::open(layout.directory(), TAG).unwrap().files(|_| true).unwrap();
        for name in ["sh", "apt-get", "dpkg", "perl"] {
            let end = format!("bin/{name}").into_bytes();
            assert!(!files.keys().any(|path| path.ends_with(&end)), "{name}");
        }
        assert!(!files.contains_key(&b"var/lib/dpkg/status"[..]));
        assert!(files.contains_key(&b"var/lib/dpkg/status.d/libssl3.md5sums"[..]));
        let named = files.contains_key(&b"etc/apt/sources.list.d/debian.sources"[..]);
        assert_eq!(named, repositories == Repositories::Named);
        assert_eq!(named, files.contains_key(debs::KEYRING.trim_start_matches('/').as_bytes()));
    }
    let dir = tempfile::tempdir().unwrap();
    let layout = distroless::image(Distroless::default()).unwrap();
    let (bundle, name) = (dir.path().join("bundle"), format!("{}:{TAG}", layout.directory().display()));
    argv("umoci", ["unpack", "--image", &name]).arg(&bundle).stdout().unwrap();
    let said = argv("chroot", [bundle.join("rootfs")]).arg("/usr/bin/openssl").arg("version").text().unwrap();
    assert!(said.starts_with("OpenSSL 3.0."), "{said}");
}

#[test]
fn one_of_a_foreign_architecture_is_made_as_well() {
    if let Err(reason) = distroless::needs() {
        skip!("{reason}");
    }
    let foreign = if testkit::image::native_architecture() == "arm64" { "amd64" } else { "arm64" };
    let of = Distroless { architecture: foreign, repositories: Repositories::Named, ..Distroless::default() };
    let layout = distroless::image(of).unwrap();
    let image = ImageReader::open(layout.directory(), TAG).unwrap();
    assert_eq!(image.config["architecture"], foreign);
    let installed = testkit::dpkg::installed(&image).unwrap();
    assert_eq!(installed["libssl3"].0.architecture, foreign);
    assert!(scan::layout(layout.directory(), TAG).unwrap().fixable() >= 20);
}

/// What apt would install on a machine that has the packages of the image: name and version, or apt's words.
fn planned(
    material: &Hermetic,
    preferences: &str,
    words: &[&str],
) -> Result<BTreeMap<String, String>, String> {
    let image = ImageReader::open(material.layout.directory(), TAG).unwrap();
    let paragraphs = image.files(|path| path.starts_with(b"var/lib/dpkg/status.d/")).unwrap();
    let paragraphs = paragraphs.iter().filter(|(path, _)| !path.ends_with(b".md5sums"));
    let text = |content: &[u8]| String::from_utf8(content.to_vec()).unwrap();
    let installed =
        |paragraph: String| paragraph.replacen('\n', "\nStatus: install ok installed\n", 1) + "\n";
    let status = paragraphs.map(|(_, file)| installed(text(file.entry.content().unwrap())));
    let apt = Apt::new(&material.repository, &material.url(), None).unwrap();
    apt.believe(&status.collect::<String>()).unwrap();
    apt.prefer(preferences).unwrap();
    for words in [&["update"][..], words] {
        let ran = apt.run(words).unwrap();
        let said = format!("{}{}", text(&ran.stdout), text(&ran.stderr));
        if !ran.status.success() {
            return Err(said);
        }
        let lines = said.lines().filter_map(|line| line.strip_prefix("Inst "));
        let pair = |line: &str| {
            Some((line.split(' ').next()?.into(), line.split_once('(')?.1.split(' ').next()?.into()))
        };
        if words[0] != "update" {
            return Ok(lines.filter_map(pair).collect());
        }
    }
    unreachable!("the second run ends it")
}

fn names(planned: &BTreeMap<String, String>) -> Vec<&str> {
    planned.keys().map(String::as_str).collect()
}

#[test]
fn apt_would_update_a_hermetic_one_as_the_scenario_says() {
    if let Err(reason) = probe::first_reason([apt_repository::needs(), probe::programs(&["apt-get"])]) {
        skip!("{reason}");
    }
    let material = Hermetic::new(&Options::default()).unwrap();
    let upgrade = ["--simulate", "--with-new-pkgs", "upgrade"];
    let plan = planned(&material, "", &upgrade).unwrap();
    let mut expected = [&scenario::UPDATABLE[..], &[scenario::ADDED]].concat();
    expected.sort_unstable();
    assert_eq!(names(&plan), expected);
    assert!(plan.values().all(|version| version == scenario::NEW), "{plan:?}");
    let pinned = planned(&material, scenario::PREFERENCES, &upgrade).unwrap();
    assert!(!pinned.contains_key(scenario::PINNED) && pinned.len() == plan.len() - 1, "{pinned:?}");
    let refused = planned(&material, "", &["--simulate", "--no-remove", "install", scenario::CONFLICTING]);
    assert!(refused.unwrap_err().contains("remove is disabled"));
    let refused = planned(&material, "", &["--simulate", "install", scenario::UNSATISFIED]);
    assert!(refused.unwrap_err().contains("copa-nowhere"));
    let fields = vec![("NotAutomatic".to_owned(), "yes".to_owned())];
    material.repository.publish(&Release { fields, ..Release::default() }).unwrap();
    assert_eq!(names(&planned(&material, "", &upgrade).unwrap()), [""; 0]);
    material.repository.publish(&Release { signature: Signature::Tampered, ..Release::default() }).unwrap();
    assert!(planned(&material, "", &upgrade).unwrap_err().contains("BADSIG"));
    let scan = material.scan(TAG).unwrap();
    assert_eq!((scan.fixable(), scan.packages.len()), (scenario::ALL.len(), scenario::ALL.len()));
}

#[test]
fn the_files_of_a_hermetic_one_are_what_dpkg_knows_of_them() {
    if let Err(reason) = apt_repository::needs() {
        skip!("{reason}");
    }
    let options = Options { architecture: "arm64".to_owned(), ..Options::default() };
    let material = Hermetic::new(&options).unwrap();
    let image = ImageReader::open(material.layout.directory(), TAG).unwrap();
    let files = image.files(|_| true).unwrap();
    let setuid = &files[scenario::SETUID.trim_start_matches('/').as_bytes()].entry;
    assert_eq!(setuid.mode, 0o4755);
    let sums = files[&b"var/lib/dpkg/status.d/copa-library.md5sums"[..]].entry.content().unwrap().to_vec();
    let sums = String::from_utf8(sums).unwrap();
    assert_eq!(sums.lines().count(), 6, "{sums}");
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ").unwrap();
        let file = &files[path.as_bytes()].entry;
        let target =
            if let testkit::tar::Kind::Hardlink(target) = &file.kind { &files[target].entry } else { file };
        let found = argv("md5sum", ["-"]).filter(target.content().unwrap()).unwrap();
        assert!(found.starts_with(sum.as_bytes()), "{path}");
    }
    assert_eq!(testkit::dpkg::installed(&image).unwrap()[scenario::LIBRARY].0.architecture, "arm64");
}
