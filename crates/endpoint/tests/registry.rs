//! Reading from and writing to a registry: what is sent, in which order, and what happens when it misbehaves.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use endpoint::{Destination, Error, Source};
use engine::CancellationToken;
use oci::Digest;
use serde_json::json;
use setup::{NEW, amd64, connections, layers, patch_to, server, write_with};
use std::{sync::Arc, time::Duration};
use testkit::fault_registry::{Answer, Fault, FaultRegistry, MANIFEST_TYPE, sha256};

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

async fn source(server: &FaultRegistry, name: &str) -> Arc<dyn Source> {
    let address = format!("{}/{name}", server.host()).parse().unwrap();
    connections().source(&address).await.unwrap()
}

async fn destination(server: &FaultRegistry, name: &str) -> Arc<dyn Destination> {
    let address = format!("{}/{name}", server.host()).parse().unwrap();
    connections().destination(&address, false).await.unwrap()
}

#[tokio::test]
async fn into_the_same_repository_only_what_is_new_is_sent() {
    let server = server();
    let written =
        patch_to(&*source(&server, "team/app:v1").await, &*destination(&server, "team/app:v1-patched").await)
            .await;
    let receipt = written.result.unwrap();
    assert_eq!((receipt.base_bytes_uploaded, receipt.base_bytes_copied), (0, 0));
    assert_eq!((receipt.existing, receipt.mounted), (2, 0));
    let config = written.image.config_bytes.len() as u64;
    assert_eq!(receipt.bytes_uploaded, NEW.len() as u64 + config);
    assert_eq!(server.tag("team/app", "v1-patched"), Some(receipt.digest.to_string()));
    assert_eq!(receipt.reference, format!("{}/team/app:v1-patched", server.host()));
    assert_eq!(written.told.last(), Some(&(Digest::of(NEW), NEW.len() as u64, NEW.len() as u64)));
}

#[tokio::test]
async fn into_another_repository_base_layers_are_mounted() {
    let server = server();
    let written =
        patch_to(&*source(&server, "team/app:v1").await, &*destination(&server, "other:new").await).await;
    let receipt = written.result.unwrap();
    assert_eq!((receipt.base_bytes_uploaded, receipt.existing, receipt.mounted), (0, 0, 2));
    // Blobs, then the manifest by digest, then the tag.
    let puts: Vec<String> =
        server.requests().into_iter().filter(|r| r.method == "PUT").map(|r| r.path).collect();
    assert!(puts[..2].iter().all(|p| p.contains("/blobs/uploads/")), "{puts:?}");
    assert_eq!(
        puts[2..],
        [format!("/v2/other/manifests/{}", receipt.digest), "/v2/other/manifests/new".to_owned()]
    );
}

#[tokio::test]
async fn where_mounts_fail_base_layers_are_sent_and_counted() {
    let server = server();
    server.fault("POST", "mount=", vec![Fault::status(404); 2]);
    let written =
        patch_to(&*source(&server, "team/app:v1").await, &*destination(&server, "other:new").await).await;
    let receipt = written.result.unwrap();
    let base: u64 = layers().iter().map(|l| l.len() as u64).sum();
    assert_eq!((receipt.base_bytes_uploaded, receipt.base_bytes_copied, receipt.mounted), (base, 0, 0));
}

#[tokio::test]
async fn into_another_registry_base_layers_are_copied() {
    let (from, to) = (server(), FaultRegistry::start());
    let written = patch_to(&*source(&from, "team/app:v1").await, &*destination(&to, "other:new").await).await;
    let receipt = written.result.unwrap();
    let base: u64 = layers().iter().map(|l| l.len() as u64).sum();
    assert_eq!((receipt.base_bytes_uploaded, receipt.base_bytes_copied), (0, base));
    for layer in layers() {
        assert_eq!(to.blob("other", &sha256(&layer)), Some(layer));
    }
    let back = source(&to, "other:new").await.image(&amd64()).await.unwrap();
    assert_eq!(back.image, written.image);
}

