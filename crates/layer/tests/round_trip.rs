//! Directory → difference → layer → directory: what comes out is what went in.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use layer::{
    Change, Changes, DirChanges, Entry, EntryPath, Error, Extractor, Flavor, Kind, LayerDir, Limits, Overlay,
    PackOptions, Packed, Record, Tree, Verified, decompress, pack,
};
use oci::media_type::Compression;
use std::{fs, io::Read, os::unix::fs::MetadataExt, path::Path, process::Command, sync::Arc};

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

fn open(dir: &Path) -> rustix::fd::OwnedFd {
    fs::File::open(dir).unwrap().into()
}

fn layer(dir: &Path, record: Record) -> Arc<LayerDir> {
    Arc::new(LayerDir::new(open(dir), record, Flavor::Native))
}

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

/// A directory with one of everything.
fn populate(dir: &Path) {
    let at = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(dir.join("usr/bin")).unwrap();
    fs::write(dir.join("usr/bin/tool"), b"tool").unwrap();
    fs::hard_link(dir.join("usr/bin/tool"), dir.join("usr/bin/other")).unwrap();
    std::os::unix::fs::symlink("usr/bin", dir.join("bin")).unwrap();
    run("mkfifo", &[&at("pipe")]);
    run("mknod", &[&at("null"), "c", "1", "3"]);
    run("mknod", &[&at("gone"), "c", "0", "0"]);
    run("chown", &["33:44", &at("usr/bin/tool")]);
    run("chmod", &["4755", &at("usr/bin/tool")]);
    fs::write(dir.join("big"), vec![5; 3_000_000]).unwrap();
    run("touch", &["-d", "@1600000000", &at("big"), &at("usr/bin/tool"), &at("pipe")]);
    run("touch", &["-h", "-d", "@1500000000", &at("bin"), &at("null")]);
    run("touch", &["-d", "@1400000000", &at("usr/bin"), &at("usr")]);
}

fn listing(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut changes = DirChanges::new(layer(dir, Record::default()));
    changes
        .walk(&mut |change| {
            lines.push(match change {
                Change::Set(entry, content) => {
                    let mut body = Vec::new();
                    content.map(|c| c.read_to_end(&mut body).unwrap());
                    format!("{entry:?} {}", oci::Digest::of(&body))
                }
                Change::Remove(path) => format!("removed {path}"),
                Change::Opaque(path) => format!("opaque {path}"),
            });
            Ok(())
        })
        .unwrap();
    lines
}

fn nothing() -> Overlay {
    Overlay::new(Vec::new()).unwrap()
}

fn pack_all(dir: &Path, base: &dyn Tree, compression: Compression, threads: usize) -> (Vec<u8>, Packed) {
    let options = PackOptions {
        excluded: &|_| false,
        source_date_epoch: None,
        run_window: (0, 0),
        compression,
        level: None,
        threads,
        cancel: &|| false,
    };
    let mut blob = Vec::new();
    let packed =
        pack(&mut DirChanges::new(layer(dir, Record::default())), base, &options, &mut blob).unwrap();
    assert_eq!((packed.digest.clone(), packed.size), (oci::Digest::of(&blob), blob.len() as u64));
    (blob, packed)
}

fn extract(blob: &[u8], packed: &Packed, compression: Compression, dir: &Path) -> Result<(), Error> {
    let verified = Verified::new(blob, packed.digest.clone(), packed.size);
    let cancel = || false;
    let (_, done) =
        decompress(verified, compression, &Limits::default(), &cancel, |stream: &mut dyn Read| {
            let mut extractor = Extractor::new(open(dir), Flavor::Native, Limits::default(), &cancel);
            extractor.tar(stream)?;
            extractor.finish()
        })?;
    assert_eq!((done.diff_id, done.bytes), (packed.diff_id.clone(), packed.uncompressed_size));
    Ok(())
}

