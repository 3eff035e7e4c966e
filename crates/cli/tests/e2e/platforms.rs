//! Images of several platforms: all are patched, or some and the others stay bit for bit, in one index wherever it goes.

use crate::hermetic::{needs, nothing_was_run};
use crate::world::{Done, World, mounts_below, published_schema};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::apt_repository::PackageSpec;
use testkit::distroless::{
    hermetic::{Hermetic, Options},
    scenario::{self as s, NEW, OLD},
};
use testkit::image::{Layout, Types};
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;
use testkit::{dpkg, schema, skip};

const TAG: &str = "v1";
const PATCHED: &str = "v1-patched";
/// The platforms that can be patched.
const BOTH: [&str; 2] = ["amd64", "arm64"];
/// What an attestation is about.
const ABOUT: &str = "vnd.docker.reference.digest";

/// An index of two Linux platforms, each with an attestation, a Windows image whose layer is nobody's to pass on, and
/// something that is no image; fields nobody knows are in it.
struct Index {
    world: World,
    layout: Layout,
    made: Vec<Hermetic>,
    original: Value,
}

/// How a run ended.
struct Ran {
    code: Option<i32>,
    stderr: String,
    document: Value,
}

fn packages(all: Vec<PackageSpec>) -> Vec<PackageSpec> {
    all.into_iter().filter(|p| [s::LIBRARY, s::ADDED, s::HARMLESS].contains(&p.name())).collect()
}

impl Index {
    fn new() -> Index {
        Index::of(Types::Oci)
    }

    fn of(types: Types) -> Index {
        let world = World::new();
        let layout = Layout::create(&world.path("layout")).unwrap();
        let one = |architecture: &&str| {
            let (installed, offered) = (packages(s::installed()), packages(s::updates()));
            let architecture = architecture.to_string();
            Hermetic::new(&Options { architecture, installed, offered, ..Options::default() }).unwrap()
        };
        let made: Vec<Hermetic> = BOTH.iter().map(one).collect();
        let mut entries = Vec::new();
        for (made, architecture) in made.iter().zip(BOTH) {
            copy_blobs(&made.layout, &layout);
            let mut entry = made.layout.descriptor(testkit::debian_root::TAG).unwrap();
            entry["annotations"] =
                json!({ "mine": architecture, "org.opencontainers.image.created": "1970-01-01T00:00:00Z" });
            entry["unknownField"] = json!({ "kept": [architecture] });
            entries.push(entry);
        }
        let attestations: Vec<Value> = entries.iter().map(|entry| attestation(&layout, entry)).collect();
        entries.extend(attestations);
        entries.push(windows(&layout));
        let index = json!({ "schemaVersion": 2, "mediaType": types.index(), "manifests": entries,
            "annotations": { "whole": "kept", "org.opencontainers.image.version": "1" }, "unknownTop": true });
        let original = layout.put_json(&index, types.index()).unwrap();
        layout.tag(TAG, &original).unwrap();
        Index { world, layout, made, original: index }
    }

    /// Patches, or plans to, the image of these arguments.
    fn run(&self, arguments: &[&str]) -> Ran {
        let result = self.world.path("result.json");
        let _ = std::fs::remove_file(&result);
        let hosts: Vec<String> = self.made.iter().map(|m| m.served.host()).collect();
        let mut command = self.world.copa(arguments);
        command.args(["--progress", "plain", "--allow-host", &hosts.join(","), "--result"]).arg(&result);
        let Done { code, stderr, .. } = Done::of(command.output().unwrap());
        let document: Value = serde_json::from_slice(&std::fs::read(result).unwrap()).unwrap();
        assert_eq!(schema::complaints(&published_schema(), &document), [""; 0]);
        assert_eq!(mounts_below(self.world.folder.path()), Vec::<String>::new());
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ran { code, stderr, document }
    }

