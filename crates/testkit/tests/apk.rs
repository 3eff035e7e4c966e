//! Alpine-like images and their repository, judged by `openssl`, `tar`, `syft` and a run of the stand-in itself.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

use std::fs;
use std::path::Path;
use testkit::apk::image::{ARGV, Alpine, Options, Tool};
use testkit::apk::{Index, Signature, database, needs, scenario};
use testkit::chroot::{self, Chroot, words};
use testkit::command::{Ran, argv};
use testkit::debian_root::TAG;
use testkit::image_reader::ImageReader;
use testkit::{debs, probe, skip};

/// The gzip members of a file, as they lie there.
fn members(path: &Path) -> Vec<Vec<u8>> {
    let script = "import sys, zlib, base64\nrest = open(sys.argv[1], 'rb').read()\nwhile rest:\n    z = zlib.decompressobj(31)\n    z.decompress(rest)\n    print(base64.b64encode(rest[:len(rest) - len(z.unused_data)]).decode())\n    rest = z.unused_data\n";
    let lines = argv("python3", ["-c", script]).arg(path).text().unwrap();
    lines
        .lines()
        .map(|line| argv("openssl", ["base64", "-d", "-A"]).filter(line.as_bytes()).unwrap())
        .collect()
}

fn file_of_tar(member: &[u8], start: &str) -> (String, Vec<u8>) {
    let plain = argv("gunzip", ["-c"]).filter(member).unwrap();
    let entries = testkit::tar::Reader::new(&plain[..]).collect().unwrap();
    let found = entries.into_iter().find(|entry| entry.path.starts_with(start.as_bytes())).unwrap();
    (String::from_utf8(found.path.clone()).unwrap(), found.content().unwrap().to_vec())
}

/// Whether openssl takes the signature that stands before `signed`.
fn verified(alpine: &Alpine, signature: &[u8], signed: &[u8]) -> bool {
    let at = |name: &str| alpine.folder().join(name);
    let (name, bytes) = file_of_tar(signature, ".SIGN.");
    let hash = if name.starts_with(".SIGN.RSA256.") { "-sha256" } else { "-sha1" };
    fs::write(at("signature"), bytes).unwrap();
    fs::write(at("signed"), signed).unwrap();
    fs::write(at("key.pem"), alpine.repository.key().unwrap()).unwrap();
    let verify =
        argv("openssl", ["dgst", hash, "-verify"]).arg(at("key.pem")).arg("-signature").arg(at("signature"));
    verify.arg(at("signed")).output().unwrap().status.success()
}

#[test]
fn packages_and_indexes_are_members_that_openssl_verifies() {
    if let Err(reason) = probe::first_reason([needs(), probe::programs(&["python3", "gunzip", "sha256sum"])])
    {
        skip!("{reason}");
    }
    let alpine = Alpine::new(&Options::default()).unwrap();
    let package = members(&alpine.repository.file(scenario::LIBRARY, scenario::NEW));
    let [signature, control, data] = &package[..] else { panic!("{} members", package.len()) };
    assert!(verified(&alpine, signature, control) && !verified(&alpine, signature, data));
    let information = String::from_utf8(file_of_tar(control, ".PKGINFO").1).unwrap();
    let hash = argv("sha256sum", [""; 0]).filter(data).unwrap();
    assert!(
        information.contains(&format!("datahash = {}\n", String::from_utf8_lossy(&hash[..64]))),
        "{information}"
    );
    let index = alpine.repository.folder().join(alpine.repository.architecture()).join("APKINDEX.tar.gz");
    for (signature, good) in [
        (Signature::Sha256, true),
        (Signature::Tampered, false),
        (Signature::Stranger, false),
        (Signature::Impostor, false),
        (Signature::Good, true),
    ] {
        alpine.repository.publish(&Index { signature }).unwrap();
        let index = members(&index);
        assert_eq!((index.len(), verified(&alpine, &index[0], &index[1])), (2, good), "{signature:?}");
    }
    let list = String::from_utf8(file_of_tar(&members(&index)[1], "APKINDEX").1).unwrap();
    assert!(
        list.contains("\nD:so:libcopafips.so.1\n") && list.contains("\np:so:libcrypto.so.3=3.1\n"),
        "{list}"
    );
    alpine.repository.publish(&Index { signature: Signature::Missing }).unwrap();
    assert_eq!(members(&index).len(), 1);
}