#[test]
fn a_packed_directory_unpacks_to_itself() {
    if !is_root() {
        eprintln!("skipped: needs root to make devices");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let (base, from) = (work.path().join("base"), work.path().join("from"));
    fs::create_dir_all(&base).unwrap();
    fs::create_dir(&from).unwrap();
    fs::write(base.join("gone"), "x").unwrap();
    populate(&from);
    let below = Overlay::new(vec![layer(&base, Record::default())]).unwrap();
    let mut diff_ids = Vec::new();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let to = work.path().join(format!("{compression:?}"));
        fs::create_dir(&to).unwrap();
        let (blob, packed) = pack_all(&from, &below, compression, 3);
        extract(&blob, &packed, compression, &to).unwrap();
        let seconds_only = |lines: Vec<String>| lines.join("\n");
        assert_eq!(seconds_only(listing(&to)), seconds_only(listing(&from)));
        assert!(!packed.is_empty() && packed.removed == 1 && packed.epoch == 1_600_000_000);
        assert_eq!(pack_all(&from, &below, compression, 1).0, blob, "one thread, same bytes");
        diff_ids.push(packed.diff_id);
    }
    assert!(diff_ids.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn an_unchanged_copy_packs_to_nothing() {
    if !is_root() {
        eprintln!("skipped: needs root to make devices");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    populate(work.path());
    fs::remove_file(work.path().join("gone")).unwrap();
    let below = Overlay::new(vec![layer(work.path(), Record::default())]).unwrap();
    let (_, packed) = pack_all(work.path(), &below, Compression::Gzip, 2);
    assert!(packed.is_empty() && packed.dropped > 5, "{packed:?}");
    let (_, packed) = pack_all(work.path(), &nothing(), Compression::Gzip, 2);
    assert!(packed.entries > 5);
}

#[test]
fn a_merged_tree_reads_as_overlayfs_shows_it() {
    if !is_root() {
        eprintln!("skipped: needs root to make whiteouts");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let (low, top) = (work.path().join("low"), work.path().join("top"));
    fs::create_dir_all(low.join("dir/sub")).unwrap();
    fs::create_dir_all(low.join("hidden")).unwrap();
    fs::create_dir_all(top.join("dir")).unwrap();
    fs::create_dir_all(top.join("hidden")).unwrap();
    fs::write(low.join("dir/a"), "low a").unwrap();
    fs::write(low.join("dir/b"), "low b").unwrap();
    fs::write(low.join("hidden/x"), "x").unwrap();
    fs::write(top.join("dir/a"), "top a").unwrap();
    std::os::unix::fs::symlink("/dir/../dir/./a", low.join("dir/sub/link")).unwrap();
    std::os::unix::fs::symlink("../../../../etc/passwd", low.join("escape")).unwrap();
    std::os::unix::fs::symlink("loop", low.join("loop")).unwrap();
    run("mknod", &[top.join("dir/b").to_str().unwrap(), "c", "0", "0"]);
    rustix::fs::setxattr(top.join("hidden"), "trusted.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
        .unwrap();

    let tree = Overlay::new(vec![layer(&top, Record::default()), layer(&low, Record::default())]).unwrap();
    let read = |p: &str| tree.read(&path(p), 100);
    assert_eq!(read("dir/sub/link").unwrap().unwrap(), b"top a");
    assert_eq!(read("dir/b").unwrap(), None);
    assert_eq!(read("hidden/x").unwrap(), None);
    assert_eq!(read("escape").unwrap(), None, "/etc/passwd is not in the tree");
    assert!(read("loop").unwrap_err().to_string().contains("too many levels"));
    assert!(read("dir").is_err());
    assert_eq!(tree.list(&path("dir"), 10).unwrap(), [b"a".to_vec(), b"sub".to_vec()]);
    assert!(tree.list(&path("dir"), 1).is_err());
    assert!(tree.list(&path("hidden"), 10).unwrap().is_empty());
    let link = tree.entry(&path("dir/sub/link"), false).unwrap().unwrap();
    assert!(matches!(link.kind, Kind::Symlink { .. }));
    let entry: Entry = tree.entry(&path("dir/sub/link"), true).unwrap().unwrap();
    assert_eq!(entry.path, path("dir/a"));
    as_the_kernel_shows_it(&tree, &[&top, &low], work.path());
}

/// Mounts the same layers, and compares every path.
fn as_the_kernel_shows_it(tree: &Overlay, layers: &[&Path], work: &Path) {
    let at = work.join("merged");
    fs::create_dir(&at).unwrap();
    let layers = layers.iter().map(|l| l.to_str().unwrap()).collect::<Vec<_>>().join(":");
    let mut mount = Command::new("mount");
    mount.args(["-t", "overlay", "overlay", "-o", &format!("lowerdir={layers}")]).arg(&at);
    if !mount.output().is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: cannot mount overlayfs");
        return;
    }
    let compared = std::panic::catch_unwind(|| {
        let mut folders = vec![EntryPath::root()];
        let mut compared = 0;
        while let Some(folder) = folders.pop() {
            let on_disk = |path: &EntryPath| at.join(std::str::from_utf8(path.as_bytes()).unwrap());
            let names =
                fs::read_dir(on_disk(&folder)).unwrap().map(|e| e.unwrap().file_name().into_encoded_bytes());
            let mut names: Vec<Vec<u8>> = names.collect();
            names.sort();
            assert_eq!(tree.list(&folder, 100).unwrap(), names, "{folder}");
            for name in names {
                let path = folder.join(&name).unwrap();
                let (ours, theirs) =
                    (tree.entry(&path, false).unwrap().unwrap(), on_disk(&path).symlink_metadata().unwrap());
                assert_eq!(
                    (ours.mode, ours.uid, ours.mtime.0),
                    (theirs.mode() & 0o7777, theirs.uid(), theirs.mtime())
                );
                assert_eq!(ours.kind == Kind::Directory, theirs.is_dir(), "{path}");
                if theirs.is_file() {
                    assert_eq!(tree.read(&path, 100).unwrap().unwrap(), fs::read(on_disk(&path)).unwrap());
                }
                if theirs.is_dir() {
                    folders.push(path);
                }
                compared += 1;
            }
        }
        compared
    });
    run("umount", &[at.to_str().unwrap()]);
    assert!(compared.unwrap() > 5);
}

/// Like an earlier patch of several layers, put into one upper directory.
#[test]
fn differences_stack_in_one_directory() {
    if !is_root() {
        eprintln!("skipped: needs root to make whiteouts");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let [first, second, upper] = ["first", "second", "upper"].map(|name| work.path().join(name));
    for folder in ["a", "hidden/old", "file", "link"] {
        fs::create_dir_all(first.join(folder)).unwrap();
    }
    fs::write(first.join("a/removed"), "x").unwrap();
    fs::write(first.join("a/kept"), "x").unwrap();
    fs::create_dir_all(second.join("a")).unwrap();
    fs::create_dir_all(second.join("hidden/new")).unwrap();
    fs::write(second.join("file"), "x").unwrap();
    std::os::unix::fs::symlink("/etc", second.join("link")).unwrap();
    run("mknod", &[second.join("a/removed").to_str().unwrap(), "c", "0", "0"]);
    rustix::fs::setxattr(
        second.join("hidden"),
        "trusted.overlay.opaque",
        b"y",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    fs::create_dir(&upper).unwrap();
    let cancel = || false;
    let mut extractor = Extractor::new(open(&upper), Flavor::Native, Limits::default(), &cancel);
    for dir in [&first, &second] {
        extractor.changes(&mut DirChanges::new(layer(dir, Record::default()))).unwrap();
    }
    extractor.finish().unwrap();
    let mut found = Vec::new();
    let visit = &mut |change: Change<'_>| {
        found.push(match change {
            Change::Set(entry, _) => entry.path.to_string(),
            Change::Remove(path) => format!("gone {path}"),
            Change::Opaque(path) => format!("opaque {path}"),
        });
        Ok(())
    };
    DirChanges::new(layer(&upper, Record::default())).walk(visit).unwrap();
    assert_eq!(
        found,
        ["/a", "/a/kept", "gone /a/removed", "/file", "/hidden", "opaque /hidden", "/hidden/new", "/link"]
    );
}
