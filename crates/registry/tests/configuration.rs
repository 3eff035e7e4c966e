//! Whose credentials and certificates are shown to whom: real TLS, real helpers, skopeo as the judge of files.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use registry::{CertificateFolders, Credentials, DockerConfig, Error, HostTls, Logins, Registry, Transport};
use setup::client;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use testkit::{
    command::argv,
    fault_registry::{Access, FaultRegistry},
    registry::{Certificate, Registry as Real, Tls},
};

/// Asks a registry for something that is not there, with what a host needs of TLS.
async fn ask(host: &str, tls: &HostTls) -> Result<(), Error> {
    let client = client().for_host(host, tls).unwrap();
    let registry = Registry::new(client, host, Transport::Automatic, Credentials::Anonymous);
    match registry.manifest("a/b", "v1").await {
        Err(Error::NotFound { .. }) => Ok(()),
        other => other.map(drop),
    }
}

/// A `certs.d` folder with these files of one host.
fn certs_d(host: &str, files: &[(&str, PathBuf)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(host)).unwrap();
    for (name, from) in files {
        fs::copy(from, dir.path().join(host).join(name)).unwrap();
    }
    dir
}

fn of(dir: &Path, host: &str) -> HostTls {
    CertificateFolders::new(vec![dir.to_owned()]).of(host).unwrap()
}

