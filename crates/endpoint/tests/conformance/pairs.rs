//! Every kind as source of every kind.

use crate::{
    checks::{put, same, write},
    images::{Images, host},
    place::Place,
};
use endpoint::Source;

/// An image that is in one place is patched into every other; what is patched there is patched no further.
pub async fn all(places: &[Box<dyn Place>]) {
    let images = Images::new();
    for (at, from) in places.iter().enumerate() {
        for tag in ["plain", "docker"] {
            let (given, taken) = (format!("given{tag}"), format!("taken{at}{tag}"));
            put(&**from, &images, &given, tag).await;
            for to in places {
                let source = from.source(&given).await;
                let before = source.image(&host()).await.unwrap().image;
                let content = images.patched(&*source).await;
                let receipt = write(&*to.destination(&taken, false).await, &*source, &content).await;
                let receipt = receipt.unwrap_or_else(|e| {
                    panic!("{} to {}: {e:?}", from.abilities().kind, to.abilities().kind)
                });
                same(&**to, &taken, (&before, &content), &receipt).await;
                if from.abilities().keeps_manifests {
                    let original = images.source(tag).image(&host()).await.unwrap().image;
                    assert_eq!(before, original, "{}", from.abilities().kind);
                }
            }
        }
    }
}
