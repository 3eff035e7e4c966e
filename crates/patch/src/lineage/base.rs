//! The original of a patched image, looked for only where the operator lets it be: beside the image that is being read anyway,
//! or under the name that the operator gives.

use super::{Base, Claim, Lineage, Origin, claim, copa::looks_patched, origin};
use endpoint::{Beside, Named, Source};
use oci::{Digest, Image};

/// What was found out about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub origin: Origin,
    /// Whether the original itself was read and has the layers it must have. Otherwise only the image's own layers speak for it.
    pub base_read: bool,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Why the original that the operator names cannot be taken for it.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// It could not be read.
    #[error("cannot read the original {name}")]
    Read {
        /// As it was asked for.
        name: String,
        /// What the endpoint said.
        #[source]
        source: endpoint::Error,
    },
    /// The image was not made from it.
    #[error("{name} is not the original of the image: its layers are not the first of the image's")]
    Other {
        /// As it was asked for.
        name: String,
    },
}

/// What an image is, as far as can be known from itself, from `source`, which it was read from, and from `named`, the original
/// that the operator names. Nothing else is asked for anything, whatever the image's labels say.
pub async fn find(
    image: &Image,
    source: &dyn Source,
    named: Option<&dyn Source>,
) -> Result<Found, BaseError> {
    let own = origin(image);
    if let Some(named) = named {
        return by_name(image, own, named).await;
    }
    match own {
        Origin::Patched(lineage) => Ok(recorded(image, lineage, source).await),
        own => Ok(match claim(image) {
            Some(claim) => claimed(image, own, &claim, source).await,
            None => plain(own),
        }),
    }
}

/// What the image says of itself, with what the user should know of it.
fn plain(origin: Origin) -> Found {
    let notes = match &origin {
        Origin::Disproved(why) => vec![format!("{why}; the image is treated as an original")],
        Origin::BuiltOn(_) => vec![
            "the image was built on one that was patched before; that patch stays where it is, a new one lies on top".into(),
        ],
        _ => Vec::new(),
    };
    Found { origin, base_read: false, notes }
}

/// The operator says what the original is, and is believed if its layers are the first of the image's.
async fn by_name(image: &Image, own: Origin, named: &dyn Source) -> Result<Found, BaseError> {
    let name = || named.name();
    let original = named.image(&image.platform()).await;
    let original = original.map_err(|source| BaseError::Read { name: name(), source })?.image;
    if own == Origin::Original && original.layers.len() == image.layers.len() && is_below(&original, image) {
        return Ok(Found {
            notes: vec![format!("the image has no layer that {} has not", name())],
            ..plain(own)
        });
    }
    let Some(base) = base_of(&original, name(), image) else { return Err(BaseError::Other { name: name() }) };
    Ok(match own {
        Origin::Patched(lineage) if lineage.base_layers == base.layers => {
            Found { origin: Origin::Patched(lineage), base_read: true, notes: Vec::new() }
        }
        _ => elsewhere(image, base),
    })
}

/// Our own record: where the original is at hand, it must be what the record says.
async fn recorded(image: &Image, lineage: Lineage, source: &dyn Source) -> Found {
    let disproved = |why: &str| plain(Origin::Disproved(format!("its lineage does not check out: {why}")));
    let Ok(digest) = lineage.base_digest.parse::<Digest>() else { return disproved("it names no original") };
    let original = read(source, &Beside::Digest(digest), image).await;
    match original.map(|original| is_below(&original, image).then_some(original.layers.len())) {
        None => Found { base_read: false, ..plain(Origin::Patched(lineage)) },
        Some(Some(layers)) if layers == lineage.base_layers => {
            Found { base_read: true, ..plain(Origin::Patched(lineage)) }
        }
        Some(_) => disproved("the original that it names has other layers"),
    }
}