#[test]
fn a_genuine_package_is_laid_out_as_those_made_here() {
    if let Err(reason) =
        probe::first_reason([needs(), debs::needs(), probe::programs(&["python3", "gunzip"])])
    {
        skip!("{reason}");
    }
    let alpine = Alpine::new(&Options::default()).unwrap();
    let genuine = alpine.folder().join("genuine.apk");
    fs::write(&genuine, testkit::apk::genuine().unwrap()).unwrap();
    let made = alpine.repository.file(scenario::LIBRARY, scenario::NEW);
    let keys = [&genuine, &made].map(|path| {
        let package = members(path);
        let [signature, control, data] = &package[..] else { panic!("{} members", package.len()) };
        assert!(file_of_tar(signature, ".SIGN.").0.starts_with(".SIGN.RSA."), "{}", path.display());
        let hash = testkit::image::digest(data);
        let information = String::from_utf8(file_of_tar(control, ".PKGINFO").1).unwrap();
        assert!(information.contains(&format!("datahash = {}\n", &hash["sha256:".len()..])), "{information}");
        let plain = argv("gunzip", ["-c"]).filter(data).unwrap();
        let record = b"APK-TOOLS.checksum.SHA1=";
        assert!(plain.windows(record.len()).any(|window| window == record), "{}", path.display());
        let keys = information.lines().filter_map(|line| line.split_once(" = "));
        keys.map(|(key, _)| key.to_owned()).collect::<std::collections::BTreeSet<_>>()
    });
    let ours = [
        "pkgname",
        "pkgver",
        "pkgdesc",
        "url",
        "builddate",
        "packager",
        "size",
        "arch",
        "origin",
        "maintainer",
        "license",
        "datahash",
    ];
    assert!(keys.iter().all(|keys| ours.iter().all(|key| keys.contains(*key))), "{keys:?}");
}

#[test]
fn syft_finds_the_packages_of_an_image() {
    if let Err(reason) = probe::first_reason([needs(), probe::programs(&["skopeo", "syft"])]) {
        skip!("{reason}");
    }
    let alpine = Alpine::new(&Options::default()).unwrap();
    let image = ImageReader::open(alpine.layout.directory(), TAG).unwrap();
    let versions = database::versions(&image).unwrap();
    assert!(versions.keys().eq(std::collections::BTreeSet::from(scenario::ALL)));
    assert_eq!(testkit::syft::packages_of(alpine.layout.directory(), TAG, "apk").unwrap(), versions);
}

fn apk(root: &Chroot, words: &[&str]) -> Ran {
    root.run(&[&["/sbin/apk"], words].concat()).unwrap()
}

fn version(root: &Chroot, name: &str) -> String {
    let all = root.read("lib/apk/db/installed");
    let own = all.split("\n\n").find(|paragraph| paragraph.contains(&format!("\nP:{name}\n")));
    own.and_then(|text| text.lines().find_map(|line| line.strip_prefix("V:"))).unwrap_or_default().to_owned()
}

