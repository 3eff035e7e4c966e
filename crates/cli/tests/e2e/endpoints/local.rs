//! An image that is only in a daemon of this machine: its plain name is enough, it goes back to the daemon, and it runs.

use super::place::{Kind, Place, search_path};
use super::subject::{self, AGE, PATCHED_AGE, Subject};
use crate::modes::{as_user, ids, shared_program};
use crate::world::Done;
use std::process::{Command, Stdio};
use testkit::daemon::{DockerVersion, Podman, Store};
use testkit::{debian_root, probe, skip};

/// A user with ranges of subordinate ids; made by `cargo xtask setup` when it is root.
const USER: &str = "copa-test";
/// What the image is called.
const NAME: &str = "app:v1";
/// The same in full.
const FULL: &str = "docker.io/library/app:v1";
/// The patched one.
const PATCHED: &str = "docker.io/library/app:v1-patched";

fn goes_back(kind: Kind) {
    if let Err(reason) = probe::first_reason([subject::needs(), kind.needs()]) {
        skip!("{reason}");
    }
    let subject = Subject::new();
    let place = Place::start(kind, &subject.world.path("place"));
    place.put_as((&subject.made.layout, debian_root::TAG), FULL);
    let before = place.names();
    let mut command = subject.world.copa(&["patch", "-i", NAME, "--allow-host", &subject.made.served.host()]);
    command.env("PATH", search_path()).envs(place.environment());
    let done = Done::of(command.output().unwrap());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let mut expected = before;
    expected.push(if matches!(kind, Kind::Docker(..)) { "app:v1-patched" } else { PATCHED }.to_owned());
    expected.sort();
    assert_eq!(place.names(), expected, "beside the original, and nothing else is left");
    assert_eq!(place.cat(PATCHED, AGE).as_deref(), Some(PATCHED_AGE));
    assert_eq!(place.cat(FULL, AGE).as_deref(), Some("old\n"), "the original stays");
    tell(kind.title());
}

#[test]
fn of_docker_28() {
    goes_back(Kind::Docker(DockerVersion::V28, Store::Classic));
}

#[test]
fn of_docker_28_with_containerd_store() {
    goes_back(Kind::Docker(DockerVersion::V28, Store::Containerd));
}

#[test]
fn of_docker_26() {
    goes_back(Kind::Docker(DockerVersion::V26, Store::Classic));
}

#[test]
fn of_docker_26_with_containerd_store() {
    goes_back(Kind::Docker(DockerVersion::V26, Store::Containerd));
}

#[test]
fn of_podman() {
    goes_back(Kind::Podman);
}

#[test]
fn of_containerd() {
    goes_back(Kind::Containerd);
}

#[test]
fn of_rootless_podman() {
    let user = || ids(USER).map(drop);
    if let Err(reason) = probe::first_reason([subject::needs(), user(), Podman::probe_rootless(USER)]) {
        skip!("{reason}");
    }
    let (subject, podman) = (Subject::new(), Podman::start_rootless(USER).unwrap());
    podman.load(&subject.made.layout, debian_root::TAG, FULL).unwrap();
    let mut program = Command::new(shared_program(&subject.world));
    program.args(["patch", "-i", NAME, "--allow-host", &subject.made.served.host()]);
    program.env_clear().envs(podman.environment()).env("COPA_CACHE_DIR", subject.world.path("cache"));
    let mut command = as_user(&subject.world, program, ids(USER).unwrap());
    let done = Done::of(command.stdin(Stdio::null()).output().unwrap());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let run = ["run", "--rm", "--network", "none", "--entrypoint", "/bin/cat", PATCHED, AGE];
    assert_eq!(podman.podman(&run).text().unwrap(), PATCHED_AGE);
    tell("rootless podman");
}

/// A line of the table of images that are only local.
fn tell(daemon: &str) {
    eprintln!("row: local | {daemon} | pass");
}
