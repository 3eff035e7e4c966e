//! Images of the families: two layers made once, and a last small one for what differs from run to run.

use super::family::{Base, Family};
use super::repository::Repo;
use super::{Repositories, root, scenario};
use crate::debian_root::TAG;
use crate::image::{Image, Layer, Layout, digest, text};
use crate::tar::{self, Entry};
use crate::tree::EPOCH_TEXT;
use crate::{Error, probe, workspace};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;

/// An image to be put together.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Which distribution.
    pub family: Family,
    /// Where [`Repositories::folder`] is served, without a slash at the end.
    pub url: String,
    /// What the image has configured. With none it has no configuration.
    pub repositories: Vec<Repo>,
    /// More for the last layer: an edited config file, locks.
    pub entries: Vec<Entry>,
}

impl Setup {
    /// An image of a family with `base` and `updates`.
    pub fn new(family: Family, url: &str) -> Setup {
        Setup {
            family,
            url: url.to_owned(),
            repositories: vec![Repo::Base, Repo::Updates],
            entries: Vec::new(),
        }
    }

    /// With other repositories.
    #[must_use]
    pub fn repositories(mut self, repositories: &[Repo]) -> Self {
        self.repositories = repositories.to_vec();
        self
    }

    /// With a file of the administrator's in the last layer; `path` without a slash at the front.
    #[must_use]
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.entries.push(Entry::file(path, content));
        self
    }

    /// With a package that the administrator has locked at its old version, in the way of the family's own tool.
    #[must_use]
    pub fn hold(self, name: &str) -> Self {
        let version = scenario::OLD;
        match self.family.base() {
            Base::Dnf | Base::Micro => {
                self.file("etc/dnf/plugins/versionlock.list", &format!("{name}-0:{version}.*\n"))
            }
            Base::Dnf5 => self.file(
                "etc/dnf/versionlock.toml",
                &format!(
                    "version = \"1.0\"\n\n[[packages]]\nname = \"{name}\"\n[[packages.conditions]]\n\
                     key = \"evr\"\ncomparator = \"=\"\nvalue = \"{version}\"\n"
                ),
            ),
            Base::Zypper | Base::ZypperModern => self.file(
                "etc/zypp/locks",
                &format!("\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: {name}\n"),
            ),
        }
    }

    /// Writes the image into a layout and tags it; gives its descriptor.
    pub fn add(&self, layout: &Layout, tag: &str) -> Result<Value, Error> {
        if let (true, Some(tool)) = (self.family.is_stand_in(), self.family.tool()) {
            probe::report_stand_in(tool);
        }
        stack(&family_layout(self.family)?, &[self.last_layer()], layout, tag)
    }

    /// Lays out the whole root of the image in a folder, which is made; for judging without an engine. Needs root.
    pub fn unpack(&self, into: &Path) -> Result<(), Error> {
        root::copy(&root::base(self.family.base())?, into)?;
        apply(into, &root::layer(self.family)?)?;
        apply(into, &self.last_layer())
    }

    fn last_layer(&self) -> Vec<Entry> {
        let folder = self.family.repository_folder();
        let file = |(name, text): (String, String)| Entry::file(&format!("{folder}/{name}.repo"), text);
        self.configuration().into_iter().map(file).chain(self.entries.iter().cloned()).collect()
    }

    /// Names and texts of the configuration's files: dnf has one for all repositories, zypper one for each.
    fn configuration(&self) -> Vec<(String, String)> {
        let sections = self.repositories.iter().map(|repo| (repo.name().to_owned(), self.section(*repo)));
        if self.family.base().has_zypper() {
            return sections.collect();
        }
        let all: String = sections.map(|(_, text)| text + "\n").collect();
        let name = self.family.release().id.to_owned();
        if all.is_empty() { Vec::new() } else { vec![(name, all)] }
    }

    fn section(&self, repo: Repo) -> String {
        let (name, index_checked) = (repo.name(), u8::from(repo == Repo::Forged));
        let mut text = format!(
            "[{name}]\nname={name}\nbaseurl={}/{name}/\nenabled=1\ngpgcheck=1\nrepo_gpgcheck={index_checked}\n\
             gpgkey=file://{}\n",
            self.url,
            root::KEY_PATH
        );
        if self.family.base().has_zypper() {
            text.push_str("autorefresh=1\ntype=rpm-md\n");
        }
        // Debian's newer zypper does not understand how rpm 6 says that a signature is good; the index is checked, and vouches.
        if self.family == Family::Sles {
            text.push_str("pkg_gpgcheck=1\n");
        }
        text
    }
}

