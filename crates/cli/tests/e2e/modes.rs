//! Same image and report as root, as a user with a range of ids, as a user without one, and twice: one digest.

use crate::world::{Done, Vulnerable, World, needs};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use testkit::{probe, skip};

/// A user with ranges of subordinate ids; made by `cargo xtask setup` when it is root.
const WITH_RANGES: &str = "copa-test";

/// A user without any, on every system.
const WITHOUT: &str = "nobody";

/// The id of a user, by its line in /etc/passwd.
pub fn ids(user: &str) -> Result<(u32, u32), String> {
    let passwd = std::fs::read_to_string("/etc/passwd").map_err(|e| e.to_string())?;
    let line = passwd.lines().find(|l| l.split(':').next() == Some(user));
    let fields: Vec<&str> =
        line.ok_or(format!("no user {user} (cargo xtask setup makes it)"))?.split(':').collect();
    let number = |i: usize| fields[i].parse().map_err(|_| format!("odd line for {user}"));
    Ok((number(2)?, number(3)?))
}

/// Gives a command to another user, with groups dropped, and a world of its own that the user may write.
pub fn as_user(world: &World, mut command: Command, (uid, gid): (u32, u32)) -> Command {
    for folder in [world.folder.path(), &world.path("home"), &world.path("cache")] {
        std::fs::create_dir_all(folder).unwrap();
        std::os::unix::fs::chown(folder, Some(uid), Some(gid)).unwrap();
    }
    std::fs::set_permissions(world.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    command.uid(uid).gid(gid).current_dir("/");
    command
}

/// The program where other users can run it.
pub fn shared_program(world: &World) -> std::path::PathBuf {
    let to = world.path("copa");
    std::fs::copy(env!("CARGO_BIN_EXE_copa"), &to).unwrap();
    std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o755)).unwrap();
    to
}

fn patch_as(image: &Vulnerable, user: Option<&str>) -> Value {
    let world = World::new();
    let report = world.path("report.json");
    std::fs::copy(&image.report, &report).unwrap();
    let tag = user.unwrap_or("root");
    let arguments = [
        "patch",
        "-i",
        &image.reference,
        "-r",
        report.to_str().unwrap(),
        "-t",
        tag,
        "--push",
        "--result",
        "-",
    ];
    let mut command = world.copa(&arguments);
    if let Some(name) = user {
        let mut program = Command::new(shared_program(&world));
        program.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        program.env("HOME", world.path("home")).env("COPA_CACHE_DIR", world.path("cache"));
        command = as_user(&world, program, ids(name).unwrap());
        command.stdin(std::process::Stdio::null());
    }
    let done = Done::of(command.output().unwrap());
    assert_eq!(done.code, Some(0), "{user:?}\n{}", done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

#[test]
fn every_mode_gives_the_same_layer() {
    let ranges = || probe::subordinate_ids(WITH_RANGES).and_then(|()| ids(WITH_RANGES).map(drop));
    if let Err(reason) = needs().and_then(|()| ranges()) {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let layer = |user: Option<&str>| patch_as(&image, user)["patched"]["layer"].clone();
    let root = layer(None);
    assert_eq!(layer(None), root, "twice");
    assert_eq!(layer(Some(WITH_RANGES)), root, "as a user with a range of ids");
}

#[test]
fn a_user_with_a_single_id_gets_the_same_layer() {
    if let Err(reason) = needs().and_then(|()| ids(WITHOUT).map(drop)) {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let layer = |user: Option<&str>| patch_as(&image, user)["patched"]["layer"].clone();
    assert_eq!(layer(Some(WITHOUT)), layer(None));
}
