//! The cache in places that are hard to work in: odd names, mounts without programs or devices, read-only, full, on an overlay.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

mod support;

use embedded::host::{HostOptions, enter};
use engine::Error;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
};
use store::{Store, StoreOptions};
use support::{Bed, Files, changed, guest, in_each_mode, recipe};

/// A filesystem mounted for a test, gone afterwards.
struct Mounted(PathBuf);

impl Mounted {
    /// `Err` where this mode may not mount such a thing.
    fn new(kind: &str, at: &Path, flags: MountFlags, options: &str) -> Result<Mounted, String> {
        fs::create_dir_all(at).unwrap();
        mount(kind, at, kind, flags, CString::new(options).unwrap().as_c_str())
            .map_err(|errno| format!("cannot mount {kind}: {errno}"))?;
        Ok(Mounted(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).ok();
    }
}

/// A run that reads, changes and removes.
fn works(bed: &Bed) {
    let base = Files::guest().file("/etc/old", 0o644, b"old").file("/etc/kept", 0o600, b"kept").owner(3, 4);
    let steps = recipe(vec![
        guest(&["read", "/etc/kept"]),
        guest(&["write", "/etc/new", "x"]),
        guest(&["remove", "/etc/old"]),
    ]);
    let mut run = bed.run(&[base, Files::default().file("/above", 0o644, b"a")], &steps).unwrap();
    assert_eq!(run.steps[0].tail, "kept\n");
    assert_eq!(changed(&mut run), ["+/etc", "+/etc/new", "-/etc/old"]);
    drop(run);
    assert_eq!(bed.left_over(), [""; 0]);
}

#[test]
fn names_with_every_sort_of_character() {
    in_each_mode("names_with_every_sort_of_character", || {
        enter(&HostOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let deep = "x".repeat(200) + "/" + &"y".repeat(200);
        for name in ["with space", "new\nline", "a,b:c=d\\e", "l\u{f6}wer\u{2028}%s$HOME`", &deep] {
            let place = folder.path().join(name);
            fs::create_dir_all(&place).unwrap();
            let mut bed = Bed::within(&place);
            works(&bed);
            // Changes on the disk go by this name too.
            bed.options.memory_bytes_max = Some(0);
            works(&bed);
        }
    });
}

#[test]
fn mounts_without_programs_devices_or_set_ids() {
    in_each_mode("mounts_without_programs_devices_or_set_ids", || {
        enter(&HostOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let flags = MountFlags::NOEXEC | MountFlags::NODEV | MountFlags::NOSUID;
        let place = folder.path().join("inert");
        let mounted = match Mounted::new("tmpfs", &place, flags, "mode=0755") {
            Ok(mounted) => mounted,
            Err(why) => return eprintln!("skipped: {why}"),
        };
        let mut bed = Bed::within(&mounted.0);
        works(&bed);
        bed.options.memory_bytes_max = Some(0);
        works(&bed);
        drop(bed);
        // Read-only from now on: told by its name, and nothing half done.
        let (dir, flavor) = (mounted.0.join("cache"), layer::Flavor::Native);
        let options = || StoreOptions { dir: dir.clone(), flavor, size_max: None };
        mount_remount(&place, flags | MountFlags::RDONLY, c"").unwrap();
        let refused = Store::open(options()).unwrap_err().to_string();
        assert!(refused.contains(dir.to_str().unwrap()), "{refused}");
        mount_remount(&place, flags, c"").unwrap();
        Store::open(options()).unwrap();
    });
}

#[test]
fn a_full_place_is_told_and_more_room_is_enough() {
    in_each_mode("a_full_place_is_told_and_more_room_is_enough", || {
        enter(&HostOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("small");
        let mounted = match Mounted::new("tmpfs", &place, MountFlags::empty(), "mode=0755,size=2m") {
            Ok(mounted) => mounted,
            Err(why) => return eprintln!("skipped: {why}"),
        };
        let bed = Bed::within(&mounted.0);
        let large = Files::default().file("/large", 0o644, &vec![7; 3 << 20]);
        match bed.run(&[Files::guest(), large.clone()], &recipe(vec![guest(&["say", "x"])])).map(|_| ()) {
            Err(Error::Io { doing, source }) => {
                assert!(doing.contains(place.to_str().unwrap()), "{doing}");
                assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(bed.left_over(), [""; 0]);
        mount_remount(&place, MountFlags::empty(), c"size=512m").unwrap();
        let run = bed.run(&[Files::guest(), large], &recipe(vec![guest(&["say", "x"])])).unwrap();
        assert_eq!(run.steps[0].tail, "x\n");
    });
}

#[test]
fn on_an_overlay_it_works_or_the_reason_is_told() {
    in_each_mode("on_an_overlay_it_works_or_the_reason_is_told", || {
        let mode = enter(&HostOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        ["lower", "upper", "work"].iter().for_each(|name| fs::create_dir(at(name)).unwrap());
        let user = if mode == embedded::host::Mode::Root { "" } else { ",userxattr" };
        let [lower, upper, work] = ["lower", "upper", "work"].map(|name| at(name).display().to_string());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}{user}");
        let mounted = match Mounted::new("overlay", &at("merged"), MountFlags::empty(), &options) {
            Ok(mounted) => mounted,
            Err(why) => return eprintln!("skipped: {why}"),
        };
        let bed = Bed::within(&mounted.0);
        match bed.run(&[Files::guest()], &recipe(vec![guest(&["say", "x"])])) {
            Ok(run) => assert_eq!(run.steps[0].tail, "x\n"),
            Err(Error::Unavailable { what, .. }) => assert!(what.contains("overlay"), "{what}"),
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(bed.left_over(), [""; 0]);
    });
}
