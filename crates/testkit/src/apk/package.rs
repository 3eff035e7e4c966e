//! One package: what is in it, and the file of apk's format 2 that is made of it.

use super::member;
use super::signing::{Keys, Signature};
use crate::tar::{Entry, Kind};
use crate::{Error, image, tree};
use std::collections::BTreeSet;

/// A script of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// After it was installed first.
    PostInstall,
    /// Before another version comes.
    PreUpgrade,
    /// After another version has come.
    PostUpgrade,
    /// When a folder it watches has changed.
    Trigger,
}

impl Script {
    /// The name of its file, without the dot at the front.
    pub fn name(self) -> &'static str {
        match self {
            Script::PostInstall => "post-install",
            Script::PreUpgrade => "pre-upgrade",
            Script::PostUpgrade => "post-upgrade",
            Script::Trigger => "trigger",
        }
    }
}

/// A package to be built. Paths are absolute, as in the image.
#[derive(Debug, Clone)]
pub struct ApkSpec {
    name: String,
    version: String,
    fields: Vec<(String, String)>,
    files: Vec<Entry>,
    scripts: Vec<(Script, String)>,
}

impl ApkSpec {
    /// An empty package.
    pub fn new(name: &str, version: &str) -> ApkSpec {
        let (name, version) = (name.to_owned(), version.to_owned());
        ApkSpec { name, version, fields: Vec::new(), files: Vec::new(), scripts: Vec::new() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Adds a line of `.PKGINFO`: `depend`, `provides`, `replaces`, `install_if`, `origin`, `triggers`.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a file with mode 0644.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        self.file_with_mode(path, content, 0o644)
    }

    /// Adds a file with any mode, setuid included.
    #[must_use]
    pub fn file_with_mode(self, path: &str, content: &str, mode: u32) -> Self {
        self.entry(path, Kind::File(content.as_bytes().to_vec()), mode)
    }

    /// Adds a folder of its own.
    #[must_use]
    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.entry(path, Kind::Directory, mode)
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.entry(path, Kind::Symlink(target.as_bytes().to_vec()), 0o777)
    }

    /// Adds another name of a file that was added before.
    #[must_use]
    pub fn hard_link(self, path: &str, to: &str) -> Self {
        self.entry(path, Kind::Hardlink(to.trim_start_matches('/').as_bytes().to_vec()), 0o644)
    }

    /// Adds a script.
    #[must_use]
    pub fn script(mut self, script: Script, text: &str) -> Self {
        self.scripts.push((script, text.to_owned()));
        self
    }

    fn entry(mut self, path: &str, kind: Kind, mode: u32) -> Self {
        self.files.push(Entry::new(path.trim_start_matches('/'), kind).mode(mode));
        self
    }

    /// Builds it.
    pub(super) fn build(&self, architecture: &str, keys: &Keys) -> Result<Built, Error> {
        let entries = in_folders(&self.files);
        let size: usize = entries.iter().filter_map(Entry::content).map(<[u8]>::len).sum();
        let data = member::data(&entries)?;
        let hash = image::digest(&data);
        let information = self.information(architecture, size, hash.trim_start_matches("sha256:"));
        let mut control = vec![Entry::file(".PKGINFO", information)];
        let script =
            |(script, text): &(Script, String)| Entry::file(&format!(".{}", script.name()), text).mode(0o755);
        control.extend(self.scripts.iter().map(script));
        let control = member::of(&control, false)?;
        let checksum = super::checksum(&control)?;
        let bytes = [keys.member(&control, Signature::Good)?, control, data].concat();
        let paragraph = self.paragraph(architecture, &checksum, bytes.len(), size);
        Ok(Built { spec: self.clone(), checksum, paragraph, entries, bytes })
    }

    fn information(&self, architecture: &str, size: usize, hash: &str) -> String {
        let Self { name, version, .. } = self;
        let fields =
            self.fields.iter().map(|(name, value)| format!("{name} = {value}\n")).collect::<String>();
        let origin = if self.of("origin").is_empty() { format!("origin = {name}\n") } else { String::new() };
        format!(
            "# Made for tests\npkgname = {name}\npkgver = {version}\npkgdesc = a package to be patched\n\
             url = https://example.invalid\nbuilddate = {}\npackager = Nobody <nobody@example.invalid>\nsize = {size}\n\
             arch = {architecture}\n{origin}maintainer = Nobody <nobody@example.invalid>\nlicense = MIT\n{fields}datahash = {hash}\n",
            tree::EPOCH
        )
    }

    /// What index and database say about it.
    fn paragraph(&self, architecture: &str, checksum: &str, length: usize, size: usize) -> String {
        let Self { name, version, .. } = self;
        let origin = self.of("origin");
        let origin = if origin.is_empty() { name.clone() } else { origin };
        let mut text = format!(
            "C:{checksum}\nP:{name}\nV:{version}\nA:{architecture}\nS:{length}\nI:{size}\nT:a package to be patched\n\
             U:https://example.invalid\nL:MIT\no:{origin}\nm:Nobody <nobody@example.invalid>\nt:{}\n",
            tree::EPOCH
        );
        for (letter, field) in [("D", "depend"), ("p", "provides"), ("i", "install_if")] {
            let words = self.of(field);
            if !words.is_empty() {
                text.push_str(&format!("{letter}:{words}\n"));
            }
        }
        text
    }

    /// The values of a field, with spaces between.
    pub(super) fn of(&self, field: &str) -> String {
        let values = self.fields.iter().filter(|(name, _)| name == field).map(|(_, value)| value.as_str());
        values.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn scripts(&self) -> &[(Script, String)] {
        &self.scripts
    }
}

/// A package that has been built.
#[derive(Debug, Clone)]
pub(super) struct Built {
    pub(super) spec: ApkSpec,
    /// The checksum that names it.
    pub(super) checksum: String,
    /// What index and database say about it.
    pub(super) paragraph: String,
    /// Its files, folders before what is in them.
    pub(super) entries: Vec<Entry>,
    /// The file.
    pub(super) bytes: Vec<u8>,
}

/// All folders that there must be, then the files of each: apk takes nothing whose folder did not come before.
fn in_folders(files: &[Entry]) -> Vec<Entry> {
    let mut folders = BTreeSet::new();
    for file in files {
        let path = String::from_utf8_lossy(&file.path).into_owned();
        folders.extend(path.match_indices('/').map(|(at, _)| path[..at].to_owned()));
        if file.kind == Kind::Directory {
            folders.insert(path);
        }
    }
    let mut entries = Vec::new();
    for folder in folders {
        let own = files.iter().find(|file| file.path == folder.as_bytes() && file.kind == Kind::Directory);
        entries.push(own.cloned().unwrap_or_else(|| Entry::directory(&folder)));
        let inside = |file: &&Entry| {
            file.kind != Kind::Directory
                && file
                    .path
                    .strip_prefix(folder.as_bytes())
                    .is_some_and(|rest| rest.first() == Some(&b'/') && !rest[1..].contains(&b'/'))
        };
        entries.extend(files.iter().filter(inside).cloned());
    }
    entries
}
