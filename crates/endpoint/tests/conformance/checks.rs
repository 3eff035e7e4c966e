//! The checks. Each takes names of its own, so that one place serves them all.

use crate::{
    images::{Images, host},
    place::{Abilities, Place},
    sources::{Fault, Faulty},
};
use endpoint::{Content, Destination, Error, From, Receipt, Source, WriteRequest};
use engine::CancellationToken;
use oci::{Descriptor, Digest, Image, media_type};
use std::sync::Arc;
use tokio::io::AsyncReadExt;

/// All of them.
pub async fn all(place: &impl Place) {
    let images = Images::new();
    what_is_not_there_is_not_found(place).await;
    what_is_written_reads_back(place, &images).await;
    indexes_stay_as_they_are(place, &images).await;
    the_source_is_not_overwritten_unless_asked(place, &images).await;
    bad_blobs_change_nothing(place, &images).await;
    interruptions_change_nothing(place, &images).await;
}

async fn what_is_not_there_is_not_found(place: &impl Place) {
    let kind = place.abilities().kind;
    let error = place.source("absent").await.named().await.unwrap_err();
    let absent = matches!(error, Error::NotFound { .. } | Error::Registry(registry::Error::NotFound { .. }));
    assert!(absent, "{kind}: {error:?}");
    assert_eq!(place.destination("absent", false).await.current().await.unwrap(), None, "{kind}");
}

async fn what_is_written_reads_back(place: &impl Place, images: &Images) {
    for tag in ["plain", "docker", "zstd", "tar"] {
        let source = images.source(tag);
        let before = source.image(&host()).await.unwrap().image;
        let content = images.patched(&source).await;
        let written = write(&*place.destination(tag, false).await, &source, &content).await.unwrap();
        same(place, tag, (&before, &content), &written).await;
    }
}

/// What came back is what was written, and its base is what the source had.
pub async fn same(
    place: &(impl Place + ?Sized),
    name: &str,
    (before, content): (&Image, &Content),
    receipt: &Receipt,
) {
    let Abilities { kind, keeps_manifests, .. } = place.abilities();
    let wanted = content.manifests()[0].image.as_ref().unwrap();
    let source = place.source(name).await;
    let found = source.image(&host()).await.unwrap().image;
    assert_eq!(found.config_bytes, wanted.config_bytes, "{kind}: {name}: config");
    let ids = |image: &Image| image.layers.iter().map(|l| l.diff_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&found), ids(wanted), "{kind}: {name}: diff ids");
    if keeps_manifests {
        assert_eq!(found, *wanted, "{kind}: {name}");
        assert_eq!(&receipt.digest, &content.descriptor().digest, "{kind}: {name}");
        let base: Vec<_> = found.layers.iter().take(before.layers.len()).collect();
        assert_eq!(base, before.layers.iter().collect::<Vec<_>>(), "{kind}: {name}: base");
    }
    for layer in &found.layers {
        let blob = blob(&*source, &layer.descriptor).await;
        assert_eq!(unpacked(&layer.descriptor, &blob), layer.diff_id.0, "{kind}: {name}");
    }
}

/// The bytes of a blob; they are what their descriptor says.
async fn blob(source: &dyn Source, descriptor: &Descriptor) -> Vec<u8> {
    let mut bytes = Vec::new();
    source.open(descriptor).await.unwrap().read_to_end(&mut bytes).await.unwrap();
    assert_eq!((Digest::of(&bytes), bytes.len() as u64), (descriptor.digest.clone(), descriptor.size));
    bytes
}

fn unpacked(descriptor: &Descriptor, blob: &[u8]) -> Digest {
    let compression = media_type::compression(&descriptor.media_type).unwrap();
    let verified = layer::Verified::new(blob, descriptor.digest.clone(), descriptor.size);
    let all = |stream: &mut dyn std::io::Read| {
        std::io::copy(stream, &mut std::io::sink())
            .map_err(|source| layer::Error::Io { doing: "reading a layer".into(), source })
    };
    let limits = layer::Limits::default();
    layer::decompress(verified, compression, &limits, &|| false, all).unwrap().1.diff_id.0
}

/// An index keeps its bytes, and so does everything below it, attestations included.
async fn indexes_stay_as_they_are(place: &impl Place, images: &Images) {
    let Abilities { kind, keeps_indexes, .. } = place.abilities();
    let from = images.source("index");
    let content = images.patched_index().await;
    let receipt = write(&*place.destination("index", false).await, &from, &content).await.unwrap();
    if !keeps_indexes {
        assert!(!receipt.notes.is_empty(), "{kind}: what happens to an index has to be said");
        let found = place.source("index").await.image(&host()).await.unwrap().image;
        let wanted = content.image_for(&host()).unwrap().image.as_ref().unwrap();
        assert_eq!(found.config_bytes, wanted.config_bytes, "{kind}");
        return;
    }
    let source = place.source("index").await;
    let named = source.named().await.unwrap();
    assert_eq!(named.bytes, content.bytes(), "{kind}");
    assert_eq!(receipt.digest, content.descriptor().digest, "{kind}");
    assert_eq!(content.manifests().len(), 4, "two images, two attestations");
    for manifest in content.manifests() {
        assert_eq!(source.manifest(&manifest.entry).await.unwrap().0, manifest.bytes, "{kind}");
        for wanted in &manifest.blobs {
            let found = blob(&*source, &wanted.descriptor).await;
            if wanted.from == From::Source {
                assert_eq!(found, blob(&from, &wanted.descriptor).await, "{kind}");
            }
        }
    }
}

