//! Packages unpacked over images of each form of record.

use super::testing::{World, at, facts, is_there, text};
use crate::{Error, Strategy};
use layer::Tree;
use plan::Policy;
use testkit::{
    apt_repository::{PackageSpec, Script, needs},
    chiseled::{self, manifest},
    distroless::scenario::{
        ADDED, CONFFILE, CONFIGURED, HARMLESS, LIBRARY, NEW, NEW_CONFFILE, OLD, PAIR, SCRIPTED, SETUID,
        SHARED, SONAME, STATE, TAKEN_OVER, installed, updates,
    },
    tar,
};

/// The packages of the scenario, old and new; nothing where the tools for them are missing.
fn world() -> Option<World> {
    if let Err(reason) = needs() {
        testkit::probe::report_skip(&reason);
        return None;
    }
    Some(World::new(&[installed(), updates(), vec![chiseled::base_files()]].concat()))
}

const STATUS_D: &str = "var/lib/dpkg/status.d";

#[test]
fn a_distroless_image_gets_new_files_and_records_and_loses_old_ones() {
    let Some(mut world) = world() else { return };
    world.distroless(LIBRARY, OLD);
    world.distroless(CONFIGURED, OLD);
    let (after, notes) = world.unpack(&[(ADDED, NEW), (LIBRARY, NEW)]).unwrap();
    assert_eq!(notes, Vec::<String>::new());
    assert!(!is_there(&after, SHARED[0]) && is_there(&after, SHARED[1]));
    assert_eq!(text(&after, SONAME).as_deref(), Some(NEW));
    assert_eq!(after.entry(&at(SETUID), true).unwrap().unwrap().mode, 0o4755);
    assert_eq!(text(&after, TAKEN_OVER).as_deref(), Some("new\n"));
    assert_eq!(PAIR.map(|path| text(&after, path).unwrap()), [NEW, NEW]);
    assert_eq!(after.entry(&at("/var/lib/copa-library"), true).unwrap().unwrap().mode, 0o700);
    let record = text(&after, &format!("{STATUS_D}/{LIBRARY}")).unwrap();
    assert!(record.contains(&format!("Version: {NEW}\n")) && !record.contains("Status:"), "{record}");
    let sums = text(&after, &format!("{STATUS_D}/{LIBRARY}.md5sums")).unwrap();
    assert!(sums.contains(&SHARED[1][1..]) && !sums.contains(&SHARED[0][1..]), "{sums}");
    assert!(is_there(&after, &format!("{STATUS_D}/{ADDED}.md5sums")));
    let read = facts(&after).unwrap();
    assert_eq!(read.strategy, Strategy::Unpacked);
    assert_eq!(read.inventory.version_of(LIBRARY), Some(NEW));
    assert_eq!(read.inventory.version_of(ADDED), Some(NEW));
    assert_eq!(read.inventory.version_of(CONFIGURED), Some(OLD));
}

#[test]
fn an_empty_file_of_dpkgs_own_stays_empty() {
    let Some(mut world) = world() else { return };
    world.distroless(LIBRARY, OLD);
    world.distroless(CONFIGURED, OLD);
    world.write("var/lib/dpkg/status", "");
    let (after, _) = world.unpack(&[(LIBRARY, NEW), (ADDED, NEW)]).unwrap();
    assert_eq!(text(&after, "var/lib/dpkg/status").as_deref(), Some(""));
    assert_eq!(facts(&after).unwrap().inventory.packages.len(), 3);
}

#[test]
fn what_the_maker_left_out_or_changed_stays_so() {
    let Some(mut world) = world() else { return };
    world.distroless(LIBRARY, OLD);
    world.remove(SETUID);
    world.write(SHARED[0], "changed\n");
    let (after, notes) = world.unpack(&[(LIBRARY, NEW), (ADDED, NEW)]).unwrap();
    assert!(!is_there(&after, SETUID));
    assert_eq!(text(&after, SHARED[0]).as_deref(), Some("changed\n"));
    let expected = format!("files are not in the new versions and stay, as they were changed: {}", SHARED[0]);
    assert_eq!(notes, [expected]);
}

