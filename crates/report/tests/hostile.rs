//! Reports that are broken or meant to harm, each beside a benign twin that is taken. The letters are the rows of the
//! project's table of hostile input.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use report::{Error, Findings, Format, read};

fn trivy(text: impl AsRef<[u8]>) -> Result<Findings, Error> {
    read(text.as_ref(), Format::Trivy)
}

fn refused(text: impl AsRef<[u8]>) -> String {
    trivy(text).unwrap_err().to_string()
}

/// A report of one operating-system finding.
fn with(name: &str, fixed: &str, family: &str) -> String {
    let text = |t: &str| serde_json::to_string(t).unwrap();
    format!(
        r#"{{"SchemaVersion":2,"ArtifactName":"x","Metadata":{{"OS":{{"Family":"{family}","Name":"1"}}}},"Results":[
        {{"Class":"os-pkgs","Type":"{family}","Vulnerabilities":[{{"VulnerabilityID":"CVE-1","PkgName":{},
        "InstalledVersion":"1.0","FixedVersion":{}}}]}}]}}"#,
        text(name),
        text(fixed)
    )
}

#[test]
fn r1_what_is_not_whole_utf8_json_is_refused_with_its_byte() {
    let good = r#"{"SchemaVersion":2,"ArtifactName":"x","Results":[]}"#;
    assert!(trivy(good).is_ok());
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked_utf16 = [&[0xff, 0xfe][..], &utf16].concat();
    let bom = [&[0xef, 0xbb, 0xbf][..], good.as_bytes()].concat();
    for (bytes, message) in [
        (&b""[..], "invalid report at byte 0: empty"),
        (b" \n", "invalid report at byte 2: EOF while parsing a value"),
        (&bom, "invalid report at byte 0: starts with a byte order mark, JSON must not"),
        (&utf16, "invalid report at byte 0: UTF-16 or binary, not UTF-8 JSON"),
        (&marked_utf16, "invalid report at byte 0: UTF-16 or binary, not UTF-8 JSON"),
        (&good.as_bytes()[..30], "invalid report at byte 30: EOF while parsing a string"),
        (br#"{"SchemaVersion":NaN}"#, "invalid report at byte 17: expected value"),
        (br#"{"x":NaN}"#, "invalid report at byte 5: expected value"),
        (br#"{"x":Infinity}"#, "invalid report at byte 5: expected value"),
        (b"not json", "invalid report at byte 1: expected ident"),
        (b"[]", "invalid report at byte 0: invalid type: sequence, expected a Trivy report"),
        (br#"{"SchemaVersion":2,"ArtifactName":"x"} {}"#, "invalid report at byte 39: trailing characters"),
        (br#"{"SchemaVersion":2,}"#, "invalid report at byte 19: trailing comma"),
        (
            b"{\"SchemaVersion\":2,\"ArtifactName\":\"\xff\"}",
            "invalid report at byte 37: invalid unicode code point",
        ),
        (br#"{"SchemaVersion":"\u001b[2J"}"#, "\\u{1b}[2J"),
    ] {
        let error = refused(bytes);
        assert!(error.contains(message), "{error}\nnot\n{message}");
    }
}

#[test]
fn r2_nesting_and_strings_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let passed_over = |value: &str| format!(r#"{{"SchemaVersion":2,"ArtifactName":"x","Other":{value}}}"#);
    assert!(trivy(passed_over(&nested(63))).is_ok());
    assert!(refused(passed_over(&nested(64))).ends_with("nested deeper than 64"));
    assert!(refused(nested(1_000_000)).starts_with("invalid report at byte 0: invalid type"));
    assert!(refused(passed_over(&nested(1_000_000))).ends_with("nested deeper than 64"));
    assert!(refused(passed_over(&"[".repeat(1_000_000))).ends_with("nested deeper than 64"));
    let objects = r#"{"a":"#.repeat(1_000_000);
    assert!(refused(passed_over(&objects)).ends_with("nested deeper than 64"));
    // Brackets and quotes within strings are no nesting.
    let text = serde_json::to_string(&"[{\"\\".repeat(1000)).unwrap();
    assert!(trivy(passed_over(&text)).is_ok());
}

#[test]
fn r3_keys_are_exact_and_once_and_the_schema_is_known() {
    let finding = |keys: &str| {
        format!(
            r#"{{"SchemaVersion":2,"ArtifactName":"x","Results":[{{"Class":"os-pkgs","Type":"debian",
            "Vulnerabilities":[{{{keys}}}]}}]}}"#
        )
    };
    assert_eq!(
        trivy(finding(r#""VulnerabilityID":"CVE-1","PkgName":"a","FixedVersion":"2""#)).unwrap().os.len(),
        1
    );
    for (text, message) in [
        (finding(r#""VulnerabilityID":"CVE-1","PkgName":"a","PkgName":"b""#), "duplicate field `PkgName`"),
        (
            finding(r#""VulnerabilityID":"CVE-1","FixedVersion":"1","PkgName":"a","FixedVersion":"2""#),
            "duplicate field",
        ),
        (finding(r#""VulnerabilityID":"CVE-1","pkgname":"a""#), "invalid finding CVE-1 on package (none)"),
        (finding(r#""vulnerabilityid":"CVE-1","PkgName":"a""#), "invalid finding (none) on package a"),
        (r#"{"SchemaVersion":2,"SchemaVersion":2,"Results":[]}"#.into(), "duplicate field `SchemaVersion`"),
        (r#"{"SchemaVersion":2,"Results":[],"Results":[]}"#.into(), "duplicate field `Results`"),
        (r#"{"SchemaVersion":2,"Metadata":{},"Metadata":{}}"#.into(), "duplicate field `Metadata`"),
        (
            r#"{"SchemaVersion":2,"Results":[{"Class":"os-pkgs","Class":"x"}]}"#.into(),
            "duplicate field `Class`",
        ),
        (
            r#"{"SchemaVersion":3,"Results":[]}"#.into(),
            "not a Trivy report: SchemaVersion 3 is unknown, 2 is expected",
        ),
        (r#"{"schemaVersion":2,"Results":[]}"#.into(), "not a Trivy report: it has no SchemaVersion"),
        (r#"{"SchemaVersion":2}"#.into(), "it has neither ArtifactName nor Metadata nor Results"),
        (r#"{"hello":"world"}"#.into(), "not a Trivy report: it has no SchemaVersion"),
        (r#"{"SchemaVersion":-2,"Results":[]}"#.into(), "invalid value: integer `-2`"),
    ] {
        let error = refused(&text);
        assert!(error.contains(message), "{error}\nnot\n{message}");
    }
}

#[test]
fn r3_native_manifests_have_a_known_version_and_its_own_lists() {
    for (text, message) in [
        (r#"{"updates":[]}"#, "not a native report: it has no apiVersion"),
        (r#"{"apiVersion":"v2","updates":[]}"#, "not a native report: unsupported apiVersion: v2"),
        (r#"{"apiVersion":"v1alpha2","updates":[]}"#, "\"updates\" does not belong to its apiVersion"),
        (r#"{"apiVersion":"v1alpha1","osupdates":[]}"#, "\"osupdates\" does not belong to its apiVersion"),
        (r#"{"apiVersion":"v1alpha1","apiVersion":"v1alpha1"}"#, "duplicate field `apiVersion`"),
        (r#"{"apiVersion":"v1alpha1","updates":[],"updates":[]}"#, "duplicate field `updates`"),
        (r#"{"apiVersion":"v1alpha1","updates":[{"name":"a"}]}"#, "on package a: it has no vulnerability id"),
        (r#"[]"#, "expected a manifest of updates"),
    ] {
        let error = read(text.as_bytes(), Format::Native).unwrap_err().to_string();
        assert!(error.contains(message), "{error}\nnot\n{message}");
    }
}

#[test]
fn r4_and_r5_only_plain_names_become_packages() {
    let long = "a".repeat(10_000);
    for name in [
        "",
        "; rm -rf /",
        "$(id)",
        "`id`",
        "a\nb",
        "a\0b",
        "a b",
        "../x",
        "\u{202e}gpj",
        "a\u{1b}[2J",
        "--force-all",
        "-oDPkg::Pre-Invoke::=sh",
        "!name",
        "name@repo",
        "~name",
        "*",
        "@group",
        "/tmp/x.rpm",
        "https://host/x.deb",
        long.as_str(),
    ] {
        let error = refused(with(name, "2", "debian"));
        assert!(error.starts_with("invalid finding CVE-1 on package "), "{error}");
        assert!(error.chars().all(|c| (' '..='~').contains(&c)) && error.len() < 600, "{error:?}");
    }
    for name in ["libstdc++6", "g++-12", "libc6:amd64", "java-1.8.0-openjdk", ".build-deps"] {
        assert_eq!(trivy(with(name, "2", "debian")).unwrap().os[0].package.as_str(), name);
    }
}

#[test]
fn r6_fixed_versions_follow_the_grammar_of_the_distribution() {
    for fixed in ["1.0; reboot", "$(id)", "1.0 || 2.0", "99999999999:1", "1.2,,1.3", "1\n", "v1.0", ">= 1.0"]
    {
        let error = refused(with("a", fixed, "debian"));
        assert!(
            error.starts_with("invalid finding CVE-1 on package a: invalid Debian version"),
            "{fixed}: {error}"
        );
    }
    for (fixed, expected) in [
        ("", &[][..]),
        ("1.0~rc1-1", &["1.0~rc1-1"]),
        ("1.2, 1.3", &["1.2", "1.3"]),
        ("2147483647:1", &["2147483647:1"]),
    ] {
        assert_eq!(trivy(with("a", fixed, "debian")).unwrap().os[0].fixed, expected);
    }
    for (family, valid, invalid, scheme) in [
        ("alpine", "1.2.3_p1-r0", "1:1.2-r0", "apk "),
        ("wolfi", "3.1.4-r5", "3.1.4-5", "apk "),
        ("rocky", "1:3.0.7-27.el9_4^git", "1-2-3", "RPM "),
        ("opensuse.leap", "4.4.0-150600.3.4.1", "4.4.0-1:2", "RPM "),
        ("archlinux", "1:2.39+r52+gf8e4623421-1", "1:2.39-1-1", "pacman "),
        ("an unknown one", "1.2.3_p1-r0", ">=1.0", ""),
    ] {
        assert_eq!(trivy(with("a", valid, family)).unwrap().os[0].fixed, [valid], "{family}");
        for text in [invalid, "$(id)", "1.0; reboot", "--help"] {
            let error = refused(with("a", text, family));
            assert!(error.contains(&format!("invalid {scheme}version \"{text}\"")), "{family}: {error}");
        }
    }
}

#[test]
fn the_family_of_the_report_counts_where_the_result_gives_none() {
    let text = with("a", "1.0_1", "debian").replace(r#""Type":"debian","#, "");
    assert!(refused(&text).contains("invalid Debian version"));
    assert!(trivy(text.replace("debian", "rocky")).is_ok());
    assert!(refused(text.replace("debian", "alpine")).contains("invalid apk version"));
}