#[tokio::test]
async fn a_copied_layer_that_is_not_what_it_claims_is_never_completed() {
    let (from, to) = (server(), FaultRegistry::start());
    let mut flipped = layers()[0].clone();
    flipped[299_999] ^= 1;
    from.fault("GET", &sha256(&layers()[0]), vec![Fault::Body(flipped); 9]);
    let written = patch_to(&*source(&from, "team/app:v1").await, &*destination(&to, "other:new").await).await;
    let error = written.result.unwrap_err();
    assert!(matches!(error, Error::Blob { .. }), "{error:?}");
    assert!(to.tag("other", "new").is_none() && to.blob("other", &sha256(&layers()[0])).is_none());
    // Not only did the registry refuse it: its last bytes were never sent.
    let digest = sha256(&layers()[0]).replace(':', "%3A");
    let whole = |r: &testkit::fault_registry::Recorded| r.path.contains(&digest) && r.body >= 300_000;
    assert!(!to.requests().iter().any(whole), "{:#?}", to.requests());
}

#[tokio::test]
async fn a_new_file_that_is_not_the_layer_is_never_completed() {
    let server = server();
    let wrong = [NEW, b"!"].concat();
    for new in [&b"other bytes of the same length  "[..], b"short", &wrong] {
        let (source, destination) =
            (source(&server, "team/app:v1").await, destination(&server, "team/app:new").await);
        let written = write_with(&*source, &*destination, new, &CancellationToken::new()).await;
        assert!(matches!(written.result, Err(Error::Blob { .. })), "{:?}", written.result);
        assert!(server.tag("team/app", "new").is_none());
    }
}

#[tokio::test]
async fn copies_survive_faults_on_both_sides() {
    let (from, to) = (server(), FaultRegistry::start());
    from.fault("GET", "/blobs/", [Fault::None, Fault::CutBody(1000), Fault::status(503), Fault::IgnoreRange]);
    to.fault("PUT", "/blobs/uploads/", [Fault::Reset, Fault::status(500)]);
    let written = patch_to(&*source(&from, "team/app:v1").await, &*destination(&to, "other:new").await).await;
    written.result.unwrap();
    assert_eq!(source(&to, "other:new").await.image(&amd64()).await.unwrap().image, written.image);
}

#[tokio::test]
async fn a_registry_that_claims_blobs_it_has_not_gets_them() {
    let (from, to) = (server(), FaultRegistry::start());
    let claim = |bytes: &[u8]| Fault::Answer(Answer::status(200).header("Content-Length", bytes.len()));
    for layer in layers() {
        to.fault("HEAD", &sha256(&layer), [claim(&layer)]);
    }
    let written = patch_to(&*source(&from, "team/app:v1").await, &*destination(&to, "other:new").await).await;
    assert_eq!(written.result.unwrap().existing, 2);
    assert!(to.tag("other", "new").is_some());
    assert!(layers().iter().all(|layer| to.blob("other", &sha256(layer)).is_some()));
}

