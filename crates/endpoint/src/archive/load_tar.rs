//! The tar that everything loads: an OCI layout and `manifest.json` in one, naming the same blobs. Entries sorted by path, so
//! that the names come last: a stream that breaks off names nothing.

use super::{
    docker_names::{DockerImage, blob_path, by_platform, manifest_json, tag, whole},
    tar_stream::{Failure, TarStream},
};
use crate::{Blob, Content, Error, From, Outgoing, WriteRequest, content::is_base, feed};
use oci::{Descriptor, Digest, Index, Platform, Reference, media_type};
use std::collections::{BTreeMap, BTreeSet};
use tokio::io::AsyncWrite;

/// The annotation by which containerd and docker know the whole name of an entry in `index.json`.
pub(super) const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The annotation by which the image specification names an entry in `index.json`.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// `oci-layout`.
const MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// What a tar is to hold, and under which names.
pub struct LoadTar<'a> {
    /// What `index.json` leads to.
    pub root: Root<'a>,
    /// Whole references; one without a tag is taken as `latest`. Without any the images have no name.
    pub names: &'a [Reference],
    /// Which base layers are in it.
    pub base: BaseBlobs,
}

/// What `index.json` leads to.
pub enum Root<'a> {
    /// One image of the request's content.
    Image(&'a Outgoing),
    /// All of the request's content. Where that is an index, `manifest.json` names the images one by one: the one of this host as
    /// the tar is named, the others `NAME-ARCHITECTURE[-VARIANT]`.
    Whole,
}

/// Which base layers are in a tar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BaseBlobs {
    /// All of them.
    #[default]
    Full,
    /// These are entries without content, because who loads the tar has them already. Only layers that are the source's
    /// own are ever left out; a digest in this set must be the very one of the loader's own manifest (spec/local-daemons).
    Empty(BTreeSet<Digest>),
}

/// What a tar has taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TarSent {
    /// Bytes of all blobs and manifests.
    pub bytes: u64,
    /// Those of them that are base layers.
    pub base_bytes: u64,
    /// Base layers that were left empty.
    pub empty: usize,
    /// Every name in `manifest.json`, whole, with the platform of its image where that is known.
    pub names: Vec<(String, Option<Platform>)>,
}

/// Writes the tar. Every blob is verified as it passes; where one is bad or the request is cancelled the output ends before
/// anything in it has a name, and must be thrown away.
pub async fn write_load_tar<W: AsyncWrite + Unpin + Send>(
    request: &WriteRequest<'_>,
    tar: &LoadTar<'_>,
    out: W,
) -> Result<TarSent, Error> {
    let images = docker_images(request.content, tar)?;
    let platform = |i: &DockerImage<'_>| i.image.platform();
    let named = |i: &DockerImage<'_>| i.names.iter().map(|n| (whole(n), platform(i))).collect::<Vec<_>>();
    let names = images.iter().flat_map(named).collect();
    let layout = LayoutTar {
        entries: entries(request.content, tar),
        docker: Some(manifest_json(&images)),
        root: &tar.root,
        base: &tar.base,
    };
    Ok(TarSent { names, ..write_layout_tar(request, &layout, out).await? })
}

/// A tar of a layout.
pub(super) struct LayoutTar<'a> {
    /// The entries of `index.json`.
    pub(super) entries: Vec<Descriptor>,
    /// `manifest.json`, where there is to be one.
    pub(super) docker: Option<Vec<u8>>,
    pub(super) root: &'a Root<'a>,
    pub(super) base: &'a BaseBlobs,
}

/// Writes the tar.
pub(super) async fn write_layout_tar<W: AsyncWrite + Unpin + Send>(
    request: &WriteRequest<'_>,
    tar: &LayoutTar<'_>,
    out: W,
) -> Result<TarSent, Error> {
    request.or_cancelled(write_all(request, tar, out)).await
}

async fn write_all<W: AsyncWrite + Unpin + Send>(
    request: &WriteRequest<'_>,
    tar: &LayoutTar<'_>,
    out: W,
) -> Result<TarSent, Error> {
    let mut sent = TarSent::default();
    let mut stream = TarStream::new(out);
    for folder in ["blobs", "blobs/sha256"] {
        stream.folder(folder).await.map_err(write_failed)?;
    }
    for (digest, piece) in pieces(request.content, tar.root) {
        let path = blob_path(digest);
        match piece {
            Piece::Blob(blob) if is_left_out(blob, tar.base) => {
                sent.empty += 1;
                stream.bytes(&path, b"").await.map_err(write_failed)?;
            }
            Piece::Blob(blob) => put_blob(request, &mut stream, blob, &mut sent).await?,
            Piece::Bytes(bytes) => {
                sent.bytes += bytes.len() as u64;
                stream.bytes(&path, bytes).await.map_err(write_failed)?;
            }
        }
    }
    let index = Index {
        schema_version: 2,
        media_type: Some(media_type::OCI_INDEX.to_owned()),
        manifests: tar.entries.clone(),
        annotations: None,
        rest: serde_json::Map::new(),
    };
    let index = serde_json::to_vec(&index).map_err(|e| write_failed(e.into()))?;
    stream.bytes("index.json", &index).await.map_err(write_failed)?;
    if let Some(docker) = &tar.docker {
        stream.bytes("manifest.json", docker).await.map_err(write_failed)?;
    }
    stream.bytes("oci-layout", MARKER).await.map_err(write_failed)?;
    stream.finish().await.map_err(write_failed)?;
    Ok(sent)
}

