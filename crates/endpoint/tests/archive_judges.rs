//! Archives that other tools have made are read, and other tools read ours: skopeo, umoci, crane, docker.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod setup;

use endpoint::{
    Content, Destination, LayoutSource, Receipt, Source, WriteRequest,
    archive::{ArchiveDestination, ArchiveSource},
};
use engine::CancellationToken;
use oci::{DiffId, Digest, Image, Platform, media_type};
use setup::on_top;
use std::{fs, path::Path};
use testkit::{
    bundle::CRANE,
    command::argv,
    daemon::{DockerVersion, Dockerd, Store},
    image::{self, Layer, Layout, Types},
    probe, skip,
    tar::{self, Entry},
    tiny_image,
};
use tokio::io::AsyncReadExt;

const NAME: &str = "r.example/team/app:1";

/// A layout with `oci` and `docker`, images of two layers.
fn layout(folder: &Path) -> Layout {
    let layout = Layout::create(&folder.join("layout")).unwrap();
    let layers = || {
        let first = tar::write(&[Entry::directory("etc"), Entry::file("etc/name", "first")]);
        let second =
            tar::write(&[Entry::file("etc/name", "second"), Entry::file("etc/more", vec![b'm'; 90_000])]);
        vec![Layer::Tar(first), Layer::Tar(second)]
    };
    layout.add("oci", &image::Image::new(layers())).unwrap();
    let docker = image::Image { types: Types::Docker, ..image::Image::new(layers()) };
    layout.add("docker", &docker).unwrap();
    layout
}

fn in_layout(layout: &Layout, tag: &str) -> LayoutSource {
    LayoutSource::new(layout.directory().to_owned(), Some(tag.to_owned()))
}

fn docker_archive(file: &Path, name: Option<&str>) -> ArchiveSource {
    ArchiveSource::docker(
        file.to_owned(),
        name.map(|n| n.parse().unwrap()),
        file.parent().unwrap().to_owned(),
    )
}

fn oci_archive(file: &Path, name: Option<&str>) -> ArchiveSource {
    ArchiveSource::oci(file.to_owned(), name.map(str::to_owned), file.parent().unwrap().to_owned())
}

/// The image, with one file on top.
fn patched(image: &Image, folder: &Path) -> Content {
    let tar = tar::write(&[Entry::file("new", "patched")]);
    // crane takes the compression of the first layer for that of all.
    let mut gzip = layer::ParallelGzip::new(Vec::new(), 6, 1).unwrap();
    std::io::Write::write_all(&mut gzip, &tar).unwrap();
    let layer = gzip.finish().unwrap();
    let file = folder.join("new.tar");
    fs::write(&file, &layer).unwrap();
    let what = (DiffId(Digest::of(&tar)), media_type::Compression::Gzip);
    Content::patched(on_top(image, &layer, what), &[(Digest::of(&layer), file)].into())
}

async fn write(source: &dyn Source, to: &dyn Destination, content: &Content) -> Receipt {
    let cancel = CancellationToken::new();
    to.write(&WriteRequest { content, source, progress: &|_, _, _| (), cancel: &cancel }).await.unwrap()
}

/// The image of this machine, all of its layers read and unpacked.
async fn read(source: &dyn Source) -> Image {
    let image = source.image(&Platform::host()).await.unwrap().image;
    for layer in &image.layers {
        let mut blob = Vec::new();
        source.open(&layer.descriptor).await.unwrap().read_to_end(&mut blob).await.unwrap();
        let verified =
            layer::Verified::new(&blob[..], layer.descriptor.digest.clone(), layer.descriptor.size);
        let compression = media_type::compression(&layer.descriptor.media_type).unwrap();
        let all = |stream: &mut dyn std::io::Read| {
            std::io::copy(stream, &mut std::io::sink())
                .map_err(|source| layer::Error::Io { doing: "reading".into(), source })
        };
        let (_, unpacked) =
            layer::decompress(verified, compression, &layer::Limits::default(), &|| false, all).unwrap();
        assert_eq!(unpacked.diff_id, layer.diff_id);
    }
    image
}

fn diff_ids(image: &Image) -> Vec<String> {
    image.layers.iter().map(|l| l.diff_id.0.to_string()).collect()
}

/// The image in the form of which skopeo reads every type.
fn dir(layout: &Layout, tag: &str, folder: &Path) -> String {
    fs::create_dir(folder).unwrap();
    layout.export(tag, folder).unwrap();
    format!("dir:{}", folder.display())
}

