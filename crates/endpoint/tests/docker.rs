//! Real docker daemons of two versions and both stores: an image that is only there is patched, the result is complete, and the
//! daemon was sent nothing but what is new.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use endpoint::{
    Blob, Content, Destination, Docker, DockerDestination, DockerSettings, DockerSource, Error, From,
    ImageStore, LayoutSource, Load, LocalName, Outgoing, Receipt, Source, WriteRequest,
};
use engine::CancellationToken;
use oci::{Descriptor, DiffId, Digest, Document, Image, Platform};
use setup::on_top;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use testkit::{
    daemon::{DockerVersion, Dockerd, Store},
    image::Layout,
    probe, skip,
    tar::{self, Entry},
    tiny_image,
};

/// A daemon with an image that is nowhere else.
struct Setting {
    folder: tempfile::TempDir,
    daemon: Dockerd,
    docker: Docker,
}

const IMAGE: &str = "local.example/team/tiny:1";
/// So much that docker is at work on it for a while.
const LARGE_BYTES: usize = 200 << 20;

impl Setting {
    fn new(version: DockerVersion, store: Store) -> Setting {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(&folder.path().join("layout")).unwrap();
        layout.add("tiny", &tiny_image::image(testkit::image::native_architecture()).unwrap()).unwrap();
        let daemon = Dockerd::start(version, store).unwrap();
        daemon.load(&layout, "tiny", IMAGE).unwrap();
        let docker = Docker::new(settings(&daemon, folder.path()));
        Setting { folder, daemon, docker }
    }

    /// A layout beside the daemon.
    fn layout(&self) -> Layout {
        Layout::create(&self.folder.path().join("beside")).unwrap()
    }

    fn source(&self, name: &str) -> DockerSource {
        DockerSource::new(self.docker.clone(), name.parse().unwrap())
    }

    async fn destination(&self, name: &str, replace: bool) -> DockerDestination {
        DockerDestination::open(&self.docker, &name.parse::<LocalName>().unwrap(), replace).await.unwrap()
    }

