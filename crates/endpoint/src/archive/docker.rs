//! An archive as `docker save` writes it: `manifest.json` says which files are which image. Where the same files are an OCI
//! layout too, its manifest is taken if it says the same; else one is made.

use super::{
    docker_names::{blob_path, whole},
    layout::{containerd_name, of_entry},
    load_tar::REF_NAME,
    opened::{Contents, Opened, Stored},
    spool::{Magic, magic},
    tar_index::{Range, corrupt, io_error},
};
use crate::{Error, Named};
use oci::{
    Config, Descriptor, Digest, Document, Hasher, Index, Manifest, Reference,
    limits::{CONFIG_BYTES_MAX, LAYERS_MAX, MANIFEST_BYTES_MAX},
    media_type::{self, Compression},
};
use serde::Deserialize;
use serde_json::json;
use std::{collections::BTreeMap, os::unix::fs::FileExt};

/// Most images of one archive.
const IMAGES_MAX: usize = 1000;
/// Most manifests of a layout that are looked at to find those of `manifest.json`.
const MANIFESTS_READ_MAX: usize = 1000;
/// Most files that are compared to find those manifests: of a hundred images of a hundred layers each, some ten thousand are.
const COMPARED_MAX: usize = 1 << 22;
/// How much is hashed at once.
const CHUNK_BYTES: usize = 1 << 20;

/// One image of `manifest.json` (moby, `image/tarexport`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl DockerImage {
    fn layers(&self) -> &[String] {
        self.layers.as_deref().unwrap_or_default()
    }

    fn names(&self) -> impl Iterator<Item = Reference> {
        self.repo_tags.iter().flatten().filter_map(|name| name.parse().ok())
    }

    fn is(&self, reference: &Reference) -> bool {
        self.names().any(|name| whole(&name) == whole(reference))
    }
}

/// Whether an archive is of this kind.
pub(super) fn is_docker(archive: &Opened) -> Result<bool, Error> {
    archive.find("manifest.json").map(|found| found.is_some())
}

/// What a reference leads to; without one the archive must hold one image.
pub(super) fn contents(
    archive: &Opened,
    address: String,
    reference: Option<&Reference>,
) -> Result<Contents, Error> {
    let images = images(archive)?;
    let asked = |image: &&DockerImage| reference.is_none_or(|reference| image.is(reference));
    let chosen: Vec<&DockerImage> = images.iter().filter(asked).collect();
    if !chosen.is_empty()
        && let Some(entry) = layout_entry(archive, &chosen, reference)?
    {
        return Ok(Contents { named: of_entry(archive, address, &entry)?, stored: BTreeMap::new() });
    }
    match chosen.as_slice() {
        [first, others @ ..] if others.iter().all(|o| o.config == first.config) => {
            made(archive, address, first)
        }
        _ => Err(not_one(archive, &images, reference)),
    }
}

fn images(archive: &Opened) -> Result<Vec<DockerImage>, Error> {
    let wrong = |why: String| corrupt(&archive.shown, why);
    let Some(bytes) = archive.read("manifest.json", MANIFEST_BYTES_MAX)? else {
        let layout = archive.find("oci-layout")?.is_some();
        let hint = if layout { "; it is an OCI layout, to be named oci-archive:" } else { "" };
        return Err(wrong(format!("it has no manifest.json, as docker has written it since 1.10{hint}")));
    };
    let images: Vec<DockerImage> =
        serde_json::from_slice(&bytes).map_err(|e| wrong(format!("manifest.json is not valid: {e}")))?;
    match images.len() {
        0 => Err(wrong("manifest.json names no image".into())),
        n if n > IMAGES_MAX => Err(wrong(format!("manifest.json names {n} images, more than {IMAGES_MAX}"))),
        _ => Ok(images),
    }
}

