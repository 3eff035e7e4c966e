//! Documents from outside: what is ambiguous, oversized or of another kind is refused; what is unusual but sound is not.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use oci::{Config, Digest, Document, Error, Image, Index, limits, media_type::*};
use serde_json::{Value, json};

fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

fn layer(kind: &str, size: Value) -> Value {
    json!({"mediaType": kind, "digest": digest("layer"), "size": size})
}

fn manifest(layers: Vec<Value>) -> Value {
    let config = json!({"mediaType": OCI_CONFIG, "digest": digest("config"), "size": 6});
    json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers})
}

fn parse(value: &Value, content_type: Option<&str>) -> Result<Document, Error> {
    Document::parse(value.to_string().as_bytes(), content_type).map(|(document, _)| document)
}

/// The value with one field changed, or removed where it is null.
fn with(mut value: Value, key: &str, field: Value) -> Value {
    let map = value.as_object_mut().unwrap();
    if field.is_null() {
        drop(map.remove(key))
    } else {
        drop(map.insert(key.to_owned(), field))
    }
    value
}

#[test]
fn sound_documents_are_taken_whatever_the_transport_leaves_out() {
    let docker =
        with(manifest(vec![layer(DOCKER_LAYER_GZIP, json!(1))]), "mediaType", json!(DOCKER_MANIFEST));
    let untyped = with(manifest(vec![]), "mediaType", Value::Null);
    for (value, content_type) in [
        (manifest(vec![]), None),
        (manifest(vec![layer(OCI_LAYER, json!(0)), layer(OCI_LAYER_ZSTD, json!(5))]), Some(OCI_MANIFEST)),
        (manifest(vec![]), Some("application/json; charset=utf-8")),
        (manifest(vec![]), Some("application/vnd.oci.image.manifest.v1+json; x=y")),
        (untyped.clone(), Some(OCI_MANIFEST)),
        (untyped, None),
        (docker, Some(DOCKER_MANIFEST)),
    ] {
        assert!(matches!(parse(&value, content_type), Ok(Document::Manifest(_))), "{content_type:?} {value}");
    }
    let index = json!({"schemaVersion": 2, "manifests": []});
    assert!(matches!(parse(&index, None), Ok(Document::Index(_))));
}

#[test]
fn documents_of_two_meanings_are_refused() {
    let both = with(manifest(vec![]), "manifests", json!([]));
    let bare_index = json!({"schemaVersion": 2, "manifests": []});
    for (value, content_type) in [
        (both.clone(), None),
        (with(both, "mediaType", Value::Null), Some(OCI_INDEX)),
        (manifest(vec![]), Some(OCI_INDEX)),
        (manifest(vec![]), Some(DOCKER_MANIFEST)),
        (with(manifest(vec![]), "mediaType", json!(OCI_INDEX)), None),
        (bare_index.clone(), Some(OCI_MANIFEST)),
        (with(bare_index, "schemaVersion", json!("2")), None),
        (json!([]), None),
        (json!({}), None),
    ] {
        assert!(
            matches!(parse(&value, content_type), Err(Error::Invalid { .. })),
            "{content_type:?} {value}"
        );
    }
}

#[test]
fn what_cannot_be_patched_is_named() {
    let config_type = |kind: &str| {
        let mut value = manifest(vec![]);
        value["config"]["mediaType"] = json!(kind);
        value
    };
    for (value, named) in [
        (json!({"schemaVersion": 1, "fsLayers": []}), "schema 1"),
        (config_type("application/vnd.cncf.helm.config.v1+json"), "helm"),
        (
            manifest(vec![layer("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", json!(1))]),
            "encrypted",
        ),
        (
            manifest(vec![layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", json!(1))]),
            "foreign",
        ),
        (
            manifest(vec![layer("application/vnd.oci.image.layer.nondistributable.v1.tar", json!(1))]),
            "nondist",
        ),
        (with(manifest(vec![]), "mediaType", json!("text/html")), "text/html"),
    ] {
        let error = parse(&value, None).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)) && error.to_string().contains(named), "{error}");
    }
}

