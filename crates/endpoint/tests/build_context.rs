//! Build contexts: what docker builds from one is the patched image; what it cannot build is refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use endpoint::{
    Content, Destination, Error, LayoutSource, Receipt, Source, WriteRequest,
    archive::{ArchiveDestination, BuildContext, ContextOutput},
};
use engine::CancellationToken;
use oci::{DiffId, Digest, Patch, Platform, media_type};
use std::{collections::BTreeMap, fs, path::Path};
use testkit::{
    command::argv,
    daemon::{DockerVersion, Dockerd, Store},
    image::{self, Layout},
    probe, skip,
    tar::{self, Entry, Kind},
    tiny_image,
};

const IMAGE: &str = "nowhere.invalid/team/tiny:1";

fn owned(entry: Entry, uid: u64, gid: u64) -> Entry {
    Entry { uid, gid, ..entry }
}

/// A layer with all that COPY can be made to keep.
fn layer() -> Vec<Entry> {
    vec![
        Entry::directory("etc"),
        owned(Entry::file("etc/shadow", "secret").mode(0o640), 0, 42),
        owned(Entry::file("etc/gshadow", "secret").mode(0o640), 0, 42),
        Entry::file("etc/plain", "plain"),
        Entry::directory("usr"),
        Entry::directory("usr/bin"),
        owned(Entry::file("usr/bin/chage", "x").mode(0o2755), 0, 42),
        Entry::file("usr/bin/su", "su").mode(0o4755),
        Entry::new("usr/bin/su-too", Kind::Hardlink("usr/bin/su".into())).mode(0o4755),
        owned(Entry::new("usr/bin/chage-too", Kind::Hardlink("usr/bin/chage".into())).mode(0o2755), 0, 42),
        Entry::new("usr/bin/link", Kind::Symlink("su".into())),
        Entry::directory("var"),
        owned(Entry::directory("var/mail").mode(0o2775), 0, 8),
        owned(Entry::file("var/mail/user", "mail").mode(0o600), 1000, 8),
        Entry::file("var/mail/roots", "mail"),
        Entry::directory("with space"),
        Entry::file("with space/and $dollar", "x"),
    ]
}

/// The tiny image in a layout, and the same with one more layer.
async fn patched(folder: &Path, entries: &[Entry]) -> (LayoutSource, Content) {
    let layout = Layout::create(&folder.join("layout")).unwrap();
    let base = image::Image::new(vec![image::Layer::Tar(tar::write(&[Entry::file("base", "base")]))]);
    let base = if tiny_image::needs().is_ok() {
        tiny_image::image(image::native_architecture()).unwrap()
    } else {
        base
    };
    layout.add("tiny", &base).unwrap();
    let source = LayoutSource::new(layout.directory().to_owned(), Some("tiny".into()));
    let content = on_top(&source, folder, entries).await;
    (source, content)
}

async fn on_top(source: &LayoutSource, folder: &Path, entries: &[Entry]) -> Content {
    let image = source.image(&Platform::host()).await.unwrap().image;
    let layer = tar::write(entries);
    let file = folder.join("layer");
    fs::write(&file, &layer).unwrap();
    let history = oci::History {
        created: "2026-01-01T00:00:00Z".into(),
        created_by: "test".into(),
        comment: String::new(),
    };
    let patch = Patch {
        base_layers: image.layers.len(),
        blob: (Digest::of(&layer), layer.len() as u64),
        diff_id: DiffId(Digest::of(&layer)),
        compression: media_type::Compression::None,
        history,
        labels: BTreeMap::new(),
        annotations: [("sh.copa.image.patched".to_owned(), "2026-01-02T03:04:05Z".to_owned())].into(),
    };
    Content::patched(image.patched(&patch).unwrap(), &[(Digest::of(&layer), file)].into())
}

async fn write(source: &dyn Source, to: &dyn Destination, content: &Content) -> Result<Receipt, Error> {
    let cancel = CancellationToken::new();
    to.write(&WriteRequest { content, source, progress: &|_, _, _| (), cancel: &cancel }).await
}

fn context(file: &Path) -> BuildContext {
    BuildContext::new(IMAGE.to_owned(), ContextOutput::File(file.to_owned())).unwrap()
}

