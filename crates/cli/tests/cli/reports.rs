//! Reports that are none reach the user as such: exit code 3, the report named. Each with its good twin, which gets as
//! far as the image (exit code 5: there is none).

use crate::harness::{Home, Ran};

const GOOD: &str = r#"{"SchemaVersion":2,"ArtifactName":"a:1","Metadata":{"OS":{"Family":"debian","Name":"12"}},
    "Results":[{"Target":"a","Class":"os-pkgs","Type":"debian","Vulnerabilities":[{"VulnerabilityID":"CVE-2024-1",
    "PkgName":"libc6","InstalledVersion":"2.36-9","FixedVersion":"2.36-9+deb12u1"}]}]}"#;

/// Nothing listens there: the report is read, and then there is no image.
const NOWHERE: &str = "127.0.0.1:9/a:1";

fn plan(content: &[u8]) -> Ran {
    let home = Home::new();
    home.write("report.json", content);
    home.run(&["plan", "-i", NOWHERE, "-r", "report.json", "--progress", "plain"])
}

#[test]
fn a_good_report_gets_as_far_as_the_image() {
    let ran = plan(GOOD.as_bytes());
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(ran.stderr.contains("127.0.0.1:9"), "{}", ran.stderr);
}

#[test]
fn what_is_no_report_is_named() {
    let deep = "[".repeat(100_000);
    let hostile = GOOD.replace("libc6", "; rm -rf /\\u001b[2J");
    let option = GOOD.replace("libc6", "--force-all");
    for (name, content) in [
        ("empty", &b""[..]),
        ("cut short", &GOOD.as_bytes()[..40]),
        ("not JSON", b"hello"),
        ("UTF-16", b"\xff\xfe{\x00}\x00"),
        ("deep", deep.as_bytes()),
        ("another shape", b"[]"),
        ("hostile name", hostile.as_bytes()),
        ("option as name", option.as_bytes()),
    ] {
        let ran = plan(content);
        assert_eq!(ran.code, 3, "{name}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("error: ") && ran.stderr.contains("report.json"),
            "{name}: {}",
            ran.stderr
        );
        assert!(!ran.stderr.contains('\u{1b}'), "{name}: {}", ran.stderr);
    }
}

#[test]
fn a_report_that_is_not_there_or_a_folder_without_any_is_named() {
    let home = Home::new();
    let ran = home.run(&["plan", "-i", NOWHERE, "-r", "missing.json"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("report path missing.json does not exist"), "{}", ran.stderr);
    let ran = home.run(&["plan", "-i", NOWHERE, "-r", "."]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("no JSON files found in report directory: ."), "{}", ran.stderr);
    home.write("good.json", GOOD.as_bytes());
    home.write("bad.json", b"hello");
    let ran = home.run(&["plan", "-i", NOWHERE, "-r", "."]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("bad.json"), "{}", ran.stderr);
    let ran = home.run(&["plan", "-i", NOWHERE, "-r", ".", "--ignore-errors", "--progress", "plain"]);
    assert_eq!(ran.code, 5, "the good one is read, and there is no image: {}", ran.stderr);
    assert!(ran.stderr.contains("warning: ") && ran.stderr.contains("bad.json"), "{}", ran.stderr);
}

#[test]
fn a_scanner_that_is_not_there_is_named() {
    let home = Home::new();
    home.write("report.json", GOOD);
    let ran = home.run(&["plan", "-i", NOWHERE, "-r", "report.json", "-s", "nosuch"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("copa-nosuch"), "{}", ran.stderr);
}

#[test]
fn failures_go_to_the_result_document_and_to_rawjson() {
    let home = Home::new();
    home.write("report.json", "hello");
    let args = ["plan", "-i", NOWHERE, "-r", "report.json", "--result", "r.json", "--progress", "rawjson"];
    let ran = home.run(&args);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let last: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((last["event"].as_str(), last["exitCode"].as_u64()), (Some("error"), Some(3)), "{last}");
    let result: serde_json::Value =
        serde_json::from_slice(&std::fs::read(home.path("r.json")).unwrap()).unwrap();
    assert_eq!(result["status"], "failed");
    assert_eq!(result["error"]["exitCode"], 3);
    assert_eq!(testkit::schema::complaints(&published_schema(), &result), [""; 0]);
}

/// The schema that is published; that it is fresh is checked by `cargo xtask docs --check`.
fn published_schema() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/result.schema.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
