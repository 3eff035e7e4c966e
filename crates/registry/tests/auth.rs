//! Authentication: nobody, user and password, tokens, refresh tokens, helpers, and tokens that end on the way.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use oci::Descriptor;
use registry::{Body, Credentials, DockerConfig, Error, Registry, Secret, Transport};
use setup::{client, registry, registry_as};
use std::{os::unix::fs::PermissionsExt, path::Path};
use testkit::fault_registry::{Access, Answer, Fault, FaultRegistry, sha256};
use tokio::io::AsyncReadExt;

const LAYER: &[u8] = b"layer bytes";
/// `user:secret` in base64.
const PAIR: &str = "dXNlcjpzZWNyZXQ=";

fn basic(password: &str) -> Credentials {
    Credentials::Basic { username: "user".into(), password: Secret::new(password) }
}

fn server(access: Access) -> FaultRegistry {
    let server = FaultRegistry::start_with(access);
    server.put_image("team/app", "v1", &[(LAYER, sha256(b"tar"))]);
    server
}

fn tokens(user: Option<&str>, uses: usize) -> Access {
    Access::Token { user: user.map(str::to_owned), refresh: Some("refresh-me".into()), uses, realm: None }
}

/// Reads and writes: manifest, blob, upload, mount.
async fn use_it(registry: &Registry) -> Result<(), Error> {
    registry.manifest("team/app", "v1").await?;
    let mut reader = registry.open_blob("team/app", &Descriptor::of("", LAYER)).await?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.expect("an honest blob is read");
    let fresh = oci::Digest::of(b"fresh");
    registry.upload_blob("team/app", &fresh, Body::Bytes(b"fresh"[..].into())).await?;
    assert!(registry.has_blob("team/app", &fresh, 5).await?);
    registry.mount_blob("team/other", &fresh, "team/app").await?;
    Ok(())
}

#[tokio::test]
async fn whoever_may_can_read_and_write() {
    let refresh = Credentials::Identity(Secret::new("refresh-me"));
    for (access, credentials) in [
        (Access::Open, Credentials::Anonymous),
        (Access::Open, basic("secret")),
        (Access::Basic(PAIR.into()), basic("secret")),
        (tokens(None, 100), Credentials::Anonymous),
        (tokens(Some(PAIR), 100), basic("secret")),
        (tokens(Some(PAIR), 100), refresh),
        (tokens(Some(PAIR), 1), basic("secret")),
    ] {
        let server = server(access.clone());
        let registry = registry_as(&server, credentials.clone());
        let result = use_it(&registry).await;
        assert!(result.is_ok(), "{access:?} {credentials:?} {result:?}");
    }
}

#[tokio::test]
async fn whoever_may_not_gets_one_clear_refusal() {
    for (access, credentials) in [
        (Access::Basic(PAIR.into()), Credentials::Anonymous),
        (Access::Basic(PAIR.into()), basic("hunter2")),
        (tokens(Some(PAIR), 100), Credentials::Anonymous),
        (tokens(Some(PAIR), 100), basic("hunter2")),
        (tokens(Some(PAIR), 100), Credentials::Identity(Secret::new("hunter2"))),
        (tokens(None, 100), Credentials::Bearer(Secret::new("hunter2"))),
    ] {
        let server = server(access.clone());
        let registry = registry_as(&server, credentials.clone());
        let error = registry.manifest("team/app", "v1").await.unwrap_err();
        assert!(matches!(error, Error::Denied { .. } | Error::Token { .. }), "{error:?}");
        let said = format!("{} {error:?} {registry:?} {credentials:?}", fetch::client::error_text(&error));
        assert!(!said.contains("hunter2"), "{said}");
        assert!(server.requests().len() <= 4, "{:?}", server.requests());
    }
}

#[tokio::test]
async fn tokens_are_kept_and_renewed_once_they_end() {
    let server = server(tokens(Some(PAIR), 100));
    let registry = registry_as(&server, basic("secret"));
    for _ in 0..5 {
        registry.manifest("team/app", "v1").await.unwrap();
    }
    assert_eq!(server.count("GET", "/token"), 1);
    server.expire_tokens();
    registry.manifest("team/app", "v1").await.unwrap();
    assert_eq!(server.count("GET", "/token"), 2);
    let asked: Vec<String> =
        server.requests().into_iter().map(|r| r.path).filter(|p| p.contains("token")).collect();
    assert!(asked[0].contains("service=test+registry&scope=repository%3Ateam%2Fapp%3Apull"), "{asked:?}");
}

