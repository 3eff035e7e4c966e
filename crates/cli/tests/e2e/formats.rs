//! How layers are compressed: the patch layer as asked, the original's as they are unless asked; every blob unpacks to its diff id,
//! as gzip and zstd themselves see it. And: the same input at the same date is the same manifest.

use crate::within;
use crate::world::{Done, World};
use serde_json::Value;
use testkit::apk::{
    self, database,
    image::{Alpine, Options},
    scenario,
};
use testkit::command::argv;
use testkit::debian_root::TAG;
use testkit::image::{Compression, Image, Layer, Layout, digest};
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;
use testkit::{probe, skip, syft};

const EPOCH: &str = "1700000000";

fn needs() -> Result<(), String> {
    probe::first_reason([
        apk::needs(),
        probe::programs(&["syft", "gzip", "zstd", "skopeo", "docker-registry"]),
    ])
}

struct Subject {
    world: World,
    alpine: Alpine,
}

impl Subject {
    fn new() -> Subject {
        Subject { world: World::new(), alpine: Alpine::new(&Options::default()).unwrap() }
    }

    fn run(&self, from: &str, to: &str, more: &[&str]) -> (Done, Value) {
        let report = [(scenario::LIBRARY, scenario::OLD, scenario::NEW)];
        let report = within::report(&self.world, ("alpine", "3.19.1"), &report);
        let host = self.alpine.served.host();
        let mut command =
            self.world.copa(&["patch", "-i", from, "-t", to, "--allow-host", &host, "--result", "-"]);
        command.arg("-r").arg(report).args(more).env("SOURCE_DATE_EPOCH", EPOCH);
        let done = Done::of(command.output().unwrap());
        let document = serde_json::from_str(&done.stdout).unwrap_or(Value::Null);
        (done, document)
    }

    fn patched(&self, tags: (&str, &str), more: &[&str]) -> (Value, ImageReader) {
        let (done, document) = self.run(&self.alpine.layout.name(tags.0), tags.1, more);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        (document, ImageReader::open(self.alpine.layout.directory(), tags.1).unwrap())
    }
}

/// Compressions of the layers, each proven by unpacking the blob to its diff id.
fn compressions(layout: &Layout, image: &ImageReader) -> Vec<&'static str> {
    let one = |(layer, diff_id): (&Value, String)| {
        let path = layout.blob_path(layer["digest"].as_str().unwrap());
        let unpack = |program: &str| argv(program, ["-d", "-c"]).arg(&path).stdout().unwrap();
        let (word, tar) = match layer["mediaType"].as_str().unwrap().rsplit('.').next().unwrap() {
            "tar+gzip" => ("gzip", unpack("gzip")),
            "tar+zstd" => ("zstd", unpack("zstd")),
            "tar" => ("none", std::fs::read(&path).unwrap()),
            other => panic!("{other}"),
        };
        assert_eq!(digest(&tar), diff_id, "{layer}");
        word
    };
    image.layers().iter().zip(image.diff_ids()).map(one).collect()
}

#[test]
fn the_patch_layer_is_compressed_as_asked_and_nothing_else_is_touched() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let original = ImageReader::open(subject.alpine.layout.directory(), TAG).unwrap();
    let mut diff_ids = Vec::new();
    for (to, more, word) in [
        ("default", &[][..], "gzip"),
        ("gzip", &["--compression", "gzip", "--compression-level", "9"], "gzip"),
        ("zstd", &["--compression", "zstd"], "zstd"),
        ("zstd-19", &["--compression", "zstd", "--compression-level", "19"], "zstd"),
        ("plain", &["--compression", "uncompressed"], "none"),
    ] {
        let (document, image) = subject.patched((TAG, to), more);
        let found = compressions(&subject.alpine.layout, &image);
        assert_eq!(found, ["gzip", word], "{to}");
        assert_eq!(image.layers()[0], original.layers()[0], "{to}");
        assert_eq!(document["counters"]["layersReencoded"], 0);
        let versions = database::versions(&image).unwrap();
        assert_eq!(syft::packages_of(subject.alpine.layout.directory(), to, "apk").unwrap(), versions);
        diff_ids.push(image.diff_ids()[1].clone());
    }
    diff_ids.dedup();
    assert_eq!(diff_ids.len(), 1, "what the layer is does not depend on how it is compressed");
    for (more, words) in [
        (&["--compression", "estargz"][..], "estargz is not supported"),
        (&["--compression", "lz4"], "want gzip, zstd or uncompressed"),
        (&["--compression", "gzip", "--compression-level", "10"], "no compression level 10"),
        (&["--compression", "uncompressed", "--compression-level", "1"], "has no level"),
    ] {
        let (done, _) = subject.run(&subject.alpine.layout.name(TAG), "no", more);
        assert!(done.code != Some(0) && done.stderr.contains(words), "{more:?}: {}", done.stderr);
    }
}