#[tokio::test]
async fn the_tag_stays_where_anything_fails() {
    for (method, part, fault) in [
        ("PUT", "/blobs/uploads/", Fault::status(413)),
        ("POST", "/blobs/uploads/", Fault::status(403)),
        ("PUT", "/manifests/sha256", Fault::status(400)),
        ("PUT", "/manifests/sha256", Fault::status(413)),
        ("PUT", "/manifests/new", Fault::status(403)),
    ] {
        let server = server();
        server.move_tag("team/app", "new", "sha256:before");
        let source = source(&server, "team/app:v1").await;
        server.fault(
            "HEAD",
            "/manifests/new",
            vec![Fault::Header("Docker-Content-Digest", sha256(b"before")); 2],
        );
        server.fault(method, part, [fault.clone()]);
        let written = patch_to(&*source, &*destination(&server, "team/app:new").await).await;
        assert!(written.result.is_err(), "{fault:?}");
        assert_eq!(server.tag("team/app", "new").as_deref(), Some("sha256:before"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_tag_that_somebody_else_moved_is_not_overwritten() {
    let server = server();
    let source = source(&server, "team/app:v1").await;
    server.fault(
        "HEAD",
        "/manifests/new",
        [
            Fault::status(404),
            Fault::Answer(Answer::status(200).header("Docker-Content-Digest", sha256(b"theirs"))),
        ],
    );
    let written = patch_to(&*source, &*destination(&server, "team/app:new").await).await;
    assert!(matches!(written.result, Err(Error::TagMoved { .. })), "{:?}", written.result);
    assert!(server.tag("team/app", "new").is_none());
}

#[tokio::test]
async fn the_source_tag_is_overwritten_only_where_that_is_allowed() {
    let server = server();
    let before = server.tag("team/app", "v1");
    let source = source(&server, "team/app:v1").await;
    let written = patch_to(&*source, &*destination(&server, "team/app:v1").await).await;
    assert!(matches!(written.result, Err(Error::SourceTag { .. })));
    assert_eq!(server.tag("team/app", "v1"), before);
    let address = format!("{}/team/app:v1", server.host()).parse().unwrap();
    let allowed = connections().destination(&address, true).await.unwrap();
    assert!(patch_to(&*source, &*allowed).await.result.is_ok());
    assert_ne!(server.tag("team/app", "v1"), before);
    let untagged = format!("{}/team/app", server.host()).parse().unwrap();
    assert!(matches!(connections().destination(&untagged, true).await, Err(Error::NoTag { .. })));
}

#[tokio::test]
async fn cancelling_ends_a_write_at_once() {
    let server = server();
    let source = source(&server, "team/app:v1").await;
    server.fault("PUT", "/blobs/uploads/", vec![Fault::Delay(Duration::from_secs(3)); 9]);
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.cancel();
    });
    let before = std::time::Instant::now();
    let written = write_with(&*source, &*destination(&server, "other:new").await, NEW, &cancel).await;
    assert!(matches!(written.result, Err(Error::Cancelled)));
    assert!(before.elapsed() < Duration::from_secs(2));
    assert!(server.tag("other", "new").is_none());
}

#[tokio::test]
async fn a_tag_that_was_asked_for_is_waited_for() {
    let server = Arc::new(server());
    let source = source(&server, "team/app:v1").await;
    server.fault("PUT", "/manifests/new", vec![Fault::Delay(Duration::from_millis(500))]);
    let cancel = CancellationToken::new();
    let (stop, seen) = (cancel.clone(), server.clone());
    tokio::spawn(async move {
        while !seen.requests().iter().any(|r| r.method == "PUT" && r.path.ends_with("/manifests/new")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    });
    let written = write_with(&*source, &*destination(&server, "other:new").await, NEW, &cancel).await;
    assert!(cancel.is_cancelled());
    let digest = written.result.unwrap().digest.to_string();
    assert_eq!(server.tag("other", "new"), Some(digest));
}

/// A manifest's descriptor for an index.
fn entry(server: &FaultRegistry, architecture: &str, config_architecture: &str) -> serde_json::Value {
    let config = json!({"os": "linux", "architecture": config_architecture,
        "rootfs": {"type": "layers", "diff_ids": []}})
    .to_string();
    server.put_blob("multi", config.as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": [], "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(config.as_bytes()), "size": config.len()}})
    .to_string();
    let digest = server.put_manifest("multi", "unused", MANIFEST_TYPE, manifest.as_bytes());
    json!({"mediaType": MANIFEST_TYPE, "digest": digest, "size": manifest.len(),
        "platform": {"os": "linux", "architecture": architecture}, "annotations": {"k": architecture}})
}

fn put_index(server: &FaultRegistry, tag: &str, entries: Vec<serde_json::Value>) -> (String, usize) {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).to_string();
    (server.put_manifest("multi", tag, INDEX_TYPE, index.as_bytes()), index.len())
}

#[tokio::test]
async fn the_platform_is_found_in_an_index() {
    let server = FaultRegistry::start();
    let attestation = json!({"mediaType": MANIFEST_TYPE, "digest": sha256(b"attestation"), "size": 1,
        "platform": {"os": "unknown", "architecture": "unknown"}});
    let entries = vec![attestation, entry(&server, "arm64", "arm64"), entry(&server, "amd64", "amd64")];
    let (digest, size) = put_index(&server, "v1", entries);
    let nested = json!({"mediaType": INDEX_TYPE, "digest": digest, "size": size});
    put_index(&server, "nested", vec![nested]);
    for tag in ["v1", "nested"] {
        let found = source(&server, &format!("multi:{tag}")).await.image(&amd64()).await.unwrap();
        assert_eq!(found.image.platform(), amd64());
        assert_eq!(found.annotations["k"], "amd64");
        assert_eq!(found.platforms.len(), 2);
        assert_eq!(Some(found.digest.to_string()), server.tag("multi", tag));
    }
    let error = source(&server, "multi:v1").await.image(&"linux/s390x".parse().unwrap()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("is not available for linux/s390x; it has linux/arm64, linux/amd64"),
        "{error}"
    );
}

