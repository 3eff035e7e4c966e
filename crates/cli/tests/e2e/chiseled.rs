//! Chiseled images: of each package only the slices that are there are updated, by either record of what is installed.

use crate::hermetic::{PATCHED, Subject, TAG, is_there, needs, text};
use testkit::chiseled::{LEFT_OUT, Record, manifest};
use testkit::distroless::{
    hermetic::{Form, Options},
    scenario::{self as s, NEW, OLD},
};
use testkit::{dpkg, skip};

const UBUNTU: (&str, &str) = ("ubuntu", "22.04");

fn of(record: Record) -> Options {
    Options { form: Form::Chiseled(record), ..Options::default() }
}

#[test]
fn slices_are_updated_and_what_was_cut_away_stays_away() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for record in [Record::Status, Record::Manifest] {
        let subject = Subject::new(&of(record));
        let report = subject.wanting(&[s::LIBRARY, s::HARMLESS], UBUNTU);
        let (ran, image) = subject.patched(Some(&report), &[]);
        assert_eq!([ran.outcome(s::LIBRARY), ran.outcome(s::HARMLESS)], ["fixed", "fixed"], "{record:?}");
        let versions = dpkg::versions(&image).unwrap();
        assert_eq!([&versions[s::LIBRARY], &versions[s::HARMLESS]], [NEW, NEW]);
        assert_eq!(versions[s::ENCODED], OLD);
        assert!(is_there(&image, s::SHARED[1]) && !is_there(&image, s::SHARED[0]), "{record:?}");
        assert_eq!(text(&image, s::PAIR[0]).as_deref(), Some(NEW));
        // What another package brings is no longer cut away.
        for path in LEFT_OUT.into_iter().filter(|path| *path != s::TAKEN_OVER) {
            assert!(!is_there(&image, path), "{path} {record:?}");
        }
        assert_eq!(image.layers().len(), subject.open(TAG).layers().len() + 1);
        let rescanned = subject.made.scan(PATCHED).unwrap();
        assert!(rescanned.findings.iter().all(|f| f.package != s::LIBRARY), "{:?}", rescanned.findings);
        let again = subject.patch((PATCHED, "again"), Some(&report), &[]);
        assert_eq!(again.document["status"], "up-to-date", "{}", again.stderr);
    }
}

#[test]
fn the_manifest_tells_what_is_there_after_the_patch() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new(&of(Record::Manifest));
    let report = subject.wanting(&[s::LIBRARY], UBUNTU);
    let (_, image) = subject.patched(Some(&report), &[]);
    let file = image.files(|path| path == manifest::PATH.as_bytes()).unwrap().into_values().next().unwrap();
    let records = manifest::read_bytes(file.entry.content().unwrap()).unwrap();
    assert_eq!(records[0]["count"], records.len());
    let mut paths = 0;
    for record in records.iter().filter(|record| record["kind"] == "path") {
        let path = record["path"].as_str().unwrap();
        assert!(is_there(&image, path.trim_end_matches('/')), "{path}");
        let Some(sha256) = record["sha256"].as_str() else { continue };
        let content = image.files(|at| at == path.trim_start_matches('/').as_bytes()).unwrap();
        let shown = content.into_values().next().unwrap();
        if let Some(content) = shown.entry.content() {
            assert_eq!(testkit::image::digest(content), format!("sha256:{sha256}"), "{path}");
            paths += 1;
        }
    }
    assert!(paths > 5, "{paths}");
}
