//! A real containerd as source and destination: only what it lacks is brought, and what is there is judged by `ctr`.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

mod setup;

use endpoint::{
    Containerd, ContainerdDestination, ContainerdSource, Destination, Error, LayoutSource, Load, LocalName,
    Programs, Source,
};
use engine::CancellationToken;
use setup::{amd64, patch_really, real, write_really};
use testkit::daemon::{Containerd as Daemon, ContainerdVersion};
use testkit::image::Layout;
use testkit::{probe, skip, tiny_image};

fn needs() -> Result<(), String> {
    probe::first_reason([Daemon::probe(), tiny_image::needs()])
}

fn name(text: &str) -> LocalName {
    text.parse().unwrap()
}

fn reach(daemon: &Daemon) -> Containerd {
    let environment = daemon.environment().map(|(name, value)| (name.into(), value));
    let programs = Programs { folders: vec![daemon.programs()], environment: environment.into() };
    Containerd::find(&programs, &daemon.socket()).unwrap()
}

fn tiny() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(&folder.path().join("layout")).unwrap();
    layout.add("tiny", &tiny_image::image("amd64").unwrap()).unwrap();
    (folder, layout)
}

async fn destination(daemon: &Daemon, text: &str) -> ContainerdDestination {
    ContainerdDestination::open(reach(daemon), &name(text), false).await.unwrap()
}

async fn comes_and_goes(version: ContainerdVersion) {
    let (_folder, layout) = tiny();
    let daemon = Daemon::start(version).unwrap();
    let containerd = reach(&daemon);
    assert!(!containerd.version().await.unwrap().is_empty());

    // From elsewhere it is brought whole.
    let from = LayoutSource::new(layout.directory().to_owned(), Some("tiny".into()));
    let to = destination(&daemon, "tiny:1").await;
    let whole = patch_really(&from, &to).await;
    let receipt = whole.result.unwrap();
    assert_eq!((receipt.load, receipt.existing), (Some(Load::Full), 0));
    assert_eq!(to.current().await.unwrap(), Some(receipt.digest.clone()));
    assert!(
        containerd.has(&name("tiny:1")).await.unwrap() && !containerd.has(&name("tiny:2")).await.unwrap()
    );

    // From there and back only the new layer is: the same one again, so that one base layer is left out.
    let own = ContainerdSource::new(containerd.clone(), name("tiny:1"));
    let found = own.image(&amd64()).await.unwrap();
    assert_eq!(found.image, whole.image, "manifest and config are as they were written");
    let thin = patch_really(&own, &destination(&daemon, "tiny:2").await).await;
    let receipt = thin.result.unwrap();
    assert_eq!((receipt.load, receipt.existing), (Some(Load::Thin), 1), "{:?}", receipt.notes);
    assert!(receipt.base_bytes_copied == 0 && receipt.notes.is_empty());
    let by_id = ContainerdSource::new(containerd.clone(), LocalName::Id(receipt.digest));
    assert_eq!(by_id.image(&amd64()).await.unwrap().image, thin.image);
    let checked = daemon.ctr(&["images", "check", "name==docker.io/library/tiny:2"]).text().unwrap();
    assert!(checked.contains("complete ("), "{checked}");
    let names = daemon.ctr(&["images", "ls", "--quiet"]).text().unwrap();
    assert_eq!(names.split_whitespace().collect::<Vec<_>>().len(), 2, "{names}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_come_and_go_with_containerd_1() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    comes_and_goes(ContainerdVersion::V1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_come_and_go_with_containerd_2() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    comes_and_goes(ContainerdVersion::V2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_leaves_the_names_as_they_were() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (_folder, layout) = tiny();
    let daemon = Daemon::start(ContainerdVersion::V2).unwrap();
    daemon.load(&layout, "tiny", "docker.io/library/tiny:0").unwrap();
    let own = ContainerdSource::new(reach(&daemon), name("tiny:0"));
    let names = || daemon.ctr(&["images", "ls"]).text().unwrap();
    let before = names();

    let never = CancellationToken::new();
    let same = write_really(&own, &destination(&daemon, "tiny:0").await, &real(), &never).await;
    assert!(matches!(same.result, Err(Error::SourceTag { .. })), "{:?}", same.result);
    let bad = write_really(&own, &destination(&daemon, "tiny:1").await, b"other bytes", &never).await;
    assert!(matches!(bad.result, Err(Error::Blob { .. })), "{:?}", bad.result);
    let stopped = CancellationToken::new();
    stopped.cancel();
    let late = write_really(&own, &destination(&daemon, "tiny:1").await, &real(), &stopped).await;
    assert!(matches!(late.result, Err(Error::Cancelled)), "{:?}", late.result);
    assert_eq!(names(), before);
    let absent = ContainerdSource::new(reach(&daemon), name("nothing:1")).named().await.unwrap_err();
    assert!(matches!(absent, Error::NotFound { .. }), "{absent:?}");
    let id = ContainerdDestination::open(reach(&daemon), &LocalName::Id(oci::Digest::of(b"")), false).await;
    assert!(matches!(id.err(), Some(Error::NoTag { .. })));
    // A digest is not passed over: what else has the tag is another image.
    let (there, other) = (own.named().await.unwrap().descriptor.digest, oci::Digest::of(b"other"));
    let has = async |text: String| reach(&daemon).has(&name(&text)).await.unwrap();
    assert!(has(format!("tiny@{there}")).await && has(format!("tiny:0@{there}")).await);
    assert!(!has(format!("tiny@{other}")).await && !has(format!("tiny:0@{other}")).await);
    assert!(!has(format!("elsewhere@{there}")).await);
    let pinned = ContainerdSource::new(reach(&daemon), name(&format!("tiny:0@{other}")));
    let absent = pinned.named().await.unwrap_err();
    assert!(matches!(absent, Error::NotFound { .. }), "{absent:?}");
    let nowhere = Containerd::find(&Programs::default(), &daemon.socket()).unwrap_err();
    assert!(matches!(nowhere, Error::Unavailable { .. }));
}