/// No image, or several where one is meant.
fn not_one(archive: &Opened, images: &[DockerImage], reference: Option<&Reference>) -> Error {
    let item = match reference {
        Some(reference) => format!("docker-archive:{}:{reference}", archive.shown),
        None => format!("a single image in docker-archive:{}", archive.shown),
    };
    Error::NotFound { item, there: images.iter().flat_map(DockerImage::names).map(|n| whole(&n)).collect() }
}

/// The entry of the layout in the same archive that says the same as `manifest.json` of the chosen images: the index that holds
/// them all, or the manifest of the only one. `None` where there is none.
fn layout_entry(
    archive: &Opened,
    chosen: &[&DockerImage],
    reference: Option<&Reference>,
) -> Result<Option<Descriptor>, Error> {
    let Some((index, _)) = archive.layout_index()? else { return Ok(None) };
    let mut alone = None;
    let (mut budget, mut compared) = (MANIFESTS_READ_MAX, COMPARED_MAX);
    for root in &index.manifests {
        let Some(tree) = Tree::read(archive, root, &mut budget)? else { continue };
        let mut matching = Vec::new();
        for image in chosen {
            for (entry, manifest) in &tree.manifests {
                if says_the_same(archive, image, manifest, &mut compared)? {
                    matching.push(entry);
                    break;
                }
            }
        }
        if matching.len() == chosen.len() && (!tree.is_index || (tree.is_whole && is_called(root, reference)))
        {
            return Ok(Some(root.clone()));
        }
        if let ([_], [entry]) = (chosen, matching.as_slice()) {
            alone = alone.or(Some((*entry).clone()));
        }
    }
    Ok(alone)
}

/// Whether an entry of `index.json` has the name that was asked for.
fn is_called(root: &Descriptor, reference: Option<&Reference>) -> bool {
    let Some(reference) = reference else { return true };
    let whole_name = containerd_name(root).and_then(|name| name.parse::<Reference>().ok());
    let short = root.annotations.as_ref().and_then(|a| a.get(REF_NAME)).map(String::as_str);
    match whole_name {
        Some(name) => whole(&name) == whole(reference),
        None => short == reference.tag(),
    }
}

/// An entry of `index.json` with the manifests below it.
struct Tree {
    is_index: bool,
    /// Whether every manifest that the index names is in the archive.
    is_whole: bool,
    manifests: Vec<(Descriptor, Manifest)>,
}

impl Tree {
    /// `None` where the entry's document is not in the archive, or is no image and no index.
    fn read(archive: &Opened, root: &Descriptor, budget: &mut usize) -> Result<Option<Tree>, Error> {
        let index: Index = match found(archive, root, budget)? {
            Found::Absent | Found::Other => return Ok(None),
            Found::Manifest(manifest) => {
                let manifests = vec![(root.clone(), manifest)];
                return Ok(Some(Tree { is_index: false, is_whole: true, manifests }));
            }
            Found::Index(index) => index,
        };
        let mut tree = Tree { is_index: true, is_whole: true, manifests: Vec::new() };
        for entry in index.manifests {
            match found(archive, &entry, budget)? {
                Found::Manifest(manifest) => tree.manifests.push((entry, manifest)),
                Found::Index(_) | Found::Other => {}
                Found::Absent => tree.is_whole = false,
            }
        }
        Ok(Some(tree))
    }
}

/// What a descriptor of the layout leads to.
enum Found {
    Manifest(Manifest),
    Index(Index),
    /// An attestation, or something else that cannot run.
    Other,
    Absent,
}

fn found(archive: &Opened, entry: &Descriptor, budget: &mut usize) -> Result<Found, Error> {
    *budget = budget.checked_sub(1).ok_or_else(|| {
        corrupt(&archive.shown, format!("its index.json names more than {MANIFESTS_READ_MAX} manifests"))
    })?;
    let Some(bytes) = archive.blob(entry, MANIFEST_BYTES_MAX)? else { return Ok(Found::Absent) };
    let item = || format!("manifest {} in {}", entry.digest, archive.shown);
    match Document::parse(&bytes, Some(&entry.media_type)) {
        Ok((Document::Manifest(manifest), _)) => Ok(Found::Manifest(manifest)),
        Ok((Document::Index(index), _)) => Ok(Found::Index(index)),
        Err(oci::Error::Unsupported(_)) => Ok(Found::Other),
        Err(source) => Err(Error::Image { item: item(), source }),
    }
}

