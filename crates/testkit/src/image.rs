//! Writes images: OCI layout directories with OCI or docker media types, one or several platforms.

use crate::{Error, command::argv};
use flate2::{Compression as Level, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// The annotation that names an image within a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Which family of media types an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Types {
    /// `application/vnd.oci.image…`
    #[default]
    Oci,
    /// `application/vnd.docker…`
    Docker,
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// gzip, as nearly every image has.
    #[default]
    Gzip,
    /// zstd, by the `zstd` program.
    Zstd,
    /// Not at all.
    None,
}

/// The bytes of a layer's tar.
#[derive(Debug, Clone)]
pub enum Layer {
    /// In memory.
    Tar(Vec<u8>),
    /// In a file.
    File(PathBuf),
}

impl Layer {
    /// A layer from the text that [`crate::tree`] reads; a mistake in it panics.
    pub fn text(text: &str) -> Layer {
        Layer::Tar(crate::tree::layer(text))
    }
}

/// An image to write.
#[derive(Debug, Clone)]
pub struct Image {
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// `v8` and the like.
    pub variant: Option<String>,
    /// The `config` object of the image's configuration.
    pub config: Value,
    /// Layers, the base first.
    pub layers: Vec<Layer>,
    /// Media types.
    pub types: Types,
    /// How layers are compressed.
    pub compression: Compression,
    /// Annotations of the manifest.
    pub annotations: Value,
}

impl Image {
    /// An image of these layers for this machine's architecture, gzip and OCI types, that would start a shell.
    pub fn new(layers: Vec<Layer>) -> Image {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let config = json!({ "Cmd": ["/bin/bash"], "Env": [path] });
        let annotations = Value::Null;
        let architecture = native_architecture().to_owned();
        let (types, compression) = (Types::default(), Compression::default());
        Image { architecture, variant: None, config, layers, types, compression, annotations }
    }
}

/// This machine's architecture in the words of images.
pub fn native_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An OCI layout directory.
#[derive(Debug, Clone)]
pub struct Layout {
    directory: PathBuf,
}

impl Layout {
    /// An empty layout in `directory`, which is made; a layout that is there already is kept.
    pub fn create(directory: &Path) -> Result<Layout, Error> {
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(Error::io(&blobs))?;
        let layout = Layout { directory: directory.to_owned() };
        layout.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        if !directory.join("index.json").exists() {
            layout.write_index(
                &json!({ "schemaVersion": 2, "mediaType": Types::Oci.index(), "manifests": [] }),
            )?;
        }
        Ok(layout)
    }

    /// A layout that is there already.
    pub fn open(directory: &Path) -> Result<Layout, Error> {
        let layout = Layout { directory: directory.to_owned() };
        layout.index().map(|_| layout)
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The way `skopeo` and others name an image of it: `oci:DIRECTORY:TAG`.
    pub fn name(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", self.directory.display())
    }

    /// Writes an image and tags it; gives its descriptor.
    pub fn add(&self, tag: &str, image: &Image) -> Result<Value, Error> {
        let mut descriptors = Vec::new();
        let mut diff_ids = Vec::new();
        for layer in &image.layers {
            let (descriptor, diff_id) = self.put_layer(layer, image)?;
            descriptors.push(descriptor);
            diff_ids.push(diff_id);
        }
        let config = self.put_json(&configuration(image, &diff_ids), image.types.config())?;
        let mut manifest = json!({ "schemaVersion": 2, "mediaType": image.types.manifest(), "config": config, "layers": descriptors });
        if !image.annotations.is_null() {
            manifest["annotations"] = image.annotations.clone();
        }
        let mut descriptor = self.put_json(&manifest, image.types.manifest())?;
        descriptor["platform"] = platform(image);
        self.tag(tag, &descriptor)?;
        Ok(descriptor)
    }

    /// Joins images that are tagged already to one of several platforms; gives the index's descriptor.
    pub fn join(&self, tag: &str, members: &[&str], types: Types) -> Result<Value, Error> {
        let members: Result<Vec<Value>, Error> =
            members.iter().map(|member| self.descriptor(member)).collect();
        let mut members = members?;
        members
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|member| drop(member.remove("annotations")));
        let index = json!({ "schemaVersion": 2, "mediaType": types.index(), "manifests": members });
        let descriptor = self.put_json(&index, types.index())?;
        self.tag(tag, &descriptor)?;
        Ok(descriptor)
    }

