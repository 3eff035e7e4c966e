//! Uploads in chunks, and what becomes of them when something breaks on the way. In memory, and with a real registry behind
//! the faults.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use oci::{Descriptor, Digest};
use registry::{Body, BodyReader, Credentials, Error, Registry, Transport};
use setup::{client, registry, registry_as};
use testkit::fault_registry::{Access, Answer, Behaviour, Break, Fault, FaultRegistry};

const MIB: usize = 1 << 20;
const UPLOADS: &str = "/blobs/uploads/";

/// Bytes of which no two stretches are alike.
fn bytes(size: usize) -> Vec<u8> {
    let block: Vec<u8> = (0..1 << 12).map(|n| (n / 251 + n) as u8).collect();
    let mut all = Vec::with_capacity(size + block.len() + 8);
    while all.len() < size {
        all.extend_from_slice(&all.len().to_le_bytes());
        all.extend_from_slice(&block);
    }
    all.truncate(size);
    all
}

fn stream(all: &[u8]) -> Body {
    let all = bytes::Bytes::copy_from_slice(all);
    let size = all.len() as u64;
    let open = move || -> futures_util::future::BoxFuture<'static, std::io::Result<BodyReader>> {
        let all = all.clone();
        Box::pin(async move { Ok(Box::new(std::io::Cursor::new(all)) as BodyReader) })
    };
    Body::Stream { size, open: std::sync::Arc::new(open) }
}

async fn push(server: &FaultRegistry, all: &[u8]) -> Result<(), Error> {
    registry(server).upload_blob("x", &Digest::of(all), stream(all)).await
}

/// A server that wants chunks.
fn chunked(body_max: u64) -> FaultRegistry {
    let server = FaultRegistry::start();
    let body_max = Some(body_max);
    server.behave(Behaviour { chunk_min: Some(1000), body_max, ..Behaviour::default() });
    server
}

#[tokio::test]
async fn chunks_are_used_where_they_are_wanted() {
    for (size, chunk_min, body_max, patches, refused) in [
        (9 * MIB, None, None, 0, 0),
        (9 * MIB, Some(1000), None, 2, 0),
        (8 * MIB, Some(1000), None, 0, 0),
        // 413 at 9 MiB, then 4.5 MiB a chunk, which is too long as well, then 2.25.
        (9 * MIB, None, Some(3 * MIB as u64), 4, 2),
        (MIB, None, Some(MIB as u64 / 2), 2, 1),
    ] {
        let server = FaultRegistry::start();
        server.behave(Behaviour { chunk_min, body_max, ..Behaviour::default() });
        let all = bytes(size);
        push(&server, &all).await.unwrap();
        assert!(
            server.blob("x", Digest::of(&all).as_str()) == Some(all),
            "{size} {chunk_min:?} {body_max:?}"
        );
        let seen = server.requests();
        assert_eq!(seen.iter().filter(|r| r.status == 413).count(), refused, "{size} {body_max:?}");
        let taken = seen.iter().filter(|r| r.method == "PATCH" && r.status == 202);
        assert_eq!(taken.count(), patches, "{size} {chunk_min:?} {body_max:?}");
        assert!(server.blob_bytes(Digest::of(&bytes(size)).as_str()).0 >= size as u64);
    }
}

#[tokio::test]
async fn what_a_registry_does_not_take_is_learnt_once() {
    let server = FaultRegistry::start();
    server.behave(Behaviour { body_max: Some(2 * MIB as u64), ..Behaviour::default() });
    let registry = registry(&server);
    for size in [3 * MIB, 3 * MIB + 1, MIB] {
        let all = bytes(size);
        registry.upload_blob("x", &Digest::of(&all), Body::Bytes(all.into())).await.unwrap();
    }
    assert_eq!(server.requests().iter().filter(|r| r.status == 413).count(), 1);
    // A limit below any sense is a refusal, and no endless halving.
    server.behave(Behaviour { body_max: Some(1000), ..Behaviour::default() });
    let all = bytes(2 * MIB);
    let error = registry.upload_blob("y", &Digest::of(&all), Body::Bytes(all.into())).await.unwrap_err();
    assert!(fetch::client::error_text(&error).contains("413"), "{error:?}");
    assert!(server.count("*", UPLOADS) < 30);
}