/// Whether a manifest names the same files as an image of `manifest.json`.
fn says_the_same(
    archive: &Opened,
    image: &DockerImage,
    manifest: &Manifest,
    compared: &mut usize,
) -> Result<bool, Error> {
    let mut same = |name: &str, blob: &Descriptor| -> Result<bool, Error> {
        *compared = compared.checked_sub(1).ok_or_else(|| {
            corrupt(&archive.shown, "its manifest.json and index.json name too many of the same".into())
        })?;
        let at = archive.find(name)?;
        Ok(at.is_some() && at == archive.find(&blob_path(&blob.digest))?)
    };
    if image.layers().len() != manifest.layers.len() || !same(&image.config, &manifest.config)? {
        return Ok(false);
    }
    for (name, blob) in image.layers().iter().zip(&manifest.layers) {
        if !same(name, blob)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// An image whose manifest is made from the files: of OCI's kind, as docker's is looked at by few where layouts are read; the config as
/// it is.
fn made(archive: &Opened, address: String, image: &DockerImage) -> Result<Contents, Error> {
    let config = config(archive, image)?;
    let item = || format!("config {} in {}", image.config.escape_default(), archive.shown);
    let wrong = |source| Error::Image { item: item(), source };
    let diff_ids = Config::parse(&config).and_then(|c| c.diff_ids()).map_err(wrong)?;
    let names = image.layers();
    if names.len() != diff_ids.len() || names.len() > LAYERS_MAX {
        let (layers, ids) = (names.len(), diff_ids.len());
        return Err(corrupt(
            &archive.shown,
            format!("manifest.json names {layers} layers, the config {ids} diff ids"),
        ));
    }
    let (mut stored, mut known) = (BTreeMap::new(), BTreeMap::new());
    let mut layers = Vec::new();
    for (name, diff_id) in names.iter().zip(&diff_ids) {
        let (layer, range) = layer(archive, name, &diff_id.0, &mut known)?;
        stored.insert(layer.digest.clone(), Stored::Range(range));
        layers.push(layer);
    }
    let config_entry = Descriptor::of(media_type::OCI_CONFIG, &config);
    stored.insert(config_entry.digest.clone(), Stored::Bytes(config.into()));
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": config_entry, "layers": layers});
    let named = Named::new(address, manifest.to_string().into_bytes(), None)?;
    stored.insert(named.descriptor.digest.clone(), Stored::Bytes(named.bytes.clone().into()));
    Ok(Contents { named, stored })
}

/// The config. Its file is called by its digest in every archive that docker has written.
fn config(archive: &Opened, image: &DockerImage) -> Result<Vec<u8>, Error> {
    let name = image.config.escape_default();
    let absent = || corrupt(&archive.shown, format!("{name}, which manifest.json names, is not in it"));
    let config = archive.read(&image.config, CONFIG_BYTES_MAX)?.ok_or_else(absent)?;
    let stem = image.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    match format!("sha256:{stem}").parse::<Digest>() {
        Ok(digest) if digest != Digest::of(&config) => {
            Err(corrupt(&archive.shown, format!("the digest of {name} is {}", Digest::of(&config))))
        }
        _ => Ok(config),
    }
}

/// One layer. One that is not compressed has its diff id as digest, which is verified when it is read; of others the digest is
/// taken now, once of each file: `known` has them by their place.
fn layer(
    archive: &Opened,
    name: &str,
    diff_id: &Digest,
    known: &mut BTreeMap<u64, Digest>,
) -> Result<(Descriptor, Range), Error> {
    let shown = name.escape_default();
    let wrong = |why: String| corrupt(&archive.shown, why);
    let found = archive.find(name)?;
    let range = found.ok_or_else(|| wrong(format!("{shown}, which manifest.json names, is not in it")))?;
    if range.size == 0 {
        return Err(wrong(format!("{shown} is empty, the archive was made without it")));
    }
    let compression = match magic(archive.file(), range.offset).map_err(|e| io_error(&archive.shown, e))? {
        Magic::Known(compression) => compression,
        Magic::Unsupported(kind) => {
            return Err(wrong(format!("{shown} is compressed with {kind}, which is not supported")));
        }
    };
    let kind = match compression {
        Compression::None => media_type::OCI_LAYER,
        Compression::Gzip => media_type::OCI_LAYER_GZIP,
        Compression::Zstd => media_type::OCI_LAYER_ZSTD,
    };
    let digest = match (compression, known.get(&range.offset)) {
        (Compression::None, _) => diff_id.clone(),
        (_, Some(digest)) => digest.clone(),
        (_, None) => {
            let digest = hashed(archive, range)?;
            known.insert(range.offset, digest.clone());
            digest
        }
    };
    Ok((Descriptor::new(kind, digest, range.size), range))
}

fn hashed(archive: &Opened, range: Range) -> Result<Digest, Error> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK_BYTES];
    let end = range.offset + range.size;
    let mut at = range.offset;
    while at < end {
        let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        archive.file().read_exact_at(&mut buffer[..most], at).map_err(|e| io_error(&archive.shown, e))?;
        hasher.update(&buffer[..most]);
        at += most as u64;
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use testkit::tar;

    fn opened(entries: &[(&str, &[u8])]) -> Opened {
        let file =
            |(path, content): &(&str, &[u8])| tar::Entry::new(*path, tar::Kind::File(content.to_vec()));
        let entries: Vec<tar::Entry> = entries.iter().map(file).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&tar::write(&entries)).unwrap();
        Opened::new(file, "x.tar".into()).unwrap()
    }

    #[test]
    fn what_is_compared_is_bounded() {
        let (config, layer) = (Digest::of(b"config"), Digest::of(b"layer"));
        let (at_config, at_layer) = (blob_path(&config), blob_path(&layer));
        let archive = opened(&[(&at_config, b"config"), (&at_layer, b"layer")]);
        let manifest = json!({"schemaVersion": 2, "config": Descriptor::of(media_type::OCI_CONFIG, b"config"),
            "layers": [Descriptor::of(media_type::OCI_LAYER, b"layer")]});
        let manifest: Manifest = serde_json::from_value(manifest).unwrap();
        let image = json!({"Config": at_config, "Layers": [at_layer]});
        let image: DockerImage = serde_json::from_value(image).unwrap();
        let mut compared = 3;
        assert!(says_the_same(&archive, &image, &manifest, &mut compared).unwrap());
        assert_eq!(compared, 1);
        let error = says_the_same(&archive, &image, &manifest, &mut compared).unwrap_err().to_string();
        assert!(error.contains("too many of the same"), "{error}");
    }

    #[test]
    fn a_file_that_is_several_layers_is_hashed_once() {
        let gzip = b"\x1f\x8b and what follows";
        let archive = opened(&[("a", gzip), ("b", b"plain"), ("c", gzip)]);
        let (ids, mut known) = ([Digest::of(b"1"), Digest::of(b"2")], BTreeMap::new());
        let mut take = |name: &str, id: &Digest| layer(&archive, name, id, &mut known).unwrap().0;
        assert_eq!(
            (take("a", &ids[0]).digest, take("a", &ids[1]).digest),
            (Digest::of(gzip), Digest::of(gzip))
        );
        assert_eq!(
            (take("b", &ids[0]).digest, take("c", &ids[0]).digest),
            (ids[0].clone(), Digest::of(gzip))
        );
        assert_eq!(known.len(), 2, "one of each compressed file");
    }
}