/// Something below `blobs/`.
enum Piece<'a> {
    Blob(&'a Blob),
    Bytes(&'a [u8]),
}

/// Everything below `blobs/`, by digest.
fn pieces<'a>(content: &'a Content, root: &Root<'a>) -> BTreeMap<&'a Digest, Piece<'a>> {
    let manifests = match root {
        Root::Image(image) => std::slice::from_ref(*image),
        Root::Whole => content.manifests(),
    };
    let mut pieces = BTreeMap::new();
    for manifest in manifests {
        pieces.extend(manifest.blobs.iter().map(|blob| (&blob.descriptor.digest, Piece::Blob(blob))));
    }
    pieces.extend(manifests.iter().map(|m| (&m.entry.digest, Piece::Bytes(&m.bytes))));
    if let (Root::Whole, Content::Index { descriptor, bytes, .. }) = (root, content) {
        pieces.insert(&descriptor.digest, Piece::Bytes(bytes));
    }
    pieces
}

fn is_left_out(blob: &Blob, base: &BaseBlobs) -> bool {
    match base {
        BaseBlobs::Full => false,
        BaseBlobs::Empty(digests) => is_base(blob) && digests.contains(&blob.descriptor.digest),
    }
}

async fn put_blob<W: AsyncWrite + Unpin>(
    request: &WriteRequest<'_>,
    stream: &mut TarStream<W>,
    blob: &Blob,
    sent: &mut TarSent,
) -> Result<(), Error> {
    let Descriptor { digest, size, .. } = &blob.descriptor;
    let told = |done| (request.progress)(digest, done, *size);
    let reader = feed::open(request, blob).await?;
    let put = stream.stream(&blob_path(digest), *size, reader, told).await;
    put.map_err(|failure| match failure {
        Failure::Read(e) => Error::blob(format!("blob {digest}"), e),
        Failure::Write(e) => write_failed(e),
    })?;
    sent.bytes += size;
    if blob.from == From::Source && is_base(blob) {
        sent.base_bytes += size;
    }
    Ok(())
}

fn write_failed(source: std::io::Error) -> Error {
    Error::Io { doing: "writing the archive".into(), source }
}

/// The images that `manifest.json` names.
fn docker_images<'a>(content: &'a Content, tar: &LoadTar<'a>) -> Result<Vec<DockerImage<'a>>, Error> {
    let all: Vec<&Outgoing> = match tar.root {
        Root::Image(image) => vec![image],
        Root::Whole => content.manifests().iter().filter(|m| m.image.is_some()).collect(),
    };
    let own = match tar.root {
        Root::Image(image) => Some(image),
        Root::Whole => content.image_for(&Platform::host()),
    };
    let Some(own) = own else { return Ok(Vec::new()) };
    by_platform(all, own, tar.names).map_err(|e| Error::Unfit { why: e.to_string() })
}

/// The entries of `index.json`: what it leads to once for each name, or once without.
fn entries(content: &Content, tar: &LoadTar<'_>) -> Vec<Descriptor> {
    let root = root_entry(content, &tar.root);
    if tar.names.is_empty() {
        return vec![root];
    }
    let named = |name: &Reference| {
        let names = [(CONTAINERD_NAME, whole(name)), (REF_NAME, tag(name).to_owned())];
        let names = names.map(|(key, value)| (key.to_owned(), value));
        Descriptor { annotations: Some(names.into()), ..root.clone() }
    };
    tar.names.iter().map(named).collect()
}

/// What `index.json` leads to, without a name. The entry of a single image says its platform.
pub(super) fn root_entry(content: &Content, root: &Root<'_>) -> Descriptor {
    let image = match (root, content) {
        (Root::Image(image), _) => Some(*image),
        (Root::Whole, Content::Image(image)) => Some(&**image),
        (Root::Whole, Content::Index { .. }) => None,
    };
    let entry = image.map_or_else(|| content.descriptor(), |image| &image.entry);
    let mut entry = Descriptor { annotations: None, ..entry.clone() };
    if let Some(platform) = image.and_then(Outgoing::platform)
        && let Ok(platform) = serde_json::to_value(platform)
    {
        entry.rest.insert("platform".into(), platform);
    }
    entry
}
