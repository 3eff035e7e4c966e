//! A real Debian's dpkg, from outside, on a small image that has a package database, a shell and no package tool.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use engine::{Context, Exec, Look, Mount, OpenRequest, Recipe, Run, Step};
use std::{fs, io::BufReader};
use support::{Bed, Files, changed, exec, image, in_each_mode, recipe, text};
use testkit::{
    command::argv,
    debian_root::{self, Suite},
    probe, skip,
    tar::{Entry, Reader},
};

const STATUS: &str = "/var/lib/dpkg/status";
/// Its scripts say whether the root that they run in is the image's, and how it is furnished.
const POSTINST: &str = "#!/bin/sh
set -e
test ! -e /usr/bin/dpkg
test -c /dev/null && test -r /proc/self/status && test -d /sys
while read -r line; do case $line in VERSION_CODENAME=*) echo \"$line\" > /etc/seen-by-postinst;; esac; done < /etc/os-release
";

/// What a shell needs, and the names that say what it is.
fn is_of_target(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let of_shell =
        ["dash", "sh", "libc.so.6", "os-release"].contains(&name) && !path.starts_with("usr/share");
    let loader = name.starts_with("ld-linux") && !path.contains("ld.so.conf");
    of_shell || loader || ["bin", "lib", "lib64", "etc", "usr", "usr/bin", "usr/lib"].contains(&path)
}

fn path(entry: &Entry) -> &str {
    std::str::from_utf8(&entry.path).unwrap()
}

/// All but what programs do not need; hashing it takes its time.
fn debian() -> Vec<Entry> {
    let tar = debian_root::root(Suite::Bookworm, &[]).unwrap();
    let mut entries = Reader::new(BufReader::new(fs::File::open(tar).unwrap())).collect().unwrap();
    let ballast = ["usr/share/", "/perl", "/gconv", "usr/lib/apt", "usr/lib/systemd"];
    entries.retain(|entry| !ballast.iter().any(|part| path(entry).contains(part)));
    entries
}

/// A shell of the same Debian, and a database in which one package is installed.
fn target(debian: &[Entry]) -> Files {
    let mut entries = debian.to_vec();
    entries.retain(|entry| is_of_target(path(entry)));
    for folder in ["var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/info", "var/lib/dpkg/updates"] {
        entries.push(Entry::directory(folder));
    }
    let status = "Package: made\nStatus: install ok installed\nMaintainer: Nobody <nobody@example.org>\n\
        Architecture: all\nVersion: 1.0\nDescription: made for a test\n";
    entries.push(Entry::file("var/lib/dpkg/status", status));
    entries.push(Entry::file("var/lib/dpkg/info/made.list", "/.\n/usr\n/usr/share\n/usr/share/made-old\n"));
    entries.push(Entry::directory("usr/share"));
    entries.push(Entry::file("usr/share/made-old", "old"));
    Files::of_tar(testkit::tar::write(&entries))
}

/// The update of that package.
fn deb() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join("made").join(name);
    fs::create_dir_all(at("DEBIAN")).unwrap();
    fs::create_dir_all(at("lib")).unwrap();
    let control = "Package: made\nVersion: 2.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
        Description: made for a test\n";
    fs::write(at("DEBIAN/control"), control).unwrap();
    fs::write(at("DEBIAN/postinst"), POSTINST).unwrap();
    fs::write(at("lib/made-new"), "new").unwrap();
    argv("chmod", ["-R", "u=rwX,go=rX"]).arg(folder.path()).stdout().unwrap();
    argv("chmod", ["755"]).arg(at("DEBIAN/postinst")).stdout().unwrap();
    let out = folder.path().join("made.deb");
    argv("dpkg-deb", ["--root-owner-group", "--build"]).arg(at("")).arg(&out).stdout().unwrap();
    fs::read(out).unwrap()
}

fn install() -> Recipe {
    let argv = ["/usr/bin/dpkg", "--root=/target", "--install", "/dev/copa/made.deb"].map(str::to_owned);
    let step = Exec { argv: argv.into(), ..exec(&["dpkg"]) };
    Recipe {
        mounts: vec![Mount { name: "made.deb".into(), content: deb() }],
        evidence: vec![Look::File { path: STATUS.into(), max_bytes: 1 << 20 }],
        ..recipe(vec![Step::Exec(step)])
    }
}

fn check(run: &mut Run) {
    let said = &run.steps[0].tail;
    let status = String::from_utf8(run.evidence[STATUS].clone()).unwrap();
    assert!(status.contains("Status: install ok installed\n") && status.contains("Version: 2.0\n"), "{said}");
    assert_eq!(text(run, "/etc/seen-by-postinst").as_deref(), Some("VERSION_CODENAME=bookworm\n"));
    assert_eq!(text(run, "/usr/lib/made-new").as_deref(), Some("new"), "through the link /lib");
    let all = changed(run);
    assert!(all.contains(&"-/usr/share".to_owned()), "dpkg takes the empty folder too: {all:?}");
    let outside = |line: &&String| {
        let expected =
            ["/usr/share", "/etc", "/etc/seen-by-postinst", "/usr", "/usr/lib", "/usr/lib/made-new"];
        let of_database = line[1..].starts_with("/var");
        !expected.contains(&&line[1..]) && !of_database
    };
    assert_eq!(all.iter().filter(outside).collect::<Vec<_>>(), [""; 0], "nothing else, and no mount points");
}

#[test]
fn dpkg_of_a_tooling_image_updates_an_image_without_one() {
    if let Err(reason) = probe::first_reason([probe::debian_roots(), probe::programs(&["dpkg-deb"])]) {
        skip!("{reason}");
    }
    debian_root::root(Suite::Bookworm, &[]).unwrap();
    in_each_mode("dpkg_of_a_tooling_image_updates_an_image_without_one", || {
        let (debian, bed) = (debian(), Bed::new());
        let (image, blobs) = image(&[Files::of_tar(testkit::tar::write(&debian))]);
        let tooling = OpenRequest { image, base_layers: 1, blobs, keep_blobs: false };
        // As it is, and with an earlier patch that is to be left behind.
        let patch = Files::default().file("/usr/share/made-old", 0o644, b"patched");
        for (layers, base) in [(vec![target(&debian)], 1), (vec![target(&debian), patch], 1)] {
            let mut root = bed.open_patched(&layers, base).unwrap();
            bed.block_on(root.attach_tooling(tooling.clone(), &Context::silent())).unwrap();
            let mut run = bed.block_on(root.run(&install(), &Context::silent())).unwrap();
            check(&mut run);
        }
        assert_eq!(bed.left_over(), [""; 0]);
    });
}
