//! Archives written and read; other tools judge what was written.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use endpoint::{
    Content, Error, WriteRequest,
    archive::{BaseBlobs, LoadTar, Root, TarSent, write_load_tar},
};
use engine::CancellationToken;
use oci::{Digest, Reference};
use serde_json::Value;
use setup::{NEW, amd64, connections, layers, patched, server};
use std::{collections::BTreeMap, fs, path::Path};
use testkit::command::argv;

/// A tar for loading of the test image, patched; with what it says of itself.
async fn load_tar(dir: &Path, names: &[&str], base: BaseBlobs) -> (Result<TarSent, Error>, Content) {
    let server = server();
    let address = format!("{}/team/app:v1", server.host()).parse().unwrap();
    let source = connections().source(&address).await.unwrap();
    let image = patched(&source.image(&amd64()).await.unwrap().image);
    let new = dir.join("new");
    fs::write(&new, NEW).unwrap();
    let content = Content::patched(image, &[(Digest::of(NEW), new)].into());
    let names: Vec<Reference> = names.iter().map(|n| n.parse().unwrap()).collect();
    let request = WriteRequest {
        content: &content,
        source: &*source,
        progress: &|_, _, _| {},
        cancel: &CancellationToken::new(),
    };
    let tar = LoadTar { root: Root::Whole, names: &names, base };
    let out = tokio::fs::File::create(dir.join("load.tar")).await.unwrap();
    let sent = write_load_tar(&request, &tar, out).await;
    (sent, content)
}

/// Names and contents of the files in a tar.
fn entries(tar: &Path) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    argv("tar", ["-xf"]).arg(tar).arg("-C").arg(dir.path()).stdout().unwrap();
    let list = argv("tar", ["-tf"]).arg(tar).stdout().unwrap();
    let names = String::from_utf8(list).unwrap();
    let files = names.lines().filter(|name| !name.ends_with('/'));
    files.map(|name| (name.to_owned(), fs::read(dir.path().join(name)).unwrap())).collect()
}

#[tokio::test]
async fn a_tar_for_loading_has_empty_entries_for_what_is_there_already() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = layers();
    let base = BaseBlobs::Empty([Digest::of(&a), Digest::of(NEW)].into());
    let (sent, content) = load_tar(dir.path(), &["app:v2", "r.example/app"], base).await;
    let sent = sent.unwrap();
    assert_eq!((sent.empty, sent.base_bytes), (1, b.len() as u64));
    let names: Vec<&str> = sent.names.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["docker.io/library/app:v2", "r.example/app:latest"]);
    let entries = entries(&dir.path().join("load.tar"));
    let size = |bytes: &[u8]| entries[&format!("blobs/sha256/{}", Digest::of(bytes).hex())].len();
    assert_eq!((size(&a), size(&b), size(NEW)), (0, b.len(), NEW.len()));
    let index: Value = serde_json::from_slice(&entries["index.json"]).unwrap();
    let annotations = &index["manifests"][0]["annotations"];
    assert_eq!(annotations["io.containerd.image.name"], "docker.io/library/app:v2");
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "v2");
    assert_eq!(index["manifests"][1]["annotations"]["org.opencontainers.image.ref.name"], "latest");
    assert_eq!(index["manifests"][0]["digest"], content.descriptor().digest.as_str());
    let docker: Value = serde_json::from_slice(&entries["manifest.json"]).unwrap();
    assert_eq!(docker[0]["RepoTags"][1], "r.example/app:latest");
    assert_eq!(docker[0]["Layers"].as_array().unwrap().len(), 3);
    for path in docker[0]["Layers"].as_array().unwrap().iter().chain([&docker[0]["Config"]]) {
        assert!(entries.contains_key(path.as_str().unwrap()), "{path}");
    }
    let listed = argv("tar", ["-tvf"]).arg(dir.path().join("load.tar")).stdout().unwrap();
    let listed = String::from_utf8(listed).unwrap();
    assert!(listed.lines().all(|line| line.contains(" 0/0 ") && line.contains(" 1970-01-01 ")), "{listed}");
}