    fn patch(&self, more: &[&str]) -> Ran {
        let name = self.layout.name(TAG);
        self.run(&[&["patch", "-i", &name], more].concat())
    }

    fn patched(&self, more: &[&str]) -> Ran {
        let ran = self.patch(more);
        assert_eq!((ran.code, &ran.document["status"]), (Some(0), &"patched".into()), "{}", ran.stderr);
        ran
    }

    fn refused(&self, more: &[&str], code: i32, words: &[&str]) -> Ran {
        let before = std::fs::read_to_string(self.layout.directory().join("index.json")).unwrap();
        let ran = self.patch(more);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "{word:?} is not in\n{}", ran.stderr);
        }
        assert_eq!(ran.document["error"]["exitCode"], code);
        let after = std::fs::read_to_string(self.layout.directory().join("index.json")).unwrap();
        assert_eq!(after, before, "no name has moved");
        ran
    }

    /// A report on one platform, as a file of a folder.
    fn report(&self, folder: &str, file: &str, architecture: &str, packages: &[&str]) -> PathBuf {
        let finding = |(n, package): (usize, &&str)| {
            json!({ "VulnerabilityID": format!("CVE-2026-{n:04}"), "PkgName": package, "Severity": "HIGH",
                "InstalledVersion": OLD, "FixedVersion": NEW })
        };
        let findings: Vec<Value> = packages.iter().enumerate().map(finding).collect();
        let mut metadata = json!({ "OS": { "Family": "debian", "Name": "12.0" } });
        if !architecture.is_empty() {
            metadata["ImageConfig"] = json!({ "architecture": architecture });
        }
        let report = json!({ "SchemaVersion": 2, "ArtifactName": "app", "Metadata": metadata,
            "Results": [{ "Target": "app", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": findings }] });
        let folder = self.world.path(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), report.to_string()).unwrap();
        folder
    }
}

/// Copies every blob of a layout into another.
fn copy_blobs(from: &Layout, to: &Layout) {
    let folder = to.directory().join("blobs/sha256");
    std::fs::create_dir_all(&folder).unwrap();
    for blob in std::fs::read_dir(from.directory().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        std::fs::copy(blob.path(), folder.join(blob.file_name())).unwrap();
    }
}

/// As BuildKit has them: an image of no platform whose layers are statements.
fn attestation(layout: &Layout, about: &Value) -> Value {
    let statement = json!({ "_type": "https://in-toto.io/Statement/v0.1", "about": about["digest"] });
    let layer = layout.put_json(&statement, "application/vnd.in-toto+json").unwrap();
    let config = json!({ "architecture": "unknown", "os": "unknown",
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] }, "about": about["digest"] });
    let config = layout.put_json(&config, Types::Oci.config()).unwrap();
    let manifest = json!({ "schemaVersion": 2, "mediaType": Types::Oci.manifest(), "config": config, "layers": [layer] });
    let mut entry = layout.put_json(&manifest, Types::Oci.manifest()).unwrap();
    entry["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    entry["annotations"] =
        json!({ ABOUT: about["digest"], "vnd.docker.reference.type": "attestation-manifest" });
    entry
}

/// A Windows image: its base layer may not be passed on, and is nowhere here.
fn windows(layout: &Layout) -> Value {
    let foreign = json!({ "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "size": 1_000_000,
        "digest": format!("sha256:{}", "ab".repeat(32)), "urls": ["https://mcr.microsoft.example/layer"] });
    let own =
        layout.put_bytes(b"a layer that nobody reads", "application/vnd.oci.image.layer.v1.tar").unwrap();
    let config = json!({ "architecture": "amd64", "os": "windows", "os.version": "10.0.17763.1",
        "rootfs": { "type": "layers", "diff_ids": [foreign["digest"], own["digest"]] } });
    let config = layout.put_json(&config, Types::Oci.config()).unwrap();
    let manifest = json!({ "schemaVersion": 2, "mediaType": Types::Oci.manifest(), "config": config, "layers": [foreign, own] });
    let mut entry = layout.put_json(&manifest, Types::Oci.manifest()).unwrap();
    entry["platform"] = json!({ "architecture": "amd64", "os": "windows", "os.version": "10.0.17763.1" });
    entry
}

/// The index of a name of a layout, every blob that it needs being there with the right bytes.
fn complete(layout: &Path, tag: &str) -> Value {
    let layout = Layout::open(layout).unwrap();
    let top = layout.descriptor(tag).unwrap();
    let checked = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        let bytes = std::fs::read(layout.blob_path(digest)).unwrap_or_else(|e| panic!("{descriptor}: {e}"));
        assert_eq!(
            (testkit::image::digest(&bytes).as_str(), bytes.len() as u64),
            (digest, descriptor["size"].as_u64().unwrap())
        );
        bytes
    };
    let index: Value = serde_json::from_slice(&checked(&top)).unwrap();
    for entry in index["manifests"].as_array().unwrap() {
        let manifest: Value = serde_json::from_slice(&checked(entry)).unwrap();
        let layers = manifest["layers"].as_array().unwrap().iter().filter(|l| l.get("urls").is_none());
        std::iter::once(&manifest["config"]).chain(layers).for_each(|blob| drop(checked(blob)));
    }
    index
}

