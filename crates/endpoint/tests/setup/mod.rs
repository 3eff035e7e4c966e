//! Images and connections as the tests of this room need them.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "helpers of tests are tests, and no test file needs all of them"
)]

use endpoint::{Connections, Content, Destination, Error, Receipt, Source, WriteRequest};
use engine::CancellationToken;
use oci::{Digest, Image, Patch, Platform, media_type::Compression};
use registry::{Client, ClientOptions, DockerConfig};
use std::{io::Write, sync::Mutex, time::Duration};
use testkit::fault_registry::{FaultRegistry, sha256};

/// The layer that tests put on top.
pub const NEW: &[u8] = b"the new layer, any bytes will do";

/// Connections that wait for nothing long.
pub fn connections() -> Connections {
    let options = ClientOptions {
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        backoff: Duration::from_millis(2),
        pause_max: Duration::from_millis(50),
        ..ClientOptions::default()
    };
    Connections::new(Client::new(options).unwrap(), DockerConfig::default(), Vec::new())
}

/// The platform of the test images.
pub fn amd64() -> Platform {
    "linux/amd64".parse().unwrap()
}

/// Two layers of some size.
pub fn layers() -> [Vec<u8>; 2] {
    [vec![1; 300_000], vec![2; 70_000]]
}

/// A scripted registry that holds `team/app:v1` of [`layers`].
pub fn server() -> FaultRegistry {
    let server = FaultRegistry::start();
    let [a, b] = layers();
    server.put_image("team/app", "v1", &[(&a, sha256(b"tar a")), (&b, sha256(b"tar b"))]);
    server
}

/// The image with [`NEW`] on top of its layers.
pub fn patched(image: &Image) -> Image {
    on_top(image, NEW, (oci::DiffId(Digest::of(b"new tar")), Compression::Gzip))
}

/// A layer that daemons can unpack.
pub fn real() -> Vec<u8> {
    testkit::tar::write(&[testkit::tar::Entry::file("added", "by a test\n")])
}

/// The image with a blob on top of its layers.
pub fn on_top(image: &Image, blob: &[u8], (diff_id, compression): (oci::DiffId, Compression)) -> Image {
    let created = "2026-01-01T00:00:00Z".to_owned();
    let history = oci::History { created, created_by: "test".into(), comment: String::new() };
    let patch = Patch {
        base_layers: image.layers.len(),
        blob: (Digest::of(blob), blob.len() as u64),
        diff_id,
        compression,
        history,
        labels: [("l".to_owned(), "x".to_owned())].into(),
        annotations: [("a".to_owned(), "x".to_owned())].into(),
    };
    image.patched(&patch).unwrap()
}

/// What a write did, and what it told meanwhile.
pub struct Written {
    pub result: Result<Receipt, Error>,
    pub told: Vec<(Digest, u64, u64)>,
    pub image: Image,
}

/// Reads the image of a source and writes it, patched, to a destination.
pub async fn patch_to(source: &dyn Source, destination: &dyn Destination) -> Written {
    write_with(source, destination, NEW, &CancellationToken::new()).await
}

/// The same with another content of the new file, or cancelled.
pub async fn write_with(
    source: &dyn Source,
    destination: &dyn Destination,
    new: &[u8],
    cancel: &CancellationToken,
) -> Written {
    let found = source.image(&amd64()).await.unwrap();
    write_image((source, patched(&found.image), Digest::of(NEW)), destination, new, cancel).await
}

/// Reads the image of a source and writes it, with [`real`] on top, to a destination.
pub async fn patch_really(source: &dyn Source, destination: &dyn Destination) -> Written {
    write_really(source, destination, &real(), &CancellationToken::new()).await
}

/// The same with another content of the new file, or cancelled.
pub async fn write_really(
    source: &dyn Source,
    destination: &dyn Destination,
    new: &[u8],
    cancel: &CancellationToken,
) -> Written {
    let (found, layer) = (source.image(&amd64()).await.unwrap(), real());
    let diff_id = oci::DiffId(Digest::of(&layer));
    let image = on_top(&found.image, &layer, (diff_id, Compression::None));
    write_image((source, image, Digest::of(&layer)), destination, new, cancel).await
}

async fn write_image(
    (source, image, layer): (&dyn Source, Image, Digest),
    destination: &dyn Destination,
    new: &[u8],
    cancel: &CancellationToken,
) -> Written {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(new).unwrap();
    let told = Mutex::new(Vec::new());
    let content = Content::patched(image.clone(), &[(layer, file.path().to_owned())].into());
    let request = WriteRequest {
        content: &content,
        source,
        progress: &|digest, done, total| told.lock().unwrap().push((digest.clone(), done, total)),
        cancel,
    };
    let result = destination.write(&request).await;
    let told = told.into_inner().unwrap();
    Written { result, told, image }
}
