//! Scripts that leave what a layer cannot hold, or what means something else in a layer than on a disk.

use crate::throwaway::{Ran, Throwaway, needs};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use testkit::apt_repository::{PackageSpec, Script, scenario};
use testkit::image_reader::{ImageReader, Shown};
use testkit::skip;
use testkit::tar::Kind;

/// The failure of packages.
const PACKAGES: i32 = 7;
/// The failure of time.
const TIMEOUT: i32 = 9;

/// A repository with an update whose last act is this.
fn leaving(script: &str) -> Throwaway {
    let postinst = format!("#!/bin/sh\nset -e\n{script}\n");
    Throwaway::offering(
        &[PackageSpec::new(scenario::HELD, scenario::NEW).script(Script::Postinst, &postinst)],
    )
}

fn patched(script: &str) -> (Ran, BTreeMap<Vec<u8>, Shown>) {
    let subject = leaving(script);
    let (ran, image) = subject.patched(&subject.wanting(&[scenario::HELD]), &[]);
    (ran, changed(&image))
}

/// What the patched image shows, of the patch layer and of what a script was told to touch.
fn changed(image: &ImageReader) -> BTreeMap<Vec<u8>, Shown> {
    let top = image.layers().len() - 1;
    let mut files = image.files(|path| !path.starts_with(b"var/lib/dpkg")).unwrap();
    files.retain(|path, shown| shown.layer == top || path.starts_with(b"usr/share/copa-victim"));
    files
}

#[test]
fn a_file_that_would_be_a_removal_is_refused() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    for (name, script) in [
        (".wh.passwd", ": >/etc/.wh.passwd"),
        (".wh..wh..opq", ": >/etc/.wh..wh..opq"),
        (".wh.folder", "mkdir /etc/.wh.folder; : >/etc/.wh.folder/x"),
    ] {
        let subject = leaving(script);
        subject.refused(&subject.wanting(&[scenario::HELD]), &[], PACKAGES, &[name]);
    }
    let (_, files) = patched(": >/etc/.whatever");
    assert!(files.contains_key(&b"etc/.whatever"[..]));
}

#[test]
fn a_file_without_end_ends_the_run() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let subject = leaving("truncate -s 6T /var/lib/huge");
    let begun = Instant::now();
    let report = subject.wanting(&[scenario::HELD]);
    subject.refused(&report, &["--timeout", "90s"], PACKAGES, &["var/lib/huge", "bytes"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    // One that is just small enough takes its time, but not more than is given.
    let subject = leaving("truncate -s 49G /var/lib/huge");
    let begun = Instant::now();
    let report = subject.wanting(&[scenario::HELD]);
    subject.refused(&report, &["--timeout", "8s"], TIMEOUT, &["8s"]);
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
    let (_, files) = patched("truncate -s 4M /var/lib/large");
    assert_eq!(files[&b"var/lib/large"[..]].entry.content().map(<[u8]>::len), Some(4 << 20));
}

#[test]
fn names_and_kinds_stay_exactly() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let long = "n".repeat(255);
    let deep = "d/".repeat(400);
    let script = format!(
        "mkdir /var/lib/odd; cd /var/lib/odd\n\
         : >\"$(printf 'line\\nend')\"; : >\"$(printf 'byte\\377')\"; : >{long}; : >' '; : >-rf\n\
         mkdir -p {deep}; : >{deep}end\n\
         mkfifo pipe; mkdir -m 0 closed; : >unreadable; chmod 0 unreadable; ln -s /etc/passwd link; ln -s '' empty || true\n\
         perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => \"socket\", Listen => 1) or die' || true\n\
         mknod disk b 8 0 2>/dev/null && exit 9\n\
         ln /usr/bin/perl perl-too; chown 1234:5678 unreadable; mkdir -m 3777 sticky"
    );
    let (_, files) = patched(&script);
    let at = |name: &str| &files[format!("var/lib/odd/{name}").as_bytes()].entry;
    for name in ["line\nend", &long, " ", "-rf", &format!("{deep}end")] {
        assert_eq!(at(name).kind, Kind::File(Vec::new()), "{name:?}");
    }
    assert!(files.contains_key(&b"var/lib/odd/byte\xff"[..]));
    assert_eq!(at("pipe").kind, Kind::Fifo);
    assert_eq!((&at("closed").kind, at("closed").mode), (&Kind::Directory, 0));
    assert_eq!(at("sticky").mode, 0o3777);
    let unreadable = at("unreadable");
    assert_eq!((unreadable.mode, unreadable.uid, unreadable.gid), (0, 1234, 5678));
    assert_eq!(at("link").kind, Kind::Symlink(b"/etc/passwd".to_vec()));
    assert!(!files.contains_key(&b"var/lib/odd/socket"[..]), "no layer holds a socket");
    assert!(!files.contains_key(&b"var/lib/odd/disk"[..]));
    let too = at("perl-too");
    let linked = matches!(&too.kind, Kind::Hardlink(to) if files.contains_key(to));
    assert!(linked || too.content().is_some_and(|content| content.len() > 1 << 20), "{:?}", too.mode);
}

#[test]
fn folders_that_are_replaced_hide_what_was_in_them() {
    if let Err(reason) = needs() {
        skip!("{reason}");
    }
    let shown = |script: &str| {
        let (_, files) = patched(script);
        let below = files.into_iter().filter(|(path, _)| path.starts_with(b"usr/share/copa-victim"));
        below.map(|(path, shown)| (String::from_utf8(path).unwrap(), shown.entry.kind)).collect::<Vec<_>>()
    };
    let folder = "/usr/share/copa-victim";
    let at = folder[1..].to_owned();
    let plain = Kind::File(b"old\n".to_vec());
    let data = format!("{at}/data");
    assert_eq!(shown("true"), [(at.clone(), Kind::Directory), (data.clone(), plain)]);
    assert_eq!(shown(&format!("rm -r {folder}")), []);
    assert_eq!(shown(&format!("rm -r {folder}; mkdir {folder}")), [(at.clone(), Kind::Directory)]);
    let replaced = format!("rm -r {folder}; mkdir {folder}; echo mine >{folder}/other");
    let other = (format!("{at}/other"), Kind::File(b"mine\n".to_vec()));
    assert_eq!(shown(&replaced), [(at.clone(), Kind::Directory), other]);
    assert_eq!(shown(&format!("rm -r {folder}; : >{folder}")), [(at.clone(), Kind::File(Vec::new()))]);
}