fn entries(index: &Value) -> &[Value] {
    index["manifests"].as_array().unwrap()
}

/// The entry of a patched platform is the old one but for what must differ.
fn is_entry_of_patched(new: &Value, old: &Value) {
    let mut expected = old.clone();
    for key in ["digest", "size"] {
        assert_ne!(new[key], old[key], "{key}");
        expected[key] = new[key].clone();
    }
    assert_ne!(
        new["annotations"]["org.opencontainers.image.created"],
        old["annotations"]["org.opencontainers.image.created"]
    );
    expected["annotations"]["org.opencontainers.image.created"] =
        new["annotations"]["org.opencontainers.image.created"].clone();
    assert_eq!(*new, expected);
}

fn version(layout: &Path, tag: &str, architecture: &str, package: &str) -> String {
    let image = ImageReader::open_platform(layout, tag, architecture).unwrap();
    assert_eq!(image.config["architecture"], architecture);
    dpkg::versions(&image).unwrap()[package].clone()
}

#[test]
fn all_platforms_are_patched_and_everything_else_stays() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let made = Index::new();
    let ran = made.patched(&[]);
    let folder = made.layout.directory();
    let index = complete(folder, PATCHED);
    let old = entries(&made.original);
    let new = entries(&index);
    assert_eq!(new.len(), 3, "attestations about the originals are left out: {index:#}");
    (0..2).for_each(|n| is_entry_of_patched(&new[n], &old[n]));
    assert_eq!(new[2], old[4], "Windows");
    assert_eq!((&index["unknownTop"], &index["mediaType"]), (&json!(true), &made.original["mediaType"]));
    let annotations = index["annotations"].as_object().unwrap();
    assert_eq!(
        (&annotations["whole"], &annotations["org.opencontainers.image.version"]),
        (&json!("kept"), &json!("v1-patched"))
    );
    assert_eq!(annotations["sh.copa.patched"], annotations["org.opencontainers.image.created"]);
    for architecture in BOTH {
        assert_eq!(version(folder, PATCHED, architecture, s::LIBRARY), NEW);
        assert_eq!(version(folder, TAG, architecture, s::LIBRARY), OLD, "the original stays");
    }
    let platforms = ran.document["platforms"].as_array().unwrap();
    for (platform, architecture) in platforms.iter().zip(BOTH) {
        assert_eq!(platform["image"]["platform"], format!("linux/{architecture}"));
        assert_eq!(platform["status"], "patched");
        nothing_was_run(platform);
    }
    assert_eq!(
        ran.document["index"]["digest"],
        Layout::open(folder).unwrap().descriptor(PATCHED).unwrap()["digest"]
    );
    assert_eq!(ran.document["preserved"][0]["platform"], "windows/amd64");
    for words in [
        "2 attestations are about images",
        "[linux/arm64] Patching packages",
        "[linux/amd64] [3/3] Unpacking",
        "windows/amd64  preserved",
    ] {
        assert!(ran.stderr.contains(words), "{words}\n{}", ran.stderr);
    }
    let again = made.run(&["patch", "-i", &made.layout.name(PATCHED), "-t", "again"]);
    assert_eq!((again.code, &again.document["status"]), (Some(0), &"up-to-date".into()), "{}", again.stderr);
    assert!(Layout::open(folder).unwrap().descriptor("again").is_err(), "nothing is written");
    let told = made.run(&["patch", "-i", &made.layout.name(PATCHED), "-t", "again", "--detailed-exit-code"]);
    assert_eq!(told.code, Some(20));
}