#[tokio::test]
async fn a_token_that_ends_during_an_upload_is_renewed_for_the_same_upload() {
    let server = server(tokens(Some(PAIR), 100));
    let registry = registry_as(&server, basic("secret"));
    registry.upload_blob("team/app", &oci::Digest::of(b"a"), Body::Bytes(b"a"[..].into())).await.unwrap();
    let challenge = format!(r#"Bearer realm="{}",service="s""#, server.url("/token"));
    server.fault(
        "PUT",
        "/blobs/uploads/",
        [Fault::Answer(Answer::status(401).header("WWW-Authenticate", challenge))],
    );
    registry.upload_blob("team/app", &oci::Digest::of(b"b"), Body::Bytes(b"b"[..].into())).await.unwrap();
    let begun = server.requests().iter().filter(|r| r.method == "POST" && r.path.contains("uploads")).count();
    // One refused without a token, then one for each blob: the second upload was not begun anew.
    assert_eq!(begun, 3);
}

#[tokio::test]
async fn challenges_without_sense_are_refused() {
    for challenge in [
        "",
        "Bearer",
        "Bearer realm=\"http://evil.example/token\"",
        "Bearer realm=\"http://169.254.169.254/latest\"",
        "Bearer realm=\"https://169.254.169.254/latest\"",
        "Bearer realm=\"file:///etc/passwd\"",
        "Digest realm=\"x\"",
    ] {
        let server = FaultRegistry::start();
        let answer = Answer::status(401);
        let answer = if challenge.is_empty() { answer } else { answer.header("WWW-Authenticate", challenge) };
        server.fault("GET", "/manifests/", vec![Fault::Answer(answer); 9]);
        let error = registry_as(&server, basic("hunter2")).manifest("a", "b").await.unwrap_err();
        let good = matches!(error, Error::Denied { .. } | Error::Challenge { .. } | Error::Token { .. });
        assert!(good, "{challenge}: {error:?}");
        assert!(!server.saw_authorization(), "{challenge}");
    }
}

#[tokio::test]
async fn token_answers_are_bounded() {
    for (fault, good) in [
        (Fault::None, true),
        (Fault::EndlessBody, false),
        (Fault::Body(b"{}".to_vec()), false),
        (Fault::Body(br#"{"token":"a\nb"}"#.to_vec()), false),
        (Fault::status(403), false),
        (Fault::status(503), true),
    ] {
        let server = server(tokens(None, 100));
        server.fault("GET", "/token", [fault.clone()]);
        assert_eq!(registry(&server).manifest("team/app", "v1").await.is_ok(), good, "{fault:?}");
    }
}

#[tokio::test]
async fn a_token_service_elsewhere_gets_credentials_only_over_a_safe_way() {
    let service = server(tokens(Some(PAIR), 100));
    let realm = Some(service.url("/token"));
    let access = Access::Token { user: None, refresh: None, uses: 9, realm };
    // Both are on this machine, so the other port is let pass; the token it gives is not one of this registry's.
    let server = server(access);
    assert!(registry_as(&server, basic("secret")).manifest("team/app", "v1").await.is_err());
    assert!(service.saw_authorization());
    assert!(server.requests().iter().all(|r| r.authorization.as_deref() != Some(&format!("Basic {PAIR}"))));
}

/// A helper that says and ends as told.
fn helper(dir: &Path, script: &str) -> DockerConfig {
    let path = dir.join("docker-credential-test");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let config = br#"{"credHelpers": {"r.example": "test"}, "auths": {"r.example": {}, "s.example": {"auth": "dTpw"}}}"#;
    DockerConfig::parse(config, vec![dir.to_owned()]).unwrap()
}

#[tokio::test]
async fn helpers_are_asked_and_their_failure_is_an_error() {
    let secret = r#"printf '{"ServerURL":"%s","Username":"user","Secret":"secret"}' "$(cat)""#;
    let token = r#"echo '{"Username":"<token>","Secret":"secret"}'"#;
    for (script, want) in [
        (secret, Some(basic("secret"))),
        (token, Some(Credentials::Identity(Secret::new("secret")))),
        ("echo credentials not found in native keychain; exit 1", Some(Credentials::Anonymous)),
        ("echo hunter2; exit 0", None),
        ("echo oops >&2; exit 3", None),
        ("kill -9 $$", None),
        ("head -c 3000000 /dev/zero", None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let result = helper(dir.path(), script).credentials("r.example").await;
        match (&result, &want) {
            (Ok(got), Some(want)) => assert_eq!(got, want, "{script}"),
            (Err(error), None) => assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}"),
            _ => panic!("{script}: {result:?}"),
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let config = helper(dir.path(), "exit 3");
    assert_eq!(config.credentials("q.example").await.unwrap(), Credentials::Anonymous);
    assert!(matches!(config.credentials("s.example").await.unwrap(), Credentials::Basic { .. }));
    std::fs::remove_file(dir.path().join("docker-credential-test")).unwrap();
    assert!(config.credentials("r.example").await.is_err());
}

#[tokio::test]
async fn nobody_is_told_who_we_are_unless_they_ask() {
    let server = server(Access::Open);
    registry_as(&server, basic("secret")).manifest("team/app", "v1").await.unwrap();
    assert!(!server.saw_authorization());
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let closed = FaultRegistry::start().host();
    let registry = Registry::new(client(), &closed, Transport::Automatic, Credentials::Anonymous);
    let error = registry.manifest("a", "b").await.unwrap_err();
    assert!(error.to_string().contains(&closed), "{error}");
}