async fn the_source_is_not_overwritten_unless_asked(place: &impl Place, images: &Images) {
    let Abilities { kind, knows_itself, .. } = place.abilities();
    if !knows_itself {
        return;
    }
    put(place, images, "own", "plain").await;
    let source = place.source("own").await;
    let before = source.named().await.unwrap().bytes;
    let content = images.patched(&*source).await;
    let refused = write(&*place.destination("own", false).await, &*source, &content).await;
    assert!(matches!(refused, Err(Error::SourceTag { .. })), "{kind}: {refused:?}");
    assert_eq!(place.source("own").await.named().await.unwrap().bytes, before, "{kind}");
    write(&*place.destination("own", true).await, &*source, &content).await.unwrap();
    let after = place.source("own").await.image(&host()).await.unwrap().image;
    assert_eq!(after.layers.len(), 3, "{kind}");
}

async fn bad_blobs_change_nothing(place: &impl Place, images: &Images) {
    let Abilities { kind, knows_itself, .. } = place.abilities();
    for (name, there, fault) in [
        ("changed", true, Fault::Changed),
        ("short", false, Fault::Short),
        ("long", false, Fault::Long),
        ("refused", true, Fault::Refused),
    ] {
        if there {
            put(place, images, name, "plain").await;
        }
        let before = current(place, name).await;
        // An image of which the place has nothing yet.
        let (from, content) = faulty(images, fault.clone()).await;
        let refused = write(&*place.destination(name, false).await, &from, &content).await;
        assert!(refused.is_err(), "{kind}: {fault:?}: {refused:?}");
        // What went into a stream cannot be taken back, but it leads to nothing.
        let wanted = before.clone().filter(|_| knows_itself);
        assert_eq!(current(place, name).await, wanted, "{kind}: {fault:?}");
        assert_eq!(before.is_some(), there, "{kind}");
    }
}

async fn interruptions_change_nothing(place: &impl Place, images: &Images) {
    let kind = place.abilities().kind;
    let cancel = CancellationToken::new();
    let (from, content) = faulty(images, Fault::Interrupted(cancel.clone())).await;
    let destination = place.destination("interrupted", false).await;
    let request = WriteRequest { content: &content, source: &from, progress: &|_, _, _| (), cancel: &cancel };
    let started = std::time::Instant::now();
    let written = destination.write(&request).await;
    assert!(matches!(written, Err(Error::Cancelled)), "{kind}: {written:?}");
    assert!(started.elapsed().as_secs() < 20, "{kind}: an interruption is heard at once");
    assert_eq!(current(place, "interrupted").await, None, "{kind}");
}

/// `unseen`, of which no place has anything, with a fault in its first layer.
async fn faulty(images: &Images, fault: Fault) -> (Faulty, Content) {
    let inner: Arc<dyn Source> = Arc::new(images.source("unseen"));
    let content = images.as_it_is(&*inner).await;
    let blob = content.manifests()[0].layers()[0].descriptor.digest.clone();
    (Faulty { inner, blob, fault }, content)
}

/// The digest that a name leads to, read as any reader would.
async fn current(place: &impl Place, name: &str) -> Option<Digest> {
    place.source(name).await.named().await.ok().map(|named| named.descriptor.digest)
}

/// Puts one of the images under a name, as it is.
pub async fn put(place: &(impl Place + ?Sized), images: &Images, name: &str, tag: &str) {
    let source = images.source(tag);
    let content = images.as_it_is(&source).await;
    write(&*place.destination(name, false).await, &source, &content).await.unwrap();
}

/// Writes, and hears of every byte of every blob that is sent.
pub async fn write(to: &dyn Destination, source: &dyn Source, content: &Content) -> Result<Receipt, Error> {
    let cancel = CancellationToken::new();
    let too_far = std::sync::atomic::AtomicBool::new(false);
    let progress = |_: &Digest, done: u64, total: u64| {
        too_far.fetch_or(done > total, std::sync::atomic::Ordering::Relaxed);
    };
    let written = to.write(&WriteRequest { content, source, progress: &progress, cancel: &cancel }).await;
    assert!(!too_far.into_inner(), "{}: more is told than there is", to.name());
    written
}