#[test]
fn one_platform_is_patched_in_a_registry_and_the_others_are_the_same_bytes() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let made = Index::new();
    let registry = Registry::start().unwrap();
    let plain = plain_copy(&made);
    let reference = registry.push(&made.layout, &plain, "library/app:v1").unwrap();
    let folder = made.world.path("beside");
    let oci = folder.to_str().unwrap().to_owned();
    let arguments = ["patch", "-i", &reference, "--platform", "linux/arm64", "--push", "--oci-dir", &oci];
    let ran = made.run(&arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let pulled = made.world.path("pulled");
    registry.pull("library/app:v1-patched", &pulled, PATCHED).unwrap();
    let old: Value =
        made.layout.json(made.layout.descriptor(&plain).unwrap()["digest"].as_str().unwrap()).unwrap();
    for layout in [&pulled, &folder] {
        let index = complete(layout, PATCHED);
        let (new, old) = (entries(&index), entries(&old));
        assert_eq!(new[0], old[0], "amd64 is the same");
        is_entry_of_patched(&new[1], &old[1]);
        assert_eq!(new[2], old[2], "its attestation too; that of arm64 is gone");
        assert_eq!(new.len(), 3);
        assert_eq!(version(layout, PATCHED, "arm64", s::LIBRARY), NEW);
        assert_eq!(version(layout, PATCHED, "amd64", s::LIBRARY), OLD);
    }
    assert_eq!(ran.document["counters"]["baseBytesUploaded"], 0);
    let whys: Vec<_> = ran.document["preserved"].as_array().unwrap().iter().map(|p| &p["kind"]).collect();
    assert_eq!(whys, ["image", "attestation"]);
}

/// The index without the Windows image, whose foreign layer `skopeo` would ask for.
fn plain_copy(made: &Index) -> String {
    let mut index = made.original.clone();
    index["manifests"].as_array_mut().unwrap().truncate(4);
    let descriptor = made.layout.put_json(&index, Types::Oci.index()).unwrap();
    made.layout.tag("plain", &descriptor).unwrap();
    "plain".to_owned()
}

#[test]
fn a_platform_that_is_not_there_or_cannot_be_is_named() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let made = Index::new();
    made.refused(
        &["--platform", "linux/s390x"],
        4,
        &["linux/s390x", "linux/amd64, linux/arm64, windows/amd64"],
    );
    made.refused(&["--platform", "linux/amd64,windows/amd64"], 4, &["windows/amd64 cannot be patched"]);
    let single = made.made[1].layout.name(testkit::debian_root::TAG);
    let ran = made.run(&["patch", "-i", &single, "-t", "x", "--platform", "linux/amd64"]);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(ran.stderr.contains("it has linux/arm64"), "{}", ran.stderr);
    let ran = made.run(&["patch", "-i", &single, "-t", "x", "--platform", "linux/arm64"]);
    assert_eq!(
        (ran.code, &ran.document["image"]["platform"]),
        (Some(0), &"linux/arm64".into()),
        "{}",
        ran.stderr
    );
    assert!(ran.document.get("platforms").is_none(), "one image has the document that it always had");
}

