//! Benign archives mean to us what they mean to GNU tar, in both directions and in every format that it writes.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use layer::{
    Change, Changes, DirChanges, Extractor, Flavor, LayerDir, Limits, Overlay, PackOptions, Record, pack,
};
use oci::media_type::Compression;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

fn tar(args: &[&str]) -> bool {
    Command::new("tar").args(args).status().is_ok_and(|status| status.success())
}

/// Whether the calling test can run; says so where it cannot.
fn can_run() -> bool {
    let gnu =
        Command::new("tar").arg("--version").output().is_ok_and(|o| o.stdout.starts_with(b"tar (GNU tar)"));
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !gnu || !root {
        eprintln!("skipped: needs GNU tar and root");
    }
    gnu && root
}

fn layer(dir: &Path) -> Arc<LayerDir> {
    Arc::new(LayerDir::new(fs::File::open(dir).unwrap().into(), Record::default(), Flavor::Native))
}

fn list(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let visit = &mut |change: Change<'_>| {
        if let Change::Set(entry, content) = change {
            let mut body = Vec::new();
            content.map(|c| c.read_to_end(&mut body).unwrap());
            lines.push(format!("{entry:?} {}", oci::Digest::of(&body)));
        }
        Ok(())
    };
    DirChanges::new(layer(dir)).walk(visit).unwrap();
    lines
}

/// A tree with what formats differ in. `short` keeps to what the oldest one can hold.
fn populate(dir: &Path, short: bool) {
    let file = |name: &str, content: &[u8], mode: u32, owner: (u32, u32), seconds: u64| {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        chown(&path, Some(owner.0), Some(owner.1)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    };
    file("bin/tool", b"#!", 0o4755, (0, 0), 1_000_000_000);
    file("data/block", &[7; 512], 0o644, (1, 2), 1);
    file("data/odd", &[8; 70_001], 0o600, (1000, 1000), 1_700_000_000);
    file("data/empty", b"", 0o444, (0, 5), 0);
    file("data/caf\u{e9} and \t tab", b"x", 0o640, (0, 0), 5);
    fs::hard_link(dir.join("data/odd"), dir.join("data/other")).unwrap();
    symlink("bin/tool", dir.join("link")).unwrap();
    symlink("/absolute/and/dangling", dir.join("data/dangling")).unwrap();
    assert!(Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap().success());
    if !short {
        file(&format!("long/{}", "n".repeat(200)), b"long", 0o644, (0, 0), 9);
        file(&format!("{}/deep", vec!["component"; 30].join("/")), b"deep", 0o644, (3_000_000, 2_100_000), 9);
        symlink("t".repeat(180), dir.join("long/link")).unwrap();
    }
}

fn made(work: &Path, name: &str) -> PathBuf {
    fs::create_dir(work.join(name)).unwrap();
    work.join(name)
}

#[test]
fn archives_of_gnu_tar_unpack_as_it_unpacks_them() {
    if !can_run() {
        return;
    }
    for (format, short) in
        [("v7", true), ("oldgnu", false), ("gnu", false), ("ustar", true), ("posix", false)]
    {
        let work = tempfile::tempdir().unwrap();
        let [from, ours, theirs] = ["from", "ours", "theirs"].map(|name| made(work.path(), name));
        let archive = work.path().join("archive.tar");
        populate(&from, short);
        if format == "v7" {
            // It cannot hold a pipe.
            fs::remove_file(from.join("pipe")).unwrap();
        }
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let format = format!("--format={format}");
        assert!(tar(&[&format, "--numeric-owner", "-C", &text(&from), "-cf", &text(&archive), "."]));
        assert!(tar(&[
            "--same-owner",
            "-p",
            "--numeric-owner",
            "-C",
            &text(&theirs),
            "-xf",
            &text(&archive)
        ]));
        let mut extractor =
            Extractor::new(fs::File::open(&ours).unwrap().into(), Flavor::Native, Limits::default(), &|| {
                false
            });
        extractor.tar(fs::File::open(&archive).unwrap()).unwrap();
        extractor.finish().unwrap();
        assert_eq!(list(&ours), list(&theirs), "{format}");
        assert!(list(&ours).len() >= 10, "{format}");
    }
}

#[test]
fn gnu_tar_unpacks_our_layers_as_we_do() {
    if !can_run() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let [from, ours, theirs] = ["from", "ours", "theirs"].map(|name| made(work.path(), name));
    populate(&from, false);
    let options = PackOptions {
        excluded: &|_| false,
        source_date_epoch: None,
        run_window: (0, 0),
        compression: Compression::None,
        level: None,
        threads: 1,
        cancel: &|| false,
    };
    let archive = work.path().join("archive.tar");
    let mut out = fs::File::create(&archive).unwrap();
    pack(&mut DirChanges::new(layer(&from)), &Overlay::new(Vec::new()).unwrap(), &options, &mut out).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    assert!(tar(&["--same-owner", "-p", "--numeric-owner", "-C", &text(&theirs), "-xf", &text(&archive)]));
    let mut extractor =
        Extractor::new(fs::File::open(&ours).unwrap().into(), Flavor::Native, Limits::default(), &|| false);
    extractor.tar(fs::File::open(&archive).unwrap()).unwrap();
    extractor.finish().unwrap();
    assert_eq!(list(&ours), list(&theirs));
    assert_eq!(list(&ours).len(), list(&from).len());
}