#[test]
fn what_another_package_has_stays_and_links_to_nothing_go() {
    let Some(mut world) = world() else { return };
    world.distroless(LIBRARY, OLD);
    world.distroless(ADDED, NEW);
    let link = "usr/lib/copa/libcopa.so.0";
    world.put(&[tar::Entry::new(link, tar::Kind::Symlink(b"libcopa.so.1.0".to_vec()))]);
    let (after, notes) = world.unpack(&[(LIBRARY, NEW)]).unwrap();
    assert_eq!(notes, Vec::<String>::new());
    assert!(is_there(&after, TAKEN_OVER), "it is the other's by now");
    assert!(!is_there(&after, SHARED[0]) && !is_there(&after, link));
    assert!(is_there(&after, SONAME));
}

#[test]
fn folders_that_are_emptied_go_where_the_list_has_them_and_no_other() {
    if let Err(reason) = needs() {
        testkit::skip!("{reason}");
    }
    let package = |version: &str| PackageSpec::new("copa-folders", version).file("/usr/share/kept/a", "a\n");
    let old = package(OLD).file("/usr/share/gone/deep/a", "a\n").file("/usr/share/filled/a", "a\n");
    let mut world = World::new(&[old, package(NEW)]);
    let status = world.files("copa-folders", OLD);
    world.write("var/lib/dpkg/status", &status);
    let listed = ["", "/share", "/share/kept", "/share/kept/a", "/share/gone", "/share/gone/deep"];
    let listed: String = listed.iter().map(|path| format!("/usr{path}\n")).collect();
    let more = "/usr/share/gone/deep/a\n/usr/share/filled\n/usr/share/filled/a\n";
    world.write("var/lib/dpkg/info/copa-folders.list", &format!("/.\n{listed}{more}"));
    world.write("usr/share/filled/own", "mine");
    let (after, _) = world.unpack(&[("copa-folders", NEW)]).unwrap();
    assert!(!is_there(&after, "usr/share/gone"));
    assert!(is_there(&after, "usr/share/filled/own") && !is_there(&after, "usr/share/filled/a"));
    assert!(is_there(&after, "usr/share/kept/a"));
}

#[test]
fn a_package_without_a_list_keeps_what_it_had_and_says_so() {
    let Some(mut world) = world() else { return };
    world.distroless(LIBRARY, OLD);
    world.remove(&format!("{STATUS_D}/{LIBRARY}.md5sums"));
    let (after, notes) = world.unpack(&[(LIBRARY, NEW), (ADDED, NEW)]).unwrap();
    assert!(is_there(&after, TAKEN_OVER) && is_there(&after, SHARED[1]));
    assert!(notes.len() == 1 && notes[0].ends_with(LIBRARY), "{notes:?}");
    assert!(!is_there(&after, &format!("{STATUS_D}/{LIBRARY}.md5sums")));
}

#[test]
fn diverted_files_go_where_they_are_diverted_to() {
    let Some(mut world) = world() else { return };
    world.distroless(LIBRARY, OLD);
    world.write("var/lib/dpkg/diversions", &format!("{SETUID}\n{SETUID}.distrib\nother\n"));
    world.write(SETUID, "another's");
    let (after, _) = world.unpack(&[(LIBRARY, NEW), (ADDED, NEW)]).unwrap();
    assert_eq!(text(&after, SETUID).as_deref(), Some("another's"));
    assert_eq!(text(&after, &format!("{SETUID}.distrib")).as_deref(), Some(NEW));
}

#[test]
fn conffiles_of_unknown_age_stay_and_new_ones_come() {
    let Some(mut world) = world() else { return };
    world.distroless(CONFIGURED, OLD);
    let (after, notes) = world.unpack(&[(CONFIGURED, NEW)]).unwrap();
    assert_eq!(text(&after, CONFFILE).as_deref(), Some("setting = old\n"));
    assert_eq!(text(&after, NEW_CONFFILE).as_deref(), Some("new\n"));
    assert!(notes[0].ends_with(CONFFILE) && notes.len() == 1, "{notes:?}");
}