#[test]
fn images_of_any_compression_are_read_and_compressed_anew_only_where_asked() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let layout = &subject.alpine.layout;
    let original = ImageReader::open(layout.directory(), TAG).unwrap();
    let gzip = layout.blob_path(original.layers()[0]["digest"].as_str().unwrap());
    let tar = argv("gzip", ["-d", "-c"]).arg(gzip).stdout().unwrap();
    for (name, compression, word) in [
        ("gzip", Compression::Gzip, "gzip"),
        ("zstd", Compression::Zstd, "zstd"),
        ("plain", Compression::None, "none"),
    ] {
        let config = original.config["config"].clone();
        let layers = vec![Layer::Tar(tar.clone()), Layer::text("file srv-app text=app")];
        layout.add(name, &Image { compression, config, ..Image::new(layers) }).unwrap();
        let before = ImageReader::open(layout.directory(), name).unwrap();
        let (document, image) = subject.patched((name, &format!("{name}-patched")), &[]);
        assert_eq!(compressions(layout, &image), [word, word, "gzip"]);
        assert_eq!(image.layers()[..2], before.layers()[..]);
        assert_eq!(document["counters"]["layersReencoded"], 0);
        let forced = format!("{name}-forced");
        let more = ["--compression", "zstd", "--force-compression"];
        let (document, image) = subject.patched((name, &forced), &more);
        assert_eq!(compressions(layout, &image), ["zstd"; 3]);
        assert_eq!(image.diff_ids()[..2], before.diff_ids()[..]);
        assert_eq!(document["counters"]["layersReencoded"], if name == "zstd" { 0 } else { 2 });
        let versions = database::versions(&image).unwrap();
        assert_eq!(syft::packages_of(layout.directory(), &forced, "apk").unwrap(), versions);
        // The record still holds: layers are told by what they are.
        let again = subject.world.run(&["inspect", "--json", &layout.name(&forced)]);
        let seen: Value = serde_json::from_str(&again.stdout).unwrap();
        assert_eq!(seen["platforms"][0]["origin"], "patched", "{}", again.stderr);
    }
}

#[test]
fn docker_images_take_no_zstd_layer() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (subject, registry) = (Subject::new(), Registry::start().unwrap());
    let reference = registry.reference("team/docker:1");
    let copy =
        ["copy", "--quiet", "--format", "v2s2", "--dest-tls-verify=false", &subject.alpine.layout.name(TAG)];
    argv("skopeo", copy).arg(format!("docker://{reference}")).stdout().unwrap();
    let (done, _) = subject.run(&reference, "zstd", &["--push", "--compression", "zstd"]);
    assert!(done.code != Some(0) && done.stderr.contains("no type for zstd layers"), "{}", done.stderr);
    assert!(done.stderr.contains("--compression gzip"), "{}", done.stderr);
    let (done, _) = subject.run(&reference, "plain", &["--push", "--compression", "uncompressed"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let at = format!("docker://{}", registry.reference("team/docker:plain"));
    // skopeo unpacks every layer that has no compression of its own kind, and holds its digest against the manifest.
    let folder = subject.world.path("copied");
    let copy = ["copy", "--quiet", "--src-tls-verify=false", &at];
    argv("skopeo", copy).arg(format!("dir:{}", folder.display())).stdout().unwrap();
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let last = manifest["layers"].as_array().unwrap().last().unwrap();
    assert_eq!(last["mediaType"], "application/vnd.docker.image.rootfs.diff.tar");
    let config = manifest["config"]["digest"].as_str().unwrap().replace("sha256:", "");
    let config: Value = serde_json::from_slice(&std::fs::read(folder.join(config)).unwrap()).unwrap();
    assert_eq!(
        config["rootfs"]["diff_ids"].as_array().unwrap().last(),
        Some(&last["digest"]),
        "its blob is its tar"
    );
}

#[test]
fn the_same_input_at_the_same_date_is_the_same_manifest() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let (_, first) = subject.patched((TAG, "first"), &[]);
    // Nothing is kept from before, and it is another second.
    std::fs::remove_dir_all(subject.world.path("cache")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let (_, second) = subject.patched((TAG, "second"), &[]);
    assert_eq!(first.manifest_digest, second.manifest_digest);
    assert_eq!(first.manifest["annotations"]["org.opencontainers.image.created"], "2023-11-14T22:13:20Z");
}
