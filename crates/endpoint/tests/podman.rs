//! A real podman as source and destination: only what its store lacks is brought, and what is there runs.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

mod setup;

use endpoint::{
    Destination, Error, LayoutSource, Load, LocalName, Podman, PodmanDestination, PodmanSource, Programs,
    Source,
};
use engine::CancellationToken;
use setup::{amd64, patch_really, real, write_really};
use testkit::daemon::Podman as Store;
use testkit::image::Layout;
use testkit::{probe, skip, tiny_image};

fn needs() -> Result<(), String> {
    probe::first_reason([Store::probe(), tiny_image::needs()])
}

fn name(text: &str) -> LocalName {
    text.parse().unwrap()
}

fn reach(store: &Store) -> Podman {
    let environment = store.environment().into_iter().map(|(name, value)| (name.into(), value)).collect();
    Podman::find(&Programs { folders: vec![store.programs()], environment }).unwrap()
}

fn tiny() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("layout")).unwrap();
    layout.add("tiny", &tiny_image::image("amd64").unwrap()).unwrap();
    (folder, layout)
}

fn source(store: &Store, text: &str, folder: &tempfile::TempDir) -> PodmanSource {
    PodmanSource::new(reach(store), name(text), folder.path().to_owned())
}

fn destination(store: &Store, text: &str) -> PodmanDestination {
    PodmanDestination::new(reach(store), &name(text), false).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_come_and_go() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (folder, layout) = tiny();
    let store = Store::start().unwrap();
    assert!(reach(&store).version().await.unwrap().starts_with(|c: char| c.is_ascii_digit()));

    // From elsewhere it is brought whole.
    let from = LayoutSource::new(layout.directory().to_owned(), Some("tiny".into()));
    let to = destination(&store, "tiny:1");
    let whole = patch_really(&from, &to).await;
    let receipt = whole.result.unwrap();
    assert_eq!((receipt.load, &receipt.notes), (Some(Load::Full), &Vec::new()));
    assert_eq!(to.current().await.unwrap(), Some(receipt.digest));

    // From there and back only the new layer is: the same one again, so that one base layer is left out. Its config is as it was; the manifest is that of an archive.
    let own = source(&store, "tiny:1", &folder);
    let found = own.image(&amd64()).await.unwrap();
    assert_eq!(found.image.config_bytes, whole.image.config_bytes);
    let thin = patch_really(&own, &destination(&store, "tiny:2")).await;
    let receipt = thin.result.unwrap();
    assert_eq!((receipt.load, receipt.existing), (Some(Load::Thin), 1), "{:?}", receipt.notes);
    assert_eq!((receipt.base_bytes_copied, &receipt.notes), (0, &Vec::new()));
    let ran = store.podman(&["run", "--rm", "--network", "none", "docker.io/library/tiny:2"]).text().unwrap();
    assert_eq!(ran.trim(), std::env::consts::ARCH);
    let names = store.podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).text().unwrap();
    let mut names: Vec<&str> = names.split_whitespace().collect();
    names.sort_unstable();
    assert_eq!(names, ["docker.io/library/tiny:1", "docker.io/library/tiny:2"]);
    let by_id = source(&store, receipt.digest.as_str(), &folder);
    assert_eq!(by_id.image(&amd64()).await.unwrap().image.config_bytes, thin.image.config_bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_leaves_the_names_as_they_were() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (folder, layout) = tiny();
    let store = Store::start().unwrap();
    store.load(&layout, "tiny", "docker.io/library/tiny:0").unwrap();
    let names = || store.podman(&["images", "--noheading"]).text().unwrap();
    let (own, before) = (source(&store, "tiny:0", &folder), names());
    let never = CancellationToken::new();
    let same = write_really(&own, &destination(&store, "tiny:0"), &real(), &never).await;
    assert!(matches!(same.result, Err(Error::SourceTag { .. })), "{:?}", same.result);
    let bad = write_really(&own, &destination(&store, "tiny:1"), b"other bytes", &never).await;
    assert!(matches!(bad.result, Err(Error::Blob { .. })), "{:?}", bad.result);
    let stopped = CancellationToken::new();
    stopped.cancel();
    let late = write_really(&own, &destination(&store, "tiny:1"), &real(), &stopped).await;
    assert!(matches!(late.result, Err(Error::Cancelled)), "{:?}", late.result);
    assert_eq!(names(), before);
    let absent = source(&store, "nothing:1", &folder).named().await.unwrap_err();
    assert!(matches!(absent, Error::NotFound { .. }), "{absent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_leaves_no_image_without_a_name() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (folder, layout) = tiny();
    let store = Store::start().unwrap();
    store.load(&layout, "tiny", "docker.io/library/tiny:0").unwrap();
    let images = || store.podman(&["images", "--all", "--noheading"]).text().unwrap();
    let (own, before) = (source(&store, "tiny:0", &folder), images());
    own.named().await.unwrap();
    for millis in [100, 300, 500, 800] {
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let stopping = tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
            stop.cancel();
        });
        let written = write_really(&own, &destination(&store, "tiny:1"), &real(), &cancel).await;
        stopping.await.unwrap();
        match written.result {
            Err(Error::Cancelled) => assert_eq!(images(), before, "{millis}"),
            Ok(_) => drop(store.podman(&["rmi", "docker.io/library/tiny:1"]).text().unwrap()),
            Err(error) => panic!("{millis}: {error}"),
        }
    }
}