fn why(result: Result<(), Error>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::Http { source: fetch::client::Error::Tls { .. }, .. }), "{error:?}");
    fetch::client::error_text(&error)
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_those_of_the_registry_and_in_order() {
    if let Err(reason) = testkit::probe::programs(&["docker-registry", "openssl"]) {
        testkit::skip!("{reason}");
    }
    for (certificate, told) in [
        (Certificate::Good, None),
        (Certificate::Expired, Some("expired")),
        (Certificate::OtherName, Some("not valid for name")),
        (Certificate::SelfSigned, Some("UnknownIssuer")),
    ] {
        let real = Real::start_tls(Tls { certificate, client_certificate: false }).unwrap();
        let dir = certs_d(&real.host(), &[("ca.crt", real.ca_certificate())]);
        let tls = of(dir.path(), &real.host());
        match told {
            None => ask(&real.host(), &tls).await.unwrap(),
            Some(told) => {
                let said = why(ask(&real.host(), &tls).await);
                assert!(said.contains(told), "{certificate:?}: {said}");
            }
        }
        if certificate == Certificate::SelfSigned {
            // As `openssl req -x509` makes it, it vouches for itself where the user names it.
            let dir = certs_d(&real.host(), &[("own.crt", real.certificate())]);
            ask(&real.host(), &of(dir.path(), &real.host())).await.unwrap();
        }
        // Of another host, the authority counts for nothing.
        let other = of(dir.path(), "localhost:1");
        assert!(other.is_plain());
        assert!(!why(ask(&real.host(), &other).await).is_empty(), "{certificate:?}");
        // Only whoever asks for it gets no verification, and for this host only.
        let any = HostTls { unverified: true, ..HostTls::default() };
        ask(&real.host(), &any).await.unwrap();
        let client = client().for_host("localhost:1", &any).unwrap();
        let registry = Registry::new(client, &real.host(), Transport::Automatic, Credentials::Anonymous);
        assert!(registry.manifest("a/b", "v1").await.is_err(), "{certificate:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_goes_to_its_registry_only() {
    if let Err(reason) = testkit::probe::programs(&["docker-registry", "openssl"]) {
        testkit::skip!("{reason}");
    }
    let real = Real::start_tls(Tls { client_certificate: true, ..Tls::default() }).unwrap();
    let (certificate, key) = real.client_certificate();
    let authority = ("ca.crt", real.ca_certificate());
    let both = [authority.clone(), ("client.cert", certificate), ("client.key", key)];
    let dir = certs_d(&real.host(), &both);
    let tls = of(dir.path(), &real.host());
    ask(&real.host(), &tls).await.unwrap();
    let without = HostTls { identity: None, ..tls.clone() };
    // TLS 1.3 tells the lack of a certificate after the handshake, as a broken connection or in words.
    assert!(!matches!(ask(&real.host(), &without).await, Ok(()) | Err(Error::NotFound { .. })));
    // The same client, made for another port: it shows this one no certificate.
    let elsewhere = client().for_host("localhost:1", &tls).unwrap();
    let registry = Registry::new(elsewhere, &real.host(), Transport::Automatic, Credentials::Anonymous);
    let answer = registry.manifest("a/b", "v1").await;
    assert!(!matches!(answer, Ok(_) | Err(Error::NotFound { .. })), "{answer:?}");
}

#[tokio::test]
async fn insecure_is_https_of_any_kind_and_else_http() {
    let plain = FaultRegistry::start();
    plain.put_manifest("a/b", "v1", testkit::fault_registry::MANIFEST_TYPE, b"{}");
    let registry = Registry::new(client(), &plain.host(), Transport::Insecure, Credentials::Anonymous);
    assert!(registry.manifest("a/b", "v1").await.is_ok());
    if let Err(reason) = testkit::probe::programs(&["docker-registry", "openssl"]) {
        testkit::skip!("{reason}");
    }
    let real = Real::start_tls(Tls { certificate: Certificate::SelfSigned, ..Tls::default() }).unwrap();
    let any = HostTls { unverified: true, ..HostTls::default() };
    let unverified = client().for_host(&real.host(), &any).unwrap();
    let registry = Registry::new(unverified, &real.host(), Transport::Insecure, Credentials::Anonymous);
    assert!(matches!(registry.manifest("a/b", "v1").await, Err(Error::NotFound { .. })));
}

/// A program that a configuration may name as a helper.
fn program(dir: &Path, name: &str, script: &str) {
    let path = dir.join(format!("docker-credential-{name}"));
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn helpers_are_for_their_very_host_and_what_they_do_wrong_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let asked = dir.path().join("asked");
    let told =
        format!(r#"cat >> {0}; echo >> {0}; echo '{{"Username":"u","Secret":"hunter2"}}'"#, asked.display());
    program(dir.path(), "acr", &told);
    program(dir.path(), "flood", "head -c 3000000 /dev/zero");
    program(dir.path(), "garbage", "echo hunter2");
    program(dir.path(), "empty", "true");
    let config = br#"{"credHelpers": {"x.azurecr.io": "acr", "flood.example": "flood", "garbage.example": "garbage",
        "empty.example": "empty", "missing.example": "missing", "path.example": "../../x", "option.example": "-x y"}}"#;
    let logins = Logins::from(DockerConfig::parse(config, vec![dir.path().to_owned()]).unwrap());
    assert!(matches!(logins.credentials("x.azurecr.io").await.unwrap(), Credentials::Basic { .. }));
    assert!(matches!(logins.credentials("x.azurecr.io/team/app").await.unwrap(), Credentials::Basic { .. }));
    for host in
        ["x.azurecr.io.evil.com", "evil-x.azurecr.io", "x.azurecr.io:8443", "azurecr.io", "xxazurecr.io"]
    {
        assert_eq!(logins.credentials(host).await.unwrap(), Credentials::Anonymous, "{host}");
    }
    assert_eq!(fs::read_to_string(&asked).unwrap(), "x.azurecr.io\nx.azurecr.io\n");
    for host in ["flood", "garbage", "empty", "missing", "path", "option"] {
        let error = logins.credentials(&format!("{host}.example")).await.unwrap_err();
        assert!(matches!(error, Error::Credentials { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_failed_login_is_told_and_not_tried_again_as_nobody() {
    for access in [
        Access::Basic("b3RoZXI6cA==".into()),
        Access::Token { user: Some("b3RoZXI6cA==".into()), refresh: None, uses: 9, realm: None },
    ] {
        let server = FaultRegistry::start_with(access.clone());
        let config = format!(r#"{{"auths": {{"{}": {{"auth": "dTpw"}}}}}}"#, server.host());
        let logins = Logins::from(DockerConfig::parse(config.as_bytes(), Vec::new()).unwrap());
        let credentials = logins.credentials(&server.host()).await.unwrap();
        let error = setup::registry_as(&server, credentials).manifest("a/b", "v1").await.unwrap_err();
        let shown = fetch::client::error_text(&error);
        assert!(matches!(error, Error::Denied { anonymous: false, .. } | Error::Token { .. }), "{shown}");
        let anonymous_tokens = server
            .requests()
            .into_iter()
            .filter(|r| r.path.starts_with("/token") && r.authorization.is_none())
            .count();
        assert_eq!(anonymous_tokens, 0, "{access:?}");
    }
}

/// Which user a registry is shown by skopeo for `team/app`, with these files as podman's and docker's.
fn shown_by_skopeo(server: &FaultRegistry, home: &Path) -> Option<String> {
    server.clear_requests();
    let image = format!("docker://{}/team/app:v1", server.host());
    let ran = argv("skopeo", ["inspect", "--raw", "--tls-verify=false", &image])
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .env("DOCKER_CONFIG", home.join(".docker"))
        .output()
        .unwrap();
    assert!(!ran.status.success(), "nobody gets in here");
    let shown = server.requests().into_iter().find(|r| r.path.contains("/manifests/"))?.authorization;
    // Nobody is an empty name with an empty password.
    shown.filter(|shown| shown != "Basic Og==")
}

/// The same by us.
async fn shown_by_us(server: &FaultRegistry, files: &[PathBuf]) -> Option<String> {
    server.clear_requests();
    let read = |path: &PathBuf| DockerConfig::parse(&fs::read(path).ok()?, Vec::new()).ok();
    let logins = Logins::new(files.iter().filter_map(read).collect());
    let scope = logins.scope(&server.host(), "team/app");
    let credentials = logins.credentials(&scope).await.unwrap();
    let registry = Registry::new(client(), &server.host(), Transport::PlainHttp, credentials);
    registry.manifest("team/app", "v1").await.unwrap_err();
    server.requests().into_iter().filter(|r| r.path.contains("/manifests/")).find_map(|r| r.authorization)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_credentials_mean_to_us_what_they_mean_to_skopeo() {
    if let Err(reason) = testkit::probe::programs(&["skopeo"]) {
        testkit::skip!("{reason}");
    }
    // Of three files (podman's of this session, podman's, docker's) each may have an entry for one of these names.
    let server = FaultRegistry::start_with(Access::Basic("nobody".into()));
    let home = tempfile::tempdir().unwrap();
    let files = ["run/containers/auth.json", ".config/containers/auth.json", ".docker/config.json"];
    let files = files.map(|name| home.path().join(name));
    let host = server.host();
    let names = [
        host.clone(),
        format!("{host}/team"),
        format!("{host}/team/app"),
        format!("{host}/team/app2"),
        format!("{host}/other"),
        format!("https://{host}/v2/"),
        format!("{host}.evil.example"),
    ];
    // Entries by number of the name, for each file; no file where there is none.
    let cases: [[&[usize]; 3]; 12] = [
        [&[0], &[], &[]],
        [&[], &[0], &[0]],
        [&[3, 4], &[], &[0]],
        [&[0], &[2], &[]],
        [&[0, 1, 2], &[], &[]],
        [&[0, 1], &[2], &[2]],
        [&[6], &[4], &[1]],
        [&[5], &[], &[0]],
        [&[], &[], &[5]],
        [&[5, 2], &[], &[]],
        [&[6], &[3], &[4]],
        [&[], &[1, 3], &[0, 2]],
    ];
    for case in cases {
        for (number, (path, entries)) in files.iter().zip(case).enumerate() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let entry = |at: &usize| {
                let pair = serde_json::json!({"auth": BASE64[number * 7 + at]});
                (names[*at].clone(), pair)
            };
            let auths: serde_json::Map<_, _> = entries.iter().map(entry).collect();
            fs::write(path, serde_json::json!({"auths": auths}).to_string()).unwrap();
        }
        let (theirs, ours) = (shown_by_skopeo(&server, home.path()), shown_by_us(&server, &files).await);
        assert_eq!(theirs, ours, "{case:?}");
    }
}

/// `u0:p`, `u1:p` and so on.
const BASE64: [&str; 21] = [
    "dTA6cA==", "dTE6cA==", "dTI6cA==", "dTM6cA==", "dTQ6cA==", "dTU6cA==", "dTY6cA==", "dTc6cA==",
    "dTg6cA==", "dTk6cA==", "dTEwOnA=", "dTExOnA=", "dTEyOnA=", "dTEzOnA=", "dTE0OnA=", "dTE1OnA=",
    "dTE2OnA=", "dTE3OnA=", "dTE4OnA=", "dTE5OnA=", "dTIwOnA=",
];
