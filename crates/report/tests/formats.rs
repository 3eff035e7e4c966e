//! What good reports of each format say.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use report::{Findings, Format, read};
use std::{fs, path::PathBuf};

fn fixture(name: &str, format: Format) -> Findings {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    read(fs::File::open(path).unwrap(), format).unwrap()
}

/// `id package installed fixed severity`, one finding a row.
fn rows(findings: &Findings) -> Vec<String> {
    let row = |f: &report::Finding| {
        let severity = f.severity.as_deref().unwrap_or("-");
        format!("{} {} {} {:?} {severity}", f.vulnerability, f.package, f.installed, f.fixed)
    };
    findings.os.iter().map(row).collect()
}

#[test]
fn a_trivy_report_is_read_in_its_order() {
    let findings = fixture("trivy-debian.json", Format::Trivy);
    let subject = &findings.subject;
    assert_eq!((subject.os_family.as_deref(), subject.os_version.as_deref()), (Some("debian"), Some("12.5")));
    assert_eq!((subject.architecture.as_deref(), subject.variant.as_deref()), (Some("arm64"), Some("v8")));
    assert_eq!(subject.artifact_name.as_deref(), Some("registry.example/app:1.0"));
    assert_eq!(subject.image_id, Some(format!("sha256:{}", "1".repeat(64))));
    assert_eq!(subject.repo_digests, [format!("registry.example/app@sha256:{}", "2".repeat(64))]);
    let expected = [
        r#"CVE-2023-5678 libssl3 3.0.11-1~deb12u2 ["3.0.13-1~deb12u1"] MEDIUM"#,
        r#"CVE-2022-0563 util-linux 2.38.1-5 [] LOW"#,
        r#"CVE-2024-0001 g++-12 12.2.0-14 ["12.2.0-15", "12.3.0-1"] -"#,
    ];
    assert_eq!(rows(&findings), expected);
    assert_eq!(findings.other.into_iter().collect::<Vec<_>>(), [("node-pkg".to_owned(), 1)]);
}

#[test]
fn native_manifests_of_both_versions_are_read() {
    let first = fixture("native-v1alpha1.json", Format::Native);
    assert_eq!(rows(&first), [r#"CVE-2021-0001 libc6:amd64 2.31-13 ["2.31-13+deb11u5"] -"#]);
    assert_eq!(first.subject.os_version.as_deref(), Some("11.3"));
    let second = fixture("native-v1alpha2.json", Format::Native);
    let expected = [r#"CVE-2022-0001 zlib1g 1:1.2.11 ["1:1.2.12"] -"#, "CVE-2022-0002 zlib1g 1:1.2.11 [] -"];
    assert_eq!(rows(&second), expected);
    assert_eq!(second.subject.variant.as_deref(), Some("v7"));
    let other: Vec<_> = second.other.into_iter().collect();
    assert_eq!(other, [("python-pkg".to_owned(), 1), ("unknown".to_owned(), 1)]);
}

#[test]
fn keys_may_come_in_any_order_and_lists_may_be_absent_or_null() {
    let reversed = r#"{"Results":[{"Vulnerabilities":[{"FixedVersion":"2","PkgName":"a","InstalledVersion":"1",
        "VulnerabilityID":"CVE-1"}],"Type":"debian","Class":"os-pkgs"}],
        "Metadata":{"OS":{"Name":"12","Family":"debian"}},"ArtifactName":"x","SchemaVersion":2}"#;
    assert_eq!(rows(&read(reversed.as_bytes(), Format::Trivy).unwrap()), [r#"CVE-1 a 1 ["2"] -"#]);
    for empty in [
        r#"{"SchemaVersion":2,"ArtifactName":"x"}"#,
        r#"{"SchemaVersion":2,"ArtifactName":"x","Results":null}"#,
        r#"{"SchemaVersion":2,"Results":[{"Class":"os-pkgs"}],"Metadata":null}"#,
        r#"  {"SchemaVersion":2,"Results":[]}  "#,
    ] {
        assert_eq!(read(empty.as_bytes(), Format::Trivy).unwrap().os, [], "{empty}");
    }
    let native = r#"{"apiVersion":"v1alpha1","updates":null,"metadata":null}"#;
    assert_eq!(read(native.as_bytes(), Format::Native).unwrap(), Findings::default());
}

/// Scanner output of the project's shared test material, where it lies beside the workspace.
#[test]
fn real_reports_are_read_with_plausible_counts() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testbed/reports");
    let folder = std::env::var_os("COPA_TEST_REPORTS").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        eprintln!("skipped: no folder of real reports (COPA_TEST_REPORTS)");
        return;
    }
    let expected = [
        ("debian/app-bookworm.json", "debian 12.15", 1, 0),
        ("debian/debian-12.json", "debian 12.15", 1, 0),
        ("debian/distroless-bookworm-amd64.json", "debian 12.15", 1, 0),
        ("trivy-real/alpine-310.json", "alpine 3.10.2", 1, 0),
        ("trivy-real/alpine-distroless.json", "alpine 3.16", 1, 0),
        ("trivy-real/amazon-2.json", "amazon 2 (Karoo)", 1, 0),
        ("trivy-real/busybox-with-lockfile.json", " ", 0, 1),
        ("trivy-real/centos-7.json", "centos 7.6.1810", 1, 0),
        ("trivy-real/debian-buster.json", "debian 10.1", 1, 0),
        ("trivy-real/distroless-base.json", "debian 9.9", 1, 0),
        ("trivy-real/npm.json", " ", 0, 1),
        ("trivy-real/rockylinux-8.json", "rocky 8.5", 1, 0),
        ("trivy-real/ubuntu-1804.json", "ubuntu 18.04", 1, 0),
    ];
    for (name, os, at_least_os, at_least_other) in expected {
        let file = fs::File::open(folder.join(name)).unwrap();
        let findings = read(file, Format::Trivy).unwrap_or_else(|error| panic!("{name}: {error}"));
        let subject = &findings.subject;
        let said = [&subject.os_family, &subject.os_version].map(|t| t.as_deref().unwrap_or(""));
        assert_eq!(said.join(" "), os, "{name}");
        let (own, other) = (findings.os.len(), findings.other.values().sum::<u64>());
        assert!(own >= at_least_os && other >= at_least_other, "{name}: {own} {other}");
        let text = fs::read_to_string(folder.join(name)).unwrap();
        let listed = text.matches("\"VulnerabilityID\"").count() as u64;
        assert_eq!(own as u64 + other, listed, "{name}: every vulnerability is somewhere");
    }
}