    /// Every name in the daemon.
    fn names(&self) -> Vec<String> {
        let all = self.daemon.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).text().unwrap();
        let mut names: Vec<String> = all.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    fn diff_ids(&self, name: &str) -> Vec<String> {
        let text = self
            .daemon
            .docker(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", name])
            .text()
            .unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn run(&self, name: &str, program: &[&str]) -> String {
        let run = self.daemon.docker(&["run", "--rm", "--network", "none", name]);
        program.iter().fold(run, |run, word| run.arg(word)).text().unwrap()
    }

    /// Where `docker save` has left the image, taken apart by skopeo, every blob read.
    fn saved(&self, name: &str) -> PathBuf {
        let archive = self.folder.path().join("saved.tar");
        self.daemon.docker(&["save", "--output"]).arg(&archive).arg(name).stdout().unwrap();
        let out = self.folder.path().join("saved");
        let to = format!("oci:{}:x", out.display());
        let from = format!("docker-archive:{}", archive.display());
        testkit::command::argv("skopeo", ["copy", "--quiet", &from, &to]).stdout().unwrap();
        out
    }
}

fn settings(daemon: &Dockerd, temp: &Path) -> DockerSettings {
    DockerSettings { host: Some(daemon.host()), temp_dir: Some(temp.to_owned()), ..DockerSettings::default() }
}

/// One file on top of an image.
fn patched(image: &Image, text: &str) -> (Image, Vec<u8>) {
    let layer = tar::write(&[Entry::file("new", text)]);
    let what = (DiffId(Digest::of(&layer)), oci::media_type::Compression::None);
    (on_top(image, &layer, what), layer)
}

async fn write(
    source: &dyn Source,
    to: &dyn Destination,
    image: &Image,
    layer: &[u8],
) -> Result<Receipt, Error> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("layer");
    std::fs::write(&file, layer).unwrap();
    let content = Content::patched(image.clone(), &[(Digest::of(layer), file)].into());
    let cancel = CancellationToken::new();
    let request = WriteRequest { content: &content, source, progress: &|_, _, _| (), cancel: &cancel };
    to.write(&request).await
}

async fn deliver(source: &dyn Source, to: &dyn Destination, content: &Content) -> Result<Receipt, Error> {
    let cancel = CancellationToken::new();
    let request = WriteRequest { content, source, progress: &|_, _, _| (), cancel: &cancel };
    to.write(&request).await
}

/// What a layout has under a tag, all of it as it is; images that count as patched.
async fn content_of(source: &LayoutSource) -> Content {
    let named = source.named().await.unwrap();
    let mut manifests = Vec::new();
    for entry in named.entries().unwrap() {
        let (bytes, kind) = source.manifest(entry).await.unwrap();
        let (Document::Manifest(manifest), _) = Document::parse(&bytes, kind.as_deref()).unwrap() else {
            panic!()
        };
        let config = source.config(&manifest.config).await.unwrap();
        let image = Image::new(bytes.clone(), kind.as_deref(), config).unwrap();
        let blob = |descriptor: &Descriptor| Blob { descriptor: descriptor.clone(), from: From::Source };
        let blobs = std::iter::once(&manifest.config).chain(&manifest.layers).map(blob).collect();
        manifests.push(Outgoing { entry: entry.clone(), bytes, blobs, image: Some(image), patched: true });
    }
    Content::Index { descriptor: named.descriptor, bytes: named.bytes, manifests }
}

/// An index of the tiny image and of one for another machine, as `both`.
fn two_platforms(layout: &Layout) {
    let tiny = tiny_image::image(testkit::image::native_architecture()).unwrap();
    layout.add("here", &tiny).unwrap();
    let mut other = testkit::image::Image { architecture: "s390x".to_owned(), ..tiny };
    other.layers.push(testkit::image::Layer::Tar(tar::write(&[Entry::file("other", "other")])));
    layout.add("there", &other).unwrap();
    layout.join("both", &["here", "there"], testkit::image::Types::Oci).unwrap();
}

fn skipped() -> Option<String> {
    probe::first_reason([Dockerd::probe(), tiny_image::needs()]).err()
}

#[tokio::test(flavor = "multi_thread")]
async fn containerds_store_takes_and_gives_whole_indexes() {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(DockerVersion::V28, Store::Containerd);
    let layout = setting.layout();
    two_platforms(&layout);
    let from = LayoutSource::new(layout.directory().to_owned(), Some("both".to_owned()));
    let content = content_of(&from).await;
    let receipt = deliver(&from, &setting.destination("both", false).await, &content).await.unwrap();
    assert_eq!(receipt.digest, content.descriptor().digest);
    assert_eq!(receipt.load, Some(Load::Full), "the daemon has the layers uncompressed: {receipt:?}");
    let source = setting.source("both:latest");
    let named = source.named().await.unwrap();
    assert_eq!(named.bytes, content.bytes());
    for manifest in content.manifests() {
        assert_eq!(source.manifest(&manifest.entry).await.unwrap().0, manifest.bytes);
        let config = &manifest.image.as_ref().unwrap().manifest.config;
        assert_eq!(source.config(config).await.unwrap(), manifest.image.as_ref().unwrap().config_bytes);
    }
    let other: Platform = "linux/s390x".parse().unwrap();
    let image = source.image(&other).await.unwrap().image;
    let last = image.layers.last().unwrap();
    let mut blob = Vec::new();
    let mut reader = engine::BlobSource::open(&source, &last.descriptor).await.unwrap();
    tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut blob).await.unwrap();
    assert_eq!(Digest::of(&blob), last.descriptor.digest);
    assert_eq!(setting.run("both", &["/bin/echo", "runs"]), "runs\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn dockers_own_store_has_a_name_for_each_platform() {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(DockerVersion::V26, Store::Classic);
    let layout = setting.layout();
    two_platforms(&layout);
    let from = LayoutSource::new(layout.directory().to_owned(), Some("both".to_owned()));
    let content = content_of(&from).await;
    let receipt =
        deliver(&from, &setting.destination("a.example/both:1", false).await, &content).await.unwrap();
    assert_eq!(setting.names(), ["a.example/both:1", "a.example/both:1-s390x", IMAGE]);
    assert_eq!(
        receipt.notes,
        ["docker keeps one platform a name here: linux/s390x is a.example/both:1-s390x"]
    );
    assert_eq!(setting.run("a.example/both:1", &["/bin/echo", "runs"]), "runs\n");
    let ids = content.manifests()[1].image.as_ref().unwrap().layers.iter().map(|l| l.diff_id.0.to_string());
    assert_eq!(setting.diff_ids("a.example/both:1-s390x"), ids.collect::<Vec<_>>());
}

/// What docker pulls of an index is the part for this machine: the others are named and not there.
async fn of_a_pulled_index_what_is_there_counts(version: DockerVersion) {
    let needs = probe::programs(&["docker-registry", "skopeo"]);
    if let Err(reason) = probe::first_reason([Dockerd::probe(), tiny_image::needs(), needs]) {
        skip!("{reason}");
    }
    let setting = Setting::new(version, Store::Containerd);
    let layout = setting.layout();
    two_platforms(&layout);
    let registry = testkit::registry::Registry::start().unwrap();
    let name = format!("{}/both:1", registry.host());
    testkit::command::argv(
        "skopeo",
        ["copy", "--quiet", "--all", "--dest-tls-verify=false", &layout.name("both")],
    )
    .arg(format!("docker://{name}"))
    .stdout()
    .unwrap();
    // With its layers there under another digest docker would pull no more than the manifest.
    setting.daemon.docker(&["rmi", IMAGE]).stdout().unwrap();
    setting.daemon.docker(&["pull", "--quiet", &name]).stdout().unwrap();
    let source = setting.source(&name);
    let named = source.named().await.unwrap();
    let found = source.image(&Platform::host()).await.unwrap();
    let (image, layer) = patched(&found.image, "patched");
    let receipt = write(&source, &setting.destination("x:1", false).await, &image, &layer).await.unwrap();
    assert_eq!(receipt.load, Some(Load::Thin), "{receipt:?}");
    assert_eq!(setting.run("x:1", &["/bin/cat", "/new"]), "patched");
    for entry in named.entries().unwrap_or_default() {
        source.manifest(entry).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_pulled_index_docker_28_gives_what_it_has() {
    of_a_pulled_index_what_is_there_counts(DockerVersion::V28).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_pulled_index_docker_26_gives_what_it_has() {
    of_a_pulled_index_what_is_there_counts(DockerVersion::V26).await;
}

/// The daemon has the layers, but under other digests: containerd's store says nothing of what is then missing.
async fn layers_under_other_digests(version: DockerVersion, store: Store, load: Load) {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(version, store);
    let layout = setting.layout();
    let tiny = tiny_image::image(testkit::image::native_architecture()).unwrap();
    let other = testkit::image::Image { compression: testkit::image::Compression::Zstd, ..tiny };
    layout.add("zstd", &other).unwrap();
    let from = LayoutSource::new(layout.directory().to_owned(), Some("zstd".to_owned()));
    let found = from.image(&Platform::host()).await.unwrap();
    let (image, layer) = patched(&found.image, "patched");
    let destination = setting.destination("x:1", false).await;
    let receipt = write(&from, &destination, &image, &layer).await.unwrap();
    assert_eq!(receipt.load, Some(load), "{receipt:?}");
    assert_eq!(receipt.notes.len(), usize::from(load == Load::Full), "{receipt:?}");
    assert_eq!(setting.run("x:1", &["/bin/cat", "/new"]), "patched");
    let saved = testkit::image_reader::ImageReader::open(&setting.saved("x:1"), "x").unwrap();
    assert!(saved.layer_entries(0).unwrap().len() > 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_containerds_store_has_under_another_digest_is_loaded_in_full() {
    layers_under_other_digests(DockerVersion::V28, Store::Containerd, Load::Full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_containerds_store_has_under_another_digest_is_loaded_in_full() {
    layers_under_other_digests(DockerVersion::V26, Store::Containerd, Load::Full).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dockers_own_store_knows_layers_by_what_they_are() {
    layers_under_other_digests(DockerVersion::V28, Store::Classic, Load::Thin).await;
}

/// An image whose name another one has taken is there by its id only. Reading it must not take it away.
async fn an_image_without_a_name_is_there_after_reading(version: DockerVersion, store: Store) {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(version, store);
    let id = setting.destination(IMAGE, false).await.current().await.unwrap().unwrap();
    let layout = setting.layout();
    two_platforms(&layout);
    setting.daemon.load(&layout, "there", IMAGE).unwrap();
    let there = || setting.daemon.docker(&["image", "inspect", "--format", "{{.Id}}", id.as_str()]).text();
    assert_eq!(there().unwrap().trim(), id.as_str());
    let source = setting.source(id.as_str());
    let found = source.image(&Platform::host()).await.unwrap();
    let layer = found.image.layers.last().unwrap();
    let mut blob = Vec::new();
    let mut reader = engine::BlobSource::open(&source, &layer.descriptor).await.unwrap();
    tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut blob).await.unwrap();
    assert_eq!(Digest::of(&blob), layer.descriptor.digest);
    assert_eq!(there().unwrap().trim(), id.as_str());
    let (image, layer) = patched(&found.image, "patched");
    write(&source, &setting.destination("x:1", false).await, &image, &layer).await.unwrap();
    assert_eq!(setting.run("x:1", &["/bin/cat", "/new"]), "patched");
    assert_eq!(there().unwrap().trim(), id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_name_stays_in_containerds_store() {
    an_image_without_a_name_is_there_after_reading(DockerVersion::V28, Store::Containerd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_name_stays_in_dockers_own_store() {
    an_image_without_a_name_is_there_after_reading(DockerVersion::V28, Store::Classic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_not_moved_by_what_is_refused_or_interrupted() {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(DockerVersion::V28, Store::Containerd);
    let (before, id) = (setting.names(), setting.destination(IMAGE, false).await.current().await.unwrap());
    let source = setting.source(IMAGE);
    let found = source.image(&Platform::host()).await.unwrap();
    let (image, layer) = patched(&found.image, "patched");
    let own = write(&source, &setting.destination(IMAGE, false).await, &image, &layer).await;
    assert!(matches!(own, Err(Error::SourceTag { .. })), "{own:?}");
    let wrong =
        write(&source, &setting.destination("x:1", false).await, &image, &vec![b'x'; layer.len()]).await;
    assert!(matches!(wrong, Err(Error::Blob { .. })), "{wrong:?}");
    // A layer that never comes: the work is dropped in the midst of the load.
    let content = Content::patched(image.clone(), &BTreeMap::new());
    let silent = Silent(&source);
    let destination = setting.destination("x:1", false).await;
    let late =
        tokio::time::timeout(std::time::Duration::from_millis(700), deliver(&silent, &destination, &content))
            .await;
    assert!(late.is_err(), "{late:?}");
    assert_eq!(setting.names(), before);
    assert_eq!(setting.destination(IMAGE, false).await.current().await.unwrap(), id);
    let replaced = write(&source, &setting.destination(IMAGE, true).await, &image, &layer).await.unwrap();
    assert_eq!(setting.destination(IMAGE, false).await.current().await.unwrap(), Some(replaced.digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_has_whole_and_still_loads_leaves_no_name_when_it_is_interrupted() {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(DockerVersion::V26, Store::Classic);
    let before = setting.names();
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let mut large = tiny_image::image(testkit::image::native_architecture()).unwrap();
    large.layers.push(testkit::image::Layer::Tar(tar::write(&[Entry::file("large", vec![7; LARGE_BYTES])])));
    large.compression = testkit::image::Compression::None;
    layout.add("large", &large).unwrap();
    let source = LayoutSource::new(folder.path().to_owned(), Some("large".to_owned()));
    let found = source.image(&Platform::host()).await.unwrap();
    let content = Content::patched(found.image, &BTreeMap::new());
    let (destination, cancel) = (setting.destination("x:1", false).await, CancellationToken::new());
    let progress = |_: &Digest, done: u64, total: u64| {
        if done == total && total > LARGE_BYTES as u64 {
            let cancel = cancel.clone();
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                cancel.cancel();
            });
        }
    };
    let request = WriteRequest { content: &content, source: &source, progress: &progress, cancel: &cancel };
    let ended = destination.write(&request).await;
    assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(setting.names(), before);
}

/// A source whose layers begin and never come.
struct Silent<'a>(&'a DockerSource);

#[async_trait::async_trait]
impl engine::BlobSource for Silent<'_> {
    async fn open(&self, _: &Descriptor) -> Result<engine::BlobStream, engine::Error> {
        std::future::pending().await
    }
}

#[async_trait::async_trait]
impl Source for Silent<'_> {
    async fn named(&self) -> Result<endpoint::Named, Error> {
        self.0.named().await
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Option<String>), Error> {
        self.0.manifest(descriptor).await
    }

    fn reference(&self) -> Option<&oci::Reference> {
        None
    }

    fn name(&self) -> String {
        "silent".to_owned()
    }
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_named_with_what_was_tried() {
    let folder = tempfile::tempdir().unwrap();
    let sockets = vec![folder.path().join("a.sock"), folder.path().join("b.sock")];
    let docker = Docker::new(DockerSettings { sockets, ..DockerSettings::default() });
    let error = docker.facts().await.unwrap_err();
    let Error::Unavailable { what, tried } = &error else { panic!("{error}") };
    assert_eq!((what.as_str(), tried.len()), ("docker", 2), "{error}");
    assert!(error.to_string().contains("b.sock"), "{error}");
}

async fn patched_where_it_is(version: DockerVersion, store: Store) {
    if let Some(reason) = skipped() {
        skip!("{reason}");
    }
    let setting = Setting::new(version, store);
    let facts = setting.docker.facts().await.unwrap();
    assert_eq!(facts.store == ImageStore::Containerd, store == Store::Containerd, "{facts:?}");
    let before = setting.names();
    let source = setting.source(IMAGE);
    let found = source.image(&Platform::host()).await.unwrap();
    assert_eq!(setting.names(), before, "nothing of reading it out is left");
    let (image, layer) = patched(&found.image, "patched");
    let destination = setting.destination("local.example/team/tiny:1-patched", false).await;
    assert!(!destination.wants_base_blobs(&found.image.layers));
    let receipt = write(&source, &destination, &image, &layer).await.unwrap();
    assert_eq!((receipt.load, &receipt.notes), (Some(Load::Thin), &Vec::new()));
    assert_eq!((receipt.existing, receipt.base_bytes_copied), (found.image.layers.len(), 0));
    assert_eq!(destination.current().await.unwrap(), Some(receipt.digest));
    let mut names = before;
    names.push("local.example/team/tiny:1-patched".to_owned());
    names.sort();
    assert_eq!(setting.names(), names);
    let patched_name = "local.example/team/tiny:1-patched";
    assert_eq!(setting.run(patched_name, &["/bin/cat", "/new"]), "patched");
    let (old, new) = (setting.diff_ids(IMAGE), setting.diff_ids(patched_name));
    assert_eq!(new[..old.len()], old);
    assert_eq!(new.len(), old.len() + 1);
    let saved = testkit::image_reader::ImageReader::open(&setting.saved(patched_name), "x").unwrap();
    assert_eq!(saved.diff_ids(), new);
    assert!(saved.layer_entries(0).unwrap().len() > 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_26_classic() {
    patched_where_it_is(DockerVersion::V26, Store::Classic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_26_containerd() {
    patched_where_it_is(DockerVersion::V26, Store::Containerd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_28_classic() {
    patched_where_it_is(DockerVersion::V28, Store::Classic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_28_containerd() {
    patched_where_it_is(DockerVersion::V28, Store::Containerd).await;
}
