//! Stopping it at any moment: quickly, with nothing left behind, and the next run as if nothing had been.

use crate::world::{Vulnerable, World, descendants, mounts_below, needs, still_running};
use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::time::{Duration, Instant};
use testkit::command::argv;
use testkit::skip;

/// The longest that stopping may take.
const STOP_MAX: Duration = Duration::from_secs(5);

fn signal(child: &Child, name: &str) {
    argv("kill", ["-s", name, &child.id().to_string()]).stdout().unwrap();
}

/// Waits until the program's progress says `word`.
fn wait_for(child: &mut Child, word: &str) -> std::thread::JoinHandle<String> {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "ended before {word:?}");
        if line.contains(word) {
            break;
        }
    }
    std::thread::spawn(move || {
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        rest
    })
}

fn stop_at(image: &Vulnerable, world: &World, phase: &str, with: &str) -> Option<i32> {
    let arguments = [
        "patch",
        "-i",
        &image.reference,
        "-r",
        image.report(),
        "-t",
        "stopped",
        "--push",
        "--progress",
        "rawjson",
    ];
    let mut child = world.start(&arguments);
    let rest = wait_for(&mut child, phase);
    let family = descendants(child.id());
    signal(&child, with);
    let begun = Instant::now();
    let status = child.wait().unwrap();
    assert!(begun.elapsed() < STOP_MAX, "{phase}: {:?}", begun.elapsed());
    rest.join().unwrap();
    // A killed program cannot tidy up, but the kernel ends what it started; give it a moment.
    let deadline = Instant::now() + Duration::from_secs(2);
    while !still_running(&family).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(still_running(&family), [], "{phase} {with}");
    assert_eq!(mounts_below(world.folder.path()), Vec::<String>::new(), "{phase} {with}");
    status.code()
}

/// What the progress says when each phase begins.
const PHASES: [&str; 6] = ["resolve", "pull", "plan", "run", "Installing", "pack"];

#[test]
fn stopping_in_any_phase_is_quick_and_leaves_nothing() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let reference =
        world.succeed(&["patch", "-i", &image.reference, "-r", image.report(), "-t", "whole", "--push"]);
    for (at, phase) in PHASES.iter().enumerate() {
        let (name, code) = if at % 2 == 0 { ("INT", 130) } else { ("TERM", 143) };
        if at < 2 {
            std::fs::remove_dir_all(world.path("cache")).unwrap();
        }
        assert_eq!(stop_at(&image, &world, phase, name), Some(code), "{phase}");
        let temporary = std::fs::read_dir(world.path("cache/tmp")).map_or(0, Iterator::count);
        assert_eq!(temporary, 0, "{phase}: temporary folders left");
    }
    for phase in PHASES {
        assert_eq!(stop_at(&image, &world, phase, "KILL"), None);
    }
    let tags: Vec<_> = image.registry.requests().unwrap();
    assert!(
        !tags.iter().any(|r| r.method == "PUT" && r.path.ends_with("/manifests/stopped")),
        "no tag moved"
    );
    let again =
        world.succeed(&["patch", "-i", &image.reference, "-r", image.report(), "-t", "again", "--push"]);
    assert_eq!(again["patched"]["layer"], reference["patched"]["layer"]);
}

#[test]
fn several_runs_share_one_cache() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let world = World::new();
    let image = Vulnerable::in_registry(&world);
    let before = image.registry.requests().unwrap().len();
    let tags: Vec<String> = (0..4).map(|i| format!("same-{i}")).collect();
    let start = |tag: &String| {
        world.start(&[
            "patch",
            "-i",
            &image.reference,
            "-r",
            image.report(),
            "-t",
            tag,
            "--push",
            "--result",
            "-",
        ])
    };
    let runs: Vec<Child> = tags.iter().map(start).collect();
    let layers: Vec<serde_json::Value> = runs
        .into_iter()
        .map(|run| {
            let done = crate::world::Done::of(run.wait_with_output().unwrap());
            assert_eq!(done.code, Some(0), "{}", done.stderr);
            serde_json::from_str::<serde_json::Value>(&done.stdout).unwrap()["patched"]["layer"].clone()
        })
        .collect();
    assert!(layers.iter().all(|l| *l == layers[0]), "{layers:?}");
    let base = &testkit::image_reader::ImageReader::open(image.layout.directory(), testkit::debian_root::TAG)
        .unwrap();
    let (digest, size) = (base.layers()[0]["digest"].as_str().unwrap(), base.layers()[0]["size"].as_u64());
    let requests = image.registry.requests().unwrap().split_off(before);
    // A large layer comes in parts.
    let pulls = requests.iter().filter(|r| r.method == "GET" && r.path.ends_with(digest));
    assert_eq!(Some(pulls.map(|r| r.bytes).sum::<u64>()), size, "one download for all");
}