#[test]
fn sizes_digests_and_numbers_that_lie_are_refused() {
    let digest_of = |text: &str| with(layer(OCI_LAYER_GZIP, json!(1)), "digest", json!(text));
    let many = vec![layer(OCI_LAYER_GZIP, json!(1)); limits::LAYERS_MAX + 1];
    let mut huge_config = manifest(vec![]);
    huge_config["config"]["size"] = json!(limits::CONFIG_BYTES_MAX + 1);
    for value in [
        manifest(vec![layer(OCI_LAYER_GZIP, json!(-1))]),
        manifest(vec![layer(OCI_LAYER_GZIP, json!(1_u64 << 63))]),
        manifest(vec![layer(OCI_LAYER_GZIP, json!(1.5))]),
        manifest(vec![layer(OCI_LAYER_GZIP, json!(limits::BLOB_BYTES_MAX + 1))]),
        manifest(vec![digest_of("sha256:../../x")]),
        manifest(vec![digest_of(&digest("x").to_uppercase())]),
        manifest(vec![digest_of(&format!("sha512:{}", "a".repeat(128)))]),
        manifest(vec![digest_of("")]),
        manifest(many),
        huge_config,
    ] {
        assert!(parse(&value, None).is_err(), "{value:.300}");
    }
    let most = vec![layer(OCI_LAYER_GZIP, json!(limits::BLOB_BYTES_MAX)); limits::LAYERS_MAX];
    assert!(parse(&manifest(most), None).is_ok());
    let padded = format!("{}{}", manifest(vec![]), " ".repeat(limits::MANIFEST_BYTES_MAX as usize));
    assert!(Document::parse(padded.as_bytes(), None).is_err());
    let deep = "[".repeat(100_000);
    assert!(Document::parse(format!("{{\"schemaVersion\":2,\"x\":{deep}").as_bytes(), None).is_err());
}

#[test]
fn indexes_are_bounded_and_attestations_are_no_platform() {
    let entry = |os: &str, architecture: &str| {
        json!({"mediaType": OCI_MANIFEST, "digest": digest(architecture), "size": 1,
            "platform": {"os": os, "architecture": architecture}})
    };
    let index =
        |entries: Vec<Value>| json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
    let value = index(vec![entry("linux", "amd64"), entry("unknown", "unknown"), entry("linux", "arm64")]);
    let Document::Index(found) = parse(&value, None).unwrap() else { panic!("an index is an index") };
    let platforms: Vec<String> = found.platforms().iter().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert!(Index::platform(&found.manifests[1]).is_none());
    let (most, more) = (limits::INDEX_ENTRIES_MAX, limits::INDEX_ENTRIES_MAX + 1);
    assert!(parse(&index(vec![entry("linux", "amd64"); most]), None).is_ok());
    assert!(parse(&index(vec![entry("linux", "amd64"); more]), None).is_err());
}

#[test]
fn configs_must_name_their_platform_and_may_have_no_layers() {
    let config =
        json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}});
    let null = with(config.clone(), "rootfs", json!({"type": "layers", "diff_ids": null}));
    for good in [&config, &null] {
        assert_eq!(Config::parse(good.to_string().as_bytes()).unwrap().diff_ids(), Ok(vec![]), "{good}");
    }
    for bad in [
        with(config.clone(), "os", Value::Null),
        with(config.clone(), "architecture", json!("")),
        with(config.clone(), "rootfs", Value::Null),
        with(config.clone(), "rootfs", json!({"diff_ids": ["sha256:x"]})),
        with(config.clone(), "rootfs", json!({"diff_ids": {}})),
        json!([]),
    ] {
        assert!(Config::parse(bad.to_string().as_bytes()).is_err(), "{bad}");
    }
    let huge = with(config, "x", json!("y".repeat(limits::CONFIG_BYTES_MAX as usize)));
    assert!(Config::parse(huge.to_string().as_bytes()).is_err());
}

#[test]
fn parts_belong_together_by_digest_size_and_number() {
    let bytes =
        |ids: Value| json!({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ids}}).to_string();
    let image = |config: &str, named: &str, size: u64, layers: Vec<Value>| {
        let mut value = manifest(layers);
        value["config"]["digest"] = json!(digest(named));
        value["config"]["size"] = json!(size);
        Image::new(value.to_string().into_bytes(), None, config.as_bytes().to_vec())
    };
    let (none, one) = (bytes(json!([])), bytes(json!([digest("tar")])));
    let a_layer = || vec![layer(OCI_LAYER_GZIP, json!(0))];
    assert_eq!(image(&none, &none, none.len() as u64, vec![]).unwrap().layers.len(), 0);
    assert_eq!(image(&one, &one, one.len() as u64, a_layer()).unwrap().layers.len(), 1);
    assert!(image(&one, &none, one.len() as u64, a_layer()).is_err());
    assert!(image(&one, &one, one.len() as u64 - 1, a_layer()).is_err());
    assert!(image(&one, &one, one.len() as u64, vec![]).is_err());
    assert!(image(&none, &none, none.len() as u64, a_layer()).is_err());
}

#[test]
fn no_document_makes_the_parser_panic() {
    let sound = manifest(vec![layer(OCI_LAYER_GZIP, json!(1))]).to_string().into_bytes();
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..20_000 {
        let mut bytes = sound.clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(bytes.len() - random(3));
        // Whatever is taken is sound by itself.
        if let Ok((Document::Manifest(manifest), _)) = Document::parse(&bytes, None) {
            assert_eq!(manifest.schema_version, 2);
            assert!(manifest.layers.iter().all(|l| l.size <= limits::BLOB_BYTES_MAX));
        }
    }
}
