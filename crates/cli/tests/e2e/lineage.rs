//! Patching again and again: one patch layer, edits of the config kept, what is built on a patched image, what Go Copa patched.
//! Images of Go Copa are made here after what its code and BuildKit's write, since there is no such program to run.

use crate::within::{self, Ran};
use crate::world::World;
use serde_json::{Value, json};
use testkit::apk::{
    self, ApkSpec, database,
    image::{Alpine, Options},
};
use testkit::command::argv;
use testkit::debian_root::TAG;
use testkit::image::{Layout, digest};
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;
use testkit::{probe, skip, tree};

const OLD: &str = "1.0-r0";
const NEW: &str = "1.0-r1";
const ROUNDS: usize = 10;

fn needs() -> Result<(), String> {
    probe::first_reason([apk::needs(), probe::programs(&["umoci", "skopeo", "docker-registry"])])
}

/// What a layer put on top looks like in history: of a build, or as Go Copa has BuildKit write it.
const BUILT: &str = "buildkit.dockerfile.v0";
const EXPORTED: &str = "buildkit.exporter.image.v0";

fn package(round: usize) -> String {
    format!("round-{round:02}")
}

/// An Alpine without apk with one package to update each round, and a place to run.
struct Subject {
    world: World,
    alpine: Alpine,
}

impl Subject {
    fn new() -> Subject {
        let spec = |round: usize, version: &str| {
            ApkSpec::new(&package(round), version).file(&format!("/usr/share/{}", package(round)), version)
        };
        let options = Options {
            installed: (0..ROUNDS).map(|round| spec(round, OLD)).collect(),
            offered: (0..ROUNDS).map(|round| spec(round, NEW)).collect(),
            world: (0..ROUNDS).map(package).collect(),
            ..Options::default()
        };
        Subject { world: World::new(), alpine: Alpine::new(&options).unwrap() }
    }

    fn layout(&self) -> &Layout {
        &self.alpine.layout
    }

    /// Patches the package of a round, from one tag to another of the layout.
    fn patched(&self, tags: (&str, &str), round: usize, more: &[&str]) -> Value {
        let report = within::report(&self.world, ("alpine", "3.19.1"), &[(&package(round), OLD, NEW)]);
        let place = (&self.world, self.layout(), &*self.alpine.served.host());
        let Ran { code, stderr, document } = within::patch(place, tags, Some(&report), more);
        assert_eq!((code, &document["status"]), (Some(0), &json!("patched")), "{stderr}\n{document:#}");
        document
    }

    /// The same in a registry.
    fn pushed(&self, reference: &str, tag: &str, round: usize) -> Value {
        let report = within::report(&self.world, ("alpine", "3.19.1"), &[(&package(round), OLD, NEW)]);
        let host = self.alpine.served.host();
        let report = report.to_str().unwrap();
        let line = ["patch", "-i", reference, "-r", report, "-t", tag, "--push", "--allow-host", &host];
        let document = self.world.succeed(&line);
        assert_eq!(document["status"], "patched", "{document:#}");
        document
    }

    fn image(&self, tag: &str) -> ImageReader {
        ImageReader::open(self.layout().directory(), tag).unwrap()
    }

    /// Packages of these rounds are new in the image, all others old.
    fn is_new(image: &ImageReader, rounds: &[usize]) {
        let versions = database::versions(image).unwrap();
        for round in 0..ROUNDS {
            let want = if rounds.contains(&round) { NEW } else { OLD };
            assert_eq!(versions[&package(round)], want, "{round}: {versions:?}");
        }
    }

    /// Another image of a tag: one layer on top, history as `comment` says, labels in Go's second spelling.
    fn on_top(&self, (from, to): (&str, &str), file: &str, comment: &str, labels: &Value) {
        let (layout, image) = (self.layout(), self.image(from));
        let layer = tree::layer(&format!("dir usr\ndir usr/share\nfile usr/share/{file} text={file}"));
        let (mut config, mut manifest) = (image.config.clone(), image.manifest.clone());
        let ids = config["rootfs"]["diff_ids"].as_array_mut().unwrap();
        ids.push(digest(&layer).into());
        let layers = ids.len();
        let mut history = config["history"].as_array().cloned().unwrap_or_default();
        let entry = json!({"created": "2024-01-01T00:00:00Z", "created_by": "mount / from exec sh", "comment": comment});
        history.resize(layers, entry);
        config["history"] = history.into();
        if !labels.is_null() {
            config["config"]["labels"] = labels.clone();
        }
        let blob = layout.put_bytes(&layer, "application/vnd.oci.image.layer.v1.tar").unwrap();
        manifest["layers"].as_array_mut().unwrap().push(blob);
        manifest["config"] = layout.put_json(&config, "application/vnd.oci.image.config.v1+json").unwrap();
        let descriptor = layout.put_json(&manifest, "application/vnd.oci.image.manifest.v1+json").unwrap();
        layout.tag(to, &descriptor).unwrap();
    }
}

