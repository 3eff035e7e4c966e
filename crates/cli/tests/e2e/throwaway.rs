//! A real Debian with the test packages really installed at their old versions, whose only repository is a throw-away one
//! on loopback. Fast: nothing outside this machine is asked, and all tests share one cache.

use crate::world::{Done, World, mounts_below};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use testkit::apt_repository::{self, AptRepository, PackageSpec, Served, scenario};
use testkit::command::argv;
use testkit::debian_root::{self, Suite};
use testkit::image::{Layout, Types};
use testkit::image_reader::ImageReader;
use testkit::tar::{self, Entry};
use testkit::{probe, tree};

/// The tag of the image as it was.
pub const TAG: &str = "v1";
/// The tag of the patched image.
pub const PATCHED: &str = "v1-patched";
/// Where the image has the key of the repository.
const KEYRING: &str = "etc/apt/keyrings/copa.gpg";

/// Why this cannot run here, if so.
pub fn needs() -> Result<(), String> {
    let programs = probe::programs(&["tar", "dpkg"]);
    probe::first_reason([
        probe::root(),
        probe::mounting(),
        probe::debian_roots(),
        apt_repository::needs(),
        programs,
    ])
}

/// The cache that these tests share; what a run leaves elsewhere is in folders of the test.
pub fn shared_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-cache")
}

/// The image, its repository, and a place to run.
pub struct Throwaway {
    pub world: World,
    pub repository: AptRepository,
    pub served: Served,
    pub layout: Layout,
}

/// How a run ended, with its result document.
pub struct Ran {
    pub code: Option<i32>,
    pub stderr: String,
    pub document: Value,
}

/// What an image has beside the packages.
#[derive(Default)]
pub struct Extra {
    /// More layers, as tars.
    pub layers: Vec<Vec<u8>>,
    /// The `config` object of its configuration.
    pub config: Value,
    /// More members of its configuration.
    pub top: Value,
}

impl Extra {
    /// One more layer, in the words of [`testkit::tree`].
    pub fn layer(text: &str) -> Extra {
        Extra { layers: vec![tree::layer(text)], ..Extra::default() }
    }
}

impl Throwaway {
    /// The image as [`TAG`], and a repository with these packages.
    pub fn offering(packages: &[PackageSpec]) -> Throwaway {
        let made = Throwaway::without_image(packages);
        made.add(TAG, &Extra::default());
        made
    }

    /// The image as [`TAG`] with more in it, and a repository with these packages.
    pub fn with(packages: &[PackageSpec], extra: &Extra) -> Throwaway {
        let made = Throwaway::without_image(packages);
        made.add(TAG, extra);
        made
    }

    fn without_image(packages: &[PackageSpec]) -> Throwaway {
        let world = World::new();
        // Under a name of its own: ports come again, and the cache that all share goes by URLs.
        let name = world.folder.path().file_name().unwrap().to_owned();
        let repository = AptRepository::build(&world.folder.path().join(name), packages).unwrap();
        let served = Served::start(world.folder.path()).unwrap();
        let layout = Layout::create(&world.path("layout")).unwrap();
        Throwaway { world, repository, served, layout }
    }

