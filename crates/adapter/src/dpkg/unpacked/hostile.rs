//! Records and trees that are not as they should be: one error that names the item, and never a panic.

use super::testing::{World, is_there, text};
use crate::Error;
use testkit::{
    apt_repository::{PackageSpec, needs},
    distroless::scenario::{NEW, OLD},
    tar::{Entry, Kind},
};

const NAME: &str = "copa-plain";
const FILE: &str = "usr/share/copa-plain/data";
const CONFFILE: &str = "etc/copa-plain.conf";

/// An image with one package, and its new version.
fn world() -> Option<World> {
    if let Err(reason) = needs() {
        testkit::probe::report_skip(&reason);
        return None;
    }
    let package = |version: &str| {
        let path = |relative: &str| format!("/{relative}");
        PackageSpec::new(NAME, version)
            .with_sums()
            .native()
            .file(&path(FILE), version)
            .conffile(&path(CONFFILE), version)
    };
    let mut world = World::new(&[package(OLD), package(NEW)]);
    world.distroless(NAME, OLD);
    Some(world)
}

fn refused(world: &World) -> String {
    let error = world.unpack(&[(NAME, NEW)]).err().expect("an error");
    assert!(matches!(error, Error::Database { .. } | Error::Package { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn damaged_records_are_errors_that_name_them() {
    let record = format!("var/lib/dpkg/status.d/{NAME}");
    for (path, content, words) in [
        (format!("{record}.md5sums"), "nonsense\n".to_owned(), "md5sums of copa-plain: \"nonsense\""),
        (format!("{record}.md5sums"), format!("{}  ../../x\n", "0".repeat(32)), "leaves the root"),
        (format!("{record}.md5sums"), format!("{}  a\0b\n", "0".repeat(32)), "NUL"),
        (record.clone(), "Package: copa-plain\nno field\n".to_owned(), "no field"),
        (format!("var/lib/dpkg/info/{NAME}.list"), "/..\n".to_owned(), "list of copa-plain"),
        ("var/lib/dpkg/diversions".to_owned(), "/a\n/b\n".to_owned(), "three lines"),
        ("var/lib/chisel/manifest.wall".to_owned(), "no zstd".to_owned(), "manifest.wall: not packed"),
    ] {
        let Some(mut world) = world() else { return };
        world.write(&path, &content);
        let error = refused(&world);
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    }
    let Some(benign) = world() else { return };
    assert!(benign.unpack(&[(NAME, NEW)]).is_ok());
}

#[test]
fn what_stands_in_the_way_is_named() {
    let link = |at: &str, to: &str| Entry::new(at, Kind::Symlink(to.as_bytes().to_vec()));
    let cases: [(&str, Vec<Entry>, &str); 4] = [
        (FILE, vec![Entry::directory(FILE)], FILE),
        (CONFFILE, vec![link(CONFFILE, "copa-plain.conf")], "copa-plain.conf"),
        (CONFFILE, vec![Entry::directory(CONFFILE)], CONFFILE),
        (
            "var/lib/dpkg/status.d/copa-plain.md5sums",
            vec![link("var/lib/dpkg/status.d/copa-plain.md5sums", "/")],
            "md5sums",
        ),
    ];
    for (away, put, words) in cases {
        let Some(mut world) = world() else { return };
        world.remove(away);
        world.put(&put);
        let error = refused(&world);
        assert!(error.contains(words), "{words:?} is not in {error:?}");
    }
}

#[test]
fn links_of_the_image_lead_nowhere_else() {
    let Some(mut world) = world() else { return };
    world.remove(FILE);
    world.remove("usr/share/copa-plain");
    let outside = Entry::new("usr/share/copa-plain", Kind::Symlink(b"../../../../../opt".to_vec()));
    world.put(&[Entry::directory("opt"), outside]);
    world.write("opt/data", OLD);
    let (after, _) = world.unpack(&[(NAME, NEW)]).unwrap();
    assert_eq!(text(&after, "opt/data").as_deref(), Some(NEW), "in the image's own /opt");
    assert!(is_there(&after, CONFFILE));
}
