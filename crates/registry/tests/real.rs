//! A real registry: plain, with a password, with TLS.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use fetch::client::PartSettings;
use oci::{Descriptor, Digest};
use registry::{Body, Client, ClientOptions, Credentials, Error, Registry, Secret, Transport, Verified};
use testkit::registry::{Access, PASSWORD, Registry as Real, USER};
use tokio::io::AsyncReadExt;

const CONFIG: &[u8] = br#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;

fn credentials() -> Credentials {
    Credentials::Basic { username: USER.into(), password: Secret::new(PASSWORD) }
}

/// Pushes a blob and a manifest, mounts the blob elsewhere, reads all of it back.
async fn round_trip(registry: &Registry) {
    let layer: Vec<u8> = (0..3 << 20).map(|n| (n / 1000) as u8).collect();
    let blob = Descriptor::of("application/octet-stream", &layer);
    assert!(!registry.has_blob("a/b", &blob.digest, blob.size).await.unwrap());
    registry.upload_blob("a/b", &blob.digest, Body::Bytes(layer.clone().into())).await.unwrap();
    assert!(registry.has_blob("a/b", &blob.digest, blob.size).await.unwrap());
    assert!(registry.mount_blob("c/d", &blob.digest, "a/b").await.unwrap());
    let mut back = Vec::new();
    let reader = registry.open_blob("c/d", &blob).await.unwrap();
    Verified::new(reader, &blob.digest, blob.size).read_to_end(&mut back).await.unwrap();
    assert_eq!(back, layer);
    registry.upload_blob("a/b", &Digest::of(CONFIG), Body::Bytes(CONFIG.into())).await.unwrap();
    let config = Descriptor::of(oci::media_type::OCI_CONFIG, CONFIG);
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": oci::media_type::OCI_MANIFEST,
        "config": config, "layers": []});
    let bytes = bytes::Bytes::from(manifest.to_string());
    let kind = oci::media_type::OCI_MANIFEST;
    assert_eq!(registry.manifest_digest("a/b", "v1").await.unwrap(), None);
    let digest = registry.put_manifest("a/b", "v1", kind, bytes.clone()).await.unwrap();
    assert_eq!(registry.manifest_digest("a/b", "v1").await.unwrap(), Some(digest.clone()));
    assert_eq!(registry.manifest("a/b", digest.as_str()).await.unwrap().bytes, bytes);
    assert_eq!(registry.tags("a/b").await.unwrap(), ["v1"]);
    assert!(matches!(registry.manifest("a/b", "v2").await, Err(Error::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn push_mount_and_pull_work_with_a_real_registry() {
    if let Err(reason) = testkit::probe::programs(&["docker-registry", "openssl"]) {
        testkit::skip!("{reason}");
    }
    for access in
        [Access::default(), Access { password: true, tls: false }, Access { password: true, tls: true }]
    {
        let real = Real::start_with(access).unwrap();
        let who = if access.password { credentials() } else { Credentials::Anonymous };
        let ca_pem = access.tls.then(|| std::fs::read(real.ca_certificate()).unwrap());
        // The layer of 3 MiB comes in twelve parts.
        let parts = PartSettings { from: 1 << 20, size: 256 << 10, ..PartSettings::default() };
        let client = Client::new(ClientOptions { ca_pem, parts, ..ClientOptions::default() }).unwrap();
        round_trip(&Registry::new(client, &real.host(), Transport::Automatic, who)).await;
        let is_part = |r: &&testkit::registry::Request| r.path.contains("/blobs/") && r.status == 206;
        assert_eq!(real.requests().unwrap().iter().filter(is_part).count(), 12);
        if access.password {
            let nobody =
                Registry::new(setup::client(), &real.host(), Transport::Automatic, Credentials::Anonymous);
            let error = nobody.manifest("a/b", "v1").await.unwrap_err();
            let tls =
                access.tls && matches!(error, Error::Http { source: fetch::client::Error::Tls { .. }, .. });
            assert!(tls || matches!(error, Error::Denied { .. }), "{error:?}");
        }
    }
}