#[test]
fn a_report_is_for_its_platform_and_gives_that_image_alone() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let made = Index::new();
    let folder = made.report("one", "r.json", "arm64", &[s::HARMLESS]);
    let report = folder.join("r.json");
    let ran = made.patched(&["-r", report.to_str().unwrap(), "-t", "alone"]);
    assert_eq!(ran.document["image"]["platform"], "linux/arm64");
    let alone = made.layout.descriptor("alone").unwrap();
    assert_eq!(alone["mediaType"], Types::Oci.manifest());
    let layer = ran.document["patched"]["layer"]["digest"].clone();
    let ran = made.patched(&["-r", report.to_str().unwrap(), "-t", "kept", "--platform", "linux/arm64"]);
    assert_eq!(ran.document["platforms"].as_array().unwrap().len(), 1);
    let index = complete(made.layout.directory(), "kept");
    assert_eq!(entries(&index)[0], entries(&made.original)[0]);
    assert_eq!(version(made.layout.directory(), "kept", "arm64", s::HARMLESS), NEW);
    // Manifests say when they were made; what is in them is the same.
    let kept = &ran.document["platforms"][0]["patched"];
    assert_eq!(kept["digest"], entries(&index)[1]["digest"]);
    assert!(layer.is_string() && kept["layer"]["digest"] == layer, "the same layer in both: {kept:#}");
    made.refused(&["-r", report.to_str().unwrap(), "--platform", "linux/amd64"], 3, &["arm64", "amd64"]);
}

#[test]
fn a_folder_has_a_report_for_each_platform() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let made = Index::new();
    let folder = made.report("reports", "linux-amd64.json", "arm64", &[s::HARMLESS]);
    let folder = folder.to_str().unwrap();
    let ran = made.patched(&["-r", folder, "-t", "one"]);
    let at = made.layout.directory();
    assert_eq!(version(at, "one", "arm64", s::HARMLESS), NEW, "by what it says, not by its name");
    assert_eq!(version(at, "one", "amd64", s::HARMLESS), OLD);
    assert_eq!(ran.document["preserved"][0]["why"], "no report for it");
    made.report("reports", "other.json", "amd64", &[s::LIBRARY]);
    let vex = made.world.path("out.vex.json");
    let ran = made.patched(&["-r", folder, "-t", "both", "-o", vex.to_str().unwrap()]);
    assert_eq!(version(at, "both", "amd64", s::LIBRARY), NEW);
    assert_eq!(version(at, "both", "amd64", s::HARMLESS), OLD);
    assert_eq!(ran.document["summary"]["fixed"], 2);
    vex_names_each_image(&vex, &complete(at, "both"));
    let plan = made.run(&["plan", "-i", &made.layout.name(TAG), "-r", folder]);
    assert_eq!((plan.code, &plan.document["status"]), (Some(0), &"planned".into()), "{}", plan.stderr);
    assert_eq!(plan.document["platforms"].as_array().unwrap().len(), 2);
    made.report("reports", "third.json", "s390x", &[s::LIBRARY]);
    made.refused(&["-r", folder], 3, &["third.json is for linux/s390x", "linux/amd64, linux/arm64"]);
    std::fs::remove_file(Path::new(folder).join("third.json")).unwrap();
    made.report("reports", "twice.json", "amd64", &[s::LIBRARY]);
    made.refused(&["-r", folder], 3, &["other.json", "twice.json", "both for linux/amd64"]);
    std::fs::write(Path::new(folder).join("twice.json"), "no report").unwrap();
    made.refused(&["-r", folder], 3, &["twice.json"]);
    let ran = made.patched(&["-r", folder, "-t", "rest", "--ignore-errors"]);
    assert!(ran.stderr.contains("twice.json") && ran.stderr.contains("left out"), "{}", ran.stderr);
    made.refused(&["-r", made.world.path("layout").to_str().unwrap(), "-t", "x"], 3, &["layout"]);
}