/// MD5 of `setting = old\n` and `setting = new\n`, by md5sum.
fn stanza_with_conffile(world: &mut World) -> String {
    let stanza = world.files(CONFIGURED, OLD);
    let sum = super::sums::of_bytes(b"setting = old\n").md5;
    stanza.replacen("\nVersion", &format!("\nConffiles:\n {CONFFILE} {sum}\nVersion"), 1)
}

#[test]
fn dpkgs_own_file_is_rewritten_and_nothing_else_in_it() {
    let Some(mut world) = world() else { return };
    let stanza = stanza_with_conffile(&mut world);
    let other = "Package: zzz\nStatus: install ok installed\nX-Odd:   kept  as it is\nArchitecture: all\nVersion: 1\n\n";
    world.write("var/lib/dpkg/status", &format!("{stanza}{other}"));
    let info = "/var/lib/dpkg/info";
    world.write(&format!("{info}/{CONFIGURED}.list"), &format!("/.\n/etc\n/etc/copa\n{CONFFILE}\n"));
    let (after, notes) = world.unpack(&[(CONFIGURED, NEW), (ADDED, NEW)]).unwrap();
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(text(&after, CONFFILE).as_deref(), Some("setting = new\n"));
    let status = text(&after, "var/lib/dpkg/status").unwrap();
    assert!(status.ends_with(other), "{status}");
    let names: Vec<_> = status.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
    assert_eq!(names, [ADDED, CONFIGURED, "zzz"]);
    let new = super::sums::of_bytes(b"setting = new\n").md5;
    assert!(status.contains(&format!("\n {CONFFILE} {new}\n {NEW_CONFFILE} ")), "{status}");
    let list = text(&after, &format!("{info}/{CONFIGURED}.list")).unwrap();
    assert!(list.starts_with("/.\n/") && list.contains(&format!("\n{NEW_CONFFILE}\n")), "{list}");
    assert_eq!(
        text(&after, &format!("{info}/{ADDED}.list")).map(|list| list.contains(TAKEN_OVER)),
        Some(true)
    );
    assert!(is_there(&after, &format!("{info}/{CONFIGURED}.conffiles")));
}

#[test]
fn an_edited_conffile_stays_and_a_deleted_one_does_not_come_back() {
    let Some(mut world) = world() else { return };
    let stanza = stanza_with_conffile(&mut world);
    world.write("var/lib/dpkg/status", &stanza);
    world.write(&format!("var/lib/dpkg/info/{CONFIGURED}.list"), &format!("/.\n{CONFFILE}\n"));
    world.write(CONFFILE, "mine\n");
    let (after, notes) = world.unpack(&[(CONFIGURED, NEW)]).unwrap();
    assert_eq!(text(&after, CONFFILE).as_deref(), Some("mine\n"));
    assert_eq!(notes.len(), 1, "{notes:?}");
    world.remove(CONFFILE);
    let (after, notes) = world.unpack(&[(CONFIGURED, NEW)]).unwrap();
    assert!(!is_there(&after, CONFFILE));
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn scripts_that_matter_are_refused_where_there_is_a_shell() {
    let Some(mut world) = world() else { return };
    world.distroless(SCRIPTED, OLD);
    world.distroless(HARMLESS, OLD);
    let both = [(HARMLESS, NEW), (SCRIPTED, NEW)];
    let (after, notes) = world.unpack(&both).unwrap();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].ends_with(&format!("postinst of {SCRIPTED}")), "{notes:?}");
    assert!(!is_there(&after, STATE));
    world.write("bin/sh", "a shell");
    let error = world.unpack(&both).err().unwrap();
    assert_eq!(error, Error::Scripts(format!("postinst of {SCRIPTED}")));
    assert!(world.unpack(&[(HARMLESS, NEW)]).is_ok());
    let (after, notes) =
        world.unpack_with(&both, Policy { skip_scripts: true, ..Policy::default() }).unwrap();
    assert!(!is_there(&after, STATE) && notes.len() == 1, "{notes:?}");
}

#[test]
fn held_packages_never_move() {
    let Some(mut world) = world() else { return };
    let stanza = world.files(HARMLESS, OLD).replace("install ok", "hold ok");
    world.write("var/lib/dpkg/status", &stanza);
    let error = world.unpack(&[(HARMLESS, NEW)]).err().unwrap().to_string();
    assert_eq!(error, format!("package {HARMLESS} {NEW}: the image holds it at its version"));
}