#[tokio::test]
async fn a_chunk_that_breaks_is_taken_up_where_it_broke() {
    let all = bytes(17 * MIB);
    let size = all.len() as u64;
    for (faults, sessions, most_up) in [
        (vec![], 1, size),
        (vec![Fault::Reset], 1, size),
        (vec![Fault::None, Fault::CutRequest(3_000_000)], 1, size),
        (vec![Fault::CutRequest(3_000_000); 3], 1, size),
        (vec![Fault::TakePart(100_000)], 1, size + 8 * MIB as u64),
        (vec![Fault::None, Fault::LoseAnswer], 1, size),
        (vec![Fault::status(503), Fault::status(429)], 1, size + 16 * MIB as u64),
        (vec![Fault::status(416)], 1, size + 8 * MIB as u64),
        (vec![Fault::None, Fault::Header("Range", "0-1".into())], 1, size + 8 * MIB as u64),
        (vec![Fault::None, Fault::Without("Range")], 1, size),
        (vec![Fault::None, Fault::Without("Location")], 1, size),
        (vec![Fault::None, Fault::status(404)], 2, 2 * size),
        (vec![Fault::None, Fault::Header("Range", "0-99999999".into())], 1, size),
    ] {
        let server = chunked(8 * MIB as u64);
        server.fault("PATCH", UPLOADS, faults.clone());
        let result = push(&server, &all).await;
        assert!(result.is_ok(), "{faults:?} {result:?}");
        assert!(server.blob("x", Digest::of(&all).as_str()).as_ref() == Some(&all), "{faults:?}");
        assert_eq!(server.count("POST", UPLOADS), sessions, "{faults:?}");
        assert!(server.bytes().0 <= most_up, "{faults:?}: {} bytes", server.bytes().0);
    }
}

#[tokio::test]
async fn a_registry_that_forgets_again_and_again_is_given_up() {
    let server = chunked(8 * MIB as u64);
    let says = |status: u16, range: &str| Fault::Answer(Answer::status(status).header("Range", range));
    let round = [says(202, "0-5000000"), Fault::status(416)];
    server.fault("PATCH", UPLOADS, std::iter::repeat_n(round, 60).flatten());
    server.fault_always("GET", UPLOADS, says(204, "0-0"));
    let result = push(&server, &bytes(9 * MIB)).await;
    assert!(result.is_err(), "{result:?}");
    assert!(server.count("PATCH", UPLOADS) < 100, "{}", server.count("PATCH", UPLOADS));
}