    /// Adds an image to the layout: the Debian, the packages, the repository, and what is extra.
    pub fn add(&self, tag: &str, extra: &Extra) {
        let base = debian_root::image(Suite::Bookworm).unwrap();
        let base = (ImageReader::open(base.directory(), debian_root::TAG).unwrap(), base);
        let mut layers = vec![base.0.layers()[0].clone()];
        let mut diff_ids = base.0.diff_ids();
        let digest = layers[0]["digest"].as_str().unwrap().to_owned();
        let (from, to) = (base.1.blob_path(&digest), self.layout.blob_path(&digest));
        if !to.exists() && std::fs::hard_link(&from, &to).is_err() {
            std::fs::copy(&from, &to).unwrap();
        }
        for tar in [&[installed().to_vec(), self.apt_configuration()][..], &extra.layers].concat() {
            let layer = self.layout.put_bytes(&tar, "application/vnd.oci.image.layer.v1.tar").unwrap();
            diff_ids.push(layer["digest"].as_str().unwrap().to_owned());
            layers.push(layer);
        }
        let mut config = base.0.config.clone();
        config["rootfs"]["diff_ids"] = json!(diff_ids);
        config["history"] = json!(
            (1..=layers.len()).map(|n| json!({ "created_by": format!("step {n}") })).collect::<Vec<_>>()
        );
        if !extra.config.is_null() {
            config["config"] = extra.config.clone();
        }
        for (name, value) in extra.top.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        let config = self.layout.put_json(&config, Types::Oci.config()).unwrap();
        let manifest = json!({ "schemaVersion": 2, "mediaType": Types::Oci.manifest(), "config": config, "layers": layers });
        let descriptor = self.layout.put_json(&manifest, Types::Oci.manifest()).unwrap();
        self.layout.tag(tag, &descriptor).unwrap();
    }

    /// The layer that leaves the image no other repository than this one.
    fn apt_configuration(&self) -> Vec<u8> {
        let name = self.repository.folder().file_name().unwrap().to_str().unwrap();
        let url = format!("{}/{name}", self.served.url());
        let source = self.repository.source_line(&url, &format!("/{KEYRING}"));
        let key = std::fs::read(self.repository.key_path()).unwrap();
        tar::write(&[Entry::file(KEYRING, key), Entry::file("etc/apt/sources.list", source)])
    }

    /// A report that wants each package at least at a version; an empty version is no fix.
    pub fn report(&self, wanted: &[(&str, &str)]) -> PathBuf {
        self.report_of(json!({ "Family": "debian", "Name": "12.15" }), wanted)
    }

    /// The same, about another distribution.
    pub fn report_of(&self, os: Value, wanted: &[(&str, &str)]) -> PathBuf {
        let finding = |(number, (package, fixed)): (usize, &(&str, &str))| {
            json!({
                "VulnerabilityID": format!("CVE-2026-{:04}", number + 1), "PkgName": package, "Severity": "HIGH",
                "InstalledVersion": scenario::OLD, "FixedVersion": fixed,
            })
        };
        let findings: Vec<Value> = wanted.iter().enumerate().map(finding).collect();
        let document = json!({
            "SchemaVersion": 2, "ArtifactName": "app", "ArtifactType": "container_image", "Metadata": { "OS": os },
            "Results": [{ "Target": "app", "Class": "os-pkgs", "Type": os["Family"], "Vulnerabilities": findings }],
        });
        let path = self.world.path("report.json");
        std::fs::write(&path, document.to_string()).unwrap();
        path
    }

    /// A report that wants these packages at their new versions.
    pub fn wanting(&self, packages: &[&str]) -> PathBuf {
        self.report(&packages.iter().map(|name| (*name, scenario::NEW)).collect::<Vec<_>>())
    }

    /// The name of the image.
    pub fn name(&self) -> String {
        self.layout.name(TAG)
    }

    /// The command that patches [`TAG`] to [`PATCHED`] by a report.
    pub fn command(&self, report: &Path, more: &[&str]) -> std::process::Command {
        let (name, host) = (self.name(), self.served.host());
        let (work, result) = (self.world.path("work"), self.world.path("result.json"));
        let arguments = ["patch", "-i", &name, "-t", PATCHED, "--allow-host", &host, "--progress", "plain"];
        let mut command = self.world.copa(&arguments);
        command.arg("-r").arg(report).arg("--working-folder").arg(work).arg("--result").arg(result);
        command.args(more).env("COPA_CACHE_DIR", shared_cache());
        command
    }

    /// Patches by a report.
    pub fn patch(&self, report: &Path, more: &[&str]) -> Ran {
        self.finish(self.command(report, more))
    }