    /// The descriptor of a tagged image.
    pub fn descriptor(&self, tag: &str) -> Result<Value, Error> {
        let index = self.index()?;
        let manifests = index["manifests"].as_array().into_iter().flatten();
        let found = manifests.into_iter().find(|entry| entry["annotations"][REF_NAME] == tag).cloned();
        found.ok_or_else(|| {
            Error::malformed(self.directory.display().to_string(), format!("has no image `{tag}`"))
        })
    }

    /// Gives `descriptor` a tag, taking it from another that had it.
    pub fn tag(&self, tag: &str, descriptor: &Value) -> Result<(), Error> {
        let mut descriptor = descriptor.clone();
        descriptor["annotations"] = json!({ REF_NAME: tag });
        let mut index = self.index()?;
        if let Some(manifests) = index["manifests"].as_array_mut() {
            manifests.retain(|entry| entry["annotations"][REF_NAME] != tag);
            manifests.push(descriptor);
        }
        self.write_index(&index)
    }

    /// Writes the image in the form of `skopeo`'s `dir:` transport, which keeps every byte of manifests of any type.
    pub fn export(&self, tag: &str, folder: &Path) -> Result<(), Error> {
        let top = text(&self.descriptor(tag)?["digest"])?;
        let manifest = self.json(&top)?;
        let place = |digest: &str, name: &str| {
            let path = folder.join(name);
            let target = std::path::absolute(self.blob_path(digest)).map_err(Error::io(folder))?;
            match std::os::unix::fs::symlink(target, &path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                other => other.map_err(Error::io(path)),
            }
        };
        let version = folder.join("version");
        fs::write(&version, "Directory Transport Version: 1.1\n").map_err(Error::io(&version))?;
        place(&top, "manifest.json")?;
        let members: Vec<String> =
            list(&manifest["manifests"]).map(|member| text(&member["digest"])).collect::<Result<_, _>>()?;
        let mut images = vec![manifest];
        for member in &members {
            place(member, &format!("{}.manifest.json", hex(member)))?;
            images.push(self.json(member)?);
        }
        for image in &images {
            for blob in list(&image["layers"]).chain(image.get("config")) {
                let digest = text(&blob["digest"])?;
                place(&digest, hex(&digest))?;
            }
        }
        Ok(())
    }

    /// Where a blob lies.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        self.directory.join("blobs").join(digest.replacen(':', "/", 1))
    }

    /// A blob as JSON.
    pub fn json(&self, digest: &str) -> Result<Value, Error> {
        let path = self.blob_path(digest);
        let bytes = fs::read(&path).map_err(Error::io(&path))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::malformed(path.display().to_string(), error))
    }

    /// Writes a JSON blob; gives its descriptor.
    pub fn put_json(&self, value: &Value, media_type: &str) -> Result<Value, Error> {
        self.put_bytes(value.to_string().as_bytes(), media_type)
    }

    /// Writes a blob; gives its descriptor.
    pub fn put_bytes(&self, bytes: &[u8], media_type: &str) -> Result<Value, Error> {
        let digest = digest(bytes);
        let path = self.blob_path(&digest);
        fs::write(&path, bytes).map_err(Error::io(&path))?;
        Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
    }

    fn put_layer(&self, layer: &Layer, image: &Image) -> Result<(Value, String), Error> {
        let scratch = self.directory.join(format!("blobs/layer.{}", std::process::id()));
        let mut blob = Hashing::new(BufWriter::new(File::create(&scratch).map_err(Error::io(&scratch))?));
        let diff_id = compress(layer, image.compression, &mut blob).map_err(Error::io(&scratch))?;
        let (digest, size) = blob.finish().map_err(Error::io(&scratch))?;
        let path = self.blob_path(&digest);
        fs::rename(&scratch, &path).map_err(Error::io(&path))?;
        let media_type = image.types.layer(image.compression);
        Ok((json!({ "mediaType": media_type, "digest": digest, "size": size }), diff_id))
    }

    fn index(&self) -> Result<Value, Error> {
        let path = self.directory.join("index.json");
        let bytes = fs::read(&path).map_err(Error::io(&path))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::malformed(path.display().to_string(), error))
    }

    fn write_index(&self, index: &Value) -> Result<(), Error> {
        self.write("index.json", index.to_string().as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.directory.join(name);
        fs::write(&path, bytes).map_err(Error::io(&path))
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn hex(digest: &str) -> &str {
    digest.rsplit(':').next().unwrap_or_default()
}

/// A digest as it stands in a document.
pub(crate) fn text(value: &Value) -> Result<String, Error> {
    value.as_str().map(str::to_owned).ok_or_else(|| Error::malformed("image", "a digest is missing"))
}

/// `sha256:…` of bytes.
pub fn digest(bytes: &[u8]) -> String {
    name_of(Sha256::new_with_prefix(bytes))
}

fn name_of(hasher: Sha256) -> String {
    hasher.finalize().iter().fold("sha256:".to_owned(), |name, byte| name + &format!("{byte:02x}"))
}

fn configuration(image: &Image, diff_ids: &[String]) -> Value {
    let created = crate::tree::EPOCH_TEXT;
    let entry = |number: usize| json!({ "created": created, "created_by": format!("ADD layer-{number} /") });
    let history: Vec<Value> = (1..=diff_ids.len()).map(entry).collect();
    let mut configuration = json!({
        "created": created, "architecture": image.architecture, "os": "linux", "config": image.config,
        "rootfs": { "type": "layers", "diff_ids": diff_ids }, "history": history,
    });
    if let Some(variant) = &image.variant {
        configuration["variant"] = json!(variant);
    }
    configuration
}

fn platform(image: &Image) -> Value {
    let mut platform = json!({ "architecture": image.architecture, "os": "linux" });
    if let Some(variant) = &image.variant {
        platform["variant"] = json!(variant);
    }
    platform
}

/// Writes the compressed layer to `blob` and gives the digest of the uncompressed tar.
fn compress<W: Write>(
    layer: &Layer,
    compression: Compression,
    blob: &mut Hashing<W>,
) -> std::io::Result<String> {
    let mut tar = layer.reader()?;
    match compression {
        Compression::None => copy_hashing(&mut tar, blob),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(blob, Level::new(4));
            let diff_id = copy_hashing(&mut tar, &mut encoder)?;
            encoder.finish()?;
            Ok(diff_id)
        }
        Compression::Zstd => {
            let mut bytes = Vec::new();
            tar.read_to_end(&mut bytes)?;
            let packed =
                argv("zstd", ["-q", "-3", "--stdout"]).filter(&bytes).map_err(std::io::Error::other)?;
            blob.write_all(&packed)?;
            Ok(digest(&bytes))
        }
    }
}

fn copy_hashing(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<String> {
    let mut hashing = Hashing::new(to);
    std::io::copy(from, &mut hashing)?;
    hashing.finish().map(|(digest, _)| digest)
}

impl Layer {
    fn reader(&self) -> std::io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Layer::Tar(bytes) => Box::new(&bytes[..]),
            Layer::File(path) => Box::new(File::open(path)?),
        })
    }
}

