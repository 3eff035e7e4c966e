//! From documents to one image of one platform: indexes followed within bounds, every claim checked.

use crate::{Error, Named, Source, SourceImage};
use oci::{Descriptor, Document, Image, Index, Manifest, Platform, media_type};
use std::collections::BTreeMap;

/// How deep indexes may be nested.
const DEPTH_MAX: usize = 3;
/// Most entries without a platform that are opened to see what they are.
const UNNAMED_MAX: usize = 16;

/// The image for a platform among what a name leads to.
pub(crate) async fn image<S: Source + ?Sized>(
    source: &S,
    named: &Named,
    wanted: &Platform,
) -> Result<SourceImage, Error> {
    let walk = Walk { source, item: &named.reference, wanted };
    let found = match &named.document {
        Document::Manifest(manifest) => {
            let kind = &named.descriptor.media_type;
            let image = walk.image(named.bytes.clone(), kind, manifest).await?;
            let platforms = vec![image.platform()];
            if !image.platform().fits(wanted) {
                return Err(walk.other(image.platform()));
            }
            Found { image, annotations: BTreeMap::new(), platforms }
        }
        Document::Index(index) => walk.among(&index.manifests, 1).await?,
    };
    let Found { image, mut annotations, platforms } = found;
    if annotations.is_empty() {
        annotations = named.descriptor.annotations.clone().unwrap_or_default();
    }
    let (reference, digest) = (named.reference.clone(), named.descriptor.digest.clone());
    Ok(SourceImage { image, annotations, platforms, reference, digest })
}

struct Walk<'a, S: ?Sized> {
    source: &'a S,
    item: &'a str,
    wanted: &'a Platform,
}

struct Found {
    image: Image,
    annotations: BTreeMap<String, String>,
    platforms: Vec<Platform>,
}

impl<S: Source + ?Sized> Walk<'_, S> {
    fn parse(&self, bytes: &[u8], content_type: Option<&str>) -> Result<(Document, String), Error> {
        Document::parse(bytes, content_type)
            .map_err(|source| Error::Image { item: self.item.to_owned(), source })
    }

    fn other(&self, found: Platform) -> Error {
        Error::OtherPlatform {
            item: self.item.to_owned(),
            wanted: self.wanted.clone().into(),
            found: found.into(),
        }
    }

    fn missing(&self, available: Vec<Platform>) -> Error {
        Error::NoPlatform { item: self.item.to_owned(), wanted: self.wanted.clone().into(), available }
    }

    async fn image(&self, bytes: Vec<u8>, kind: &str, manifest: &Manifest) -> Result<Image, Error> {
        let config = self.source.config(&manifest.config).await?;
        Image::new(bytes, Some(kind), config)
            .map_err(|source| Error::Image { item: self.item.to_owned(), source })
    }

    /// The image among the entries of an index.
    async fn among(&self, entries: &[Descriptor], depth: usize) -> Result<Found, Error> {
        if depth > DEPTH_MAX {
            let source = oci::Error::Unsupported(format!("indexes nested deeper than {DEPTH_MAX}"));
            return Err(Error::Image { item: self.item.to_owned(), source });
        }
        let mut platforms: Vec<Platform> = entries.iter().filter_map(Index::platform).collect();
        if let Some(entry) = choose(entries, self.wanted) {
            let mut found = self.entry(entry, depth).await?;
            if !found.image.platform().fits(self.wanted) {
                return Err(self.other(found.image.platform()));
            }
            found.platforms = platforms;
            return Ok(found);
        }
        let unnamed = entries.iter().filter(|e| !e.rest.contains_key("platform")).take(UNNAMED_MAX);
        for entry in unnamed {
            let found = match self.entry(entry, depth).await {
                Ok(found) => found,
                Err(Error::NoPlatform { available, .. }) => {
                    platforms.extend(available);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if found.image.platform().fits(self.wanted) {
                platforms.extend(found.platforms.clone());
                return Ok(Found { platforms, ..found });
            }
            if entries.len() == 1 {
                return Err(self.other(found.image.platform()));
            }
            platforms.extend(found.platforms);
        }
        Err(self.missing(platforms))
    }

    /// What one entry leads to.
    async fn entry(&self, entry: &Descriptor, depth: usize) -> Result<Found, Error> {
        let is_index = matches!(entry.media_type.as_str(), media_type::OCI_INDEX | media_type::DOCKER_LIST);
        let (bytes, content_type) = self.source.manifest(entry).await?;
        let (document, kind) = self.parse(&bytes, content_type.as_deref().or(Some(&entry.media_type)))?;
        match document {
            Document::Index(index) if is_index => Box::pin(self.among(&index.manifests, depth + 1)).await,
            Document::Manifest(manifest) if !is_index => {
                let image = self.image(bytes, &kind, &manifest).await?;
                let annotations = entry.annotations.clone().unwrap_or_default();
                let platforms = vec![image.platform()];
                Ok(Found { image, annotations, platforms })
            }
            _ => Err(Error::Corrupt {
                item: format!("{} in {}", entry.digest, self.item),
                why: format!("it is no {}", entry.media_type.escape_default()),
            }),
        }
    }
}

/// The entry that names the platform; where the variant is left open, the only one of that system and architecture.
fn choose<'a>(entries: &'a [Descriptor], wanted: &Platform) -> Option<&'a Descriptor> {
    let named = |e: &&Descriptor| Index::platform(e);
    if let Some(exact) = entries.iter().find(|e| named(e).as_ref() == Some(wanted)) {
        return Some(exact);
    }
    let mut near = entries.iter().filter(|e| named(e).is_some_and(|p| p.fits(wanted)));
    match (near.next(), near.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(platform: &str) -> Descriptor {
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, platform.as_bytes());
        let platform: Platform = platform.parse().unwrap();
        descriptor.rest.insert("platform".into(), serde_json::to_value(platform).unwrap());
        descriptor
    }

    #[test]
    fn entries_are_chosen_exactly_and_else_only_without_doubt() {
        let entries: Vec<_> =
            ["linux/amd64", "linux/arm/v6", "linux/arm/v7", "linux/ppc64le/x", "unknown/unknown"]
                .map(entry)
                .into();
        for (wanted, found) in [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/arm/v7", Some("linux/arm/v7")),
            ("linux/arm", None),
            ("linux/arm/v5", None),
            ("linux/ppc64le", Some("linux/ppc64le/x")),
            ("unknown/unknown", None),
            ("windows/amd64", None),
        ] {
            let chosen = choose(&entries, &wanted.parse().unwrap());
            assert_eq!(chosen, found.map(entry).as_ref(), "{wanted}");
        }
    }
}