/// The whole document has statements about both images, and each has one beside it.
fn vex_names_each_image(vex: &Path, index: &Value) {
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let products = |document: &Value| -> Vec<String> {
        let statements = document["statements"].as_array().unwrap().iter();
        statements.map(|s| s["products"][0]["@id"].as_str().unwrap().to_owned()).collect()
    };
    let whole = products(&read(vex));
    assert_eq!(whole.len(), 2);
    for (number, architecture) in BOTH.iter().enumerate() {
        let digest = entries(index)[number]["digest"].as_str().unwrap();
        let own = products(&read(&vex.with_file_name(format!("out.vex.linux-{architecture}.json"))));
        assert_eq!(own.len(), 1);
        assert!(own[0].ends_with(digest), "{own:?} {digest}");
        assert!(whole.contains(&own[0]), "{whole:?}");
    }
}

#[test]
fn one_platform_that_fails_stops_all_or_is_preserved() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let made = Index::new();
    let wrong = |at: usize| made.made[at].served.fail(".deb", testkit::apt_repository::Fault::Wrong);
    wrong(0);
    wrong(1);
    made.refused(&["--ignore-errors", "-t", "none"], 7, &["platform linux/amd64 cannot be patched"]);
    made.made[0].served.heal();
    let ran = made.refused(
        &["--jobs", "1"],
        7,
        &["platform linux/arm64 cannot be patched", "not what its index promises"],
    );
    assert_eq!(ran.document["platforms"][1]["status"], "failed");
    let ran = made.patched(&["--ignore-errors", "-t", "rest"]);
    let index = complete(made.layout.directory(), "rest");
    assert_eq!(entries(&index)[1], entries(&made.original)[1], "arm64 stays");
    assert_eq!(entries(&index)[2], entries(&made.original)[3], "and its attestation");
    assert_eq!(version(made.layout.directory(), "rest", "amd64", s::LIBRARY), NEW);
    assert_eq!(ran.document["platforms"][1]["error"]["exitCode"], 7, "{:#}", ran.document);
    assert!(ran.stderr.contains("linux/arm64 is preserved as it is"), "{}", ran.stderr);
    let told = made.patch(&["--ignore-errors", "-t", "told", "--detailed-exit-code"]);
    assert_eq!(told.code, Some(21), "{}", told.stderr);
}

#[test]
fn the_same_index_comes_of_one_job_and_of_many() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let made = Index::of(Types::Docker);
    let digest = |jobs: &str| {
        let name = made.layout.name(TAG);
        let mut command =
            made.world.copa(&["patch", "-i", &name, "-t", "same", "--jobs", jobs, "--progress", "rawjson"]);
        let hosts: Vec<String> = made.made.iter().map(|m| m.served.host()).collect();
        let done = Done::of(
            command
                .args(["--allow-host", &hosts.join(",")])
                .env("SOURCE_DATE_EPOCH", "1700000000")
                .output()
                .unwrap(),
        );
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let events: Vec<Value> =
            done.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |platform: &str| {
            events.iter().filter(|e| e["platform"] == platform && e["event"] == "phase-ended").count()
        };
        assert_eq!(of("linux/amd64"), of("linux/arm64"), "{}", done.stderr);
        assert!(of("linux/amd64") > 3, "{}", done.stderr);
        made.layout.descriptor("same").unwrap()
    };
    let one = digest("1");
    assert_eq!(digest("2"), one);
    assert_eq!(one["mediaType"], Types::Docker.index());
    let index = complete(made.layout.directory(), "same");
    assert_eq!(index["annotations"], made.original["annotations"], "docker's lists have none that are ours");
}
