//! Archives of older docker, and archives that lie: each either read as docker reads it, or refused by name.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use endpoint::{Source, archive::ArchiveSource};
use oci::{Digest, Image, Platform, media_type};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use testkit::{
    fault_registry::sha256,
    tar::{self, Entry, Kind},
};
use tokio::io::AsyncReadExt;

/// The entries of an archive, to be changed before it is written.
struct Archive {
    entries: Vec<Entry>,
    config: String,
}

/// Two layers in the form of docker 1.10 to 24: `ID/layer.tar`, where an earlier layer is the same a link to it.
fn old_docker() -> Archive {
    let layer = tar::write(&[Entry::file("etc/name", "old")]);
    let packed = gzip(&layer);
    let ids = [sha256(&layer), sha256(&layer), sha256(&layer)];
    let config = json!({"os": "linux", "architecture": testkit::image::native_architecture(),
        "config": {"Env": ["A=b"]}, "rootfs": {"type": "layers", "diff_ids": ids}})
    .to_string();
    let name = format!("{}.json", Digest::of(config.as_bytes()).hex());
    let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
    let layers = [&a, &b, &c].map(|id| format!("{id}/layer.tar"));
    let manifest = json!([{"Config": name, "RepoTags": ["app:1", "r.example/app:2"], "Layers": layers}]);
    let mut entries = vec![Entry::file(&name, &config)];
    for id in [&a, &b, &c] {
        entries.push(Entry::directory(id));
        entries.push(Entry::file(&format!("{id}/VERSION"), "1.0"));
        entries.push(Entry::file(&format!("{id}/json"), "{}"));
    }
    entries.push(Entry::file(&layers[0], &layer));
    entries.push(Entry::new(&layers[1], Kind::Symlink(format!("../{a}/layer.tar").into())));
    entries.push(Entry::file(&layers[2], packed));
    entries.push(Entry::file("manifest.json", manifest.to_string()));
    entries.push(Entry::file("repositories", json!({"app": {"1": c}}).to_string()));
    Archive { entries, config }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = layer::ParallelGzip::new(Vec::new(), 6, 1).unwrap();
    std::io::Write::write_all(&mut out, bytes).unwrap();
    out.finish().unwrap()
}

impl Archive {
    fn at(&mut self, name: &str) -> &mut Entry {
        self.entries.iter_mut().find(|e| e.path == name.as_bytes()).unwrap()
    }

    /// Changes a JSON file.
    fn edit(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let entry = self.at(name);
        let mut value: Value = serde_json::from_slice(entry.content().unwrap()).unwrap();
        change(&mut value);
        entry.kind = Kind::File(value.to_string().into_bytes());
    }

    fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("a.tar");
        fs::write(&file, tar::write(&self.entries)).unwrap();
        file
    }
}

fn source(file: &Path, name: Option<&str>) -> ArchiveSource {
    ArchiveSource::docker(file.into(), name.map(|n| n.parse().unwrap()), file.parent().unwrap().into())
}

async fn blobs(source: &ArchiveSource, image: &Image) -> Result<(), String> {
    for layer in &image.layers {
        let opened = engine::BlobSource::open(source, &layer.descriptor).await.map_err(|e| e.to_string())?;
        let mut verified = registry::Verified::new(opened, &layer.descriptor.digest, layer.descriptor.size);
        verified.read_to_end(&mut Vec::new()).await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

#[tokio::test]
async fn archives_of_older_docker_are_images_with_a_manifest_that_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let archive = old_docker();
    let file = archive.write(folder.path());
    for name in [None, Some("app:1"), Some("docker.io/library/app:1"), Some("r.example/app:2")] {
        let source = source(&file, name);
        let image = source.image(&Platform::host()).await.unwrap().image;
        assert_eq!(image.config_bytes, archive.config.as_bytes());
        assert_eq!(image.descriptor.media_type, media_type::OCI_MANIFEST);
        let kinds: Vec<&str> = image.layers.iter().map(|l| l.descriptor.media_type.as_str()).collect();
        let (plain, packed) = (media_type::OCI_LAYER, media_type::OCI_LAYER_GZIP);
        assert_eq!(kinds, [plain, plain, packed]);
        blobs(&source, &image).await.unwrap();
    }
    let first = source(&file, None).named().await.unwrap();
    assert_eq!(
        first.bytes,
        source(&file, None).named().await.unwrap().bytes,
        "it is made the same way each time"
    );
}

#[tokio::test]
async fn a_layout_that_says_otherwise_than_manifest_json_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = old_docker();
    let layer = tar::write(&[Entry::file("etc/name", "other")]);
    let config = json!({"os": "linux", "architecture": testkit::image::native_architecture(),
        "rootfs": {"type": "layers", "diff_ids": [sha256(&layer)]}})
    .to_string();
    let blob = |bytes: &[u8]| Entry::file(&format!("blobs/sha256/{}", Digest::of(bytes).hex()), bytes);
    let descriptor =
        |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": sha256(bytes), "size": bytes.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(media_type::OCI_CONFIG, config.as_bytes()),
        "layers": [descriptor(media_type::OCI_LAYER, &layer)]})
    .to_string();
    let index =
        json!({"schemaVersion": 2, "manifests": [descriptor(media_type::OCI_MANIFEST, manifest.as_bytes())]});
    archive.entries.extend([blob(&layer), blob(config.as_bytes()), blob(manifest.as_bytes())]);
    archive.entries.push(Entry::file("index.json", index.to_string()));
    archive.entries.push(Entry::file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#));
    let file = archive.write(folder.path());
    let image = source(&file, None).image(&Platform::host()).await.unwrap().image;
    assert_eq!(image.config_bytes, archive.config.as_bytes());
    // Asked as a layout, it is that one.
    let oci = ArchiveSource::oci(file.clone(), None, folder.path().into());
    assert_eq!(oci.image(&Platform::host()).await.unwrap().image.config_bytes, config.as_bytes());
}