/// A layout with the family's image as [`TAG`], without any repository; made if it is not there yet.
fn family_layout(family: Family) -> Result<Layout, Error> {
    let repositories = Repositories::of(family.series())?;
    let directory = root::cached(&format!("layout-{}", family.name()), &repositories);
    workspace::once(&directory, |unfinished| {
        let layout = Layout::create(unfinished)?;
        stack(&base_layout(family.base())?, &[root::layer(family)?], &layout, TAG).map(drop)
    })?;
    Layout::open(&directory)
}

fn base_layout(base: Base) -> Result<Layout, Error> {
    let repositories = Repositories::of(base.series())?;
    let directory = root::cached(&format!("layout-{}", base.name()), &repositories);
    workspace::once(&directory, |unfinished| {
        let layout = Layout::create(unfinished)?;
        let tar = tempfile::NamedTempFile::new().map_err(Error::io("temporary file"))?;
        root::pack(&root::base(base)?, tar.path())?;
        layout.add(TAG, &Image::new(vec![Layer::File(tar.path().to_owned())])).map(drop)
    })?;
    Layout::open(&directory)
}

/// Writes the image [`TAG`] of a layout with more layers on it into another layout.
fn stack(from: &Layout, layers: &[Vec<Entry>], to: &Layout, tag: &str) -> Result<Value, Error> {
    let mut descriptor = from.descriptor(TAG)?;
    let mut manifest = from.json(&text(&descriptor["digest"])?)?;
    let mut config = from.json(&text(&manifest["config"]["digest"])?)?;
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        copy_blob(from, to, &text(&layer["digest"])?)?;
    }
    for layer in layers {
        let tar = tar::write(layer);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(4));
        gzip.write_all(&tar).and_then(|()| gzip.try_finish()).map_err(Error::io("layer"))?;
        let blob = gzip.finish().map_err(Error::io("layer"))?;
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        push(&mut manifest["layers"], to.put_bytes(&blob, media_type)?);
        push(&mut config["rootfs"]["diff_ids"], json!(digest(&tar)));
        push(&mut config["history"], json!({ "created": EPOCH_TEXT, "created_by": "ADD layer /" }));
    }
    manifest["config"] = to.put_json(&config, "application/vnd.oci.image.config.v1+json")?;
    let written = to.put_json(&manifest, "application/vnd.oci.image.manifest.v1+json")?;
    for field in ["digest", "size"] {
        descriptor[field] = written[field].clone();
    }
    to.tag(tag, &descriptor)?;
    Ok(descriptor)
}

fn push(list: &mut Value, item: Value) {
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

/// A copy, no link: a test may break what is its own.
fn copy_blob(from: &Layout, to: &Layout, digest: &str) -> Result<(), Error> {
    let (source, target) = (from.blob_path(digest), to.blob_path(digest));
    if target.exists() {
        return Ok(());
    }
    let unfinished = target.with_extension(format!("copy.{}", std::process::id()));
    fs::copy(&source, &unfinished).map_err(Error::io(&source))?;
    fs::rename(&unfinished, &target).map_err(Error::io(&target))
}

/// Lays a layer over a root; whiteouts first.
fn apply(root: &Path, layer: &[Entry]) -> Result<(), Error> {
    let hidden = |entry: &Entry| {
        let path = String::from_utf8_lossy(&entry.path).into_owned();
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        name.strip_prefix(".wh.").map(|name| root.join(folder).join(name))
    };
    let (gone, there): (Vec<&Entry>, Vec<&Entry>) = layer.iter().partition(|entry| hidden(entry).is_some());
    for path in gone.into_iter().filter_map(hidden) {
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(Error::io(&path))?;
    }
    let there: Vec<Entry> = there.into_iter().cloned().collect();
    let extract = ["--extract", "--preserve-permissions", "--numeric-owner", "--directory"];
    crate::command::argv("tar", extract).arg(root).filter(&tar::write(&there)).map(drop)
}