fn chiseled(record: chiseled::Record) -> Option<World> {
    let mut world = world()?;
    let base_files = world.deb("base-files", chiseled::base_files().version());
    let debs = [base_files, world.deb(LIBRARY, OLD), world.deb(CONFIGURED, OLD)];
    world.put(&chiseled::entries(&debs, record).unwrap());
    Some(world)
}

#[test]
fn a_chiseled_image_gets_its_slices_and_no_more() {
    for record in [chiseled::Record::Status, chiseled::Record::Manifest] {
        let Some(world) = chiseled(record) else { return };
        let (after, _) = world.unpack(&[(LIBRARY, NEW)]).unwrap();
        assert!(is_there(&after, SHARED[1]), "{record:?}");
        assert!(!is_there(&after, SHARED[0]), "{record:?}");
        assert_eq!(text(&after, SONAME).as_deref(), Some(NEW), "{record:?}");
        assert_eq!(PAIR.map(|path| text(&after, path).unwrap()), [NEW, NEW]);
        for path in chiseled::LEFT_OUT {
            assert!(!is_there(&after, path), "{path} {record:?}");
        }
        assert_eq!(facts(&after).unwrap().inventory.version_of(LIBRARY), Some(NEW));
    }
}

#[test]
fn the_manifest_of_chisel_is_as_chisel_would_write_it() {
    let Some(world) = chiseled(chiseled::Record::Manifest) else { return };
    let (after, _) = world.unpack(&[(LIBRARY, NEW)]).unwrap();
    let mut other = chiseled(chiseled::Record::Manifest).unwrap();
    let base_files = other.deb("base-files", chiseled::base_files().version());
    let debs = [base_files, other.deb(LIBRARY, NEW), other.deb(CONFIGURED, OLD)];
    let expected = chiseled::entries(&debs, chiseled::Record::Manifest).unwrap();
    other.put(&expected);
    let read = |tree: &dyn Tree| {
        manifest::read_bytes(&tree.read(&at(manifest::PATH), 1 << 20).unwrap().unwrap()).unwrap()
    };
    let expected = expected.iter().find(|entry| entry.path == manifest::PATH.as_bytes()).unwrap();
    assert_eq!(read(&after), manifest::read_bytes(expected.content().unwrap()).unwrap());
}

#[test]
fn certificates_are_put_together_again_where_they_are_the_packages_alone() {
    if let Err(reason) = needs() {
        testkit::skip!("{reason}");
    }
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let certificate = |name: &str| format!("/usr/share/ca-certificates/mozilla/{name}.crt");
    let package = |version: &str, names: &[&str]| {
        let empty = PackageSpec::new("ca-certificates", version).with_sums();
        let filled =
            names.iter().fold(empty, |spec, name| spec.file(&certificate(name), &format!("{name}\n")));
        filled.script(Script::Postinst, "#!/bin/sh\nupdate-ca-certificates\n")
    };
    let mut world = World::new(&[package(OLD, &["A", "B"]), package(NEW, &["B", "C"])]);
    world.distroless("ca-certificates", OLD);
    world.write(bundle, "A\nB\n");
    let (after, _) = world.unpack(&[("ca-certificates", NEW)]).unwrap();
    assert_eq!(text(&after, bundle).as_deref(), Some("B\nC\n"));
    world.write(bundle, "A\nB\nown\n");
    let (after, notes) = world.unpack(&[("ca-certificates", NEW)]).unwrap();
    assert_eq!(text(&after, bundle).as_deref(), Some("A\nB\nown\n"));
    assert!(notes.iter().any(|note| note.contains("other certificates")), "{notes:?}");
}

#[test]
fn two_records_that_disagree_are_an_error() {
    let Some(mut world) = chiseled(chiseled::Record::Manifest) else { return };
    let status =
        format!("Package: {LIBRARY}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7\n\n");
    world.put(&[tar::Entry::directory("var/lib/dpkg")]);
    world.write("var/lib/dpkg/status", &status);
    let error = world.unpack(&[(LIBRARY, NEW)]).err().unwrap().to_string();
    assert!(error.contains("disagree on the version of copa-library"), "{error}");
}