#[tokio::test]
async fn a_session_that_is_lost_is_begun_anew() {
    let all = bytes(17 * MIB);
    for asked in [
        Fault::status(404),
        Fault::Header("Range", "0-5".into()),
        Fault::Header("Range", "nonsense".into()),
        Fault::Without("Range"),
    ] {
        let server = chunked(8 * MIB as u64);
        server.fault_at("PATCH", UPLOADS, 2, Fault::CutRequest(10));
        server.fault("GET", UPLOADS, [asked.clone()]);
        push(&server, &all).await.unwrap();
        assert_eq!(server.count("POST", UPLOADS), 2, "{asked:?}");
        assert!(server.blob("x", Digest::of(&all).as_str()).as_ref() == Some(&all), "{asked:?}");
    }
    for (method, fault) in [
        ("PATCH", Fault::status(403)),
        ("PATCH", Fault::status(400)),
        ("PATCH", Fault::Header("Location", "ftp://127.0.0.1/x".into())),
        ("PATCH", Fault::Header("Location", "http://169.254.169.254/x".into())),
        ("PUT", Fault::Header("Docker-Content-Digest", Digest::of(b"other").to_string())),
    ] {
        let server = chunked(8 * MIB as u64);
        server.fault(method, UPLOADS, [fault.clone()]);
        assert!(push(&server, &all).await.is_err(), "{fault:?}");
        assert_eq!(server.count("POST", UPLOADS), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn chunks_that_never_work_end_in_an_error() {
    let all = bytes(9 * MIB);
    for fault in
        [Fault::Reset, Fault::status(500), Fault::TakePart(1), Fault::status(416), Fault::status(404)]
    {
        let server = chunked(8 * MIB as u64);
        server.fault_always("PATCH", UPLOADS, fault.clone());
        assert!(push(&server, &all).await.is_err(), "{fault:?}");
        assert!(server.count("*", UPLOADS) < 100, "{fault:?}: {}", server.count("*", UPLOADS));
        assert!(server.blob("x", Digest::of(&all).as_str()).is_none());
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_costs_no_second_upload() {
    for size in [MIB, 9 * MIB] {
        let (server, all) = (chunked(8 * MIB as u64), bytes(size));
        server.fault("PUT", UPLOADS, [Fault::LoseAnswer]);
        push(&server, &all).await.unwrap();
        assert_eq!((server.count("POST", UPLOADS), server.bytes().0), (1, size as u64));
    }
}

#[tokio::test]
async fn a_chunk_goes_where_the_last_answer_says_and_credentials_stay() {
    let all = bytes(9 * MIB);
    let near = FaultRegistry::start_with(Access::Basic("dTpw".into()));
    near.behave(Behaviour { chunk_min: Some(1000), ..Behaviour::default() });
    let far = FaultRegistry::start();
    far.fault("PATCH", "/elsewhere", [Fault::status(202)]);
    far.fault("PUT", "/elsewhere", [Fault::status(201)]);
    near.fault("PATCH", UPLOADS, [Fault::Header("Location", far.url("/elsewhere?s=1"))]);
    let basic = Credentials::Basic { username: "u".into(), password: registry::Secret::new("p") };
    let body = Body::Bytes(all.clone().into());
    registry_as(&near, basic).upload_blob("x", &Digest::of(&all), body).await.unwrap();
    let ranges: Vec<_> = far.requests().into_iter().filter_map(|r| r.content_range).collect();
    assert_eq!(ranges, [format!("{}-{}", 8 * MIB, 9 * MIB - 1)]);
    assert!(near.saw_authorization() && !far.saw_authorization());
}

#[tokio::test]
async fn an_upload_that_a_mount_has_begun_is_used() {
    let server = FaultRegistry::start();
    let registry = registry(&server);
    for (answer, posts) in [(Fault::None, 1), (Fault::Without("Location"), 2), (Fault::status(404), 2)] {
        server.clear_requests();
        let all = bytes(1000 + posts);
        server.fault("POST", "mount=", [answer.clone()]);
        let digest = Digest::of(&all);
        assert!(!registry.mount_blob("x", &digest, "elsewhere").await.unwrap());
        registry.upload_blob("x", &digest, Body::Bytes(all.into())).await.unwrap();
        assert_eq!(server.count("POST", UPLOADS), posts, "{answer:?}");
    }
    // One that has ended meanwhile is no hindrance.
    let all = bytes(77);
    assert!(!registry.mount_blob("x", &Digest::of(&all), "elsewhere").await.unwrap());
    server.forget_uploads();
    registry.upload_blob("x", &Digest::of(&all), Body::Bytes(all.into())).await.unwrap();
}

#[tokio::test]
async fn whoever_may_not_read_the_source_of_a_mount_uploads() {
    let access = Access::Token { user: None, refresh: None, uses: 9, realm: None };
    let server = FaultRegistry::start_with(access);
    let registry = registry(&server);
    assert!(!registry.has_blob("x", &Digest::of(b"a"), 1).await.unwrap());
    server.fault("GET", "scope=repository%3Asecret%3Apull", [Fault::status(403)]);
    assert!(!registry.mount_blob("x", &Digest::of(b"a"), "secret").await.unwrap());
    registry.upload_blob("x", &Digest::of(b"a"), Body::Bytes(b"a"[..].into())).await.unwrap();
}

#[tokio::test]
async fn a_session_without_location_is_asked_for_again_once() {
    for (times, good) in [(0, true), (1, true), (2, false)] {
        let server = FaultRegistry::start();
        server.fault("POST", UPLOADS, vec![Fault::Without("Location"); times]);
        let result = push(&server, b"bytes").await;
        assert_eq!(result.is_ok(), good, "{result:?}");
        assert_eq!(server.count("POST", UPLOADS), 1 + times.min(1), "{times}");
    }
}

/// A blob, its manifest and a tag; what is there afterwards is whole or is not there.
async fn push_image(registry: &Registry, layer: &[u8], tag: &str) -> Result<Digest, Error> {
    let config = br#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;
    for blob in [layer, &config[..]] {
        let digest = Digest::of(blob);
        if !registry.has_blob("a/b", &digest, blob.len() as u64).await? {
            registry.upload_blob("a/b", &digest, stream(blob)).await?;
        }
    }
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": oci::media_type::OCI_MANIFEST,
        "config": Descriptor::of(oci::media_type::OCI_CONFIG, config),
        "layers": [Descriptor::of("application/vnd.oci.image.layer.v1.tar", layer)]});
    let kind = oci::media_type::OCI_MANIFEST;
    registry.put_manifest("a/b", tag, kind, manifest.to_string().into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_registry_takes_chunks_up_where_they_broke() {
    if let Err(reason) = testkit::probe::programs(&["docker-registry", "openssl"]) {
        testkit::skip!("{reason}");
    }
    let real = testkit::registry::Registry::start().unwrap();
    let access = || Access::Token { user: None, refresh: None, uses: 2, realm: None };
    for (n, faults) in [
        vec![],
        vec![Fault::CutRequest(3_000_000)],
        vec![Fault::None, Fault::LoseAnswer],
        vec![Fault::ExpireTokens, Fault::None, Fault::ExpireTokens],
        vec![Fault::None, Fault::status(500), Fault::Reset],
        vec![Fault::None, Fault::status(404)],
    ]
    .into_iter()
    .enumerate()
    {
        let mut all = bytes(17 * MIB);
        all[0] = n as u8;
        let server = FaultRegistry::in_front_of(&real.host(), access());
        server.fault_always("POST", UPLOADS, Fault::Header("OCI-Chunk-Min-Length", "1000".into()));
        server.fault("PATCH", UPLOADS, faults.clone());
        let registry = registry(&server);
        let digest = push_image(&registry, &all, "v1").await;
        assert!(digest.is_ok(), "{faults:?} {digest:?}");
        let direct = Registry::new(client(), &real.host(), Transport::Automatic, Credentials::Anonymous);
        assert_eq!(direct.manifest_digest("a/b", "v1").await.unwrap(), digest.ok());
        assert!(server.count("PATCH", UPLOADS) >= 3, "{faults:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_interrupted_anywhere_can_be_run_again() {
    if let Err(reason) = testkit::probe::programs(&["docker-registry", "openssl"]) {
        testkit::skip!("{reason}");
    }
    let real = testkit::registry::Registry::start().unwrap();
    let direct = Registry::new(client(), &real.host(), Transport::Automatic, Credentials::Anonymous);
    let before = push_image(&direct, b"before", "v1").await.unwrap();
    let mut interrupted = 0;
    for n in 0..10_u64 {
        let layer = bytes(300_000 + n as usize);
        let server = FaultRegistry::in_front_of(&real.host(), Access::Open);
        server.break_after(if n < 5 { Break::BytesUp(n * 70_000) } else { Break::Requests(n) });
        let tag = format!("t{n}");
        let first = push_image(&registry(&server), &layer, &tag).await;
        let now = direct.manifest_digest("a/b", &tag).await.unwrap();
        if first.is_err() {
            interrupted += 1;
            let manifest_put =
                server.requests().iter().any(|r| r.method == "PUT" && r.path.contains("manifests"));
            assert!(now.is_none() || manifest_put, "{n}: a tag before its time");
        }
        server.mend();
        let digest = push_image(&registry(&server), &layer, &tag).await.unwrap();
        assert_eq!(direct.manifest_digest("a/b", &tag).await.unwrap(), Some(digest.clone()), "{n}");
        assert!(now.is_none_or(|now| now == digest), "{n}: a wrong tag in between");
    }
    assert!(interrupted >= 5, "{interrupted}");
    assert_eq!(direct.manifest_digest("a/b", "v1").await.unwrap(), Some(before));
}

#[tokio::test]
async fn refusals_of_a_body_say_what_was_said() {
    let server = FaultRegistry::start();
    let answer = Answer::status(413).body("quota exceeded");
    server.fault_always("PUT", UPLOADS, Fault::Answer(answer));
    let error = push(&server, b"small").await.unwrap_err();
    assert!(fetch::client::error_text(&error).contains("quota exceeded"), "{error:?}");
}