fn lineage(document: &Value) -> &Value {
    &document["patched"]["lineage"]
}

/// Whether a file is there, from which layer.
fn layer_of(image: &ImageReader, path: &str) -> Option<usize> {
    let shown = image.files(|p| p == path.as_bytes()).unwrap();
    shown.into_values().next().map(|shown| shown.layer)
}

fn has_note(document: &Value, words: &str) -> bool {
    document["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains(words))
}

#[test]
fn ten_patches_one_after_the_other_are_one_layer_with_all_that_they_did() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let original = subject.image(TAG);
    let mut from = TAG.to_owned();
    for round in 0..ROUNDS {
        let to = format!("after-{round}");
        let document = subject.patched((&from, &to), round, &[]);
        let image = subject.image(&to);
        assert_eq!(image.layers().len(), original.layers().len() + 1, "round {round}");
        assert_eq!(image.layers()[..original.layers().len()], original.layers()[..]);
        assert_eq!(lineage(&document)["baseDigest"], original.manifest_digest.as_str());
        assert_eq!(lineage(&document)["baseName"], subject.layout().name(TAG));
        assert_eq!(document["image"]["repatched"], round > 0);
        Subject::is_new(&image, &(0..=round).collect::<Vec<_>>());
        from = to;
    }
    // In between somebody edits the config; the edits stay and the record still holds.
    let at = format!("{}:{from}", subject.layout().directory().display());
    let edits = ["--config.label", "mine=kept", "--config.user", "1000", "--history.comment", "edited"];
    edits
        .into_iter()
        .fold(argv("umoci", ["config", "--image", &at]), |line, word| line.arg(word))
        .stdout()
        .unwrap();
    let inspected = inspect(&subject, &from);
    assert_eq!(inspected["origin"], "patched", "{inspected:#}");
    assert_eq!(inspected["replacesPatch"], true);
    assert_eq!(inspected["base"]["verified"], true, "the layout has the original");
}

fn inspect(subject: &Subject, tag: &str) -> Value {
    let done = subject.world.run(&["inspect", "--json", &subject.layout().name(tag)]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let whole: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(whole["schemaVersion"], "copa.sh/inspect/v1");
    whole["platforms"][0].clone()
}

#[test]
fn edits_made_between_two_patches_stay() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    subject.patched((TAG, "one"), 0, &[]);
    let at = format!("{}:one", subject.layout().directory().display());
    let edits = ["--config.label", "mine=kept", "--config.user", "1000"];
    let line = argv("umoci", ["config", "--image", &at, "--tag", "edited"]);
    edits.into_iter().fold(line, |line, word| line.arg(word)).stdout().unwrap();
    let document = subject.patched(("edited", "two"), 1, &[]);
    let (original, image) = (subject.image(TAG), subject.image("two"));
    assert_eq!(image.layers().len(), original.layers().len() + 1);
    assert_eq!(image.config["config"]["Labels"]["mine"], "kept");
    assert_eq!(image.config["config"]["User"], "1000");
    assert_eq!(lineage(&document)["baseDigest"], original.manifest_digest.as_str());
    Subject::is_new(&image, &[0, 1]);
}

#[test]
fn what_is_built_on_a_patched_image_keeps_that_patch_and_gets_one_of_its_own() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Subject::new();
    subject.patched((TAG, "base"), 0, &[]);
    subject.on_top(("base", "app"), "app", BUILT, &Value::Null);
    let one = subject.patched(("app", "app-1"), 1, &[]);
    assert!(has_note(&one, "built on one that was patched before"), "{one:#}");
    assert_eq!(one["image"]["repatched"], false);
    let two = subject.patched(("app-1", "app-2"), 2, &[]);
    assert_eq!(two["image"]["repatched"], true);
    let (below, app, image) = (subject.image("base"), subject.image("app"), subject.image("app-2"));
    assert_eq!(image.layers().len(), app.layers().len() + 1);
    assert_eq!(
        image.layers()[..app.layers().len()],
        app.layers()[..],
        "the old patch and what is built on it stay"
    );
    assert_eq!(layer_of(&image, "usr/share/app"), Some(below.layers().len()));
    Subject::is_new(&image, &[0, 1, 2]);
    let record = lineage(&two);
    assert_eq!(record["baseDigest"], app.manifest_digest.as_str());
    assert_eq!(record["builtOn"][0]["baseDigest"], subject.image(TAG).manifest_digest.as_str());
    let inspected = inspect(&subject, "app");
    assert_eq!(
        (&inspected["origin"], &inspected["replacesPatch"]),
        (&json!("built-on-patched"), &json!(false))
    );
    assert_eq!(inspect(&subject, "app-2")["patches"].as_array().unwrap().len(), 2);
}

