//! What becomes of each finding of a report, and reports that are about something else.

use crate::throwaway::{Extra, TAG, Throwaway, needs};
use serde_json::{Value, json};
use testkit::apt_repository::scenario;
use testkit::image_reader::ImageReader;
use testkit::{skip, tar, tar::Entry};

/// The failure of reports.
const REPORT: i32 = 3;

#[test]
fn every_finding_has_its_outcome() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let held = format!("Package: {}\nStatus: install ok", scenario::HELD);
    let status = crate::throwaway::installed_status().replace(&held, &held.replace("install ok", "hold ok"));
    let layer = tar::write(&[Entry::file("var/lib/dpkg/status", status)]);
    let subject = Throwaway::with(&scenario::updates(), &Extra { layers: vec![layer], ..Extra::default() });
    let report = subject.report(&[
        (scenario::BASE, scenario::NEW),
        (scenario::BASE, scenario::OLD),
        ("copa-absent", scenario::NEW),
        (scenario::VICTIM, ""),
        (scenario::HELD, scenario::NEW),
        (scenario::EXTRA, scenario::NEW),
    ]);
    let expected = [
        (scenario::BASE, "fixed"),
        (scenario::BASE, "already-fixed"),
        ("copa-absent", "not-installed"),
        (scenario::VICTIM, "no-fix-known"),
        (scenario::HELD, "held"),
        (scenario::EXTRA, "not-installed"),
    ];
    let (ran, _) = subject.patched(&report, &[]);
    assert_eq!(ran.outcomes(), expected);
    let findings = ran.document["findings"].as_array().unwrap();
    let numbers: Vec<&str> = findings.iter().map(|f| f["vulnerability"].as_str().unwrap()).collect();
    assert_eq!(numbers, (1..=6).map(|n| format!("CVE-2026-{n:04}")).collect::<Vec<_>>());
    assert_eq!(subject.patch(&report, &["--detailed-exit-code"]).code, Some(21));
    // Nothing to do is no failure, and nothing is contacted for it.
    let before = subject.served.log().len();
    let ran = subject.patch(&subject.report(&[(scenario::HELD, scenario::NEW), ("copa-absent", "2")]), &[]);
    assert_eq!((ran.code, &ran.document["status"]), (Some(0), &json!("up-to-date")), "{}", ran.stderr);
    assert_eq!(subject.served.log().len(), before);
}

#[test]
fn a_report_of_another_distribution_is_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let wanted = [(scenario::BASE, scenario::NEW)];
    for (os, words) in [
        (json!({ "Family": "ubuntu", "Name": "22.04" }), &["ubuntu", "debian"][..]),
        // Its versions are none of that distribution's.
        (json!({ "Family": "alpine", "Name": "3.18.4" }), &["apk version"]),
        (json!({ "Family": "rocky", "Name": "9.4" }), &["rocky", "debian"]),
        (json!({ "Family": "debian", "Name": "11.9" }), &["11", "12"]),
        (json!({ "Family": "debian", "Name": "1" }), &["12"]),
        (json!({ "Family": "debian", "Name": "12\n../../x" }), &["12"]),
        (json!({ "Family": "debian", "Name": "../../evil/image:x" }), &["12"]),
        (json!({ "Family": "", "Name": "" }), &[]),
    ] {
        eprintln!("{os}");
        let ran = subject.refused(&subject.report_of(os, &wanted), &[], REPORT, words);
        assert!(!ran.stderr.contains("\n../../x"), "escaped: {}", ran.stderr);
    }
    assert_eq!(subject.served.log(), []);
    let other = subject.report_of(json!({ "Family": "debian", "Name": "11.9" }), &wanted);
    let (ran, _) = subject.patched(&other, &["--allow-mismatch"]);
    assert!(ran.stderr.contains("11"), "it is said all the same: {}", ran.stderr);
}

#[test]
fn a_report_of_another_image_is_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let path = subject.wanting(&[scenario::BASE]);
    let write = |id: &str, architecture: &str| {
        let mut report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        report["Metadata"]["ImageID"] = json!(id);
        report["Metadata"]["ImageConfig"] = json!({ "architecture": architecture, "os": "linux" });
        std::fs::write(&path, report.to_string()).unwrap();
    };
    let image = ImageReader::open(subject.layout.directory(), TAG).unwrap();
    let right = image.manifest["config"]["digest"].as_str().unwrap().to_owned();
    let architecture = image.config["architecture"].as_str().unwrap().to_owned();
    let wrong = format!("sha256:{}", "0".repeat(64));
    write(&wrong, &architecture);
    subject.refused(&path, &[], REPORT, &[&wrong[..19], &right[..19]]);
    write(&right, "s390x");
    subject.refused(&path, &[], REPORT, &["s390x", &architecture]);
    write(&wrong, &architecture);
    subject.patched(&path, &["--allow-mismatch"]);
    write(&right, &architecture);
    subject.patched(&path, &[]);
}

#[test]
fn names_and_versions_that_are_none_never_reach_a_tool() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    for name in [
        "--force-all",
        "-oDPkg::Pre-Invoke::=touch /evil",
        "copa-base; touch /evil",
        "$(id)",
        "copa-base\ncopa-extra",
        "../x",
        "copa-base+",
        "/tmp/x.deb",
        "copa-*",
    ] {
        eprintln!("{name:?}");
        let ran = subject.patch(&subject.report(&[(name, scenario::NEW)]), &["--tag", "never"]);
        assert!(ran.document["status"] != "patched" && subject.served.log().is_empty(), "{}", ran.stderr);
        assert!(
            !ran.stderr.contains("panicked") && ran.stderr.lines().all(|l| l != "copa-extra"),
            "{}",
            ran.stderr
        );
    }
    for version in ["1.0 || 2.0", "$(id)", "99999999999:1", "1\n2"] {
        eprintln!("{version:?}");
        let ran = subject.patch(&subject.report(&[(scenario::BASE, version)]), &["--tag", "never"]);
        assert!(ran.document["status"] != "patched" && subject.served.log().is_empty(), "{}", ran.stderr);
    }
    subject.patched(&subject.wanting(&[scenario::BASE]), &[]);
}
