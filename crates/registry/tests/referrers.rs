//! Referrers: by the API, by the tag in its place, and whatever registries make of either.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use oci::{Descriptor, Digest, media_type::OCI_MANIFEST};
use registry::{Body, Credentials, Error, Registry, Transport, referrers_tag};
use setup::{client, registry};
use testkit::fault_registry::{Answer, Behaviour, Fault, FaultRegistry, INDEX_TYPE};

const EMPTY: &[u8] = b"{}";

fn subject() -> Digest {
    Digest::of(b"subject")
}

/// A manifest that refers to the subject, and its descriptor.
fn referrer(kind: &str) -> (Descriptor, bytes::Bytes) {
    let empty = Descriptor::of("application/vnd.oci.empty.v1+json", EMPTY);
    let subject = Descriptor::new(OCI_MANIFEST, subject(), 7);
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
        "config": empty, "layers": [empty], "subject": subject});
    let bytes = bytes::Bytes::from(manifest.to_string());
    let mut descriptor = Descriptor::of(OCI_MANIFEST, &bytes);
    descriptor.rest.insert("artifactType".into(), kind.into());
    (descriptor, bytes)
}

async fn put(registry: &Registry, kind: &str) -> Result<Option<Digest>, Error> {
    let (descriptor, bytes) = referrer(kind);
    registry.upload_blob("a", &Digest::of(EMPTY), Body::Bytes(EMPTY.into())).await?;
    Ok(registry.put_referrer("a", &subject(), &descriptor, bytes).await?.subject)
}

async fn kinds(registry: &Registry) -> Result<Vec<String>, Error> {
    let kind = |d: &Descriptor| d.rest["artifactType"].as_str().unwrap().to_owned();
    let mut kinds: Vec<String> = registry.referrers("a", &subject()).await?.iter().map(kind).collect();
    kinds.sort();
    Ok(kinds)
}

fn server(referrers: bool, page: usize) -> FaultRegistry {
    let server = FaultRegistry::start();
    server.behave(Behaviour { referrers, page, ..Behaviour::default() });
    server
}

#[tokio::test]
async fn what_refers_is_found_with_and_without_the_api() {
    for (api, page) in [(true, usize::MAX), (true, 1), (false, 1)] {
        let server = server(api, page);
        let registry = registry(&server);
        assert_eq!(kinds(&registry).await.unwrap(), [""; 0]);
        for kind in ["t/one", "t/two", "t/three", "t/one"] {
            let noted = put(&registry, kind).await.unwrap();
            assert_eq!(noted, api.then(subject), "{kind}");
        }
        assert_eq!(kinds(&registry).await.unwrap(), ["t/one", "t/three", "t/two"]);
        let twos = registry.referrers_of_type("a", &subject(), "t/two").await.unwrap();
        assert_eq!(twos.iter().map(|d| &d.digest).collect::<Vec<_>>(), [&referrer("t/two").0.digest]);
        let tag = server.tag("a", &referrers_tag(&subject()));
        assert_eq!(tag.is_none(), api, "the tag is there where the API is not");
    }
}

#[tokio::test]
async fn a_filter_that_is_not_applied_is_applied_here() {
    let server = server(true, usize::MAX);
    let registry = registry(&server);
    for kind in ["t/one", "t/two"] {
        put(&registry, kind).await.unwrap();
    }
    let path = format!("/v2/a/referrers/{}", subject());
    let all = registry.referrers("a", &subject()).await.unwrap();
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": all});
    server.fault("GET", &path, [Fault::Body(index.to_string().into())]);
    assert_eq!(registry.referrers_of_type("a", &subject(), "t/one").await.unwrap().len(), 1);
}

#[tokio::test]
async fn answers_that_are_no_lists_are_errors_and_missing_apis_are_not() {
    let page = |next: String| {
        let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX_TYPE}","manifests":[]}}"#);
        Fault::Answer(Answer::status(200).header("Link", format!("<{next}>; rel=\"next\"")).body(index))
    };
    let far = FaultRegistry::start();
    let own = format!("/v2/a/referrers/{}", subject());
    let many = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX_TYPE,
        "manifests": vec![referrer("t/x").0; 1001]});
    for (fault, good) in [
        (Fault::None, true),
        (Fault::status(404), true),
        (Fault::status(400), true),
        (Fault::status(405), true),
        (Fault::status(403), false),
        (Fault::Body(b"<html>".to_vec()), false),
        (Fault::Body(br#"{"schemaVersion":2,"layers":[],"manifests":[]}"#.to_vec()), false),
        (Fault::Body(many.to_string().into()), false),
        (Fault::EndlessBody, false),
        (page(own), false),
        (page(far.url("/v2/")), false),
    ] {
        let server = server(true, usize::MAX);
        server.fault_always("GET", "/referrers/", fault.clone());
        let result = registry(&server).referrers("a", &subject()).await;
        assert_eq!(result.is_ok(), good, "{fault:?} {result:?}");
        assert!(server.count("GET", "/referrers/") <= 100);
    }
    assert!(far.requests().is_empty());
}

#[tokio::test]
async fn the_index_of_others_is_kept_and_what_is_no_index_is_not_written_over() {
    let tag = referrers_tag(&subject());
    let theirs = Descriptor::of(OCI_MANIFEST, b"theirs");
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [theirs],
        "annotations": {"kept": "yes"}});
    let server = server(false, usize::MAX);
    server.put_manifest("a", &tag, INDEX_TYPE, index.to_string().as_bytes());
    put(&registry(&server), "t/ours").await.unwrap();
    let now = registry(&server).manifest("a", &tag).await.unwrap();
    let text = String::from_utf8_lossy(&now.bytes).into_owned();
    assert!(
        text.contains("kept") && text.contains(theirs.digest.as_str()) && text.contains("t/ours"),
        "{text}"
    );
    // Somebody else's write comes between ours and its check: both are there in the end.
    let (other, _) = referrer("t/other");
    server.fault("HEAD", &tag, [Fault::Header("Docker-Content-Digest", other.digest.to_string())]);
    put(&registry(&server), "t/again").await.unwrap();
    assert_eq!(registry(&server).referrers("a", &subject()).await.unwrap().len(), 3);
    // An image that somebody has given this tag stays.
    let image = server.put_image("a", &tag, &[]);
    assert!(put(&registry(&server), "t/ours").await.is_err());
    assert_eq!(server.tag("a", &tag), Some(image));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_registry_without_the_api_lists_by_tag() {
    if let Err(reason) = testkit::probe::programs(&["docker-registry", "openssl"]) {
        testkit::skip!("{reason}");
    }
    let real = testkit::registry::Registry::start().unwrap();
    let registry = Registry::new(client(), &real.host(), Transport::Automatic, Credentials::Anonymous);
    // This one wants to have what an index lists, and has no subject: artifacts may come first.
    for kind in ["t/one", "t/two"] {
        assert_eq!(put(&registry, kind).await.unwrap(), None);
    }
    assert_eq!(kinds(&registry).await.unwrap(), ["t/one", "t/two"]);
}
