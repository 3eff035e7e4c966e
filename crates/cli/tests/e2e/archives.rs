//! Archives through pipes, as people have them: what one tool writes goes in, what comes out goes to another.

use crate::throwaway::{self, Throwaway};
use std::fs::{self, File};
use std::process::Stdio;
use testkit::apt_repository::scenario as s;
use testkit::image_reader::ImageReader;
use testkit::{command::argv, probe, skip};

#[test]
fn an_archive_goes_through_a_pipe_and_comes_out_patched() {
    if let Err(reason) = probe::first_reason([throwaway::needs(), probe::programs(&["skopeo", "gzip"])]) {
        skip!("{reason}");
    }
    let made = Throwaway::offering(&s::updates());
    let at = |name: &str| made.world.path(name);
    let saved = at("saved.tar");
    let to = format!("docker-archive:{}:r.example/team/app:1", saved.display());
    argv("skopeo", ["copy", "--quiet", &made.name(), &to]).stdout().unwrap();
    argv("gzip", ["-1"]).arg(&saved).stdout().unwrap();
    let report = made.wanting(&[s::BASE]);
    let (host, name) = (made.served.host(), "r.example/team/app:1-patched");
    let arguments =
        ["patch", "-i", "-", "--to", "-", "-t", name, "--allow-host", &host, "--progress", "plain"];
    let mut command = made.world.copa(&arguments);
    command
        .arg("-r")
        .arg(&report)
        .arg("--working-folder")
        .arg(at("work"))
        .arg("--result")
        .arg(at("result.json"));
    command.env("COPA_CACHE_DIR", throwaway::shared_cache());
    command.stdin(File::open(at("saved.tar.gz")).unwrap()).stdout(File::create(at("patched.tar")).unwrap());
    let ran = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(
        fs::read_dir(at("work")).map_or(0, Iterator::count),
        0,
        "nothing is left of what was put aside"
    );
    let patched = at("patched.tar");
    let from = format!("docker-archive:{}:{name}", patched.display());
    argv("skopeo", ["copy", "--quiet", &from, &format!("oci:{}:x", at("out").display())]).stdout().unwrap();
    let (before, after) = (
        ImageReader::open(made.layout.directory(), throwaway::TAG).unwrap(),
        ImageReader::open(&at("out"), "x").unwrap(),
    );
    let (base, all) = (before.diff_ids(), after.diff_ids());
    assert_eq!((base.len() + 1, &base[..]), (all.len(), &all[..base.len()]));
    let status = after.files(|path| path == b"var/lib/dpkg/status").unwrap();
    let status =
        String::from_utf8_lossy(status[&b"var/lib/dpkg/status"[..]].entry.content().unwrap()).into_owned();
    let stanza = status.split("\n\n").find(|stanza| stanza.starts_with(&format!("Package: {}\n", s::BASE)));
    assert!(stanza.unwrap().contains(&format!("Version: {}", s::NEW)), "{stanza:?}");
}

#[test]
fn archives_that_are_none_and_outputs_that_collide_are_refused() {
    let world = crate::world::World::new();
    fs::write(world.path("text"), "no tar at all, but long enough to be asked\n".repeat(40)).unwrap();
    let text = world.path("text").display().to_string();
    for (arguments, code, words) in [
        (vec!["plan", "-i", &format!("docker-archive:{text}")], None, "is corrupt: at byte 0"),
        (vec!["plan", "-i", &format!("oci-archive:{text}.none")], None, "does not exist"),
        (vec!["plan", "-i", "-"], None, "it is no tar"),
        (
            vec!["patch", "-i", "app:1", "--to", "-", "--result", "-"],
            Some(2),
            "cannot both go to standard output",
        ),
        (vec!["patch", "-i", "app:1", "--to", "-", "--to", "-"], Some(2), "only once"),
    ] {
        let ran = world.run(&arguments);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
        assert!(ran.code.is_some_and(|c| c != 0 && code.is_none_or(|code| code == c)), "{:?}", ran.code);
        assert_eq!(ran.stdout, "");
    }
}
