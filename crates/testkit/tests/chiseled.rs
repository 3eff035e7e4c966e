//! Chiseled images, judged by the real `dpkg-query` and by what chisel's reference says of its manifest.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

use std::collections::BTreeMap;
use testkit::apt_repository;
use testkit::chiseled::{LEFT_OUT, Record, manifest};
use testkit::command::argv;
use testkit::debian_root::TAG;
use testkit::distroless::hermetic::{Form, Hermetic, Options};
use testkit::distroless::scenario;
use testkit::image_reader::{ImageReader, Shown};
use testkit::tar::Kind;
use testkit::{image, probe, skip};

fn made(record: Record) -> (Hermetic, BTreeMap<Vec<u8>, Shown>) {
    let material = Hermetic::new(&Options { form: Form::Chiseled(record), ..Options::default() }).unwrap();
    let files = ImageReader::open(material.layout.directory(), TAG).unwrap().files(|_| true).unwrap();
    for path in LEFT_OUT {
        assert!(!files.contains_key(path.trim_start_matches('/').as_bytes()), "{path}");
    }
    assert!(files.contains_key(scenario::SHARED[0].trim_start_matches('/').as_bytes()));
    assert!(!files.keys().any(|path| path.ends_with(b"bin/sh") || path.ends_with(b"bin/dpkg")));
    let scan = material.scan(TAG).unwrap();
    assert_eq!((scan.fixable(), scan.packages.len()), (scenario::ALL.len(), scenario::ALL.len() + 1));
    assert_eq!(scan.report["Metadata"]["OS"]["Family"], "ubuntu");
    (material, files)
}

#[test]
fn dpkg_reads_the_status_file_of_one() {
    if let Err(reason) = probe::first_reason([apt_repository::needs(), probe::programs(&["dpkg-query"])]) {
        skip!("{reason}");
    }
    let (material, files) = made(Record::Status);
    assert!(!files.contains_key(manifest::PATH.as_bytes()));
    let folder = material.folder().join("database");
    std::fs::create_dir_all(folder.join("info")).unwrap();
    let status = files[&b"var/lib/dpkg/status"[..]].entry.content().unwrap();
    std::fs::write(folder.join("status"), status).unwrap();
    let query = argv("dpkg-query", ["--show", "--showformat=${Package} ${db:Status-Abbrev}${Version}\n"]);
    let said = query.arg("--admindir").arg(&folder).text().unwrap();
    assert_eq!(said.lines().count(), scenario::ALL.len() + 1, "{said}");
    assert!(said.contains(&format!("{} ii {}\n", scenario::LIBRARY, scenario::OLD)), "{said}");
}

#[test]
fn the_manifest_of_one_is_as_chisel_says_and_tells_what_is_there() {
    if let Err(reason) = probe::first_reason([apt_repository::needs(), probe::programs(&["zstd"])]) {
        skip!("{reason}");
    }
    let (material, files) = made(Record::Manifest);
    assert!(!files.keys().any(|path| path.starts_with(b"var/lib/dpkg")));
    let packed = material.folder().join("manifest.wall");
    std::fs::write(&packed, files[manifest::PATH.as_bytes()].entry.content().unwrap()).unwrap();
    let text = argv("zstd", ["-d", "-c"]).arg(&packed).text().unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("{{\"jsonwall\":\"1.0\",\"schema\":\"1.0\",\"count\":{}}}", lines.len()));
    assert!(lines[1..].is_sorted(), "{text}");
    assert!(
        lines.iter().any(|line| line.starts_with(
            "{\"kind\":\"package\",\"name\":\"copa-library\",\"version\":\"1:1.0-1\",\"sha256\":\""
        )),
        "{text}"
    );
    let records = manifest::read(&packed).unwrap();
    let mut seen = 0;
    for record in records.iter().filter(|record| record["kind"] == "path") {
        let path = record["path"].as_str().unwrap().trim_start_matches('/');
        let entry = &files[path.as_bytes()].entry;
        let entry = if let Kind::Hardlink(target) = &entry.kind { &files[target].entry } else { entry };
        match &entry.kind {
            Kind::File(_) if path == manifest::PATH => assert!(record["sha256"].is_null()),
            Kind::File(content) => {
                assert_eq!(format!("sha256:{}", record["sha256"].as_str().unwrap()), image::digest(content));
                assert_eq!(record["size"], content.len());
            }
            Kind::Symlink(target) => assert_eq!(record["link"].as_str().unwrap().as_bytes(), target),
            other => panic!("{path}: {other:?}"),
        }
        seen += 1;
    }
    let pair = records.iter().filter(|record| record["inode"] == 1).count();
    assert_eq!(
        (pair, seen),
        (2, files.values().filter(|file| file.layer == 0 && file.entry.kind != Kind::Directory).count())
    );
}
