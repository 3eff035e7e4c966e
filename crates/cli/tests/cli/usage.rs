//! What cannot be meant is refused before anything is done: exit code 2, what and hint on standard error.

use crate::harness::Home;

fn refused(args: &[&str], parts: &[&str]) {
    let home = Home::new();
    let ran = home.run(args);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}: {}", ran.stderr);
    assert!(ran.stderr.starts_with("error: "), "{args:?}: {}", ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{args:?}: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains('\u{1b}'), "{args:?}: {}", ran.stderr);
    assert!(!home.path(".cache").exists(), "{args:?} made a cache");
}

#[test]
fn unknown_words_are_refused() {
    refused(&["pathc"], &["patch"]);
    refused(&["patch", "--imgae", "x"], &["--image"]);
    refused(&["patch", "--platforms", "linux/arm64"], &["--platform"]);
    refused(&["completion", "tcsh"], &["bash"]);
    refused(&["cache", "prune"], &["--all"]);
    refused(&["cache", "prune", "--all", "--older-than", "7d"], &["cannot be used with"]);
    refused(&["patch", "--format", "csaf"], &["openvex"]);
}

#[test]
fn values_that_cannot_be_are_refused() {
    refused(&["patch", "-i", "a:1", "--push", "--timeout", "soon"], &["--timeout", "90s"]);
    refused(&["patch", "-i", "a:1", "--push", "--platform", "linux/amd64,arm64"], &["--platform", "arm64"]);
    refused(&["patch", "-i", "a:1", "--push", "--platform", "linux/a\u{1b}[2J"], &["--platform"]);
    refused(&["patch", "-i", "a:1", "--push", "--jobs", "0"], &["--jobs", "1..=64"]);
    refused(&["patch", "-i", "a:1", "--push", "--timeout", "0s"], &["more than 0"]);
    refused(&["cache", "prune", "--max-size", "lots"], &["10GB"]);
    refused(&["patch", "-i", "a:1", "--push", "--allow-host", "a b"], &["--allow-host", "a b"]);
    refused(&["patch", "-i", "a:1", "--push", "--ca-cert", "missing.pem"], &["missing.pem"]);
}

#[test]
fn an_image_is_needed_and_must_be_a_reference() {
    refused(&["patch"], &["no image", "--image"]);
    refused(&["plan"], &["no image", "--image"]);
    for image in ["Nginx", "a//b", "a:b:c", "$(id)", "x\u{1b}[2J", "-x", "a@sha256:00"] {
        refused(&["plan", &format!("--image={image}")], &["invalid image reference"]);
    }
}

#[test]
fn a_destination_is_needed() {
    // Whether there is a daemon shows when one is looked for; where there is none nothing else is done.
    let home = Home::new();
    let nowhere = [("DOCKER_HOST", "unix:///nonexistent/docker.sock")];
    let ran = home.run_with(&["patch", "-i", "reg.example/a:1"], &nowhere);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("--push") && ran.stderr.contains("--oci-dir"), "{}", ran.stderr);
}

#[test]
fn tags_that_cannot_be_are_refused() {
    let patch =
        |image, tag, part| refused(&["patch", "-i", image, "--push", &format!("--tag={tag}")], &[part]);
    for tag in ["$(id)", "a b", "-rf", ".x", "a\u{1b}[2J"] {
        patch("reg.example/a:1", tag, "not a valid tag");
    }
    patch("reg.example/a:1", "reg.example/b", "does not contain a tag");
    patch("reg.example/a:1", "1", "--overwrite");
    patch("reg.example/a:1", "reg.example/../b:1", "invalid image reference");
    refused(&["patch", "-i", "reg.example/a", "--push"], &["failed to generate tag: no tag found", "--tag"]);
    refused(&["patch", "-i", "reg.example/a:1", "--push", "--tag-suffix", "a b"], &["not a valid tag"]);
}

#[test]
fn a_scanner_name_is_no_path() {
    refused(&["patch", "-i", "reg.example/a:1", "--push", "-s", "../../x", "-r", "x.json"], &["scanner"]);
}
