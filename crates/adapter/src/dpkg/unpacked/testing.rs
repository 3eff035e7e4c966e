//! Images in memory and packages by the real `dpkg-deb`, for the tests of this folder.

use super::super::Dpkg;
use crate::{Adapter, Error, Facts, Settings, Unpacking};
use inventory::{OsRelease, deb822};
use layer::{Entry, EntryPath, Kind, Staged, Tree};
use plan::{Plan, Policy, Scope};
use repository::{Archive, Chosen, Format, Why};
use std::{collections::BTreeMap, fs::File, io::Read, path::Path, sync::Arc};
use testkit::{
    apt_repository::{AptRepository, PackageSpec},
    distroless::layer as debs,
    tar,
};

/// A tree of nothing.
struct Empty;

impl Tree for Empty {
    fn entry(&self, at: &EntryPath, _: bool) -> Result<Option<Entry>, layer::Error> {
        Ok(at.is_root().then(|| entry(at.clone(), Kind::Directory, 0o755)))
    }

    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, layer::Error> {
        Err(layer::Error::Entry { path: path.clone(), why: "no such file".into() })
    }

    fn list(&self, _: &EntryPath, _: usize) -> Result<Vec<Vec<u8>>, layer::Error> {
        Ok(Vec::new())
    }
}

pub(super) fn at(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

fn entry(path: EntryPath, kind: Kind, mode: u32) -> Entry {
    Entry { path, kind, mode, uid: 0, gid: 0, mtime: (1, 0), xattrs: BTreeMap::new() }
}

/// An image, and packages of two ages.
pub(super) struct World {
    _folder: tempfile::TempDir,
    repository: AptRepository,
    image: Staged,
}

impl World {
    pub(super) fn new(packages: &[PackageSpec]) -> World {
        let folder = tempfile::tempdir().unwrap();
        let repository = AptRepository::build_for(folder.path(), "amd64", packages).unwrap();
        let image = Staged::over(Arc::new(Empty) as Arc<dyn Tree>, tempfile::tempfile().unwrap());
        World { _folder: folder, repository, image }
    }

    pub(super) fn deb(&self, name: &str, version: &str) -> std::path::PathBuf {
        self.repository.deb(name, version).unwrap()
    }

    /// Puts entries into the image.
    pub(super) fn put(&mut self, entries: &[tar::Entry]) {
        for from in entries {
            let content = from.content().unwrap_or_default().to_vec();
            let kind = match &from.kind {
                tar::Kind::Directory => Kind::Directory,
                tar::Kind::Symlink(target) => Kind::Symlink { target: target.clone() },
                tar::Kind::Hardlink(target) => Kind::Hardlink { target: EntryPath::new(target).unwrap() },
                _ => Kind::File { size: content.len() as u64 },
            };
            let made = entry(EntryPath::new(&from.path).unwrap(), kind.clone(), from.mode);
            let mut content = &content[..];
            let given = matches!(kind, Kind::File { .. }).then_some(&mut content as &mut dyn Read);
            self.image.put(made, given).unwrap();
        }
    }

    pub(super) fn write(&mut self, path: &str, text: &str) {
        self.image.write(&at(path), text.as_bytes(), 0o644).unwrap();
    }

    pub(super) fn remove(&mut self, path: &str) {
        assert!(self.image.remove(&at(path)).unwrap(), "{path}");
    }

    /// A package as distroless images have it.
    pub(super) fn distroless(&mut self, name: &str, version: &str) {
        let entries = debs::entries(&self.deb(name, version)).unwrap();
        self.put(&entries);
    }

    /// A package's files, and its stanza as dpkg's own file would have it.
    pub(super) fn files(&mut self, name: &str, version: &str) -> String {
        let deb = self.deb(name, version);
        self.put(&debs::files(&deb).unwrap());
        let control = testkit_control(&deb);
        control.replacen('\n', "\nStatus: install ok installed\n", 1) + "\n"
    }

    /// Unpacks packages over the image, scripts refused.
    pub(super) fn unpack(&self, packages: &[(&str, &str)]) -> Result<(Staged, Vec<String>), Error> {
        self.unpack_with(packages, Policy::default())
    }

    pub(super) fn unpack_with(
        &self,
        packages: &[(&str, &str)],
        policy: Policy,
    ) -> Result<(Staged, Vec<String>), Error> {
        let facts = facts(&self.image)?;
        let archives: Vec<_> =
            packages.iter().map(|(name, version)| archive(&self.deb(name, version))).collect();
        let plan = Plan { scope: Scope::UpdateAll, left_out: vec![], excluded: [].into(), notes: vec![] };
        let settings = Settings { policy, ..Settings::default() };
        let mut staged =
            Staged::over(Arc::new(self.image.clone()) as Arc<dyn Tree>, tempfile::tempfile().unwrap());
        let work = Unpacking { plan: &plan, facts: &facts, settings: &settings, archives: &archives };
        let notes = Dpkg.unpack(work, &mut staged)?;
        Ok((staged, notes))
    }
}

/// The facts of an image, read as a patch reads them.
pub(super) fn facts(tree: &dyn Tree) -> Result<Facts, Error> {
    let evidence = engine::collect(tree, &Dpkg.looks()).unwrap();
    Dpkg.facts(OsRelease { id: "debian".into(), ..OsRelease::default() }, &evidence)
}

pub(super) fn text(tree: &dyn Tree, path: &str) -> Option<String> {
    tree.read(&at(path), 1 << 20).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

pub(super) fn is_there(tree: &dyn Tree, path: &str) -> bool {
    tree.entry(&at(path), false).unwrap().is_some()
}

fn testkit_control(deb: &Path) -> String {
    String::from_utf8(debs::control_file(deb, "control").unwrap().unwrap()).unwrap()
}

fn archive(deb: &Path) -> Archive {
    let stanza = deb822::stanzas(testkit_control(deb).as_bytes(), 1 << 20).unwrap().remove(0);
    let get = |name: &str| stanza.get(name).unwrap().to_owned();
    let bytes = std::fs::read(deb).unwrap();
    let chosen = Chosen {
        name: get("Package").parse().unwrap(),
        version: get("Version"),
        architecture: get("Architecture"),
        urls: vec![],
        format: Format::Deb,
        size: bytes.len() as u64,
        digest: oci::Digest::of(&bytes),
        why: Why::Asked,
        record: stanza.fields.into_iter().collect(),
    };
    Archive::of_file(chosen, File::open(deb).unwrap()).unwrap()
}
