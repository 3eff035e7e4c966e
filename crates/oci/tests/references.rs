//! What a reference is, against `skopeo`: it says so before it asks anybody, so nothing leaves this machine.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // clippy knows only functions marked as tests to be tests

use oci::Reference;
use testkit::{command::argv, probe, skip};

/// Where we and skopeo do not agree, and why it is so.
const OTHERWISE: &[(&str, bool)] = &[
    // A tag beside a digest: docker takes it; skopeo says that it is no longer supported.
    ("a:t@sha256:0000000000000000000000000000000000000000000000000000000000000000", true),
    // Addresses in brackets: skopeo learned them after the version that Debian has.
    ("[::1]:5000/x", true),
    ("[2001:db8::7]/a/b:c", true),
    // A host in upper case is a host, not a repository; likewise newer.
    ("LOCALHOST/x", true),
    // Neither a host nor a port that could be reached; skopeo takes the one for a repository and asks the other.
    ("host_name.example/x", false),
    ("host:99999/x", false),
];

/// Whether skopeo takes it for the name of an image in a registry.
fn skopeo_takes(text: &str) -> bool {
    // The destination is none, which it complains about only once it has taken the source.
    let said =
        argv("skopeo", ["copy", &format!("docker://{text}"), "none:x"]).stdout().unwrap_err().to_string();
    assert!(
        said.contains("Invalid source name") != said.contains("Invalid destination name"),
        "{text}: {said}"
    );
    said.contains("Invalid destination name")
}

#[test]
fn we_take_what_skopeo_takes() {
    if let Err(reason) = probe::programs(&["skopeo"]) {
        skip!("{reason}");
    }
    let (hex, long) = ("0".repeat(64), "t".repeat(128));
    let made = [
        format!("a@sha256:{hex}"),
        format!("host:5000/a/b@sha256:{hex}"),
        format!("a@sha256:{}", &hex[1..]),
        format!("a:{long}"),
        format!("a:{long}t"),
        hex,
    ];
    let plain = [
        "nginx",
        "nginx:1.21.6",
        "a/b",
        "docker.io/x",
        "index.docker.io/x:1",
        "localhost/x",
        "localhost:5000/x/y/z:v1",
        "10.0.0.1:5000/x:y",
        "ghcr.io/a/b__c-d.e:T_1",
        "x.example/a---b",
        "a/b/c/d/e/f:1",
        "GHCR.io/a",
        "a:_",
        "a:1.2-3_4",
        "Nginx",
        "a/Nginx",
        "ghcr.io/A/b",
        "a//b",
        "a/",
        "/a",
        "a/../b",
        "a:b:c",
        ":tag",
        "a@",
        "x y",
        "-a",
        "a/-b",
        "a___b",
        "a..b",
        "a._b",
        "a_",
        "host:/x",
        "host:+80/x",
        "host:80:90/x",
        "host.example./x",
        "::1/x",
        "user:secret@host.example/x",
        "https://host.example/x",
        "a:",
        "a:-t",
        "a:.t",
        "a:t!",
        "$(id)",
        "a\n",
    ];
    for text in made.iter().map(String::as_str).chain(plain) {
        assert_eq!(text.parse::<Reference>().is_ok(), skopeo_takes(text), "{text:?}");
    }
    for (text, ours) in OTHERWISE {
        assert_eq!((text.parse::<Reference>().is_ok(), skopeo_takes(text)), (*ours, !ours), "{text}");
    }
}
