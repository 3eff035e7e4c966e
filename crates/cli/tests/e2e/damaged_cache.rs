//! A cache that is full, damaged or cut short: said clearly where it cannot be helped, and made good where it can.

use crate::throwaway::{Ran, Throwaway, needs};
use crate::world::mounts_below;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use testkit::apt_repository::scenario;
use testkit::command::argv;
use testkit::skip;

/// The failure of this machine.
const INTERNAL: i32 = 1;
/// The failure of where images come from.
const SOURCE: i32 = 5;

/// A file system in memory of this size, until dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, size: &str) -> Small {
        fs::create_dir(&at).unwrap();
        let size = format!("size={size},mode=0700");
        argv("mount", ["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).stdout().unwrap();
        Small(at)
    }

    fn grow(&self, size: &str) {
        argv("mount", ["-o", &format!("remount,size={size}")]).arg(&self.0).stdout().unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = argv("umount", ["--lazy"]).arg(&self.0).output();
    }
}

fn run(subject: &Throwaway, cache: &Path) -> Ran {
    let mut command = subject.command(&subject.wanting(&[scenario::BASE]), &[]);
    command.env("COPA_CACHE_DIR", cache);
    subject.finish(command)
}

fn layer(ran: &Ran) -> &Value {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    &ran.document["patched"]["layer"]["digest"]
}

#[test]
fn a_full_disk_is_told_and_more_room_is_enough() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let small = Small::mount(subject.world.path("small"), "40m");
    let cache = small.0.join("cache");
    for size in ["40m", "90m", "160k"] {
        small.grow("40m");
        let _ = fs::remove_dir_all(&cache);
        small.grow(size);
        let ran = run(&subject, &cache);
        assert_eq!(ran.code, Some(INTERNAL), "{size}: {}", ran.stderr);
        let full = ran.stderr.contains("No space left on device") || ran.stderr.contains("no room left");
        assert!(full && ran.stderr.contains(cache.to_str().unwrap()), "{size}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("Image patched"), "{}", ran.stderr);
        let left = fs::read_dir(cache.join("tmp")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{size}: temporary files");
    }
    small.grow("1g");
    let ran = run(&subject, &cache);
    assert_eq!(layer(&ran), layer(&run(&subject, &subject.world.path("cache"))));
    assert_eq!(mounts_below(&cache), Vec::<String>::new());
}

#[test]
fn too_few_open_files_are_told_and_more_are_enough() {
    if let Err(reason) = needs().and_then(|()| testkit::probe::programs(&["prlimit"])) {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let cache = subject.world.path("cache");
    let report = subject.wanting(&[scenario::BASE]);
    for files in [8, 12, 16, 20, 32, 64] {
        let whole = subject.command(&report, &[]);
        let mut command = std::process::Command::new("prlimit");
        command.arg(format!("--nofile={files}")).arg(whole.get_program()).args(whole.get_args()).env_clear();
        command.envs(whole.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = subject.finish({
            command.env("COPA_CACHE_DIR", &cache);
            command
        });
        assert!(matches!(ran.code, Some(INTERNAL | SOURCE)), "{files}: {}", ran.stderr);
        assert!(ran.stderr.contains("Too many open files"), "{files}: {}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{files}: {}", ran.stderr);
    }
    assert_eq!(layer(&run(&subject, &cache)), layer(&run(&subject, &subject.world.path("another"))));
}

/// The regular files of a folder of the cache.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = all.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

type Damage = fn(&Path);

const DAMAGES: [(&str, Damage); 4] = [
    ("flipped", |path| {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        let at = file.metadata().unwrap().len() / 3;
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x40], at).unwrap();
    }),
    ("cut", |path| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    }),
    ("emptied", |path| fs::write(path, "").unwrap()),
    ("turned into a link", |path| {
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("/proc/self/environ", path).unwrap();
    }),
];

#[test]
fn damaged_objects_are_fetched_again() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let cache = subject.world.path("cache");
    let good = layer(&run(&subject, &cache)).clone();
    let packages = subject.served.full_answers("/pool/");
    assert_eq!(layer(&run(&subject, &cache)), &good);
    assert_eq!(subject.served.full_answers("/pool/"), packages, "an undamaged copy is used");
    for (how, damage) in DAMAGES {
        let before = subject.served.full_answers("/pool/");
        let objects = files(&cache.join("http"));
        assert!(objects.len() >= 4, "{objects:?}");
        objects.iter().for_each(|path| damage(path));
        assert_eq!(layer(&run(&subject, &cache)), &good, "{how}");
        assert_eq!(subject.served.full_answers("/pool/"), before + packages, "{how}: fetched again");
    }
    for (how, damage) in DAMAGES {
        for folder in ["blobs", "locks"] {
            files(&cache.join(folder))
                .iter()
                .filter(|path| fs::metadata(path).is_ok_and(|m| m.len() > 0))
                .for_each(|path| damage(path));
        }
        for unpacked in fs::read_dir(cache.join("layers/native")).unwrap() {
            damage(&unpacked.unwrap().path().join("meta.json"));
        }
        assert_eq!(layer(&run(&subject, &cache)), &good, "{how}");
    }
}

#[test]
fn a_cache_that_others_can_write_is_not_used() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = Throwaway::offering(&scenario::updates());
    let cache = subject.world.path("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = run(&subject, &cache);
    assert_eq!(ran.code, Some(INTERNAL), "{}", ran.stderr);
    assert!(ran.stderr.contains(cache.to_str().unwrap()), "{}", ran.stderr);
    fs::remove_dir(&cache).unwrap();
    std::os::unix::fs::symlink(subject.world.path("elsewhere"), &cache).unwrap();
    fs::create_dir(subject.world.path("elsewhere")).unwrap();
    assert_eq!(run(&subject, &cache).code, Some(INTERNAL));
    assert_eq!(fs::read_dir(subject.world.path("elsewhere")).unwrap().count(), 0);
    fs::remove_file(&cache).unwrap();
    layer(&run(&subject, &cache));
}