    /// Runs a command of [`Throwaway::command`] and sees that nothing is left of the run.
    pub fn finish(&self, mut command: std::process::Command) -> Ran {
        let result = self.world.path("result.json");
        let _ = std::fs::remove_file(&result);
        let Done { code, stderr, .. } = Done::of(command.output().unwrap());
        let document =
            std::fs::read(result).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        let left = std::fs::read_dir(self.world.path("work")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "temporary files left: {stderr}");
        assert_eq!(mounts_below(&shared_cache()), Vec::<String>::new());
        Ran { code, stderr, document }
    }

    /// Patches, which must succeed, and opens the patched image.
    pub fn patched(&self, report: &Path, more: &[&str]) -> (Ran, ImageReader) {
        let ran = self.patch(report, more);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.document["status"], "patched", "{}\n{:#}", ran.stderr, ran.document);
        (ran, ImageReader::open(self.layout.directory(), PATCHED).unwrap())
    }

    /// Patches, which must fail with this code and one error that has these words in it, and leave the layout as it was.
    pub fn refused(&self, report: &Path, more: &[&str], code: i32, words: &[&str]) -> Ran {
        let before = self.contents();
        let ran = self.patch(report, more);
        assert_eq!(ran.code, Some(code), "{words:?}\n{}", ran.stderr);
        let errors = ran.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "one error: {}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in\n{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert_eq!(ran.document["status"], "failed");
        assert_eq!(ran.document["error"]["exitCode"], code);
        assert_eq!(self.contents(), before, "nothing is written to the layout");
        ran
    }

    /// The index of the layout, and the names of its blobs.
    fn contents(&self) -> (String, Vec<std::ffi::OsString>) {
        let directory = self.layout.directory();
        let blobs = std::fs::read_dir(directory.join("blobs/sha256")).unwrap();
        let mut blobs: Vec<_> = blobs.map(|entry| entry.unwrap().file_name()).collect();
        blobs.sort();
        (std::fs::read_to_string(directory.join("index.json")).unwrap(), blobs)
    }
}

impl Ran {
    /// Vulnerability number and outcome of every finding.
    pub fn outcomes(&self) -> Vec<(&str, &str)> {
        let text = |value: &'_ Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let findings = self.document["findings"].as_array().unwrap();
        assert!(findings.iter().all(|f| !text(f, "vulnerability").is_empty()));
        findings.iter().map(|f| (f["package"].as_str().unwrap(), f["outcome"].as_str().unwrap())).collect()
    }
}

/// The layer with every package of the scenario at its old version: what dpkg made of the Debian's own database.
fn installed() -> &'static [u8] {
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    LAYER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let specs = scenario::installed();
        let repository = AptRepository::build(&folder.path().join("repository"), &specs).unwrap();
        let debs: Vec<PathBuf> =
            specs.iter().map(|spec| repository.deb(spec.name(), spec.version()).unwrap()).collect();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
        std::fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
        let image = debian_root::root(Suite::Bookworm, &[]).unwrap();
        argv("tar", ["-xpf"]).arg(image).arg("-C").arg(&root).arg("var/lib/dpkg/status").stdout().unwrap();
        let install =
            argv("dpkg", ["--log=/dev/null", "--force-unsafe-io"]).arg("--root").arg(&root).arg("-i");
        debs.iter().fold(install, |command, deb| command.arg(deb)).stdout().unwrap();
        let left_out = [
            "--exclude=var/lib/dpkg/*-old",
            "--exclude=var/lib/dpkg/lock*",
            "--exclude=var/lib/dpkg/triggers",
        ];
        let pack = argv("tar", ["--numeric-owner", "--sort=name", "--mtime=@1767225600", "-cf", "-"]);
        let pack = left_out.iter().fold(pack, |command, argument| command.arg(argument));
        pack.arg("-C").arg(&root).arg("etc").arg("usr").arg("var").stdout().unwrap()
    })
}

/// The package database of the image.
pub fn installed_status() -> String {
    let entries = tar::Reader::new(installed()).collect().unwrap();
    let status = entries.into_iter().find(|entry| entry.path.ends_with(b"var/lib/dpkg/status")).unwrap();
    String::from_utf8(status.content().unwrap().to_vec()).unwrap()
}
