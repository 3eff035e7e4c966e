//! Reads images out of an OCI layout directory for judging: manifest, configuration, and the files that the stack of layers
//! shows, whiteouts applied.

use crate::image::{Layout, native_architecture, text};
use crate::tar::{Entry, Kind, Reader};
use crate::{Error, command::argv};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// An image of a layout.
#[derive(Debug, Clone)]
pub struct ImageReader {
    layout: Layout,
    /// Digest of its manifest.
    pub manifest_digest: String,
    /// Its manifest.
    pub manifest: Value,
    /// Its configuration.
    pub config: Value,
}

/// A file as the stack of layers shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The entry, content included, its path without `./` or `/` at the front.
    pub entry: Entry,
    /// Which layer it comes from, counted from 0.
    pub layer: usize,
}

impl ImageReader {
    /// Opens the image `tag` of a layout; of several platforms, this machine's.
    pub fn open(directory: &Path, tag: &str) -> Result<ImageReader, Error> {
        ImageReader::open_platform(directory, tag, native_architecture())
    }

    /// Opens the image `tag` of a layout; of several platforms, the one for `architecture`.
    pub fn open_platform(directory: &Path, tag: &str, architecture: &str) -> Result<ImageReader, Error> {
        let layout = Layout::open(directory)?;
        let mut manifest_digest = text(&layout.descriptor(tag)?["digest"])?;
        let mut manifest = layout.json(&manifest_digest)?;
        if let Some(members) = manifest["manifests"].as_array() {
            let fits = |member: &&Value| member["platform"]["architecture"] == architecture;
            let member = members.iter().find(fits);
            let member =
                member.ok_or_else(|| Error::malformed(tag, format!("has no platform for {architecture}")))?;
            manifest_digest = text(&member["digest"])?;
            manifest = layout.json(&manifest_digest)?;
        }
        let config = layout.json(&text(&manifest["config"]["digest"])?)?;
        Ok(ImageReader { layout, manifest_digest, manifest, config })
    }

    /// Descriptors of its layers.
    pub fn layers(&self) -> &[Value] {
        self.manifest["layers"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Digests of its layers' uncompressed tars.
    pub fn diff_ids(&self) -> Vec<String> {
        let ids = self.config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
        ids.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The entries of one layer, with their contents.
    pub fn layer_entries(&self, layer: usize) -> Result<Vec<Entry>, Error> {
        self.layer_entries_matching(layer, |_| true)
    }

    /// The entries of one layer whose plain paths `wanted` picks, with their contents.
    pub fn layer_entries_matching(
        &self,
        layer: usize,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<Entry>, Error> {
        let mut reader = Reader::new(self.layer_tar(layer)?);
        let mut entries = Vec::new();
        while let Some(mut entry) = reader.next_entry()? {
            if wanted(&plain(&entry.path)) {
                if let Kind::File(content) = &mut entry.kind {
                    *content = reader.content()?;
                }
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// What the stack of layers shows of the paths that `wanted` picks; paths have no `./` or `/` at the front.
    pub fn files(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<BTreeMap<Vec<u8>, Shown>, Error> {
        let mut shown = BTreeMap::new();
        for layer in 0..self.layers().len() {
            self.apply(layer, &wanted, &mut shown)?;
        }
        Ok(shown)
    }

    /// Removals of a layer hide what layers below it show, whatever their order in it; then its own entries count.
    fn apply(
        &self,
        layer: usize,
        wanted: &impl Fn(&[u8]) -> bool,
        shown: &mut BTreeMap<Vec<u8>, Shown>,
    ) -> Result<(), Error> {
        let mut reader = Reader::new(self.layer_tar(layer)?);
        let mut own = Vec::new();
        while let Some(mut entry) = reader.next_entry()? {
            entry.path = plain(&entry.path);
            let (folder, name) = split(&entry.path);
            if name == b".wh..wh..opq" {
                shown.retain(|path, _| !is_below(path, folder));
            } else if let Some(name) = name.strip_prefix(b".wh.") {
                let gone = if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() };
                shown.retain(|path, _| path != &gone && !is_below(path, &gone));
            } else {
                if !matches!(entry.kind, Kind::Directory) {
                    own.push((entry.path.clone(), None));
                }
                if wanted(&entry.path) {
                    if let Kind::File(content) = &mut entry.kind {
                        *content = reader.content()?;
                    }
                    own.push((entry.path.clone(), Some(Shown { entry, layer })));
                }
            }
        }
        own.into_iter().for_each(|(path, entry)| put(shown, path, entry));
        Ok(())
    }

    fn layer_tar(&self, layer: usize) -> Result<Box<dyn Read>, Error> {
        let path = self.layout.blob_path(&text(&self.layers()[layer]["digest"])?);
        let mut magic = [0; 4];
        let mut file = File::open(&path).map_err(Error::io(&path))?;
        let length = file.read(&mut magic).map_err(Error::io(&path))?;
        let file = File::open(&path).map_err(Error::io(&path))?;
        Ok(match &magic[..length] {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(file)),
            [0x28, 0xb5, 0x2f, 0xfd] => {
                let bytes = argv("zstd", ["-q", "-d", "--stdout"]).arg(&path).stdout()?;
                Box::new(std::io::Cursor::new(bytes))
            }
            _ => Box::new(file),
        })
    }
}

/// An entry that is not a directory takes the place of a whole tree.
fn put(shown: &mut BTreeMap<Vec<u8>, Shown>, path: Vec<u8>, entry: Option<Shown>) {
    match entry {
        Some(entry) => drop(shown.insert(path, entry)),
        None => shown.retain(|other, _| !is_below(other, &path)),
    }
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with(b"/"))
}

/// A path without `.`, empty parts and the slash at its front.
pub fn plain(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && part != b".").collect();
    parts.join(&b'/')
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Compression, Image, Layer};

    fn shown(layers: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::create(dir.path()).unwrap();
        let layers = layers.iter().map(|text| Layer::text(text)).collect();
        layout.add("t", &Image { compression: Compression::None, ..Image::new(layers) }).unwrap();
        let files = ImageReader::open(dir.path(), "t").unwrap().files(|_| true).unwrap();
        let lines = files.values().map(|file| {
            let content = String::from_utf8_lossy(file.entry.content().unwrap_or_default()).into_owned();
            format!("{}:{}:{content}", String::from_utf8_lossy(&file.entry.path), file.layer)
        });
        lines.collect()
    }

    #[test]
    fn later_layers_change_what_is_shown() {
        let base = "dir ./a\nfile ./a/x text=1\nfile a/y text=1\ndir b\nfile b/z text=1";
        assert_eq!(shown(&[base, "file a/x text=2"]), ["a:0:", "a/x:1:2", "a/y:0:1", "b:0:", "b/z:0:1"]);
        assert_eq!(shown(&[base, "gone a/x\ngone b"]), ["a:0:", "a/y:0:1"]);
        assert_eq!(shown(&[base, "file a/n text=2\nopaque a"]), ["a:0:", "a/n:1:2", "b:0:", "b/z:0:1"]);
        assert_eq!(shown(&[base, "symlink b to=a"]), ["a:0:", "a/x:0:1", "a/y:0:1", "b:1:"]);
    }
}