/// A writer that knows digest and length of what went through it.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    length: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing { inner, hasher: Sha256::new(), length: 0 }
    }

    fn finish(mut self) -> std::io::Result<(String, u64)> {
        self.inner.flush()?;
        Ok((name_of(self.hasher), self.length))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl Types {
    /// Media type of a manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Types::Oci => "application/vnd.oci.image.manifest.v1+json",
            Types::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    /// Media type of a list of manifests.
    pub fn index(self) -> &'static str {
        match self {
            Types::Oci => "application/vnd.oci.image.index.v1+json",
            Types::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// Media type of an image's configuration.
    pub fn config(self) -> &'static str {
        match self {
            Types::Oci => "application/vnd.oci.image.config.v1+json",
            Types::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// Media type of a layer.
    pub fn layer(self, compression: Compression) -> &'static str {
        match (self, compression) {
            (Types::Oci, Compression::Gzip) => "application/vnd.oci.image.layer.v1.tar+gzip",
            (Types::Oci, Compression::Zstd) => "application/vnd.oci.image.layer.v1.tar+zstd",
            (Types::Oci, Compression::None) => "application/vnd.oci.image.layer.v1.tar",
            (Types::Docker, Compression::Gzip) => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            (Types::Docker, Compression::Zstd) => "application/vnd.docker.image.rootfs.diff.tar.zstd",
            (Types::Docker, Compression::None) => "application/vnd.docker.image.rootfs.diff.tar",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_moves_and_members_join() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(dir.path()).unwrap();
        let first = layout.add("a", &Image::new(vec![Layer::text("file x text=1")])).unwrap();
        let other = Image {
            architecture: "arm64".into(),
            variant: Some("v8".into()),
            ..Image::new(vec![Layer::text("file x text=2")])
        };
        layout.add("b", &other).unwrap();
        let index = layout.join("both", &["a", "b"], Types::Docker).unwrap();
        let members = layout.json(index["digest"].as_str().unwrap()).unwrap();
        assert_eq!(members["manifests"][0]["digest"], first["digest"]);
        assert_eq!(members["manifests"][1]["platform"]["variant"], "v8");
        layout.tag("a", &index).unwrap();
        assert_eq!(layout.descriptor("a").unwrap()["digest"], index["digest"]);
        assert!(layout.descriptor("c").is_err());
    }
}
