//! Reading from and writing to an OCI layout directory; other tools judge what was written.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use endpoint::{Destination, Error, LayoutDestination, LayoutSource, Source};
use engine::{BlobSource, CancellationToken};
use serde_json::{Value, json};
use setup::{NEW, amd64, connections, patch_to, server, write_with};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
};
use testkit::command::argv;

fn source(dir: &Path, tag: Option<&str>) -> LayoutSource {
    LayoutSource::new(dir.to_owned(), tag.map(str::to_owned))
}

fn destination(dir: &Path, tag: Option<&str>) -> LayoutDestination {
    LayoutDestination::new(dir.to_owned(), tag.map(str::to_owned), false)
}

/// A layout that holds the test image as `v1`, written by us from a registry.
async fn layout() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let server = server();
    let address = format!("{}/team/app:v1", server.host()).parse().unwrap();
    let from = connections().source(&address).await.unwrap();
    patch_to(&*from, &destination(dir.path(), Some("v1"))).await.result.unwrap();
    dir
}

fn index(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("index.json")).unwrap()).unwrap()
}

fn blob_path(dir: &Path, digest: &str) -> PathBuf {
    dir.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap())
}

/// Every file below, with its bytes.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path))
        } else {
            all.push((path.clone(), fs::read(&path).unwrap()))
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn what_is_written_reads_back_the_same() {
    let dir = layout().await;
    let first = source(dir.path(), Some("v1")).image(&amd64()).await.unwrap();
    let written = patch_to(&source(dir.path(), Some("v1")), &destination(dir.path(), Some("v2"))).await;
    let receipt = written.result.unwrap();
    assert_eq!((receipt.base_bytes_uploaded, receipt.base_bytes_copied), (0, 0));
    let second = source(dir.path(), Some("v2")).image(&amd64()).await.unwrap();
    assert_eq!(second.image, written.image);
    assert_eq!(second.digest, receipt.digest);
    assert_eq!(source(dir.path(), Some("v1")).image(&amd64()).await.unwrap().image, first.image);
    assert!(!files(dir.path()).iter().any(|(path, _)| path.to_string_lossy().contains(".copa-tmp")));
    let before = files(dir.path());
    patch_to(&source(dir.path(), Some("v1")), &destination(dir.path(), Some("v2"))).await.result.unwrap();
    let names = |all: Vec<(PathBuf, Vec<u8>)>| all.into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(names(files(dir.path())), names(before));
}

#[tokio::test]
async fn other_tools_accept_what_is_written() {
    if let Err(reason) = testkit::probe::programs(&["skopeo"]) {
        testkit::skip!("{reason}");
    }
    let dir = layout().await;
    let image = source(dir.path(), Some("v1")).image(&amd64()).await.unwrap();
    let inspect =
        argv("skopeo", ["inspect"]).arg(format!("oci:{}:v1", dir.path().display())).stdout().unwrap();
    let seen: Value = serde_json::from_slice(inspect.as_ref()).unwrap();
    assert_eq!(seen["Digest"], image.digest.as_str());
    assert_eq!(seen["Layers"].as_array().unwrap().len(), 3);
    let copy = tempfile::tempdir().unwrap();
    let to = format!("oci:{}:copied", copy.path().join("l").display());
    argv("skopeo", ["copy", "--quiet", "--preserve-digests"])
        .arg(format!("oci:{}:v1", dir.path().display()))
        .arg(to)
        .stdout()
        .unwrap();
    let copied = source(&copy.path().join("l"), Some("copied")).image(&amd64()).await.unwrap();
    assert_eq!(copied.image, image.image);
}

#[tokio::test]
async fn entries_of_other_names_are_kept_as_they_are() {
    let dir = layout().await;
    let mut before = index(dir.path());
    let strange = json!({"mediaType": "application/x", "digest": testkit::fault_registry::sha256(b"x"), "size": 1,
        "annotations": {"org.opencontainers.image.ref.name": "theirs", "k": "v"}, "unknown": [1, 2]});
    before["manifests"].as_array_mut().unwrap().push(strange.clone());
    before["theirs"] = json!({"a": 1});
    fs::write(dir.path().join("index.json"), before.to_string()).unwrap();
    patch_to(&source(dir.path(), Some("v1")), &destination(dir.path(), Some("v2"))).await.result.unwrap();
    let after = index(dir.path());
    let entries = after["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 3);
    assert!(entries.contains(&strange) && entries.contains(&before["manifests"][0]));
    assert_eq!(after["theirs"], json!({"a": 1}));
}

#[tokio::test]
async fn names_are_found_or_listed() {
    let dir = layout().await;
    assert!(source(dir.path(), None).image(&amd64()).await.is_ok());
    patch_to(&source(dir.path(), Some("v1")), &destination(dir.path(), Some("v2"))).await.result.unwrap();
    for tag in [None, Some("v3")] {
        let error = source(dir.path(), tag).image(&amd64()).await.unwrap_err();
        assert!(error.to_string().ends_with("there is v1, v2"), "{error}");
    }
    let same = destination(dir.path(), Some("v1"));
    let written = patch_to(&source(dir.path(), Some("v1")), &same).await;
    assert!(matches!(written.result, Err(Error::SourceTag { .. })));
    let error = source(dir.path(), Some("v1")).image(&"linux/arm64".parse().unwrap()).await.unwrap_err();
    assert!(
        error.to_string().contains("linux/amd64") && error.to_string().contains("linux/arm64"),
        "{error}"
    );
    assert!(same.current().await.unwrap().is_some());
    assert!(destination(dir.path(), Some("v9")).current().await.unwrap().is_none());
    assert!(destination(&dir.path().join("absent"), None).current().await.unwrap().is_none());
}

/// One hostile change to a layout that was sound.
type Damage = fn(&Path, digest: &str);

#[tokio::test]
async fn hostile_layouts_are_refused() {
    let damages: [(&str, Damage); 12] = [
        ("no oci-layout", |d, _| fs::remove_file(d.join("oci-layout")).unwrap()),
        ("other version", |d, _| {
            fs::write(d.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap()
        }),
        ("no index", |d, _| fs::remove_file(d.join("index.json")).unwrap()),
        ("index not JSON", |d, _| fs::write(d.join("index.json"), "[").unwrap()),
        ("index huge", |d, _| fs::write(d.join("index.json"), vec![b' '; 5 << 20]).unwrap()),
        ("index a link", |d, _| {
            fs::rename(d.join("index.json"), d.join("real.json")).unwrap();
            symlink("real.json", d.join("index.json")).unwrap();
        }),
        ("manifest a link", |d, m| {
            fs::rename(blob_path(d, m), d.join("real")).unwrap();
            symlink("../../real", blob_path(d, m)).unwrap();
        }),
        ("manifest absent", |d, m| fs::remove_file(blob_path(d, m)).unwrap()),
        ("manifest changed", |d, m| {
            let text = fs::read_to_string(blob_path(d, m)).unwrap();
            fs::write(blob_path(d, m), text.replace("\"size\":70000", "\"size\":70001")).unwrap();
        }),
        ("manifest longer", |d, m| {
            let text = fs::read_to_string(blob_path(d, m)).unwrap();
            fs::write(blob_path(d, m), text + " ").unwrap();
        }),
        ("manifest a pipe", |d, m| {
            fs::remove_file(blob_path(d, m)).unwrap();
            argv("mkfifo", [blob_path(d, m)]).stdout().unwrap();
        }),
        ("blobs a link", |d, _| {
            fs::rename(d.join("blobs"), d.join("real")).unwrap();
            symlink("real", d.join("blobs")).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let dir = layout().await;
        let manifest = index(dir.path())["manifests"][0]["digest"].as_str().unwrap().to_owned();
        assert!(source(dir.path(), Some("v1")).image(&amd64()).await.is_ok());
        damage(dir.path(), &manifest);
        let result = source(dir.path(), Some("v1")).image(&amd64()).await;
        assert!(result.is_err(), "{name}");
    }
    let absent = source(Path::new("/nonexistent/x"), None).image(&amd64()).await.unwrap_err();
    assert!(matches!(absent, Error::NotFound { .. }), "{absent:?}");
}

#[tokio::test]
async fn blobs_are_opened_by_their_very_size_and_no_link_is_followed() {
    let dir = layout().await;
    let image = source(dir.path(), Some("v1")).image(&amd64()).await.unwrap().image;
    let layer = image.layers[0].descriptor.clone();
    assert!(source(dir.path(), None).open(&layer).await.is_ok());
    let mut longer = layer.clone();
    longer.size += 1;
    assert!(source(dir.path(), None).open(&longer).await.is_err());
    let path = blob_path(dir.path(), layer.digest.as_str());
    fs::remove_file(&path).unwrap();
    symlink("/etc/passwd", &path).unwrap();
    assert!(source(dir.path(), None).open(&layer).await.is_err());
}

#[tokio::test]
async fn a_failed_write_leaves_the_layout_as_it_was() {
    let dir = layout().await;
    let before = index(dir.path());
    let never = CancellationToken::new();
    let (from, to) = (source(dir.path(), Some("v1")), destination(dir.path(), Some("v2")));
    let written = write_with(&from, &to, b"not the layer", &never).await;
    // The new layer is in the layout already, so its file is not read; take it away to see the file refused.
    assert!(written.result.is_ok());
    fs::write(dir.path().join("index.json"), before.to_string()).unwrap();
    let path = blob_path(dir.path(), oci::Digest::of(NEW).as_str());
    fs::remove_file(&path).unwrap();
    let written = write_with(&source(dir.path(), Some("v1")), &to, b"not the layer", &never).await;
    assert!(matches!(written.result, Err(Error::Blob { .. })), "{:?}", written.result);
    assert_eq!(index(dir.path()), before);
    assert!(!path.exists());
    assert!(!files(dir.path()).iter().any(|(path, _)| path.to_string_lossy().contains(".copa-tmp")));
}

#[tokio::test]
async fn a_damaged_blob_is_replaced_and_leftovers_go() {
    let (sound, dir) = (layout().await, layout().await);
    let path = blob_path(dir.path(), oci::Digest::of(NEW).as_str());
    for damage in [vec![b'x'; NEW.len()], b"short".to_vec()] {
        fs::write(&path, damage).unwrap();
        fs::write(dir.path().join(".copa-tmp-1-1"), "left by a run that was killed").unwrap();
        let written = patch_to(&source(sound.path(), Some("v1")), &destination(dir.path(), Some("v2"))).await;
        assert!(written.result.unwrap().bytes_uploaded >= NEW.len() as u64);
        assert_eq!(fs::read(&path).unwrap(), NEW);
        assert!(!dir.path().join(".copa-tmp-1-1").exists());
    }
}

#[tokio::test]
async fn writers_take_turns() {
    let dir = layout().await;
    let names: Vec<String> = (0..8).map(|n| format!("t{n}")).collect();
    let shared = Arc::new(dir);
    let writers = names.iter().map(|name| {
        let (dir, name) = (shared.clone(), name.clone());
        tokio::spawn(async move {
            let from = source(dir.path(), Some("v1"));
            patch_to(&from, &destination(dir.path(), Some(&name))).await.result.map(|_| ())
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    for name in &names {
        assert!(source(shared.path(), Some(name)).image(&amd64()).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_folder_that_is_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let from = layout().await;
    let written = patch_to(&source(from.path(), Some("v1")), &destination(dir.path(), Some("v1"))).await;
    assert!(matches!(written.result, Err(Error::Layout { .. })));
    assert_eq!(files(dir.path()).len(), 1);
}

#[tokio::test]
async fn platforms_under_one_name_are_told_apart() {
    let dir = layout().await;
    let mut all = index(dir.path());
    let mut other = all["manifests"][0].clone();
    other["platform"]["architecture"] = json!("arm64");
    other["digest"] = json!(testkit::fault_registry::sha256(b"absent"));
    all["manifests"].as_array_mut().unwrap().insert(0, other);
    fs::write(dir.path().join("index.json"), all.to_string()).unwrap();
    let found = source(dir.path(), Some("v1")).image(&amd64()).await.unwrap();
    assert_eq!((found.image.platform(), found.platforms.len()), (amd64(), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_write_never_appears_and_a_told_one_does() {
    let dir = layout().await;
    for micros in (0..30_000).step_by(1_500) {
        let tag = format!("at{micros}");
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let stopping = tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_micros(micros)).await;
            stop.cancel();
        });
        let from = source(dir.path(), Some("v1"));
        let written = write_with(&from, &destination(dir.path(), Some(&tag)), NEW, &cancel).await;
        stopping.await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let appeared = destination(dir.path(), Some(&tag)).current().await.unwrap().is_some();
        match written.result {
            Ok(_) => assert!(appeared, "{tag}"),
            Err(Error::Cancelled) => assert!(!appeared, "{tag}"),
            Err(error) => panic!("{tag}: {error}"),
        }
    }
}
