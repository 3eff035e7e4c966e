//! Pull, push, mount and tags against a registry that misbehaves by script. Each fault stands beside what is let pass.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use oci::{Descriptor, Digest};
use registry::{Body, Credentials, Error, Verified};
use setup::{registry, registry_as};
use testkit::fault_registry::{Answer, Fault, FaultRegistry, MANIFEST_TYPE, sha256};
use tokio::io::AsyncReadExt;

const LAYER: &[u8] = b"not really a layer, but bytes with a digest";

fn server() -> FaultRegistry {
    let server = FaultRegistry::start();
    server.put_image("team/app", "v1", &[(LAYER, sha256(b"tar"))]);
    server
}

fn layer() -> Descriptor {
    Descriptor::of("application/octet-stream", LAYER)
}

async fn read_blob(server: &FaultRegistry, descriptor: &Descriptor) -> Result<Vec<u8>, String> {
    let show = |e: &(dyn std::error::Error + 'static)| fetch::client::error_text(e);
    let reader = registry(server).open_blob("team/app", descriptor).await.map_err(|e| show(&e))?;
    let mut bytes = Vec::new();
    let mut verified = Verified::new(reader, &descriptor.digest, descriptor.size);
    verified.read_to_end(&mut bytes).await.map_err(|e| show(&e))?;
    Ok(bytes)
}

#[tokio::test]
async fn manifests_are_the_bytes_that_were_asked_for() {
    let honest = server();
    let digest = honest.tag("team/app", "v1").unwrap();
    for selector in ["v1", digest.as_str()] {
        let fetched = registry(&honest).manifest("team/app", selector).await.unwrap();
        assert_eq!(fetched.digest.as_str(), digest);
        assert_eq!(fetched.content_type.as_deref(), Some(MANIFEST_TYPE));
    }
    for (selector, fault) in [
        ("v1", Fault::Body(br#"{"schemaVersion":2}"#.to_vec())),
        (digest.as_str(), Fault::Body(br#"{"schemaVersion":2}"#.to_vec())),
        (digest.as_str(), Fault::Header("Docker-Content-Digest", sha256(b"other"))),
        ("v1", Fault::Header("Docker-Content-Digest", sha256(b"other"))),
    ] {
        let server = server();
        server.fault("GET", selector, [fault]);
        let result = registry(&server).manifest("team/app", selector).await;
        assert!(matches!(result, Err(Error::Corrupt { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn digest_headers_are_read_strictly() {
    for (value, good) in [
        (format!("sha512:{}", "a".repeat(128)), true),
        ("sha256:../../x".into(), false),
        (format!("sha256:{}", "A".repeat(64)), false),
        ("made-up:1".into(), false),
    ] {
        let server = server();
        server.fault("GET", "v1", [Fault::Header("Docker-Content-Digest", value.clone())]);
        assert_eq!(registry(&server).manifest("team/app", "v1").await.is_ok(), good, "{value}");
    }
    let server = server();
    server.fault("GET", "v1", [Fault::Without("Docker-Content-Digest")]);
    assert!(registry(&server).manifest("team/app", "v1").await.is_ok());
}

#[tokio::test]
async fn manifests_do_not_end_in_nowhere() {
    let server = server();
    server.fault("GET", "v1", [Fault::EndlessBody]);
    let error = registry(&server).manifest("team/app", "v1").await.unwrap_err();
    assert!(fetch::client::error_text(&error).contains("more than 4194304 bytes"), "{error:?}");
}

#[tokio::test]
async fn blobs_are_the_bytes_that_were_asked_for() {
    assert_eq!(read_blob(&server(), &layer()).await.as_deref(), Ok(LAYER));
    let mut flipped = LAYER.to_vec();
    flipped[3] ^= 1;
    let digest = layer().digest;
    for (size, fault, told) in [
        (LAYER.len() as u64, Fault::Body(flipped), "corrupt"),
        (LAYER.len() as u64 - 1, Fault::None, "declares"),
        (LAYER.len() as u64 + 1, Fault::None, "declares"),
        (0, Fault::None, "declares"),
        (1 << 63, Fault::None, "declares"),
        (5, Fault::EndlessBody, "more than 5 bytes"),
        (LAYER.len() as u64, Fault::status(404), "does not exist"),
        (LAYER.len() as u64, Fault::status(403), "does not let us"),
    ] {
        let server = server();
        server.fault("GET", "/blobs/", [fault]);
        let descriptor = Descriptor::new("application/octet-stream", digest.clone(), size);
        let error = read_blob(&server, &descriptor).await.unwrap_err();
        assert!(error.contains(told), "{size} {told}: {error}");
    }
}

#[tokio::test]
async fn blobs_survive_a_broken_connection() {
    let server = server();
    server.fault(
        "GET",
        "/blobs/",
        [Fault::CutBody(7), Fault::status(503), Fault::CutBody(9), Fault::IgnoreRange],
    );
    assert_eq!(read_blob(&server, &layer()).await.as_deref(), Ok(LAYER));
    let ranges: Vec<_> = server.requests().into_iter().filter_map(|r| r.range).collect();
    assert_eq!(ranges, ["bytes=7-", "bytes=7-", "bytes=16-"]);
}

#[tokio::test]
async fn blobs_behind_a_redirect_get_no_credentials() {
    let (near, far) = (server(), server());
    let basic = Credentials::Basic { username: "u".into(), password: registry::Secret::new("p") };
    near.fault(
        "GET",
        "/v2/team/app/blobs/",
        [Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\"")].map(Fault::Answer),
    );
    near.fault(
        "GET",
        "/v2/team/app/blobs/",
        [Fault::redirect(307, far.url(&format!("/v2/team/app/blobs/{}", layer().digest)))],
    );
    let reader = registry_as(&near, basic).open_blob("team/app", &layer()).await;
    let mut bytes = Vec::new();
    reader.unwrap().read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, LAYER);
    assert!(near.saw_authorization() && !far.saw_authorization());
    // A foreign 401 is not answered either.
    let near = server();
    far.fault(
        "GET",
        "/blobs/",
        [Fault::Answer(Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\""))],
    );
    near.fault(
        "GET",
        "/v2/team/app/blobs/",
        [Fault::redirect(307, far.url(&format!("/v2/team/app/blobs/{}", layer().digest)))],
    );
    let basic = Credentials::Basic { username: "u".into(), password: registry::Secret::new("p") };
    assert!(registry_as(&near, basic).open_blob("team/app", &layer()).await.is_err());
    assert!(!far.saw_authorization());
}

fn body() -> Body {
    Body::Bytes(LAYER.into())
}

fn stream() -> Body {
    let open = || -> futures_util::future::BoxFuture<'static, std::io::Result<registry::BodyReader>> {
        Box::pin(async { Ok(Box::new(LAYER) as registry::BodyReader) })
    };
    Body::Stream { size: LAYER.len() as u64, open: std::sync::Arc::new(open) }
}

#[tokio::test]
async fn uploads_begin_anew_where_they_break() {
    for (method, faults) in [
        ("PUT", vec![]),
        ("PUT", vec![Fault::status(500)]),
        ("PUT", vec![Fault::Reset]),
        ("PUT", vec![Fault::status(404), Fault::status(416), Fault::status(503)]),
        ("POST", vec![Fault::status(503), Fault::Reset]),
    ] {
        for body in [body(), stream()] {
            let server = FaultRegistry::start();
            server.fault(method, "/blobs/uploads/", faults.clone());
            let result = registry(&server).upload_blob("x", &layer().digest, body).await;
            assert!(result.is_ok(), "{faults:?} {result:?}");
            assert_eq!(server.blob("x", layer().digest.as_str()).as_deref(), Some(LAYER));
        }
    }
}

#[tokio::test]
async fn uploads_that_cannot_succeed_are_refused_at_once() {
    for (method, fault) in [
        ("PUT", Fault::status(413)),
        ("PUT", Fault::status(400)),
        ("PUT", Fault::status(202)),
        ("POST", Fault::status(403)),
        ("POST", Fault::Header("Location", "http://[".into())),
    ] {
        let server = FaultRegistry::start();
        server.fault(method, "/blobs/uploads/", [fault.clone()]);
        let result = registry(&server).upload_blob("x", &layer().digest, body()).await;
        assert!(result.is_err(), "{fault:?}");
        assert_eq!(server.count(method, "/blobs/uploads/"), 1, "{fault:?}");
        assert!(server.blob("x", layer().digest.as_str()).is_none());
    }
    let server = FaultRegistry::start();
    let wrong = Digest::of(b"something else");
    assert!(registry(&server).upload_blob("x", &wrong, body()).await.is_err());
    server.fault("PUT", "/blobs/uploads/", vec![Fault::status(500); 50]);
    assert!(registry(&server).upload_blob("x", &layer().digest, body()).await.is_err());
    assert!(server.count("PUT", "/blobs/uploads/") <= 6);
}

#[tokio::test]
async fn a_body_of_another_size_is_never_completed() {
    for size in [LAYER.len() as u64 + 1, LAYER.len() as u64 - 1] {
        let Body::Stream { open, .. } = stream() else { unreachable!() };
        let server = FaultRegistry::start();
        let result = registry(&server).upload_blob("x", &layer().digest, Body::Stream { size, open }).await;
        assert!(result.is_err(), "{size}");
        assert!(server.blob("x", layer().digest.as_str()).is_none());
    }
}

#[tokio::test]
async fn upload_locations_elsewhere_get_no_credentials() {
    let near = |location: String| {
        let near = FaultRegistry::start_with(testkit::fault_registry::Access::Basic("dTpw".into()));
        near.fault("POST", "/blobs/uploads/", [Fault::None, Fault::Header("Location", location)]);
        near
    };
    let basic = || Credentials::Basic { username: "u".into(), password: registry::Secret::new("p") };
    for (location, reason) in [
        ("http://169.254.169.254/x", "metadata"),
        ("https://169.254.169.254/x", "metadata"),
        ("ftp://127.0.0.1/x", "neither"),
        ("http://u:secret@127.0.0.1/x?state=secret", "user or password"),
        ("ftp://127.0.0.1/x?state=secret", "neither"),
        ("http://[secret", "not a valid URL"),
    ] {
        let near = near(location.into());
        let result = registry_as(&near, basic()).upload_blob("x", &layer().digest, body()).await;
        let text = fetch::client::error_text(&result.unwrap_err());
        assert!(text.contains(reason) && !text.contains("secret"), "{location}: {text}");
        assert!(near.saw_authorization());
    }
    let far = FaultRegistry::start();
    far.fault("PUT", "/elsewhere", [Fault::status(201)]);
    let near = near(far.url("/elsewhere?session=1"));
    registry_as(&near, basic()).upload_blob("x", &layer().digest, body()).await.unwrap();
    assert_eq!(far.bytes().0, LAYER.len() as u64);
    assert!(near.saw_authorization() && !far.saw_authorization());
}

#[tokio::test]
async fn mounts_fall_back() {
    let server = server();
    let digest = layer().digest;
    assert!(registry(&server).mount_blob("other", &digest, "team/app").await.unwrap());
    assert!(server.blob("other", digest.as_str()).is_some());
    assert!(!registry(&server).mount_blob("other", &Digest::of(b"?"), "team/app").await.unwrap());
    for status in [400, 403, 404, 405] {
        server.fault("POST", "mount=", [Fault::status(status)]);
        assert!(!registry(&server).mount_blob("third", &digest, "team/app").await.unwrap(), "{status}");
    }
}

#[tokio::test]
async fn heads_of_another_size_are_not_believed() {
    let server = server();
    let has = async |size| registry(&server).has_blob("team/app", &layer().digest, size).await.unwrap();
    assert!(has(LAYER.len() as u64).await);
    assert!(!has(LAYER.len() as u64 + 1).await);
    assert!(!registry(&server).has_blob("other", &layer().digest, 1).await.unwrap());
}

#[tokio::test]
async fn what_was_put_is_read_back() {
    let manifest = br#"{"schemaVersion":2}"#;
    let put = async |server: &FaultRegistry| {
        registry(server).put_manifest("team/app", "v2", MANIFEST_TYPE, manifest[..].into()).await
    };
    let honest = server();
    assert_eq!(put(&honest).await.unwrap(), Digest::of(manifest));
    assert_eq!(honest.tag("team/app", "v2").unwrap(), sha256(manifest));
    let forgetful = server();
    forgetful.fault("PUT", "/manifests/v2", [Fault::status(201)]);
    assert!(matches!(put(&forgetful).await, Err(Error::Corrupt { .. })));
    let swapping = server();
    swapping.fault("HEAD", "/manifests/v2", [Fault::Header("Docker-Content-Digest", sha256(b"other"))]);
    assert!(matches!(put(&swapping).await, Err(Error::Corrupt { .. })));
    let silent = server();
    silent.fault("HEAD", "/manifests/v2", [Fault::Without("Docker-Content-Digest")]);
    assert!(put(&silent).await.is_ok());
    let lacking = server();
    let answer = Answer::status(400).body(r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#);
    lacking.fault("PUT", "/manifests/v2", [Fault::Answer(answer)]);
    assert!(matches!(put(&lacking).await, Err(Error::BlobUnknown { .. })));
}

#[tokio::test]
async fn tag_lists_end_somewhere() {
    let honest = server();
    honest.move_tag("team/app", "v2", "x");
    assert_eq!(registry(&honest).tags("team/app").await.unwrap(), ["v1", "v2"]);
    let page = |next: &str| {
        let link = format!("<{next}>; rel=\"next\"");
        Fault::Answer(
            Answer::status(200)
                .header("Link", link)
                .body(r#"{"tags":["a","b c",null]}"#.replace(",null", "")),
        )
    };
    let paged = server();
    paged.fault("GET", "/tags/list", [page("/v2/team/app/tags/list?last=a"), page("list?last=b")]);
    assert_eq!(registry(&paged).tags("team/app").await.unwrap(), ["a", "a", "v1"]);
    let endless = server();
    endless.fault("GET", "/tags/list", vec![page("/v2/team/app/tags/list"); 1000]);
    assert!(matches!(registry(&endless).tags("team/app").await, Err(Error::Protocol { .. })));
    assert_eq!(endless.count("GET", "/tags/list"), 100);
    let (far, astray) = (server(), server());
    astray.fault("GET", "/tags/list", [page(&far.url("/v2/team/app/tags/list"))]);
    assert!(matches!(registry(&astray).tags("team/app").await, Err(Error::Protocol { .. })));
    assert!(far.requests().is_empty());
    let broken = server();
    broken.fault("GET", "/tags/list", [Fault::Body(b"<html>".to_vec())]);
    assert!(matches!(registry(&broken).tags("team/app").await, Err(Error::Protocol { .. })));
}