#[tokio::test]
async fn platforms_that_lie_are_named() {
    let server = FaultRegistry::start();
    put_index(&server, "lie", vec![entry(&server, "amd64", "arm64")]);
    server.put_image("multi", "single", &[]);
    for (tag, wanted, said) in [
        ("lie", "linux/amd64", "is for linux/arm64, not for linux/amd64"),
        ("single", "linux/arm64", "is for linux/amd64, not for linux/arm64"),
    ] {
        let error =
            source(&server, &format!("multi:{tag}")).await.image(&wanted.parse().unwrap()).await.unwrap_err();
        assert!(error.to_string().ends_with(said), "{error}");
    }
}

#[tokio::test]
async fn indexes_do_not_nest_for_ever() {
    let server = FaultRegistry::start();
    let (mut digest, mut size) = put_index(&server, "deep", vec![entry(&server, "amd64", "amd64")]);
    for depth in 2..=5 {
        let nested = json!({"mediaType": INDEX_TYPE, "digest": digest, "size": size});
        (digest, size) = put_index(&server, &format!("deep{depth}"), vec![nested]);
        let result = source(&server, &format!("multi:deep{depth}")).await.image(&amd64()).await;
        assert_eq!(result.is_ok(), depth <= 3, "{depth} {result:?}");
    }
    let many = vec![json!({"mediaType": MANIFEST_TYPE, "digest": sha256(b"x"), "size": 1}); 10_000];
    put_index(&server, "many", many);
    let error = source(&server, "multi:many").await.image(&amd64()).await.unwrap_err();
    assert!(fetch_text(&error).contains("10000 entries, more than 1000"), "{error:?}");
    assert!(server.requests().len() < 40);
}

fn fetch_text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut at = std::error::Error::source(error);
    while let Some(cause) = at {
        text += &format!(": {cause}");
        at = cause.source();
    }
    text
}

#[tokio::test]
async fn entries_that_are_not_what_they_claim_are_refused() {
    let server = FaultRegistry::start();
    let honest = entry(&server, "amd64", "amd64");
    let change = |key: &str, value: serde_json::Value| {
        let mut changed = honest.clone();
        changed[key] = value;
        changed
    };
    for (name, entry, good) in [
        ("honest", honest.clone(), true),
        ("size", change("size", json!(1)), false),
        ("kind", change("mediaType", json!(INDEX_TYPE)), false),
        ("digest", change("digest", json!(sha256(b"absent"))), false),
    ] {
        put_index(&server, name, vec![entry]);
        let result = source(&server, &format!("multi:{name}")).await.image(&amd64()).await;
        assert_eq!(result.is_ok(), good, "{name} {result:?}");
    }
}

#[tokio::test]
async fn documents_of_two_meanings_are_refused() {
    let config =
        json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(b"c"), "size": 1});
    for (kind, body) in [
        (MANIFEST_TYPE, json!({"schemaVersion": 2, "config": config, "layers": [], "manifests": []})),
        (INDEX_TYPE, json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": []})),
        (MANIFEST_TYPE, json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []})),
        (MANIFEST_TYPE, json!({"schemaVersion": 1, "fsLayers": []})),
        ("text/html", json!({"schemaVersion": 2, "config": config, "layers": []})),
    ] {
        let server = FaultRegistry::start();
        server.put_manifest("multi", "v1", kind, body.to_string().as_bytes());
        let error = source(&server, "multi:v1").await.image(&amd64()).await.unwrap_err();
        assert!(matches!(error, Error::Image { .. }), "{error:?}");
    }
    let server = server();
    server.fault("GET", "/manifests/v1", [Fault::Without("Content-Type")]);
    assert!(source(&server, "team/app:v1").await.image(&amd64()).await.is_ok());
}

#[tokio::test]
async fn configs_are_verified() {
    let server = server();
    server.fault("GET", "/blobs/", vec![Fault::Body(b"{}".to_vec()); 9]);
    let error = source(&server, "team/app:v1").await.image(&amd64()).await.unwrap_err();
    assert!(matches!(error, Error::Blob { .. }), "{error:?}");
}

#[tokio::test]
async fn images_of_no_layers_and_of_empty_layers_are_read() {
    let server = FaultRegistry::start();
    server.put_image("multi", "none", &[]);
    server.put_image("multi", "empty", &[(b"", sha256(b""))]);
    for (tag, layers) in [("none", 0), ("empty", 1)] {
        let found = source(&server, &format!("multi:{tag}")).await.image(&amd64()).await.unwrap();
        assert_eq!(found.image.layers.len(), layers);
    }
}
