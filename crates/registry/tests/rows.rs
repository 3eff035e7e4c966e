//! The rows N1 to N8 (and I6) of `docs/hostile-cases.md`, one table each: what a registry or the network does, and what comes of it.
//! The honest twin is a line of the same table.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use fetch::client::PartSettings;
use oci::{Descriptor, Digest, media_type::OCI_MANIFEST};
use registry::{Body, Client, ClientOptions, Credentials, Error, Registry, Secret, Transport, Verified};
use setup::{client, registry, registry_as};
use std::time::Duration;
use testkit::fault_registry::{Access, Answer, Behaviour, Fault, FaultRegistry, MANIFEST_TYPE, sha256};
use tokio::io::AsyncReadExt;

const UPLOADS: &str = "/blobs/uploads/";
/// Bytes of a part of a blob.
const PART: u64 = 64 << 10;
/// `u:p` in base64.
const PAIR: &str = "dTpw";

fn server() -> FaultRegistry {
    let server = FaultRegistry::start();
    server.put_image("a", "v1", &[(b"layer", sha256(b"tar"))]);
    server
}

fn basic() -> Credentials {
    Credentials::Basic { username: "u".into(), password: Secret::new("p") }
}

fn text(error: &Error) -> String {
    fetch::client::error_text(error)
}

/// The row I6: what a descriptor says of other places for its bytes (`urls`) is never acted upon.
#[tokio::test]
async fn i6_places_that_a_descriptor_names_are_never_asked() {
    let (near, far) = (FaultRegistry::start_with(Access::Basic(PAIR.into())), FaultRegistry::start());
    near.put_blob("a", b"here");
    far.put_blob("a", b"foreign");
    for (bytes, found) in [(&b"here"[..], true), (b"foreign", false)] {
        let mut descriptor = Descriptor::of("application/vnd.oci.image.layer.nondistributable.v1.tar", bytes);
        let urls = [far.url(&format!("/v2/a/blobs/{}", descriptor.digest))];
        descriptor.rest.insert("urls".into(), urls.to_vec().into());
        let opened = registry_as(&near, basic()).open_blob("a", &descriptor).await;
        assert_eq!(opened.is_ok(), found);
    }
    assert!(near.saw_authorization() && far.requests().is_empty());
}

#[tokio::test]
async fn n1_refusals_are_final_and_what_passes_is_repeated() {
    let asking = |status, wait: &str| Fault::Answer(Answer::status(status).header("Retry-After", wait));
    let plain = Fault::status;
    for (fault, requests, told) in [
        (Fault::None, 1, ""),
        (plain(400), 1, "400"),
        (plain(401), 1, "does not let us"),
        (plain(403), 1, "does not let us"),
        (plain(404), 1, "does not exist"),
        (plain(410), 1, "410"),
        (plain(501), 1, "501"),
        (plain(408), 3, ""),
        (plain(429), 3, ""),
        (asking(429, "0"), 3, ""),
        (asking(429, "Wed, 21 Oct 2015 07:28:00 GMT"), 3, ""),
        (asking(503, "999999"), 3, ""),
        (plain(500), 3, ""),
        (plain(502), 3, ""),
        (plain(503), 3, ""),
        (plain(504), 3, ""),
        (Fault::Reset, 3, ""),
        (Fault::LoseAnswer, 3, ""),
    ] {
        let server = server();
        server.fault("GET", "/manifests/v1", [fault.clone(), fault.clone()]);
        let result = registry(&server).manifest("a", "v1").await;
        match (&result, told) {
            (Ok(_), "") => {}
            (Err(error), told) if !told.is_empty() => assert!(text(error).contains(told), "{error:?}"),
            _ => panic!("{fault:?}: {result:?}"),
        }
        assert_eq!(server.count("GET", "/manifests/v1"), requests, "{fault:?}");
    }
    // What never passes ends, and soon.
    let server = server();
    server.fault_always("GET", "/manifests/", Fault::status(503));
    let error = registry(&server).manifest("a", "v1").await.unwrap_err();
    assert!(error.is_transient() && text(&error).contains("503"), "{error:?}");
    assert_eq!(server.count("GET", "/manifests/"), 5);
}

/// A registry whose large blobs come in parts of [`PART`] bytes.
fn in_parts(server: &FaultRegistry) -> Registry {
    let parts = PartSettings { from: 4 * PART, size: PART, at_once: 4, ahead: 8 };
    let options = ClientOptions { parts, ..client().options().clone() };
    let client = Client::new(options).unwrap();
    Registry::new(client, &server.host(), Transport::Automatic, Credentials::Anonymous)
}