#[test]
fn a_patch_of_go_copa_is_replaced_where_the_original_checks_out_and_else_stays() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (subject, registry) = (Subject::new(), Registry::start().unwrap());
    let base = registry.push(subject.layout(), TAG, "team/app:1").unwrap();
    let label = json!({ "BaseImage": base });
    subject.on_top((TAG, "copa-one"), "first", EXPORTED, &label);
    subject.on_top(("copa-one", "copa-two"), "second", EXPORTED, &label);
    subject.on_top(("copa-two", "built"), "app", BUILT, &label);
    let layers = subject.image(TAG).layers().len();
    for (tag, repository, after, repatched) in [
        ("copa-one", "team/app", layers + 1, true),
        ("copa-two", "team/app", layers + 1, true),
        ("built", "team/app", layers + 4, false),
        ("copa-one", "other/app", layers + 2, false),
    ] {
        let reference = registry.push(subject.layout(), tag, &format!("{repository}:{tag}")).unwrap();
        let patched = format!("{tag}-patched");
        let document = subject.pushed(&reference, &patched, 3);
        assert_eq!(document["patched"]["layers"], after, "{tag} {document:#}");
        assert_eq!(document["image"]["repatched"], repatched, "{tag}");
        let folder = subject.world.path(&format!("{}-{patched}", repository.replace('/', "-")));
        registry.pull(&format!("{repository}:{patched}"), &folder, "t").unwrap();
        let image = ImageReader::open(&folder, "t").unwrap();
        assert_eq!(image.layers()[..layers], subject.image(TAG).layers()[..]);
        Subject::is_new(&image, &[3]);
        assert!(layer_of(&image, "usr/share/first").is_some(), "what Go Copa did is still there");
        assert_eq!(layer_of(&image, "usr/share/first").unwrap(), layers);
        if repatched {
            assert_eq!(lineage(&document)["baseDigest"], subject.image(TAG).manifest_digest.as_str());
            assert_eq!(lineage(&document)["baseName"], base);
        } else {
            assert!(has_note(&document, "Go Copa patched it from"), "{document:#}");
        }
    }
    // Where it is elsewhere the operator says where, and is held to it.
    let named = subject.layout().name(TAG);
    let document = subject.patched(("copa-two", "by-name"), 4, &["--base", &named]);
    assert_eq!(
        (document["patched"]["layers"].as_u64(), &document["image"]["repatched"]),
        (Some(layers as u64 + 1), &json!(true))
    );
    subject.on_top((TAG, "other"), "other", BUILT, &Value::Null);
    let wrong = subject.layout().name("other");
    let line = ["patch", "-i", &subject.layout().name("copa-two"), "-t", "no", "--base", &wrong];
    let done = subject.world.run(&line);
    assert!(done.code != Some(0) && done.stderr.contains("is not the original"), "{}", done.stderr);
}

#[test]
fn docker_images_are_patched_again_by_their_label_alone() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let (subject, registry) = (Subject::new(), Registry::start().unwrap());
    let reference = registry.reference("team/docker:1");
    let copy =
        ["copy", "--quiet", "--format", "v2s2", "--dest-tls-verify=false", &subject.layout().name(TAG)];
    argv("skopeo", copy).arg(format!("docker://{reference}")).stdout().unwrap();
    let one = subject.pushed(&reference, "2", 0);
    let two = subject.pushed(&registry.reference("team/docker:2"), "3", 1);
    assert_eq!(
        (&two["patched"]["layers"], &two["image"]["repatched"]),
        (&one["patched"]["layers"], &json!(true))
    );
    assert_eq!(lineage(&two)["baseDigest"], lineage(&one)["baseDigest"]);
    let raw = ["inspect", "--raw", "--tls-verify=false"];
    let raw = argv("skopeo", raw)
        .arg(format!("docker://{}", registry.reference("team/docker:3")))
        .stdout()
        .unwrap();
    let manifest: Value = serde_json::from_slice(&raw).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(manifest["layers"][1]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
}