/// Go Copa's claim: only what the very repository that is being read has can bear it out.
async fn claimed(image: &Image, own: Origin, claim: &Claim, source: &dyn Source) -> Found {
    let name = claim.name.to_string();
    let original = match &claim.digest {
        Some(digest) => read(source, &Beside::Digest(digest.clone()), image).await,
        None => None,
    };
    let original = match (original, beside(claim, source)) {
        (None, Some(what)) => read(source, &what, image).await,
        (original, _) => original,
    };
    let as_it_is = |why: &str| {
        let note = format!(
            "the image says that Go Copa patched it from {name}, {why}; what lies above stays (--base names the original)"
        );
        let mut found = plain(own.clone());
        found.notes.push(note);
        found
    };
    let Some(original) = original else { return as_it_is("which is not beside it") };
    let Some(base) = base_of(&original, name.clone(), image) else {
        return as_it_is("whose layers are not the first of its own");
    };
    if !looks_patched(image, base.layers) {
        return as_it_is("but was built further since");
    }
    elsewhere(image, base)
}

fn elsewhere(image: &Image, base: Base) -> Found {
    let above = image.layers.len() - base.layers;
    let (layers, verb) = match above {
        1 => ("the layer".to_owned(), "becomes the"),
        _ => (format!("the {above} layers"), "become one"),
    };
    let note = format!("{layers} that another tool put on {} {verb} patch layer", base.name);
    Found { origin: Origin::PatchedElsewhere(base), base_read: true, notes: vec![note] }
}

/// Where the claimed name is, if it is in the repository that is being read.
fn beside(claim: &Claim, source: &dyn Source) -> Option<Beside> {
    let read = source.reference()?;
    if (read.host(), read.repository()) != (claim.name.host(), claim.name.repository()) {
        return None;
    }
    Some(match (claim.name.digest(), claim.name.tag()) {
        (Some(digest), _) => Beside::Digest(digest.clone()),
        (None, tag) => Beside::Tag(tag.unwrap_or("latest").to_owned()),
    })
}

/// An image of the same place and platform. What cannot be read bears nothing out, and is no reason to stop.
async fn read(source: &dyn Source, what: &Beside, image: &Image) -> Option<Image> {
    let named: Named = match source.beside(what).await {
        Ok(found) => found?,
        Err(error) => {
            tracing::debug!(%error, "the original cannot be read");
            return None;
        }
    };
    source.image_in(&named, &image.platform()).await.ok().map(|found| found.image)
}

fn base_of(original: &Image, name: String, image: &Image) -> Option<Base> {
    let layers = original.layers.len();
    let true_prefix = layers > 0 && layers < image.layers.len() && is_below(original, image);
    true_prefix.then(|| Base { digest: original.descriptor.digest.to_string(), name, layers })
}

