//! The way to registries as files and flags say it: what is wrong there is told with a remedy, what is passed over as a warning.

use crate::harness::{Home, Ran};
use std::{fs, os::unix::fs::PermissionsExt};
use testkit::{
    fault_registry::{Fault, FaultRegistry},
    probe,
    registry::{Certificate, Registry, Tls},
    skip,
};

/// The exit code where the image cannot be had.
const SOURCE: i32 = 5;

/// Why no image can be asked for here, if so: first of all copa finds out whether it can work.
fn needs(programs: &[&str]) -> Result<(), String> {
    probe::first_reason([probe::user_namespace(), probe::mounting(), probe::programs(programs)])
}

fn told(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, code, "{}", ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

#[test]
fn mirrors_that_fail_are_warned_of_and_blocked_registries_are_named() {
    if let Err(reason) = needs(&[]) {
        skip!("{reason}");
    }
    let (primary, mirror) = (FaultRegistry::start(), FaultRegistry::start());
    mirror.fault_always("GET", "/manifests/", Fault::status(403));
    let home = Home::new();
    let conf = format!(
        "[[registry]]\nprefix = 'logical.example'\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{}'\n\
         [[registry]]\nlocation = 'bad.example'\nblocked = true\n[aliases]\nshort = 'logical.example/team/app'\n",
        primary.host(),
        mirror.host()
    );
    let named = home.write("named.conf", &conf);
    let named = named.to_str().unwrap();
    let plan = |image: &str| home.run(&["plan", "-i", image, "--registries-conf", named]);
    let warning = format!("mirror {}/team/app:v1 is passed over", mirror.host());
    let missing = format!("{}/team/app:v1 does not exist", primary.host());
    told(&plan("logical.example/team/app:v1"), SOURCE, &["warning", &warning, &missing]);
    told(&plan("short:v1"), SOURCE, &[&warning, &missing]);
    told(&plan("bad.example/x:1"), SOURCE, &["is blocked", "bad.example"]);
    // In its usual place, all of it counts but the short names.
    home.write(".config/containers/registries.conf", &conf);
    let usual = home.run(&["plan", "-i", "logical.example/team/app:v1"]);
    told(&usual, SOURCE, &[&warning, &missing]);
    let variable = home.run_with(&["plan", "-i", "short:v1"], &[("CONTAINERS_REGISTRIES_CONF", named)]);
    told(&variable, SOURCE, &[&warning, &missing]);
}

#[test]
fn files_that_make_no_sense_are_named() {
    let home = Home::new();
    let broken = home.write("broken.conf", "[[registry]]\nlocation = 'https://a.example'\n");
    let flat = home.write("flat/ca.crt", "-----BEGIN CERTIFICATE-----\n");
    let image = ["plan", "-i", "short:1"];
    let with = |more: [&str; 2]| home.run(&[&image[..], &more[..]].concat());
    told(&with(["--registries-conf", broken.to_str().unwrap()]), 2, &["broken.conf", "without http://"]);
    told(&with(["--registries-conf", "absent.conf"]), 2, &["absent.conf"]);
    if let Err(reason) = needs(&[]) {
        skip!("{reason}");
    }
    told(&with(["--cert-dir", flat.parent().unwrap().to_str().unwrap()]), 2, &["flat", "DIR/HOST[:PORT]"]);
    let auth = home.write("auth.json", "{\"auths\": \"hunter2\"");
    let ran = home.run_with(&image, &[("REGISTRY_AUTH_FILE", auth.to_str().unwrap())]);
    told(&ran, 2, &["auth.json"]);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
}

#[test]
fn a_helper_that_fails_is_no_leave_to_go_on_as_nobody() {
    if let Err(reason) = needs(&[]) {
        skip!("{reason}");
    }
    let (home, server) = (Home::new(), FaultRegistry::start());
    let config = format!(r#"{{"credHelpers": {{"{}": "broken"}}}}"#, server.host());
    home.write(".docker/config.json", config);
    let image = format!("{}/team/app:v1", server.host());
    let run = || {
        let folder = home.path("bin");
        home.run_with(&["plan", "-i", &image], &[("PATH", folder.to_str().unwrap())])
    };
    told(&run(), SOURCE, &["no credentials", "docker-credential-broken", "there is no such program"]);
    let helper = home.write("bin/docker-credential-broken", "#!/bin/sh\necho hunter2\n");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = run();
    told(&ran, SOURCE, &["no credentials", "its answer is not valid"]);
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    assert!(server.requests().is_empty());
}

#[test]
fn certificates_are_told_apart_and_their_remedies_help() {
    if let Err(reason) = needs(&["docker-registry", "openssl"]) {
        skip!("{reason}");
    }
    for (certificate, parts) in [
        (Certificate::Expired, ["expired", "clock"]),
        (Certificate::OtherName, ["not valid for name", "another name"]),
        (Certificate::SelfSigned, ["UnknownIssuer", "--cert-dir"]),
    ] {
        let registry = Registry::start_tls(Tls { certificate, client_certificate: false }).unwrap();
        let home = Home::new();
        let own = format!("certs/{}/ca.crt", registry.host());
        home.write(&own, fs::read(registry.ca_certificate()).unwrap());
        let run = || home.run(&["plan", "-i", &registry.reference("a:1"), "--cert-dir", "certs"]);
        told(&run(), SOURCE, &parts);
        if certificate == Certificate::SelfSigned {
            home.write(&own, fs::read(registry.certificate()).unwrap());
            told(&run(), SOURCE, &["does not exist"]);
        }
    }
    let registry = Registry::start_tls(Tls { client_certificate: true, ..Tls::default() }).unwrap();
    let home = Home::new();
    let (certificate, key) = registry.client_certificate();
    for (name, from) in
        [("ca.crt", registry.ca_certificate()), ("client.cert", certificate), ("client.key", key)]
    {
        let place = format!(".config/containers/certs.d/{}/{name}", registry.host());
        home.write(&place, fs::read(from).unwrap());
    }
    told(&home.run(&["plan", "-i", &registry.reference("a:1")]), SOURCE, &["does not exist"]);
}