#[tokio::test]
async fn what_copy_cannot_do_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("context.tar");
    for (entries, said) in [
        (
            vec![Entry::directory("etc"), Entry::file("etc/.wh.gone", "")],
            "removes 1 of its paths (/etc/gone)",
        ),
        (vec![Entry::directory("opt"), Entry::file("opt/.wh..wh..opq", "")], "(/opt)"),
        (
            (0..9).map(|n| Entry::file(&format!(".wh.{n}"), "")).collect(),
            "removes 9 of its paths (/0, /1, /2, /3, /4, …)",
        ),
        (vec![Entry::new("null", Kind::CharDevice(1, 3))], "/null is a device"),
    ] {
        let (source, content) = patched(folder.path(), &entries).await;
        let error = write(&source, &context(&file), &content).await.unwrap_err();
        assert!(matches!(error, Error::Unfit { .. }) && error.to_string().contains(said), "{error}");
        assert!(!file.exists());
    }
    // On a patched image the new layer takes the place of the old one.
    let (source, content) = patched(folder.path(), &[Entry::file("f", "")]).await;
    let mut shorter = content.clone();
    let Content::Image(image) = &mut shorter else { panic!("one image") };
    image.blobs.remove(1);
    let error = write(&source, &context(&file), &shorter).await.unwrap_err();
    assert!(error.to_string().contains("patched already"), "{error}");
    for from in ["a b", "x\nRUN evil", "$x", ""] {
        let made = BuildContext::new(from.to_owned(), ContextOutput::File(file.clone()));
        assert!(made.is_err(), "{from:?}");
    }
    write(&source, &context(&file), &content).await.unwrap();
}

#[tokio::test]
async fn the_same_patch_is_the_same_context() {
    let folder = tempfile::tempdir().unwrap();
    let (source, content) = patched(folder.path(), &layer()).await;
    let at = |name: &str| folder.path().join(name);
    for name in ["one", "two"] {
        write(&source, &context(&at(name)), &content).await.unwrap();
    }
    assert_eq!(fs::read(at("one")).unwrap(), fs::read(at("two")).unwrap());
    let listed = argv("tar", ["-tf"]).arg(at("one")).text().unwrap();
    assert!(
        listed.starts_with("Dockerfile\npatch/\npatch/etc/\n") && listed.ends_with("\nowned.tar\n"),
        "{listed}"
    );
    assert!(listed.contains("patch/etc/plain\n") && !listed.contains("patch/etc/shadow"), "{listed}");
    let dockerfile = argv("tar", ["-xOf"]).arg(at("one")).arg("Dockerfile").text().unwrap();
    let lines: Vec<&str> = dockerfile.lines().collect();
    assert_eq!(lines[..3], [format!("FROM {IMAGE}").as_str(), "COPY patch/ /", "ADD owned.tar /"]);
    assert_eq!(lines.last(), Some(&"LABEL sh.copa.image.patched=\"2026-01-02T03:04:05Z\""));
}

#[tokio::test]
async fn what_docker_builds_is_what_patching_gives() {
    if let Err(reason) = probe::first_reason([Dockerd::probe(), tiny_image::needs()]) {
        skip!("{reason}");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (source, content) = patched(folder.path(), &layer()).await;
    let to = ArchiveDestination::docker(at("a.tar"), Some("ours:1".parse().unwrap()), false, at(""));
    write(&source, &to, &content).await.unwrap();
    write(&source, &context(&at("context.tar")), &content).await.unwrap();
    let daemon = Dockerd::start(DockerVersion::V28, Store::Classic).unwrap();
    daemon.load(&Layout::open(&at("layout")).unwrap(), "tiny", IMAGE).unwrap();
    daemon.docker(&["load", "--input"]).arg(at("a.tar")).stdout().unwrap();
    daemon.docker(&["build", "--tag", "built:1", "-"]).filter(&fs::read(at("context.tar")).unwrap()).unwrap();
    let listing = |image: &str| {
        let list = [
            "run",
            "--rm",
            "--network",
            "none",
            image,
            "/bin/ls",
            "-lnR",
            "/etc",
            "/usr",
            "/var",
            "/with space",
        ];
        let text = daemon.docker(&list).text().unwrap();
        // Names of one file may become files, folders get the times of the build, docker brings some files of its own.
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let brought = ["hostname", "hosts", "resolv.conf", "mtab"].iter().any(|own| words.contains(own));
            match words.as_slice() {
                [mode, _, uid, gid, size, .., name] if !brought && mode.len() > 9 => Some(format!(
                    "{mode} {uid} {gid} {} {name}",
                    if mode.starts_with('d') { "" } else { size }
                )),
                [folder] => Some((*folder).to_owned()),
                _ => None,
            }
        };
        text.lines().filter_map(line).collect::<Vec<String>>()
    };
    let (ours, built) = (listing("ours:1"), listing("built:1"));
    assert!(ours.iter().any(|l| l.contains("0 42") && l.ends_with("shadow")), "{ours:?}");
    assert_eq!(ours, built);
    let read =
        ["run", "--rm", "--network", "none", "built:1", "/bin/cat", "/usr/bin/link", "/var/mail/roots"];
    assert_eq!(daemon.docker(&read).text().unwrap(), "sumail");
}
