//! Real daemons take an image, run it, and leave nothing behind.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

use std::fs;
use std::path::{Path, PathBuf};
use testkit::daemon::{Containerd, ContainerdVersion, DockerVersion, Dockerd, Podman, Store};
use testkit::image::{Layout, native_architecture};
use testkit::{probe, skip, tiny_image};

/// A layout with an image that runs, as `tiny`.
fn tiny(folder: &Path) -> Layout {
    let layout = Layout::create(folder).unwrap();
    layout.add("tiny", &tiny_image::image(native_architecture()).unwrap()).unwrap();
    layout
}

/// Processes of this machine whose command line names `folder`, and mounts in it.
fn traces(folder: &Path) -> Vec<String> {
    let name = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let command = |path: PathBuf| fs::read_to_string(path.join("cmdline")).unwrap_or_default();
    let mut found: Vec<String> =
        processes.map(|entry| command(entry.path())).filter(|line| line.contains(name)).collect();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains(name)).map(str::to_owned));
    found
}

fn machine() -> String {
    format!("{}\n", std::env::consts::ARCH)
}

fn of_docker(version: DockerVersion, store: Store) {
    if let Err(reason) = probe::first_reason([Dockerd::probe(), tiny_image::needs()]) {
        skip!("{reason}");
    }
    let material = tempfile::tempdir().unwrap();
    let layout = tiny(material.path());
    let daemon = Dockerd::start(version, store).unwrap();
    let folder = daemon.socket().parent().unwrap().to_owned();
    let first = daemon.first_process().unwrap();
    let major = daemon.docker(&["version", "--format", "{{.Server.Version}}"]).text().unwrap();
    let major: u32 = major.split('.').next().unwrap().parse().unwrap();
    assert!(if version == DockerVersion::V26 { major == 26 } else { major >= 28 }, "{major}");
    let info = daemon.docker(&["info", "--format", "{{.DriverStatus}}"]).text().unwrap();
    assert_eq!(info.contains("io.containerd.snapshotter.v1"), store == Store::Containerd, "{info}");
    daemon.load(&layout, "tiny", "tiny:1").unwrap();
    let run = ["run", "--rm", "--network", "none", "tiny:1"];
    assert_eq!(daemon.docker(&run).text().unwrap(), machine());
    let failed = daemon.docker(&run).arg("/bin/ls").arg("/nowhere").stdout().unwrap_err();
    assert!(failed.to_string().contains("No such file"), "{failed}");
    // One that would run for long ends with its daemon.
    daemon
        .docker(&["run", "--detach", "--network", "none", "tiny:1", "/bin/sleep", "1000"])
        .stdout()
        .unwrap();
    assert!(!traces(&folder).is_empty(), "{}", daemon.last_words());
    drop(daemon);
    assert_eq!(traces(&folder), [""; 0]);
    assert!(!folder.exists() && !Path::new(&format!("/proc/{first}/root/bin")).exists());
}

#[test]
fn docker_26_with_its_classic_store() {
    of_docker(DockerVersion::V26, Store::Classic);
}

#[test]
fn docker_26_with_the_store_of_containerd() {
    of_docker(DockerVersion::V26, Store::Containerd);
}

#[test]
fn docker_28_with_its_classic_store() {
    of_docker(DockerVersion::V28, Store::Classic);
}

#[test]
fn docker_28_with_the_store_of_containerd() {
    of_docker(DockerVersion::V28, Store::Containerd);
}

#[test]
fn containerd_of_both_versions() {
    if let Err(reason) = probe::first_reason([Containerd::probe(), tiny_image::needs()]) {
        skip!("{reason}");
    }
    let material = tempfile::tempdir().unwrap();
    let layout = tiny(material.path());
    for version in ContainerdVersion::ALL {
        let daemon = Containerd::start(version).unwrap();
        let folder = daemon.socket().parent().unwrap().to_owned();
        let said = daemon.ctr(&["version"]).text().unwrap();
        let expected = if version == ContainerdVersion::V1 { "Version:  1.7" } else { "Version:  2." };
        assert_eq!(said.matches(expected).count(), 2, "{said}");
        let name = "docker.io/library/tiny:1";
        daemon.load(&layout, "tiny", name).unwrap();
        let id = folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(daemon.ctr(&["run", "--rm", name, id]).text().unwrap(), machine());
        drop(daemon);
        assert_eq!(traces(&folder), [""; 0]);
        assert!(!folder.exists());
    }
}

fn of_podman(podman: Podman, layout: &Layout) {
    let folder = podman.environment()[0].1.clone();
    let folder = Path::new(&folder).parent().unwrap().to_owned();
    let version = podman.podman(&["version", "--format", "{{.Client.Version}}"]).text().unwrap();
    assert!(version.starts_with("4."), "{version}");
    let driver = podman.podman(&["info", "--format", "{{.Store.GraphDriverName}} {{.Store.GraphRoot}}"]);
    assert_eq!(driver.text().unwrap(), format!("overlay {}\n", podman.data().display()));
    podman.load(layout, "tiny", "localhost/tiny:1").unwrap();
    let run = ["run", "--rm", "--network", "none", "localhost/tiny:1"];
    assert_eq!(podman.podman(&run).text().unwrap(), machine());
    let long = ["run", "--detach", "--network", "none", "localhost/tiny:1", "/bin/sleep", "1000"];
    podman.podman(&long).stdout().unwrap();
    assert!(!traces(&folder).is_empty());
    drop(podman);
    assert_eq!(traces(&folder), [""; 0]);
    assert!(!folder.exists());
}

#[test]
fn podman_of_root() {
    if let Err(reason) = probe::first_reason([Podman::probe(), tiny_image::needs()]) {
        skip!("{reason}");
    }
    let material = tempfile::tempdir().unwrap();
    of_podman(Podman::start().unwrap(), &tiny(material.path()));
}

#[test]
fn podman_of_a_user() {
    let user = "copa-test";
    if let Err(reason) = probe::first_reason([Podman::probe_rootless(user), tiny_image::needs()]) {
        skip!("{reason}");
    }
    let material = tempfile::tempdir().unwrap();
    of_podman(Podman::start_rootless(user).unwrap(), &tiny(material.path()));
}
