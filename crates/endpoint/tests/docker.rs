//! Real docker daemons of two versions and both stores: an image that is only there is patched, the result is complete, and the
//! daemon was sent nothing but what is new.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use endpoint::{
    Content, Destination, Docker, DockerDestination, DockerSettings, DockerSource, Error, ImageStore, Load,
    LocalName, Receipt, Source, WriteRequest,
};
use engine::CancellationToken;
use oci::{DiffId, Digest, Image, Patch, Platform};
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
    let history = oci::History {
        created: "2026-01-01T00:00:00Z".to_owned(),
        created_by: "test".into(),
        comment: String::new(),
    };
    let patch = Patch {
        base_layers: image.layers.len(),
        blob: (Digest::of(&layer), layer.len() as u64),
        diff_id: DiffId(Digest::of(&layer)),
        compression: oci::media_type::Compression::None,
        history,
        labels: BTreeMap::from([("patched".to_owned(), "yes".to_owned())]),
        annotations: BTreeMap::new(),
    };
    (image.patched(&patch).unwrap(), layer)
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

async fn patched_where_it_is(version: DockerVersion, store: Store) {
    if let Err(reason) = probe::first_reason([Dockerd::probe(), tiny_image::needs()]) {
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
    let began = std::time::Instant::now();
    let receipt = write(&source, &destination, &image, &layer).await.unwrap();
    eprintln!("{version:?} {store:?}: loaded in {:?}", began.elapsed());
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
