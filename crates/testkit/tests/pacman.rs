//! Arch-like images and their repository, judged by the real pacman, inside the image and outside of it.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests to be tests

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use testkit::apt_repository::{Fault, Signature};
use testkit::chroot::{self, Chroot, words};
use testkit::command::Ran;
use testkit::debian_root::TAG;
use testkit::pacman::image::{Arch, Options};
use testkit::pacman::{self, Published, scenario};
use testkit::{probe, skip, tar::Entry};

fn needs() -> Result<(), String> {
    probe::first_reason([pacman::image_needs(), chroot::needs()])
}

fn version(root: &Chroot, name: &str) -> String {
    pacman::installed(&root.path()).unwrap().remove(name).unwrap_or_default()
}

#[test]
fn the_pacman_of_the_image_updates_it_from_the_repository() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let edited = Entry::file(&scenario::CONFFILE[1..], "setting = mine\n");
    let arch = Arch::new(&Options { added: vec![edited], ..Options::default() }).unwrap();
    let root = Chroot::of(&arch.layout, TAG).unwrap();
    let all = pacman::installed(&root.path()).unwrap();
    assert_eq!(all.len(), scenario::ALL.len() + 1, "{all:?}");
    assert!(scenario::ALL.iter().all(|name| all[*name] == scenario::OLD), "{all:?}");
    assert_eq!(pacman::broken(&root.path(), &scenario::ALL[1..]).unwrap(), [""; 0]);

    let ran = root.run(&["pacman", "--noconfirm", "-Sy", scenario::CONFIGURED]).unwrap();
    assert!(ran.status.success(), "{}", words(&ran));
    assert_eq!([scenario::CONFIGURED, scenario::ADDED].map(|name| version(&root, name)), [scenario::NEW; 2]);
    assert_eq!(root.read(scenario::CONFFILE), "setting = mine\n");
    assert_eq!(root.read(scenario::PACNEW), "setting = new\n");

    let ran = root.run(&["pacman", "--noconfirm", "-Su"]).unwrap();
    assert!(ran.status.success(), "{}", words(&ran));
    assert_eq!(
        [scenario::SCRIPTED, scenario::HELD].map(|name| version(&root, name)),
        [scenario::NEW, scenario::OLD]
    );
    let log = format!("pre_upgrade {0} {1}\npost_upgrade {0} {1}\n", scenario::NEW, scenario::OLD);
    assert!(root.read(scenario::LOG).ends_with(&log), "{}", root.read(scenario::LOG));
    assert_eq!(scenario::COMES_AND_GOES.map(|path| root.read(path)), [String::new(), scenario::NEW.into()]);
    assert_eq!(root.at(scenario::SETUID).metadata().unwrap().permissions().mode() & 0o7777, 0o4755);
    assert_eq!(
        root.at(scenario::PAIR[0]).metadata().unwrap().ino(),
        root.at(scenario::PAIR[1]).metadata().unwrap().ino()
    );
    assert_eq!(pacman::broken(&root.path(), &[scenario::SCRIPTED, scenario::ADDED]).unwrap(), [""; 0]);
    std::fs::write(root.at(scenario::COMES_AND_GOES[1]), "changed\n").unwrap();
    assert!(
        pacman::broken(&root.path(), &[scenario::SCRIPTED]).unwrap().len() > 1,
        "a judge that sees damage"
    );
}

#[test]
fn the_pacman_of_the_image_refuses_what_is_wrong() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let arch = Arch::new(&Options { offered: scenario::all_updates(), ..Options::default() }).unwrap();
    let root = Chroot::of(&arch.layout, TAG).unwrap();
    let update = |package: &str| -> Ran {
        // What a run before has downloaded is not taken.
        std::fs::remove_dir_all(root.at("var/cache/pacman/pkg")).unwrap();
        std::fs::create_dir(root.at("var/cache/pacman/pkg")).unwrap();
        root.run(&["pacman", "--noconfirm", "-Syy", package]).unwrap()
    };
    let good = Published::default();
    for (published, complaint) in [
        (Published { packages: Signature::Tampered, ..good }, "PGP signature"),
        (Published { packages: Signature::Stranger, ..good }, "could not be looked up remotely"),
        (Published { packages: Signature::Missing, ..good }, ".pkg.tar.zst.sig"),
        (Published { database: Signature::Tampered, ..good }, "PGP signature"),
    ] {
        arch.repository.publish(published).unwrap();
        let ran = update(scenario::SCRIPTED);
        assert!(!ran.status.success() && words(&ran).contains(complaint), "{published:?}: {}", words(&ran));
    }
    arch.repository.publish(good).unwrap();
    arch.served.fail("demo-", Fault::Wrong);
    let ran = update(scenario::SCRIPTED);
    assert!(!ran.status.success() && words(&ran).contains("invalid or corrupted package"), "{}", words(&ran));
    arch.served.heal();
    let ran = update(scenario::CONFLICTING);
    assert!(!ran.status.success() && words(&ran).contains("are in conflict"), "{}", words(&ran));
    assert_eq!(version(&root, scenario::SCRIPTED), scenario::OLD);
    assert!(update(scenario::SCRIPTED).status.success());
    assert_eq!(version(&root, scenario::SCRIPTED), scenario::NEW);
}
