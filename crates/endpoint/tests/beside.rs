//! What a place has beside the name that was asked for: found by tag and digest, and not found without an error.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use endpoint::{Beside, LayoutDestination, LayoutSource, Source};
use oci::{Digest, Platform};
use setup::{amd64, connections, patch_to, server};

const NOWHERE: &str = "sha256:00000000000000000000000000000000000000000000000000000000000000ff";

/// The name itself, its digest, and what is not there.
async fn found_and_not(source: &dyn Source, tag: &str) {
    let own = source.named().await.unwrap();
    for what in [Beside::Tag(tag.to_owned()), Beside::Digest(own.descriptor.digest.clone())] {
        let found = source.beside(&what).await.unwrap().unwrap_or_else(|| panic!("{what:?}"));
        assert_eq!(
            (&found.descriptor.digest, &found.bytes),
            (&own.descriptor.digest, &own.bytes),
            "{what:?}"
        );
        let image = source.image_in(&found, &amd64()).await.unwrap().image;
        assert_eq!(image, source.image(&amd64()).await.unwrap().image);
    }
    for what in [Beside::Tag("other".to_owned()), Beside::Digest(NOWHERE.parse().unwrap())] {
        assert!(source.beside(&what).await.unwrap().is_none(), "{what:?}");
    }
}

#[tokio::test]
async fn a_repository_has_other_tags_and_digests() {
    let server = server();
    let address = format!("{}/team/app:v1", server.host()).parse().unwrap();
    let source = connections().source(&address).await.unwrap();
    found_and_not(&*source, "v1").await;
    let odd = source.beside(&Beside::Tag("../../evil".to_owned())).await.unwrap();
    assert!(odd.is_none(), "what is no tag is not asked for");
    assert!(!server.requests().iter().any(|r| r.path.contains("evil")));
}

#[tokio::test]
async fn a_layout_has_other_names_and_blobs() {
    let (dir, server) = (tempfile::tempdir().unwrap(), server());
    let address = format!("{}/team/app:v1", server.host()).parse().unwrap();
    let from = connections().source(&address).await.unwrap();
    for name in ["v1", "v2"] {
        let to = LayoutDestination::new(dir.path().to_owned(), Some(name.to_owned()), false);
        patch_to(&*from, &to).await.result.unwrap();
    }
    let source = LayoutSource::new(dir.path().to_owned(), Some("v1".to_owned()));
    found_and_not(&source, "v2").await;
    // A blob that is no manifest, and one that is not what its name says.
    let image = source.image(&Platform::new("linux", "amd64", None)).await.unwrap().image;
    let config = image.manifest.config.digest.clone();
    assert!(source.beside(&Beside::Digest(config.clone())).await.is_err());
    let wrong = dir.path().join("blobs/sha256").join(Digest::of(b"right").hex());
    std::fs::write(wrong, b"wrong").unwrap();
    assert!(source.beside(&Beside::Digest(Digest::of(b"right"))).await.unwrap().is_none());
}