/// One change to an archive that was sound, and a part of what is said of it.
type Damage = (&'static str, fn(&mut Archive), &'static str);

#[tokio::test]
async fn archives_that_lie_are_refused() {
    let damages: [Damage; 13] = [
        ("no manifest.json", |a| a.entries.retain(|e| e.path != b"manifest.json"), "no manifest.json"),
        ("not JSON", |a| a.at("manifest.json").kind = Kind::File(b"[{".to_vec()), "not valid"),
        ("no image", |a| a.edit("manifest.json", |m| *m = json!([])), "names no image"),
        ("config absent", |a| a.edit("manifest.json", |m| m[0]["Config"] = "x.json".into()), "is not in it"),
        ("config outside", |a| a.edit("manifest.json", |m| m[0]["Config"] = "../x".into()), "no name inside"),
        ("layer absent", |a| a.edit("manifest.json", |m| m[0]["Layers"][1] = "x".into()), "is not in it"),
        (
            "layer a folder",
            |a| a.edit("manifest.json", |m| m[0]["Layers"][1] = "a".repeat(64).into()),
            "no regular file",
        ),
        (
            "a layer less",
            |a| a.edit("manifest.json", |m| drop(m[0]["Layers"].as_array_mut().unwrap().pop())),
            "3 diff ids",
        ),
        ("manifest.json huge", |a| a.at("manifest.json").kind = Kind::File(vec![b' '; 5 << 20]), "more than"),
        (
            "link to itself",
            |a| {
                let name = format!("{}/layer.tar", "b".repeat(64));
                a.at(&name).kind = Kind::Symlink(b"layer.tar".to_vec());
            },
            "too often",
        ),
        (
            "link outside",
            |a| {
                let name = format!("{}/layer.tar", "b".repeat(64));
                a.at(&name).kind = Kind::Symlink(b"../../../etc/passwd".to_vec());
            },
            "no regular file",
        ),
        (
            "config changed",
            |a| {
                let entry = &mut a.entries[0];
                entry.kind = Kind::File(
                    entry.content().unwrap().iter().map(|b| if *b == b'A' { b'B' } else { *b }).collect(),
                );
            },
            "the digest of",
        ),
        (
            "empty layer",
            |a| a.at(&format!("{}/layer.tar", "c".repeat(64))).kind = Kind::File(Vec::new()),
            "is empty",
        ),
    ];
    for (what, damage, said) in damages {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = old_docker();
        damage(&mut archive);
        let file = archive.write(folder.path());
        let error = source(&file, None).named().await.unwrap_err().to_string();
        assert!(error.contains(said), "{what}: {error}");
        assert!(!error.contains('\n') && error.len() < 600, "{what}: {error}");
    }
}

#[tokio::test]
async fn a_layer_that_is_not_what_the_config_says_fails_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = old_docker();
    let name = format!("{}/layer.tar", "a".repeat(64));
    archive.at(&name).kind = Kind::File(tar::write(&[Entry::file("etc/name", "evil")]));
    let source = source(&archive.write(folder.path()), None);
    let image = source.image(&Platform::host()).await.unwrap().image;
    assert!(blobs(&source, &image).await.is_err());
}

#[tokio::test]
async fn one_of_several_images_has_to_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = old_docker();
    let other = archive.config.replace("A=b", "A=c");
    let name = format!("{}.json", Digest::of(other.as_bytes()).hex());
    archive.entries.push(Entry::file(&name, &other));
    archive.edit("manifest.json", |m| {
        let mut second = m[0].clone();
        (second["Config"], second["RepoTags"]) = (name.into(), json!(["evil\u{1b}name", "app:9"]));
        m.as_array_mut().unwrap().push(second);
    });
    let file = archive.write(folder.path());
    let error = source(&file, None).named().await.unwrap_err().to_string();
    assert!(
        error.contains("there is docker.io/library/app:1, r.example/app:2, docker.io/library/app:9"),
        "{error}"
    );
    let found = source(&file, Some("app:9")).image(&Platform::host()).await.unwrap();
    assert_eq!(found.image.config_bytes, other.as_bytes());
}
