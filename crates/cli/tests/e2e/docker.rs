//! Images of a local docker daemon, a real one with each of its image stores: patched where they are, no registry asked, and run
//! afterwards by docker itself. The other version is in the table of endpoints and in the tests of that room.

use crate::throwaway::{self, Ran, Throwaway};
use std::ffi::OsString;
use testkit::apt_repository::scenario as s;
use testkit::daemon::{DockerVersion, Dockerd, Store};
use testkit::image_reader::ImageReader;
use testkit::registry::Registry;
use testkit::{probe, skip};

/// A name that leads to no registry: whoever asked one would fail.
const IMAGE: &str = "nowhere.invalid/team/app:1";

struct Setting {
    made: Throwaway,
    daemon: Dockerd,
}

fn skipped() -> Option<String> {
    let programs = probe::programs(&["docker-registry", "skopeo"]);
    probe::first_reason([throwaway::needs(), Dockerd::probe(), programs]).err()
}

impl Setting {
    fn new(version: DockerVersion, store: Store) -> Setting {
        let made = Throwaway::offering(&s::updates());
        let daemon = Dockerd::start(version, store).unwrap();
        Setting { made, daemon }
    }

    fn load(&self, name: &str) {
        self.daemon.load(&self.made.layout, throwaway::TAG, name).unwrap();
    }

    /// Patches an image, with docker to be found.
    fn patch(&self, image: &str, more: &[&str]) -> Ran {
        self.patch_with(image, more, &self.daemon.environment())
    }

    fn patch_with(&self, image: &str, more: &[&str], environment: &[(&'static str, OsString)]) -> Ran {
        self.run((&[s::BASE], image), more, environment)
    }

    /// Patches packages of an image.
    fn run(
        &self,
        (packages, image): (&[&str], &str),
        more: &[&str],
        environment: &[(&'static str, OsString)],
    ) -> Ran {
        let report = self.made.wanting(packages);
        let (work, result) = (self.made.world.path("work"), self.made.world.path("result.json"));
        let host = self.made.served.host();
        let mut command =
            self.made.world.copa(&["patch", "-i", image, "--allow-host", &host, "--progress", "plain"]);
        command.arg("-r").arg(report).arg("--working-folder").arg(work).arg("--result").arg(result);
        command.args(more).env("COPA_CACHE_DIR", throwaway::shared_cache());
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        self.made.finish(command)
    }

    fn patched(&self, image: &str, more: &[&str]) -> Ran {
        self.patched_by(&[s::BASE], image, more)
    }

    fn patched_by(&self, packages: &[&str], image: &str, more: &[&str]) -> Ran {
        let ran = self.run((packages, image), more, &self.daemon.environment());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.document["status"], "patched", "{}", ran.stderr);
        ran
    }

    /// The version of the package that was wanted, as dpkg in a container says.
    fn version(&self, image: &str) -> String {
        let run =
            ["run", "--rm", "--network", "none", image, "dpkg-query", "-W", "-f", "${Version}", s::BASE];
        self.daemon.docker(&run).text().unwrap()
    }

    fn diff_ids(&self, image: &str) -> Vec<String> {
        let layers = ["image", "inspect", "--format", "{{json .RootFS.Layers}}", image];
        serde_json::from_str(&self.daemon.docker(&layers).text().unwrap()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let all = self.daemon.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).text().unwrap();
        let mut names: Vec<String> = all.lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

fn patched_where_it_is(store: Store) {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(DockerVersion::V28, store);
    setting.load(IMAGE);
    let ran = setting.patched(IMAGE, &[]);
    let patched = "nowhere.invalid/team/app:1-patched";
    assert_eq!(setting.names(), [IMAGE, patched], "no name of ours is left");
    assert_eq!(setting.version(patched), s::NEW);
    assert_eq!(setting.version(IMAGE), s::OLD);
    let (old, new) = (setting.diff_ids(IMAGE), setting.diff_ids(patched));
    assert_eq!((&new[..old.len()], new.len()), (&old[..], old.len() + 1));
    let layer = ran.document["layer"]["size"].as_u64();
    let sent = ran.document["counters"]["bytesUploaded"].as_u64().unwrap();
    assert!(
        sent < 1 << 20,
        "only what is new is loaded: {sent} bytes, layer {layer:?}\n{:#}",
        ran.document["counters"]
    );
    // The patched one is patched again: its patch layer is replaced.
    setting.patched_by(&[s::BASE, s::HELD], patched, &["-t", "2"]);
    assert_eq!(setting.diff_ids("nowhere.invalid/team/app:2").len(), new.len());
}

#[test]
fn with_its_own_store() {
    patched_where_it_is(Store::Classic);
}

#[test]
fn with_containerds_store() {
    patched_where_it_is(Store::Containerd);
}

#[test]
fn what_comes_from_a_registry_goes_to_docker_and_with_push_back_to_it() {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(DockerVersion::V28, Store::Containerd);
    let registry = Registry::start().unwrap();
    let image = registry.push(&setting.made.layout, throwaway::TAG, "team/app:1").unwrap();
    let loaded = format!("{image}-patched");
    setting.patched(&image, &[]);
    assert_eq!(setting.names(), std::slice::from_ref(&loaded));
    assert_eq!(setting.version(&loaded), s::NEW);
    assert!(registry.pull("team/app:1-patched", &setting.made.world.path("none"), "x").is_err());
    // The same name in docker is another image by now; with --push that of the registry is meant.
    setting.daemon.docker(&["tag", &loaded, &image]).stdout().unwrap();
    setting.patched(&image, &["--push", "-t", "pushed"]);
    let pulled = setting.made.world.path("pulled");
    registry.pull("team/app:pushed", &pulled, "x").unwrap();
    let before = ImageReader::open(setting.made.layout.directory(), throwaway::TAG).unwrap().layers().len();
    assert_eq!(ImageReader::open(&pulled, "x").unwrap().layers().len(), before + 1);
    assert_eq!(setting.names(), [image, loaded]);
}

#[test]
fn several_places_are_written_to_at_once() {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(DockerVersion::V26, Store::Classic);
    setting.load(IMAGE);
    let layout = setting.made.world.path("out");
    let to = format!("oci:{}", layout.display());
    setting.patched(IMAGE, &["--to", "docker-daemon:b.invalid/x", "--to", &to, "--tag", "new"]);
    assert_eq!(setting.names(), ["b.invalid/x:new", IMAGE]);
    let written = ImageReader::open(&layout, "new").unwrap();
    assert_eq!(written.diff_ids(), setting.diff_ids("b.invalid/x:new"));
}

#[test]
fn without_a_daemon_what_was_tried_is_named_and_the_name_itself_is_not_taken() {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(DockerVersion::V28, Store::Classic);
    setting.load(IMAGE);
    let own = setting.patch(IMAGE, &["-t", "1"]);
    assert_eq!(own.code, Some(2), "{}", own.stderr);
    assert!(
        own.stderr.contains("is the image itself") && own.stderr.contains("--overwrite"),
        "{}",
        own.stderr
    );
    let absent = [("DOCKER_HOST", OsString::from("unix:///nowhere/docker.sock"))];
    let ran = setting.patch_with(IMAGE, &["-l", "docker"], &absent);
    assert_eq!(ran.code, Some(8), "{}", ran.stderr);
    assert!(ran.stderr.contains("unix:///nowhere/docker.sock"), "{}", ran.stderr);
    assert_eq!(setting.names(), [IMAGE]);
}