async fn pull(registry: &Registry, blob: &[u8]) -> Result<Vec<u8>, String> {
    let descriptor = Descriptor::of("application/octet-stream", blob);
    let reader = registry.open_blob("a", &descriptor).await.map_err(|e| text(&e))?;
    let mut bytes = Vec::new();
    let mut verified = Verified::new(reader, &descriptor.digest, descriptor.size);
    verified.read_to_end(&mut bytes).await.map_err(|e| fetch::client::error_text(&e))?;
    Ok(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn n2_blobs_arrive_whole_or_not_at_all() {
    let blob: Vec<u8> = (0..PART * 6 + 77).map(|n| (n * 7 / 3) as u8).collect();
    let range = |text: &str| Fault::Header("Content-Range", text.to_owned());
    let other = vec![7; PART as usize];
    let cut = Fault::CutBody;
    for (faults, told) in [
        (vec![], ""),
        (vec![cut(10)], ""),
        (vec![cut(10), Fault::None, cut(0), Fault::Reset, cut(1000)], ""),
        (vec![Fault::None, cut(1000), Fault::IgnoreRange], ""),
        (vec![Fault::status(416)], ""),
        (vec![Fault::status(400)], ""),
        (vec![Fault::status(501)], ""),
        (vec![Fault::IgnoreRange], ""),
        (vec![Fault::IgnoreRange, cut(10), Fault::status(416)], ""),
        (vec![Fault::None, Fault::status(416)], ""),
        (vec![Fault::None, range("bytes 0-1/2")], ""),
        (vec![Fault::None, Fault::Without("Content-Range")], ""),
        (vec![Fault::None, Fault::Body(b"short".to_vec())], ""),
        (vec![Fault::None, Fault::Body(other.clone())], "corrupt"),
        (vec![Fault::Body(other)], "corrupt"),
        (vec![Fault::status(403)], "does not let us"),
        (vec![Fault::status(404)], "does not exist"),
        (vec![Fault::IgnoreRange, cut(9), Fault::status(416), Fault::status(416)], ""),
    ] {
        let server = FaultRegistry::start();
        server.put_blob("a", &blob);
        server.fault("GET", "/blobs/", faults.clone());
        let result = pull(&in_parts(&server), &blob).await;
        match (&result, told) {
            (Ok(bytes), "") => assert!(*bytes == blob, "{faults:?}"),
            (Err(error), told) if !told.is_empty() => assert!(error.contains(told), "{faults:?}: {error}"),
            _ => panic!("{faults:?}: {:?}", result.err()),
        }
        assert!(server.count("GET", "/blobs/") < 40, "{faults:?}");
    }
    let server = FaultRegistry::start();
    let digest = server.put_blob("a", &blob);
    assert!(pull(&in_parts(&server), &blob).await.unwrap() == blob);
    assert_eq!((server.count("GET", "/blobs/"), server.blob_bytes(&digest).1), (7, blob.len() as u64));
    server.fault_always("GET", "/blobs/", cut(0));
    assert!(pull(&in_parts(&server), &blob).await.is_err());
    assert!(server.count("GET", "/blobs/") < 60);
}

#[tokio::test]
async fn n3_what_does_not_end_is_ended() {
    let options = ClientOptions {
        connect_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        min_rate: 1000,
        rate_window: Duration::from_millis(200),
        retries: 1,
        ..client().options().clone()
    };
    let impatient = Client::new(options).unwrap();
    let page = |n: usize| {
        let link = format!("</v2/a/tags/list?last={n}>; rel=\"next\"");
        Fault::Answer(Answer::status(200).header("Link", link).body(r#"{"tags":["x"]}"#))
    };
    for (part, fault, told) in [
        ("/", Fault::None, ""),
        ("/", Fault::Delay(Duration::from_millis(50)), ""),
        ("/manifests/", Fault::Trickle(Duration::from_millis(20)), "bytes per second"),
        ("/blobs/", Fault::Trickle(Duration::from_millis(100)), "bytes per second"),
        ("/manifests/", Fault::Silence(Duration::from_secs(9)), "sent nothing"),
        ("/manifests/", Fault::EndlessBody, "more than 4194304 bytes"),
        ("/blobs/", Fault::EndlessBody, "more than 5 bytes"),
        ("/tags/", Fault::EndlessBody, "more than 4194304 bytes"),
        ("/manifests/", Fault::EndlessHeaders, "broke off"),
        ("/manifests/", Fault::redirect(307, "/v2/a/manifests/v1"), "10 redirects"),
        ("/tags/", page(7), "more than 100 pages"),
    ] {
        let server = server();
        server.fault_always("GET", part, fault.clone());
        let registry =
            Registry::new(impatient.clone(), &server.host(), Transport::PlainHttp, Credentials::Anonymous);
        let all = async {
            registry.manifest("a", "v1").await.map_err(|e| text(&e))?;
            registry.tags("a").await.map_err(|e| text(&e))?;
            pull(&registry, b"layer").await
        };
        let result = tokio::time::timeout(Duration::from_secs(20), all).await.expect("everything ends");
        match (&result, told) {
            (Ok(bytes), "") => assert_eq!(bytes, b"layer"),
            (Err(error), told) if !told.is_empty() => assert!(error.contains(told), "{fault:?}: {error}"),
            _ => panic!("{fault:?}: {result:?}"),
        }
        assert!(server.requests().len() <= 110, "{fault:?}: {}", server.requests().len());
    }
}

#[tokio::test]
async fn n4_credentials_stay_at_their_origin() {
    let digest = sha256(b"layer");
    for foreign in [false, true] {
        let (near, far) = (FaultRegistry::start_with(Access::Basic(PAIR.into())), server());
        near.put_image("a", "v1", &[(b"layer", sha256(b"tar"))]);
        let registry = registry_as(&near, basic());
        registry.manifest("a", "v1").await.unwrap();
        let to = |path: &str| if foreign { far.url(path) } else { path.to_owned() };
        let blob = format!("/v2/a/blobs/{digest}");
        near.fault("GET", "/manifests/", [Fault::redirect(302, to("/v2/a/manifests/v1"))]);
        near.fault("GET", &blob, [Fault::redirect(307, to(&blob))]);
        assert!(registry.manifest("a", "v1").await.is_ok(), "{foreign}");
        assert_eq!(pull(&registry, b"layer").await.as_deref(), Ok(&b"layer"[..]), "{foreign}");
        let link = format!("<{}>; rel=\"next\"", to("/v2/a/tags/list?last=v0"));
        near.fault("GET", "/tags/", [Fault::Header("Link", link)]);
        assert_eq!(registry.tags("a").await.is_ok(), !foreign, "lists go on at their own origin only");
        near.fault("GET", "/tags/", [Fault::redirect(307, to("/v2/a/tags/list"))]);
        far.fault("GET", "/tags/", [Fault::Header("Link", "</v2/a/tags/list>; rel=\"next\"".into())]);
        assert_eq!(registry.tags("a").await.is_ok(), !foreign, "nor where a page was redirected to");
        far.fault("PUT", "/take", [Fault::status(201)]);
        near.fault("PUT", "/take", [Fault::status(201)]);
        near.fault("POST", UPLOADS, [Fault::Header("Location", to("/take"))]);
        registry.upload_blob("a", &Digest::of(b"x"), Body::Bytes(b"x"[..].into())).await.unwrap();
        assert_eq!(far.requests().len(), if foreign { 4 } else { 0 });
        assert!(near.saw_authorization() && !far.saw_authorization());
        // Whoever asks for them elsewhere gets none.
        let challenge = || Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\"");
        far.fault("GET", &blob, [Fault::Answer(challenge())]);
        near.fault("GET", &blob, [Fault::redirect(307, to(&blob))]);
        assert_eq!(pull(&registry, b"layer").await.is_ok(), !foreign);
        assert!(!far.saw_authorization());
        // What is put is not sent elsewhere by a redirect.
        near.fault("PUT", "/manifests/", [Fault::redirect(307, to("/v2/a/manifests/v9"))]);
        let put = registry.put_manifest("a", "v9", MANIFEST_TYPE, b"{}"[..].into()).await;
        assert_eq!(put.is_ok(), !foreign, "{put:?}");
    }
}

#[tokio::test]
async fn n5_token_services_are_where_the_registry_may_send_us() {
    let endless = FaultRegistry::start();
    endless.fault_always("GET", "/token", Fault::EndlessBody);
    let huge = FaultRegistry::start();
    let token = format!(r#"{{"token":"{}"}}"#, "t".repeat(1 << 20));
    huge.fault_always("GET", "/token", Fault::Answer(Answer::status(200).body(token)));
    for (realm, told) in [
        (None, ""),
        (Some("http://169.254.169.254/latest".to_owned()), "https"),
        (Some("https://169.254.169.254/latest".to_owned()), "link-local"),
        (Some("https://[fd00:ec2::254]/".to_owned()), "metadata"),
        (Some("http://10.0.0.1/token".to_owned()), "https"),
        (Some("http://registry.example/token".to_owned()), "https"),
        (Some("https://u:p@localhost/token".to_owned()), "user or password"),
        (Some("ftp://localhost/token".to_owned()), "https"),
        (Some(endless.url("/token")), "more than 1048576 bytes"),
        (Some(huge.url("/token")), "more than 1048576 bytes"),
    ] {
        let access = Access::Token { user: None, refresh: None, uses: 9, realm: realm.clone() };
        let server = FaultRegistry::start_with(access);
        server.put_image("a", "v1", &[]);
        let result = registry_as(&server, basic()).manifest("a", "v1").await;
        match (&result, told) {
            (Ok(_), "") => {}
            (Err(error), told) if !told.is_empty() => {
                assert!(text(error).contains(told), "{realm:?}: {error}")
            }
            _ => panic!("{realm:?}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn n6_tokens_are_renewed_on_the_way_and_a_refusal_names_the_service() {
    let all = vec![5_u8; 17 << 20];
    let digest = Digest::of(&all);
    let tokens = |uses| Access::Token { user: None, refresh: None, uses, realm: None };
    let said = |life: &str| Fault::Body(format!(r#"{{"token":"token-1","expires_in":{life}}}"#).into());
    for (uses, token) in [
        (100, Fault::None),
        (1, Fault::None),
        (2, Fault::None),
        (100, said("-3600")),
        (100, said("0")),
        (100, said("\"300\"")),
        (100, said("1e300")),
        (100, said("null")),
    ] {
        let server = FaultRegistry::start_with(tokens(uses));
        server.behave(Behaviour { chunk_min: Some(1000), ..Behaviour::default() });
        server.fault("GET", "/token", [token.clone()]);
        let body = Body::Bytes(all.clone().into());
        let result = registry(&server).upload_blob("x", &digest, body).await;
        assert!(result.is_ok(), "{uses} {token:?} {result:?}");
        let begun = server.requests().iter().filter(|r| r.method == "POST" && r.status == 202).count();
        assert_eq!(begun, 1, "the same upload goes on: {uses} {token:?}");
        if uses == 100 {
            assert_eq!(server.count("GET", "/token"), 1, "{token:?}");
        }
    }
    let server = FaultRegistry::start_with(tokens(3));
    server.behave(Behaviour { chunk_min: Some(1000), ..Behaviour::default() });
    server.fault("GET", "/token", [Fault::None]);
    server.fault_always("GET", "/token", Fault::status(403));
    let error = registry(&server).upload_blob("x", &digest, Body::Bytes(all.into())).await.unwrap_err();
    assert!(matches!(error, Error::Token { .. }), "{error:?}");
    assert!(text(&error).contains(&server.url("/token")), "{}", text(&error));
    assert_eq!((server.count("GET", "/token"), server.blob("x", digest.as_str())), (2, None));
}

/// Blob, config, manifest, tag: as destinations do it, believing what the registry says of blobs.
async fn push(registry: &Registry) -> Result<Digest, Error> {
    let (layer, config) = (&b"new layer"[..], &b"{}"[..]);
    for blob in [layer, config] {
        let digest = Digest::of(blob);
        let there = registry.has_blob("a", &digest, blob.len() as u64).await?
            || registry.mount_blob("a", &digest, "elsewhere").await?;
        if !there {
            registry.upload_blob("a", &digest, Body::Bytes(blob.into())).await?;
        }
    }
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": Descriptor::of(oci::media_type::OCI_CONFIG, config),
        "layers": [Descriptor::of("application/vnd.oci.image.layer.v1.tar", layer)]});
    registry.put_manifest("a", "v1", OCI_MANIFEST, manifest.to_string().into()).await
}

#[tokio::test]
async fn n7_pushes_end_with_everything_there_or_the_tag_where_it_was() {
    let digest = |answer: Answer| Fault::Answer(answer.header("Docker-Content-Digest", sha256(b"?")));
    let there = |size: u64| Fault::Answer(Answer::status(200).header("Content-Length", size));
    for (method, part, faults, good) in [
        ("PUT", UPLOADS, vec![], true),
        ("POST", "mount=", vec![Fault::status(404), Fault::status(405)], true),
        ("POST", "mount=", vec![Fault::status(403), Fault::Without("Location")], true),
        // It says that it has mounted what it has not.
        ("POST", "mount=", vec![Fault::status(201)], false),
        ("HEAD", "/blobs/", vec![there(9)], false),
        ("HEAD", "/blobs/", vec![there(5)], true),
        ("POST", UPLOADS, vec![Fault::None, Fault::Without("Location")], true),
        ("POST", UPLOADS, vec![Fault::None, Fault::Without("Location"), Fault::Without("Location")], true),
        ("PUT", UPLOADS, vec![Fault::Reset, Fault::LoseAnswer], true),
        ("PUT", UPLOADS, vec![Fault::status(404), Fault::status(416), Fault::status(503)], true),
        ("PUT", UPLOADS, vec![Fault::status(413)], false),
        ("PUT", UPLOADS, vec![digest(Answer::status(201))], false),
        ("PUT", "/manifests/", vec![Fault::status(400)], false),
        ("PUT", "/manifests/", vec![Fault::status(413)], false),
        ("PUT", "/manifests/", vec![Fault::status(201)], false),
        ("PUT", "/manifests/", vec![Fault::LoseAnswer], true),
        ("HEAD", "/manifests/", vec![digest(Answer::status(200))], false),
        ("HEAD", "/manifests/", vec![Fault::status(405)], true),
        ("HEAD", "/manifests/", vec![Fault::Without("Docker-Content-Digest")], true),
    ] {
        let server = server();
        let before = server.tag("a", "v1");
        server.fault(method, part, faults.clone());
        let result = push(&registry(&server)).await;
        assert_eq!(result.is_ok(), good, "{method} {part} {faults:?}: {result:?}");
        let now = server.tag("a", "v1");
        match &result {
            Ok(digest) => assert_eq!(now.as_deref(), Some(digest.as_str())),
            // Only a registry that lies about what it has taken can have moved it.
            Err(_) if method == "HEAD" && part == "/manifests/" => {}
            Err(_) => assert_eq!(now, before, "{method} {part} {faults:?}"),
        }
    }
}

#[tokio::test]
async fn n8_tags_that_others_move_or_hold_are_noticed() {
    let denied = |status, body: &str| Fault::Answer(Answer::status(status).body(body));
    for (method, fault, told) in [
        ("PUT", Fault::None, ""),
        ("PUT", denied(400, r#"{"errors":[{"code":"TAG_INVALID","message":"immutable"}]}"#), "immutable"),
        ("PUT", denied(403, r#"{"errors":[{"code":"DENIED","message":"immutable"}]}"#), "immutable"),
        ("PUT", denied(409, r#"{"errors":[{"code":"TAG_INVALID","message":"immutable"}]}"#), "immutable"),
        ("PUT", denied(412, "tag is immutable"), "immutable"),
        // Somebody else's push comes between ours and its check.
        ("HEAD", Fault::Header("Docker-Content-Digest", sha256(b"theirs")), "corrupt"),
    ] {
        let server = server();
        let before = server.tag("a", "v1");
        let registry = registry(&server);
        assert_eq!(registry.manifest_digest("a", "v1").await.unwrap().map(|d| d.to_string()), before);
        server.fault(method, "/manifests/v1", [fault.clone()]);
        let result = push(&registry).await;
        match (&result, told) {
            (Ok(digest), "") => {
                assert_eq!(registry.manifest_digest("a", "v1").await.unwrap().as_ref(), Some(digest));
                server.move_tag("a", "v1", before.as_deref().unwrap());
                let moved = registry.manifest_digest("a", "v1").await.unwrap();
                assert_eq!(moved.map(|d| d.to_string()), before, "what moves is seen");
            }
            (Err(error), told) if !told.is_empty() => {
                assert!(text(error).contains(told), "{fault:?}: {error:?}")
            }
            _ => panic!("{fault:?}: {result:?}"),
        }
        if method == "PUT" {
            assert_eq!(server.tag("a", "v1"), before);
            assert_eq!(server.count("PUT", "/manifests/v1"), 1, "{fault:?}");
        }
    }
}
