//! Images to check with: made by testkit, read from its layout.

use endpoint::{Blob, Content, From, LayoutSource, Outgoing, Source};
use oci::{Descriptor, DiffId, Digest, Document, Image, Patch, Platform, media_type};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};
use testkit::{
    image::{self, Compression, Layer, Layout, Types},
    platforms::join_attested,
    tar::{self, Entry},
};

/// The platform of this machine.
pub fn host() -> Platform {
    Platform::host()
}

/// The architecture that is not this machine's.
const OTHER: &str = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };

/// A layout with images to take, and a new layer for them.
pub struct Images {
    folder: tempfile::TempDir,
    layout: Layout,
    new: Vec<u8>,
}

impl Images {
    /// Images of two layers: `plain` (OCI, gzip), `docker` (docker's types), `zstd`, `tar` (not compressed), `unseen` (for
    /// what fails), and `index`: two platforms with their attestations.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(&folder.path().join("layout")).unwrap();
        let add = |tag: &str, image: image::Image| drop(layout.add(tag, &image).unwrap());
        add("plain", image("plain"));
        add("docker", image::Image { types: Types::Docker, ..image("docker") });
        add("zstd", image::Image { compression: Compression::Zstd, ..image("zstd") });
        add("tar", image::Image { compression: Compression::None, ..image("tar") });
        add("unseen", image("unseen"));
        add("other", image::Image { architecture: OTHER.to_owned(), ..image("other") });
        join_attested(&layout, "index", &["plain", "other"]).unwrap();
        Images { folder, layout, new: tar::write(&[Entry::file("etc/patched", "yes")]) }
    }

    /// One of them, to read.
    pub fn source(&self, tag: &str) -> LayoutSource {
        LayoutSource::new(self.layout.directory().to_owned(), Some(tag.to_owned()))
    }

    /// Something under a name of any place as it is.
    pub async fn as_it_is(&self, source: &dyn Source) -> Content {
        content(source).await
    }

    /// The image of this machine's platform under a name of any place, patched.
    pub async fn patched(&self, source: &dyn Source) -> Content {
        Content::Image(Box::new(self.patch(&source.image(&host()).await.unwrap().image)))
    }

    /// `index` with the image of this machine's platform patched, all else as it is.
    pub async fn patched_index(&self) -> Content {
        let source = self.source("index");
        let Content::Index { mut manifests, bytes, .. } = content(&source).await else { panic!("no index") };
        let mut index: Value = serde_json::from_slice(&bytes).unwrap();
        let at = manifests.iter().position(|m| m.platform() == Some(host())).unwrap();
        let entry = &manifests[at].entry;
        let patched = self.patch(manifests[at].image.as_ref().unwrap());
        let new =
            Descriptor { rest: entry.rest.clone(), annotations: entry.annotations.clone(), ..patched.entry };
        index["manifests"][at] = serde_json::to_value(&new).unwrap();
        manifests[at] = Outgoing { entry: new, ..patched };
        let bytes = serde_json::to_vec(&index).unwrap();
        Content::Index { descriptor: Descriptor::of(media_type::OCI_INDEX, &bytes), bytes, manifests }
    }

    fn patch(&self, image: &Image) -> Outgoing {
        let created = "2026-01-01T00:00:00Z".to_owned();
        let history = oci::History { created, created_by: "test".into(), comment: String::new() };
        let digest = Digest::of(&self.new);
        let patch = Patch {
            base_layers: image.layers.len(),
            blob: (digest.clone(), self.new.len() as u64),
            diff_id: DiffId(digest.clone()),
            compression: media_type::Compression::None,
            history,
            labels: BTreeMap::from([("patched".to_owned(), "yes".to_owned())]),
            annotations: BTreeMap::from([("patched".to_owned(), "yes".to_owned())]),
        };
        let path: PathBuf = self.folder.path().join("new");
        fs::write(&path, &self.new).unwrap();
        Outgoing::patched(image.patched(&patch).unwrap(), &[(digest, path)].into())
    }
}

fn image(name: &str) -> image::Image {
    // Large enough that it is not read at once, and not the same twice.
    let noise: Vec<u8> = (0..600_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let first =
        tar::write(&[Entry::directory("etc"), Entry::file("etc/name", name), Entry::file("noise", noise)]);
    let second = tar::write(&[Entry::file("etc/second", format!("second of {name}"))]);
    image::Image::new(vec![Layer::Tar(first), Layer::Tar(second)])
}

/// All that a name leads to, as it is.
async fn content(source: &dyn Source) -> Content {
    let named = source.named().await.unwrap();
    match &named.document {
        Document::Manifest(_) => {
            Content::Image(Box::new(outgoing(source, named.descriptor, named.bytes).await))
        }
        Document::Index(index) => {
            let mut manifests = Vec::new();
            for entry in index.manifests.clone() {
                let (bytes, _) = source.manifest(&entry).await.unwrap();
                manifests.push(outgoing(source, entry, bytes).await);
            }
            Content::Index { descriptor: named.descriptor, bytes: named.bytes, manifests }
        }
    }
}

async fn outgoing(source: &dyn Source, entry: Descriptor, bytes: Vec<u8>) -> Outgoing {
    // Attestations are no images, so they are not parsed as such.
    let manifest: oci::Manifest = serde_json::from_slice(&bytes).unwrap();
    let config = source.config(&manifest.config).await.unwrap();
    let blobs = std::iter::once(&manifest.config).chain(&manifest.layers);
    let blobs = blobs.map(|b| Blob { descriptor: b.clone(), from: From::Source }).collect();
    let runs = manifest.layers.iter().all(|l| media_type::compression(&l.media_type).is_some());
    let image = runs.then(|| Image::new(bytes.clone(), Some(&entry.media_type), config).unwrap());
    Outgoing { entry, bytes, blobs, image, patched: false }
}