fn skopeo(from: &str, to: &str) {
    argv("skopeo", ["copy", "--quiet", from, to]).stdout().unwrap();
}

#[tokio::test]
async fn other_tools_read_what_we_write() {
    if let Err(reason) = probe::programs(&["skopeo", "umoci"]) {
        skip!("{reason}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (at, layout) = (|name: &str| folder.path().join(name), layout(folder.path()));
    for tag in ["oci", "docker"] {
        let source = in_layout(&layout, tag);
        let content = patched(&source.image(&Platform::host()).await.unwrap().image, folder.path());
        let image = content.manifests()[0].image.clone().unwrap();
        let (oci, docker) = (at(&format!("{tag}-oci.tar")), at(&format!("{tag}-docker.tar")));
        write(&source, &ArchiveDestination::oci(oci.clone(), Some("v1".into()), false, at("")), &content)
            .await;
        let name = Some(NAME.parse().unwrap());
        write(&source, &ArchiveDestination::docker(docker.clone(), name, false, at("")), &content).await;
        let ours = [
            format!("docker-archive:{}:{NAME}", docker.display()),
            format!("oci-archive:{}:v1", oci.display()),
            format!("oci-archive:{}:1", docker.display()),
        ];
        // In OCI layouts skopeo sees OCI manifests only.
        let seen = if tag == "oci" { 3 } else { 1 };
        for (number, from) in ours.iter().take(seen).enumerate() {
            let inspected = argv("skopeo", ["inspect", "--config", from]).text().unwrap();
            let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
            assert_eq!(inspected["rootfs"]["diff_ids"], serde_json::json!(diff_ids(&image)), "{from}");
            let copy = at(&format!("{tag}-{number}"));
            skopeo(from, &format!("oci:{}:x", copy.display()));
            let bundle = at(&format!("{tag}-{number}-bundle"));
            let unpack = argv("umoci", ["unpack", "--rootless", "--image"]);
            unpack.arg(format!("{}:x", copy.display())).arg(&bundle).stdout().unwrap();
            assert_eq!(fs::read(bundle.join("rootfs/new")).unwrap(), b"patched");
            assert_eq!(fs::read(bundle.join("rootfs/etc/name")).unwrap(), b"second");
        }
        // What an OCI archive holds is byte for byte what was written, so digests stay.
        if tag == "oci" {
            let raw = argv("skopeo", ["inspect", "--raw", &ours[1]]);
            assert_eq!(raw.stdout().unwrap(), content.bytes());
        }
        let listed = argv("tar", ["-tf"]).arg(&docker).text().unwrap();
        let names: Vec<&str> = listed.lines().collect();
        assert!(names.is_sorted() && names.ends_with(&["index.json", "manifest.json", "oci-layout"]));
        assert!(
            !fs::read_dir(folder.path()).unwrap().any(|f| f
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with('.'))
        );
    }
}

#[tokio::test]
async fn crane_validates_what_we_write() {
    if let Err(reason) = CRANE.needs() {
        skip!("{reason}");
    }
    CRANE.bring().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(folder.path());
    let source = in_layout(&layout, "oci");
    let content = patched(&source.image(&Platform::host()).await.unwrap().image, folder.path());
    let file = folder.path().join("a.tar");
    let to =
        ArchiveDestination::docker(file.clone(), Some(NAME.parse().unwrap()), false, folder.path().into());
    write(&source, &to, &content).await;
    let crane = testkit::tools::find("crane").unwrap();
    let ran = argv(&crane.to_string_lossy(), ["validate", "--tarball"]).arg(&file).text();
    assert!(ran.as_ref().is_ok_and(|said| said.contains("PASS")), "{ran:?}");
}

#[tokio::test]
async fn syft_finds_the_packages_in_what_we_write() {
    if let Err(reason) = testkit::tools::need(&["syft"]) {
        skip!("{reason}");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let layout = Layout::create(&at("layout")).unwrap();
    let status = "Package: judged\nStatus: install ok installed\nArchitecture: all\nMaintainer: a\nVersion: 1.2-3\nDescription: x\n";
    let tar = tar::write(&[
        Entry::file("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
        Entry::file("var/lib/dpkg/status", status),
    ]);
    layout.add("deb", &image::Image::new(vec![Layer::Tar(tar)])).unwrap();
    let source = in_layout(&layout, "deb");
    let content = patched(&source.image(&Platform::host()).await.unwrap().image, folder.path());
    let name = Some(NAME.parse().unwrap());
    write(&source, &ArchiveDestination::docker(at("d.tar"), name, false, at("")), &content).await;
    write(&source, &ArchiveDestination::oci(at("o.tar"), Some("v1".into()), false, at("")), &content).await;
    for from in ["docker-archive:d.tar", "oci-archive:o.tar"] {
        let (kind, file) = from.split_once(':').unwrap();
        let scan = argv("syft", ["scan", "--quiet", "--output", "json"]);
        let scan = scan.arg(format!("{kind}:{}", at(file).display()));
        let listing = scan.env("SYFT_CHECK_FOR_APP_UPDATE", "false").stdout().unwrap();
        let listing: serde_json::Value = serde_json::from_slice(&listing).unwrap();
        assert_eq!(listing["artifacts"][0]["name"], "judged", "{from}");
        assert_eq!(listing["artifacts"][0]["version"], "1.2-3", "{from}");
    }
}

#[tokio::test]
async fn archives_of_skopeo_are_read() {
    if let Err(reason) = probe::programs(&["skopeo", "gzip", "zstd"]) {
        skip!("{reason}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (at, layout) = (|name: &str| folder.path().join(name), layout(folder.path()));
    for tag in ["oci", "docker"] {
        let original = in_layout(&layout, tag).image(&Platform::host()).await.unwrap().image;
        let docker = at(&format!("{tag}-docker.tar"));
        skopeo(
            &dir(&layout, tag, &at(&format!("{tag}-dir"))),
            &format!("docker-archive:{}:{NAME}", docker.display()),
        );
        for name in [Some(NAME), None] {
            let image = read(&docker_archive(&docker, name)).await;
            assert_eq!(diff_ids(&image), diff_ids(&original));
            assert_eq!(image.config.labels(), original.config.labels());
        }
        let error = docker_archive(&docker, Some("r.example/team/app:2")).named().await.unwrap_err();
        assert!(error.to_string().contains(&format!("there is {NAME}")), "{error}");
        if tag == "docker" {
            continue;
        }
        let oci = at(&format!("{tag}-oci.tar"));
        skopeo(&layout.name(tag), &format!("oci-archive:{}:v1", oci.display()));
        let plain = read(&oci_archive(&oci, Some("v1"))).await;
        assert_eq!(plain, original);
        for (program, end) in [("gzip", "gz"), ("zstd", "zst")] {
            argv(program, ["-k", "-q"]).arg(&oci).stdout().unwrap();
            let packed = at(&format!("{tag}-oci.tar.{end}"));
            assert_eq!(read(&oci_archive(&packed, None)).await, plain, "{end}");
            let stream = tokio::fs::File::open(&packed).await.unwrap();
            assert_eq!(read(&ArchiveSource::stream(Box::new(stream), at(""))).await, plain, "{end}");
        }
    }
}

#[tokio::test]
async fn docker_saves_what_we_read_and_loads_what_we_write() {
    if let Err(reason) = probe::first_reason([Dockerd::probe(), tiny_image::needs()]) {
        skip!("{reason}");
    }
    for (version, store) in [
        (DockerVersion::V26, Store::Classic),
        (DockerVersion::V28, Store::Containerd),
        (DockerVersion::V28, Store::Classic),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let layout = Layout::create(&at("layout")).unwrap();
        layout.add("tiny", &tiny_image::image(image::native_architecture()).unwrap()).unwrap();
        let original = in_layout(&layout, "tiny").image(&Platform::host()).await.unwrap().image;
        let daemon = Dockerd::start(version, store).unwrap();
        for name in ["tiny:1", "other:1"] {
            daemon.load(&layout, "tiny", name).unwrap();
        }
        daemon
            .docker(&["save", "--output"])
            .arg(at("saved.tar"))
            .arg("tiny:1")
            .arg("other:1")
            .stdout()
            .unwrap();
        let source = docker_archive(&at("saved.tar"), Some("tiny:1"));
        let image = read(&source).await;
        assert_eq!(diff_ids(&image), diff_ids(&original), "{version:?} {store:?}");
        assert_eq!(image.config_bytes, original.config_bytes, "{version:?} {store:?}");
        let content = patched(&image, folder.path());
        let to = ArchiveDestination::docker(at("ours.tar"), Some(NAME.parse().unwrap()), false, at(""));
        write(&source, &to, &content).await;
        daemon.docker(&["load", "--input"]).arg(at("ours.tar")).stdout().unwrap();
        let run = daemon.docker(&["run", "--rm", "--network", "none", NAME, "/bin/cat", "/new"]);
        assert_eq!(run.text().unwrap(), "patched", "{version:?} {store:?}");
    }
}
