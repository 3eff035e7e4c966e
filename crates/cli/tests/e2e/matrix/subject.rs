//! One image of a family: the program run on it, and everything that must hold after any run.

use super::family::{Family, Installed, Made, Package, Stage, TAG};
use crate::hermetic::nothing_was_run;
use crate::main_job::counters_hold;
use crate::world::{Done, World, mounts_below, published_schema};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use testkit::command::argv;
use testkit::image_reader::ImageReader;
use testkit::{schema, syft};

/// The tag of the patched image.
pub const PATCHED: &str = "v1-patched";

/// An image, its repository, and a place to run.
pub struct Subject<'a> {
    pub family: &'a dyn Family,
    pub world: World,
    made: Made,
    known: RefCell<BTreeMap<String, BTreeSet<Installed>>>,
}

/// How a run ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stderr: String,
    pub document: Value,
}

/// An image of the layout, as judges see it.
pub struct Seen {
    pub image: ImageReader,
    name: String,
    /// What is unpacked of it.
    folder: PathBuf,
}

impl<'a> Subject<'a> {
    pub fn new(family: &'a dyn Family, stage: Stage) -> Subject<'a> {
        let world = World::new();
        let made = family.make(&world, stage);
        Subject { family, world, made, known: RefCell::default() }
    }

    /// A report that wants these packages at these versions.
    fn report(&self, wanted: &[(&str, &str)]) -> PathBuf {
        let (family, release) = self.family.os();
        let finding = |(number, (package, fixed)): (usize, &(&str, &str))| {
            json!({
                "VulnerabilityID": format!("CVE-2026-{:04}", number + 1), "PkgName": package, "Severity": "HIGH",
                "InstalledVersion": "0", "FixedVersion": fixed,
            })
        };
        let findings: Vec<Value> = wanted.iter().enumerate().map(finding).collect();
        let document = json!({
            "SchemaVersion": 2, "ArtifactName": "app", "ArtifactType": "container_image",
            "Metadata": { "OS": { "Family": family, "Name": release } },
            "Results": [{ "Target": "app", "Class": "os-pkgs", "Type": family, "Vulnerabilities": findings }],
        });
        let path = self.world.path("report.json");
        std::fs::write(&path, document.to_string()).unwrap();
        path
    }

    /// Patches one tag to another, by a report or without one, and sees that nothing is left of the run.
    pub fn run(&self, (from, to): (&str, &str), wanted: Option<&[(&str, &str)]>, more: &[&str]) -> Ran {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-cache-matrix");
        let (work, result) = (self.world.path("work"), self.world.path("result.json"));
        let name = self.made.layout.name(from);
        let arguments =
            ["patch", "-i", &name, "-t", to, "--allow-host", &self.made.host, "--progress", "plain"];
        let mut command = self.world.copa(&arguments);
        command.arg("--working-folder").arg(&work).arg("--result").arg(&result);
        wanted.map(|wanted| command.arg("-r").arg(self.report(wanted)));
        command.args(&self.made.more).args(more).env("COPA_CACHE_DIR", &cache);
        let _ = std::fs::remove_file(&result);
        let Done { code, stderr, .. } = Done::of(command.output().unwrap());
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert_eq!(std::fs::read_dir(work).map_or(0, Iterator::count), 0, "files are left: {stderr}");
        assert_eq!(mounts_below(&cache), Vec::<String>::new());
        let document: Value =
            std::fs::read(result).map_or(Value::Null, |b| serde_json::from_slice(&b).unwrap());
        assert_eq!(schema::complaints(&published_schema(), &document), [""; 0], "{stderr}");
        Ran { code, stderr, document }
    }

    /// Patches one tag to another, which must succeed, and judges the image that it gives.
    pub fn patched(&self, (from, to): (&str, &str), wanted: Option<&[Package]>, more: &[&str]) -> Ran {
        let fixes: Option<Vec<(&str, &str)>> =
            wanted.map(|all| all.iter().map(|p| (p.name, p.new)).collect());
        let ran = self.run((from, to), fixes.as_deref(), more);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.document["status"], "patched", "{}\n{:#}", ran.stderr, ran.document);
        self.strategy_is_right(&ran.document);
        counters_hold(&ran.document);
        self.layers_are_right(to);
        self.told_is_seen(&ran, (from, to));
        ran
    }

    /// What the independent reader says of an image; no tag is ever written twice.
    fn installed(&self, tag: &str) -> BTreeSet<Installed> {
        let mut known = self.known.borrow_mut();
        known.entry(tag.to_owned()).or_insert_with(|| self.family.installed(&self.see(tag))).clone()
    }

    pub fn see(&self, tag: &str) -> Seen {
        let directory = self.made.layout.directory();
        Seen {
            image: ImageReader::open(directory, tag).unwrap(),
            name: format!("{}:{tag}", directory.display()),
            folder: self.world.path(&format!("seen-{tag}")),
        }
    }

    /// The strategy is that of the family; a tooling image was used where it says so, and nothing was run where it says that.
    fn strategy_is_right(&self, document: &Value) {
        let strategy = self.family.label().strategy;
        assert_eq!(document["strategy"], strategy);
        let tooling = document["tooling"]["digest"].as_str().unwrap_or_default();
        assert_eq!(tooling.starts_with("sha256:"), strategy == "outside", "{tooling}");
        if strategy == "unpacked" {
            nothing_was_run(document);
        }
    }

    pub fn exists(&self, tag: &str) -> bool {
        ImageReader::open(self.made.layout.directory(), tag).is_ok()
    }