#[test]
fn the_stand_in_installs_what_it_is_asked_and_keeps_the_database_whole() {
    let needs = [needs(), debs::needs(), chroot::needs()];
    if let Err(reason) = probe::first_reason(needs) {
        skip!("{reason}");
    }
    let edited = testkit::tar::Entry::file(&scenario::CONFFILE[1..], "setting = mine\n");
    let options = Options { tool: Tool::StandIn, added: vec![edited], ..Options::default() };
    let alpine = Alpine::new(&options).unwrap();
    let root = Chroot::of(&alpine.layout, TAG).unwrap();
    let ran = apk(&root, &["--no-cache", "add", "--upgrade", "libcrypto3>=3.1.4-r5"]);
    assert!(ran.status.success(), "{}", words(&ran));
    assert_eq!(version(&root, scenario::LIBRARY), scenario::NEW, "{}", words(&ran));
    assert_eq!(
        (version(&root, scenario::ADDED), version(&root, scenario::DEPENDENT)),
        (scenario::NEW.into(), scenario::OLD.into())
    );
    assert!(root.read("etc/apk/world").contains("libcrypto3>=3.1.4-r5\n"));
    assert_eq!(root.read(scenario::TRIGGERED), "/usr/lib/copa\n", "{}", words(&ran));
    let ran = apk(&root, &["upgrade"]);
    assert!(ran.status.success(), "{}", words(&ran));
    for name in scenario::UPDATABLE {
        assert_eq!(version(&root, name), scenario::NEW, "{name}: {}", words(&ran));
    }
    assert_eq!(version(&root, scenario::HELD), scenario::OLD);
    assert_eq!(root.read(scenario::STATE), "pre-upgrade 3.1.4-r5 3.1.4-r0\npost-upgrade 3.1.4-r5 3.1.4-r0\n");
    assert_eq!(
        (root.read(scenario::CONFFILE), root.read(scenario::APK_NEW)),
        ("setting = mine\n".into(), "setting = new\n".into())
    );
    assert_eq!(
        (root.read(scenario::TAKEN_OVER), root.read(scenario::DELETED)),
        ("new\n".into(), String::new())
    );
    assert_eq!(root.read(ARGV), "apk --no-cache add --upgrade libcrypto3>=3.1.4-r5\napk upgrade\n");
    assert_eq!(apk(&root, &["policy"]).status.code(), Some(99));
    let ran = apk(&root, &["add", "--upgrade", scenario::UNSATISFIED]);
    assert!(
        !ran.status.success() && words(&ran).contains("copa-nowhere (no such package)"),
        "{}",
        words(&ran)
    );
    let database = root.read("lib/apk/db/installed");
    for spec in scenario::updates()
        .iter()
        .filter(|spec| spec.name() == scenario::ADDED || scenario::UPDATABLE.contains(&spec.name()))
    {
        let expected = alpine.paragraph(spec).unwrap();
        assert!(database.contains(&expected), "{}\n{expected}\n{database}", spec.name());
    }
    let scripts = argv("tar", ["-tf"]).arg(root.at("lib/apk/db/scripts.tar")).text().unwrap();
    assert_eq!(scripts.lines().count(), 4, "{scripts}");
    assert!(!scripts.contains("copa-scripted-3.1.4-r0"), "{scripts}");
}

#[test]
fn the_stand_in_works_on_another_root() {
    let needs = [needs(), debs::needs(), chroot::needs()];
    if let Err(reason) = probe::first_reason(needs) {
        skip!("{reason}");
    }
    let tooling = Alpine::new(&Options { tool: Tool::StandIn, ..Options::default() }).unwrap();
    let tooling = Chroot::of(&tooling.layout, TAG).unwrap();
    let target = Alpine::new(&Options::default()).unwrap();
    let image = ImageReader::open(target.layout.directory(), TAG).unwrap();
    let blob = target.layout.blob_path(image.layers()[0]["digest"].as_str().unwrap());
    fs::create_dir(tooling.at("target")).unwrap();
    argv("tar", ["-xpzf"]).arg(blob).arg("-C").arg(tooling.at("target")).stdout().unwrap();
    let ran = apk(&tooling, &["--root", "/target", "--no-scripts", "add", "--upgrade", scenario::SCRIPTED]);
    assert!(ran.status.success(), "{}", words(&ran));
    assert!(tooling.read("target/lib/apk/db/installed").contains("P:copa-scripted\nV:3.1.4-r5\n"));
    assert_eq!(
        (version(&tooling, scenario::SCRIPTED), tooling.read("target/bin/sh")),
        (scenario::OLD.into(), String::new())
    );
}
