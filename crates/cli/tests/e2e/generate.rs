//! `copa generate`: the build context holds what `copa patch` puts into its layer, docker builds the same from it, and what no
//! build could do is refused.

use crate::throwaway::{self, Throwaway};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use testkit::apt_repository::scenario as s;
use testkit::daemon::{DockerVersion, Dockerd, Store};
use testkit::image_reader::plain;
use testkit::registry::Registry;
use testkit::tar::{Entry, Kind, Reader};
use testkit::{command::argv, probe, skip};

fn generate(made: &Throwaway, image: &str, package: &str, more: &[&str]) -> Command {
    let report = made.wanting(&[package]);
    let host = made.served.host();
    let mut command =
        made.world.copa(&["generate", "-i", image, "--allow-host", &host, "--progress", "plain"]);
    command.arg("-r").arg(report).arg("--working-folder").arg(made.world.path("work"));
    command.args(more).env("COPA_CACHE_DIR", throwaway::shared_cache());
    command
}

fn entries(tar: &[u8]) -> Vec<Entry> {
    Reader::new(tar).collect().unwrap()
}

/// What is no folder, by its path in the image.
fn files(entries: Vec<Entry>) -> BTreeMap<Vec<u8>, Entry> {
    let files = entries.into_iter().filter(|entry| entry.kind != Kind::Directory);
    files.map(|entry| (plain(&entry.path), Entry { path: plain(&entry.path), ..entry })).collect()
}

/// The files that a build of a context copies into the image.
fn copied(context: &Path) -> BTreeMap<Vec<u8>, Entry> {
    let mut copied = BTreeMap::new();
    for entry in entries(&fs::read(context).unwrap()) {
        if entry.path == b"owned.tar" {
            copied.extend(files(entries(entry.content().unwrap())));
        } else if let Some(path) = entry.path.strip_prefix(b"patch/") {
            copied.extend(files(vec![Entry { path: path.to_vec(), ..entry.clone() }]));
        }
    }
    copied
}

#[test]
fn the_context_holds_what_the_patch_layer_holds() {
    if let Err(reason) =
        probe::first_reason([throwaway::needs(), probe::programs(&["docker-registry", "skopeo", "tar"])])
    {
        skip!("{reason}");
    }
    let made = Throwaway::offering(&s::updates());
    let registry = Registry::start().unwrap();
    let reference = registry.push(&made.layout, throwaway::TAG, "team/app:1").unwrap();
    let context = made.world.path("context.tar");
    let ran =
        generate(&made, &reference, s::HELD, &[]).arg("--output-context").arg(&context).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let dockerfile = argv("tar", ["-xOf"]).arg(&context).arg("Dockerfile").text().unwrap();
    let lines: Vec<&str> = dockerfile.lines().collect();
    assert_eq!(lines[..2], [format!("FROM {reference}").as_str(), "COPY patch/ /"]);
    assert!(lines.last().unwrap().starts_with("LABEL sh.copa.image.patched=\"20"), "{dockerfile}");
    let (_, image) = made.patched(&made.wanting(&[s::HELD]), &[]);
    let layer = files(image.layer_entries(image.layers().len() - 1).unwrap());
    let copied = copied(&context);
    assert!(layer.contains_key(&b"var/lib/dpkg/status"[..]) && layer.len() > 2);
    let names = |files: &BTreeMap<Vec<u8>, Entry>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&layer), names(&copied));
    for (path, entry) in &layer {
        let other = &copied[path];
        assert_eq!((entry.mode, entry.uid, entry.gid), (other.mode, other.uid, other.gid));
        // Times of a run, and what dpkg logs, are of the run.
        assert_eq!(entry.content().is_some(), other.content().is_some());
        if !path.starts_with(b"var/log/") {
            assert_eq!(entry.kind, other.kind, "{}", String::from_utf8_lossy(path));
        }
    }
    // Patched already: a build would keep the first patch.
    let patched = registry.push(&made.layout, throwaway::PATCHED, "team/app:patched").unwrap();
    fs::remove_file(&context).unwrap();
    let again =
        generate(&made, &patched, s::BASE, &[]).arg("--output-context").arg(&context).output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("no build context can be made"), "{said}");
    assert!(!context.exists());
}

#[test]
fn docker_builds_the_patched_image_and_removals_are_refused() {
    if let Err(reason) = probe::first_reason([throwaway::needs(), Dockerd::probe()]) {
        skip!("{reason}");
    }
    let made = Throwaway::offering(&s::updates());
    let daemon = Dockerd::start(DockerVersion::V28, Store::Containerd).unwrap();
    let image = "nowhere.invalid/team/app:1";
    daemon.load(&made.layout, throwaway::TAG, image).unwrap();
    let run = |package: &str| {
        let mut command = generate(&made, image, package, &[]);
        daemon.environment().iter().for_each(|(name, value)| {
            command.env(name, value);
        });
        command.output().unwrap()
    };
    let context = run(s::HELD);
    assert!(context.status.success(), "{}", String::from_utf8_lossy(&context.stderr));
    daemon.docker(&["build", "--tag", "built:1", "-"]).filter(&context.stdout).unwrap();
    let query = |package: &str| {
        let ask =
            ["run", "--rm", "--network", "none", "built:1", "dpkg-query", "-W", "-f", "${Version}", package];
        daemon.docker(&ask).text().unwrap()
    };
    assert_eq!((query(s::HELD), query(s::BASE)), (s::NEW.to_owned(), s::OLD.to_owned()));
    let refused = run(s::BASE);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("the patch removes") && said.contains(s::DELETED), "{said}");
    assert!(!refused.status.success() && refused.stdout.is_empty());
}

#[test]
fn tars_do_not_go_to_terminals() {
    let Ok(terminal) = File::options().read(true).write(true).open("/dev/ptmx") else {
        skip!("there is no /dev/ptmx");
    };
    let world = crate::world::World::new();
    for (arguments, hint) in [
        (
            &["generate", "-i", "r.invalid/app:1"][..],
            "Use --output-context to save to file or redirect stdout",
        ),
        (
            &["patch", "-i", "r.invalid/app:1", "--to", "-"],
            "Use --to docker-archive:FILE to save to file or redirect stdout",
        ),
    ] {
        let ran = world.copa(arguments).stdout(terminal.try_clone().unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(said.contains("refusing to write tar stream to terminal") && said.contains(hint), "{said}");
        assert_eq!(ran.status.code(), Some(2), "{said}");
    }
    for (arguments, words) in [
        (&["generate", "-i", "oci:layout:1"][..], "a Dockerfile has no way to begin with oci:layout:1"),
        (&["generate", "-i", "app:1", "--platform", "linux/amd64,linux/arm64"], "for one platform"),
        (&["generate", "-i", "app:1", "--result", "-"], "cannot both go to standard output"),
    ] {
        let ran = world.run(arguments);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    }
}