    /// The index of the layout, and the names of its blobs.
    pub fn contents(&self) -> (String, BTreeSet<std::ffi::OsString>) {
        let directory = self.made.layout.directory();
        let blobs = std::fs::read_dir(directory.join("blobs/sha256")).unwrap();
        let blobs = blobs.map(|entry| entry.unwrap().file_name()).collect();
        (std::fs::read_to_string(directory.join("index.json")).unwrap(), blobs)
    }

    /// The layers of the original are there, byte for byte, and exactly one more.
    fn layers_are_right(&self, tag: &str) {
        let (original, patched) = (self.see(TAG).image, self.see(tag).image);
        let count = original.layers().len();
        assert_eq!(patched.layers()[..count], original.layers()[..]);
        assert_eq!(patched.diff_ids()[..count], original.diff_ids()[..]);
        assert_eq!(patched.layers().len(), count + 1, "exactly one patch layer");
    }

    /// The independent reader sees of the whole list what the document tells: changes as told, and everything else as it was.
    fn told_is_seen(&self, ran: &Ran, (from, to): (&str, &str)) {
        let (before, seen) = (self.installed(from), self.installed(to));
        assert!(before.len() >= 3, "{before:?}");
        let mut expected = before.clone();
        let mut changed = Vec::new();
        let knows_architectures = before.iter().any(|(.., architecture)| !architecture.is_empty());
        for change in ran.document["packages"].as_array().unwrap() {
            let [name, from, to, architecture] = ["name", "from", "to", "architecture"]
                .map(|key| change[key].as_str().unwrap_or_default().to_owned());
            let architecture = if knows_architectures { architecture } else { String::new() };
            if !from.is_empty() {
                assert!(expected.remove(&(name.clone(), from, architecture.clone())), "{change}: {before:?}");
            }
            if !to.is_empty() {
                expected.insert((name.clone(), to, architecture));
                changed.push(name);
            }
        }
        assert_eq!(seen, expected, "{:#}", ran.document["packages"]);
        let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
        assert_eq!(self.family.amiss(&self.see(to), &changed), Vec::<String>::new());
    }

    /// The packages have these versions, by the independent reader.
    pub fn has(&self, tag: &str, expected: &[(&str, &str)]) {
        let installed = self.installed(tag);
        for (name, version) in expected {
            let versions: BTreeSet<&str> = installed
                .iter()
                .filter(|(other, ..)| other == name)
                .map(|(_, version, _)| version.as_str())
                .collect();
            assert_eq!(versions, BTreeSet::from([*version]), "{name}");
        }
    }

    /// `syft` sees the packages that the independent reader sees. It writes no epoch for some kinds.
    pub fn syft_agrees(&self, tag: &str) {
        let Some(kind) = self.family.syft() else { return };
        let scanned = syft::packages_of(self.made.layout.directory(), tag, kind).unwrap();
        let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, version, _) in self.installed(tag) {
            versions.entry(name).or_default().insert(version);
        }
        let without_keys: Vec<&String> = scanned.keys().filter(|name| *name != "gpg-pubkey").collect();
        assert_eq!(without_keys, versions.keys().collect::<Vec<_>>());
        let plain = |version: &str| version.split_once(':').map_or(version, |(_, rest)| rest).to_owned();
        for (name, versions) in versions {
            let ours: BTreeSet<String> = versions.iter().map(|version| plain(version)).collect();
            assert!(ours.contains(&plain(&scanned[&name])), "{name}: {} and {versions:?}", scanned[&name]);
        }
    }
}

impl Seen {
    /// The whole root, unpacked by `umoci`.
    pub fn root(&self) -> PathBuf {
        let bundle = self.folder.join("bundle");
        if !bundle.exists() {
            std::fs::create_dir_all(&self.folder).unwrap();
            argv("umoci", ["unpack", "--image", &self.name, bundle.to_str().unwrap()]).stdout().unwrap();
        }
        bundle.join("rootfs")
    }

    /// A folder of this machine in which the files below a folder of the image (`var/lib/rpm`) have their paths.
    pub fn files(&self, below: &str) -> PathBuf {
        let to = self.folder.join("files").join(below.replace('/', "-"));
        if to.exists() {
            return to;
        }
        let prefix = format!("{below}/");
        for (path, shown) in self.image.files(|path| path.starts_with(prefix.as_bytes())).unwrap() {
            let Some(content) = shown.entry.content() else { continue };
            let path = to.join(String::from_utf8(path).unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        to
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<String> {
        let path = path.trim_start_matches('/').as_bytes();
        let file = self.image.files(|at| at == path).unwrap().into_values().next()?;
        Some(String::from_utf8_lossy(file.entry.content().unwrap_or_default()).into_owned())
    }
}

impl Ran {
    /// Package and outcome of every finding.
    pub fn outcomes(&self) -> BTreeMap<&str, &str> {
        let findings = self.document["findings"].as_array().unwrap();
        findings.iter().map(|f| (f["package"].as_str().unwrap(), f["outcome"].as_str().unwrap())).collect()
    }

    /// Names of the packages that the document says were changed.
    pub fn changed(&self) -> BTreeSet<&str> {
        let packages = self.document["packages"].as_array().unwrap();
        packages.iter().map(|package| package["name"].as_str().unwrap()).collect()
    }

    /// The document's word on a package that was not there before.
    pub fn came(&self, name: &str) -> &Value {
        let packages = self.document["packages"].as_array().unwrap();
        packages.iter().find(|package| package["name"] == name).unwrap()
    }
}