/// Whether all layers of one image are the first of another, by what they hold.
fn is_below(original: &Image, image: &Image) -> bool {
    original.layers.len() <= image.layers.len()
        && original.layers.iter().zip(&image.layers).all(|(a, b)| a.diff_id == b.diff_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::{LABEL, PatchFacts};
    use async_trait::async_trait;
    use endpoint::Error;
    use oci::{Descriptor, DiffId, Platform, Reference, media_type};
    use serde_json::{Value, json};
    use std::sync::Mutex;

    const REPOSITORY: &str = "reg.example/team/app";

    /// A repository with images under tags, that notes what it is asked for beside its name.
    struct Repository {
        reference: Reference,
        images: Vec<(&'static str, Image)>,
        asked: Mutex<Vec<Beside>>,
    }

    impl Repository {
        fn with(images: Vec<(&'static str, Image)>) -> Repository {
            Repository {
                reference: format!("{REPOSITORY}:here").parse().unwrap(),
                images,
                asked: Mutex::default(),
            }
        }

        fn get(&self, what: &Beside) -> Option<Named> {
            let wanted = |(tag, image): &&(&str, Image)| match what {
                Beside::Tag(wanted) => wanted == tag,
                Beside::Digest(digest) => *digest == image.descriptor.digest,
            };
            let (_, image) = self.images.iter().find(wanted)?;
            Some(Named::new("it".into(), image.manifest_bytes.clone(), None).unwrap())
        }
    }

    #[async_trait]
    impl engine::BlobSource for Repository {
        async fn open(&self, wanted: &Descriptor) -> Result<engine::BlobStream, engine::Error> {
            let image = self.images.iter().find(|(_, i)| i.manifest.config.digest == wanted.digest).unwrap();
            Ok(Box::new(std::io::Cursor::new(image.1.config_bytes.clone())))
        }
    }

    #[async_trait]
    impl Source for Repository {
        async fn named(&self) -> Result<Named, Error> {
            let absent = || Error::NotFound { item: self.name(), there: Vec::new() };
            self.get(&Beside::Tag("here".into())).ok_or_else(absent)
        }

        async fn manifest(&self, _: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
            Err(Error::Cancelled)
        }

        async fn beside(&self, what: &Beside) -> Result<Option<Named>, Error> {
            self.asked.lock().unwrap().push(what.clone());
            Ok(self.get(what))
        }

        fn reference(&self) -> Option<&Reference> {
            Some(&self.reference)
        }

        fn name(&self) -> String {
            self.reference.to_string()
        }
    }

    /// An image with one layer a word; those after `|` have the history that Go Copa's have, those after `#` that of a build.
    fn image(words: &str, labels: &Value) -> Image {
        let mut comment = "";
        let (mut ids, mut blobs, mut history) = (Vec::new(), Vec::new(), Vec::new());
        for word in words.split(' ') {
            match word {
                "|" => comment = "buildkit.exporter.image.v0",
                "#" => comment = "buildkit.dockerfile.v0",
                word => {
                    ids.push(Digest::of(word.as_bytes()).to_string());
                    blobs.push(Descriptor::of(media_type::OCI_LAYER_GZIP, format!("z{word}").as_bytes()));
                    history.push(json!({"created_by": "mount / from exec apt", "comment": comment}));
                }
            }
        }
        let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ids},
            "history": history, "config": {"labels": labels}});
        let config = serde_json::to_vec(&config).unwrap();
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config), "layers": blobs});
        Image::new(serde_json::to_vec(&manifest).unwrap(), None, config).unwrap()
    }

    fn copa(name: &str) -> Value {
        json!({ "BaseImage": name })
    }

    fn ours(original: &Image, patch: &str) -> Value {
        let diff_id = DiffId(Digest::of(patch.as_bytes()));
        let facts = PatchFacts { diff_id: &diff_id, plan_digest: "p", tool_version: "1" };
        json!({ LABEL: Lineage::of(original, "app", &Origin::Original, &facts).to_label() })
    }

    async fn found(image: &Image, source: &Repository) -> Found {
        find(image, source, None).await.unwrap()
    }

    #[tokio::test]
    async fn a_patch_of_go_copa_is_recognised_by_the_original_itself() {
        let original = image("a b", &json!({}));
        let place = Repository::with(vec![("1.0", original.clone()), ("latest", image("x", &json!({})))]);
        let by_digest = json!({"BaseImage": "elsewhere.example/b:1",
            "sh.copa.patch.origin.digest": original.descriptor.digest.to_string()});
        for (words, labels, layers) in [
            ("a b | p", copa(&format!("{REPOSITORY}:1.0")), Some(2)),
            ("a b | p q", copa(&format!("{REPOSITORY}:1.0")), Some(2)),
            ("a b | p", copa(&format!("{REPOSITORY}:1.0@{}", original.descriptor.digest)), Some(2)),
            ("a b | p", by_digest, Some(2)),
            // The tag has moved on, the label is of a base image of another repository, nothing is known of the name.
            ("a b | p", copa(REPOSITORY), None),
            ("a b | p", copa("reg.example/other/app:1.0"), None),
            ("a b | p", copa("docker.io/team/app:1.0"), None),
            ("a b | p", copa(&format!("{REPOSITORY}:gone")), None),
            ("a b | p", copa("$(id)"), None),
            ("a b | p", json!({}), None),
            // Built on what Go Copa patched; not patched at all; another image altogether.
            ("a b | p # app", copa(&format!("{REPOSITORY}:1.0")), None),
            ("a b # app", copa(&format!("{REPOSITORY}:1.0")), None),
            ("a b", copa(&format!("{REPOSITORY}:1.0")), None),
            ("a x | p", copa(&format!("{REPOSITORY}:1.0")), None),
            ("a | p", copa(&format!("{REPOSITORY}:1.0")), None),
        ] {
            let patched = image(words, &labels);
            let found = found(&patched, &place).await;
            match (layers, &found.origin) {
                (Some(layers), Origin::PatchedElsewhere(base)) => {
                    assert_eq!(
                        (base.layers, &base.digest),
                        (layers, &original.descriptor.digest.to_string())
                    );
                    assert!(found.base_read);
                }
                (None, Origin::Original) => {
                    assert_eq!(found.notes.len(), usize::from(claim(&patched).is_some()))
                }
                other => panic!("{words} {labels}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn no_label_leads_anywhere_but_into_the_repository_that_is_read() {
        let place = Repository::with(Vec::new());
        let evil = json!({"BaseImage": "evil.example/x:1", "sh.copa.patch.origin.digest": "sha256:zz"});
        found(&image("a | p", &evil), &place).await;
        found(&image("a | p", &copa("reg.example/secret/app:1")), &place).await;
        assert_eq!(*place.asked.lock().unwrap(), []);
    }

    #[tokio::test]
    async fn our_own_record_is_held_against_the_original_where_that_is_at_hand() {
        let (original, other) = (image("a b", &json!({})), image("a c", &json!({})));
        let patched = image("a b p", &ours(&original, "p"));
        let at_hand = found(&patched, &Repository::with(vec![("1", original.clone())])).await;
        assert!(at_hand.base_read && at_hand.origin.is_patched() && at_hand.notes.is_empty(), "{at_hand:?}");
        let alone = found(&patched, &Repository::with(Vec::new())).await;
        assert!(!alone.base_read && alone.origin.is_patched(), "{alone:?}");
        // The record names an image that has other layers.
        let mut lie: Lineage = serde_json::from_str(ours(&original, "p")[LABEL].as_str().unwrap()).unwrap();
        lie.base_digest = other.descriptor.digest.to_string();
        let liar = image("a b p", &json!({ LABEL: lie.to_label() }));
        let found = found(&liar, &Repository::with(vec![("1", other)])).await;
        assert!(matches!(&found.origin, Origin::Disproved(why) if why.contains("other layers")), "{found:?}");
        assert_eq!(found.notes.len(), 1);
    }

    #[tokio::test]
    async fn the_operator_may_say_what_the_original_is_and_is_held_to_it() {
        let here = |image: &Image| Repository::with(vec![("here", image.clone())]);
        let nothing = Repository::with(Vec::new());
        let original = image("a b", &json!({}));
        for words in ["a b | p", "a b p q", "a b # app"] {
            let found = find(&image(words, &json!({})), &nothing, Some(&here(&original))).await.unwrap();
            assert!(matches!(&found.origin, Origin::PatchedElsewhere(base) if base.layers == 2), "{found:?}");
        }
        let patched = image("a b p", &ours(&original, "p"));
        let found = find(&patched, &nothing, Some(&here(&original))).await.unwrap();
        assert!(matches!(&found.origin, Origin::Patched(_)) && found.base_read, "{found:?}");
        let same = find(&original, &nothing, Some(&here(&original))).await.unwrap();
        assert_eq!((same.origin, same.notes.len()), (Origin::Original, 1));
        for other in ["a x", "a b p q", "b"] {
            let refused = find(&patched, &nothing, Some(&here(&image(other, &json!({}))))).await;
            assert!(matches!(refused, Err(BaseError::Other { .. })), "{other}: {refused:?}");
        }
        let refused = find(&patched, &nothing, Some(&nothing)).await;
        assert!(matches!(refused, Err(BaseError::Read { .. })), "{refused:?}");
        assert_eq!(original.platform(), Platform::new("linux", "amd64", None));
    }
}
