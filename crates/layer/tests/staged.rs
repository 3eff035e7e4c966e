//! Changes staged over a tree: they look as overlayfs would show them, pack as a real directory of them does, and nothing
//! hostile leads out of the tree.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod dsl;

use dsl::{Tar, head};
use layer::{
    Change, Changes, DirChanges, Entry, EntryPath, Error, Extractor, Flavor, Kind, LayerDir, Limits, Overlay,
    PackOptions, Packed, Record, STAGED_WINDOW, Staged, Tree, pack,
};
use oci::media_type::Compression;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    sync::Arc,
};

const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn may_run() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("skipped: needs root to set owners and make devices");
    }
    root
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

/// A merged image with every kind of trap.
fn image() -> Tar {
    Tar::default()
        .dir("usr")
        .raw(head("usr/lib", b'5').owner(7, 8).mode(0o2775), b"")
        .file("usr/lib/libx.so", "old library")
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/lib")
        .symlink("up", "../../../usr/../usr/lib")
        .dir("etc")
        .raw(head("etc/conf", b'0').owner(3, 4).mode(0o640).size(4), b"conf")
        .symlink("etc/link", "conf")
        .dir("var")
        .dir("var/lib")
        .dir("var/lib/db")
        .file("var/lib/db/status", "old status")
        .dir("full")
        .file("full/a", "a")
        .dir("full/deep")
        .file("full/deep/b", "b")
        .dir("dev")
        .raw(head("dev/null", b'3').device(1, 3).mode(0o666), b"")
        .symlink("loop-a", "loop-b")
        .symlink("loop-b", "/loop-a")
        .symlink("dangling", "/nowhere/at/all")
        .symlink("lost", "/nowhere/../etc")
        .symlink("magic", "/proc/self/root")
}

/// A layer on disk.
struct OnDisk {
    _dir: tempfile::TempDir,
    layer: Arc<LayerDir>,
}

fn unpacked(fill: impl FnOnce(&mut Extractor<'_>) -> Result<(), Error>) -> OnDisk {
    let dir = tempfile::tempdir().unwrap();
    let open = || File::open(dir.path()).unwrap().into();
    let mut extractor = Extractor::new(open(), Flavor::Native, Limits::default(), &|| false);
    fill(&mut extractor).unwrap();
    let record = extractor.finish().unwrap().record;
    let layer = Arc::new(LayerDir::new(open(), record, Flavor::Native));
    OnDisk { _dir: dir, layer }
}

fn lower() -> OnDisk {
    unpacked(|extractor| extractor.tar(&image().end()[..]))
}

fn over(lower: &OnDisk) -> Staged {
    let tree = Overlay::new(vec![lower.layer.clone()]).unwrap();
    Staged::over(Arc::new(tree) as Arc<dyn Tree>, tempfile::tempfile().unwrap())
}

fn entry(at: &str, kind: Kind) -> Entry {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    Entry { path: path(at), kind, mode, uid: 0, gid: 0, mtime: (2_000, 0), xattrs: BTreeMap::new() }
}

fn file(staged: &mut Staged, at: &str, text: &str) -> Result<String, Error> {
    let entry = entry(at, Kind::File { size: text.len() as u64 });
    Ok(staged.put(entry, Some(&mut text.as_bytes()))?.to_string())
}

fn other(staged: &mut Staged, at: &str, kind: Kind) -> Result<String, Error> {
    Ok(staged.put(entry(at, kind), None)?.to_string())
}

fn link(target: &str) -> Kind {
    Kind::Symlink { target: target.into() }
}

fn hardlink(target: &str) -> Kind {
    Kind::Hardlink { target: path(target) }
}

/// An entry and its content.
type Thing = (Entry, Option<Vec<u8>>);

fn same(ours: &[Thing], theirs: &[Thing]) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours.0, theirs.0);
        assert!(ours.1 == theirs.1, "{}: other content", ours.0.path);
    }
    assert_eq!(ours.len(), theirs.len());
}

/// Everything in a tree but the root, with contents.
fn all(tree: &dyn Tree) -> Vec<Thing> {
    let (mut found, mut ahead) = (Vec::new(), vec![EntryPath::root()]);
    while let Some(folder) = ahead.pop() {
        for name in tree.list(&folder, 1000).unwrap() {
            let at = folder.join(&name).unwrap();
            let entry = tree.entry(&at, false).unwrap().unwrap();
            assert_eq!(entry.path, at);
            if entry.kind == Kind::Directory {
                ahead.push(at.clone());
            }
            let is_file = matches!(entry.kind, Kind::File { .. });
            found.push((entry, is_file.then(|| tree.read(&at, 10 << 20).unwrap().unwrap())));
        }
    }
    found
}

fn packed(changes: &mut dyn Changes, base: &dyn Tree) -> (Packed, Vec<u8>) {
    let options = PackOptions {
        excluded: &|_| false,
        source_date_epoch: None,
        run_window: STAGED_WINDOW,
        compression: Compression::None,
        level: None,
        threads: 1,
        cancel: &|| false,
    };
    let mut bytes = Vec::new();
    (pack(changes, base, &options, &mut bytes).unwrap(), bytes)
}

fn text(staged: &Staged, at: &str) -> Option<String> {
    staged.read(&path(at), 1 << 20).unwrap().map(|content| String::from_utf8(content).unwrap())
}

/// The changes in a real directory: the tree is the same, and so is the layer.
fn as_on_disk(staged: &Staged, lower: &OnDisk) {
    let upper = unpacked(|extractor| extractor.changes(&mut staged.changes()));
    let overlay = Overlay::new(vec![upper.layer.clone(), lower.layer.clone()]).unwrap();
    same(&all(staged), &all(&overlay));
    let (ours, bytes) = packed(&mut staged.changes(), &staged.lower());
    let (theirs, _) = packed(&mut DirChanges::new(upper.layer), &staged.lower());
    assert_eq!(ours, theirs);
    // Whoever applies the layer, and not the difference, gets the same.
    let applied = unpacked(|extractor| extractor.tar(&bytes[..]));
    let overlay = Overlay::new(vec![applied.layer, lower.layer.clone()]).unwrap();
    let plain = |tree: &dyn Tree| -> Vec<_> {
        all(tree).into_iter().map(|(entry, content)| (Entry { mtime: (0, 0), ..entry }, content)).collect()
    };
    same(&plain(staged), &plain(&overlay));
}

type Scenario = (&'static str, fn(&mut Staged));

const SCENARIOS: [Scenario; 9] = [
    ("nothing", |_| ()),
    ("a package through linked folders", |staged| {
        other(staged, "lib", Kind::Directory).unwrap();
        other(staged, "usr/lib", Kind::Directory).unwrap();
        assert_eq!(file(staged, "lib/libx.so", "new library").unwrap(), "/usr/lib/libx.so");
        assert_eq!(file(staged, "abs/liby.so", &"y".repeat(300_000)).unwrap(), "/usr/lib/liby.so");
        assert_eq!(file(staged, "up/a/b/libz.so", "z").unwrap(), "/usr/lib/a/b/libz.so");
        other(staged, "lib/liby.so.1", link("liby.so")).unwrap();
    }),
    ("names over names", |staged| {
        file(staged, "etc/link", "a file now").unwrap();
        other(staged, "full/a", link("/etc/conf")).unwrap();
        other(staged, "etc/pipe", Kind::Fifo).unwrap();
        other(staged, "etc/sda", Kind::Block { major: 8, minor: 0 }).unwrap();
        file(staged, "etc/pipe", "no pipe").unwrap();
        file(staged, "dev/null", "no device").unwrap();
    }),
    ("hardlinks", |staged| {
        file(staged, "usr/bin/one", "many names").unwrap();
        other(staged, "usr/bin/two", hardlink("usr/bin/one")).unwrap();
        other(staged, "etc/before", hardlink("usr/bin/two")).unwrap();
        other(staged, "var/of-lower", hardlink("lib/libx.so")).unwrap();
        other(staged, "usr/lib/a-first", hardlink("usr/lib/libx.so")).unwrap();
        // A file that is replaced keeps its other names.
        file(staged, "usr/bin/one", "alone").unwrap();
    }),
    ("removals", |staged| {
        for (at, was) in
            [("full/deep/b", true), ("full/deep", true), ("full/none", false), ("lib/no/x", false)]
        {
            assert_eq!(staged.remove(&path(at)).unwrap(), was, "{at}");
        }
        assert!(staged.remove(&path("abs/libx.so")).unwrap());
        assert!(staged.remove(&path("etc/link")).unwrap());
        assert!(!staged.remove(&path("etc/link")).unwrap());
        assert!(staged.remove(&path("full")).unwrap_err().to_string().contains("not empty"));
    }),
    ("a folder made anew hides what was there", |staged| {
        for at in ["full/deep/b", "full/deep", "full/a", "full"] {
            assert!(staged.remove(&path(at)).unwrap(), "{at}");
        }
        file(staged, "full/deep/c", "c").unwrap();
        assert_eq!(text(staged, "full/deep/b"), None);
    }),
    ("a folder in a link's place", |staged| {
        assert!(staged.remove(&path("lib")).unwrap());
        other(staged, "lib", Kind::Directory).unwrap();
        assert_eq!(text(staged, "lib/libx.so"), None);
        file(staged, "lib/other", "x").unwrap();
    }),
    ("what was added and removed again is no change", |staged| {
        file(staged, "new/folder/x", "x").unwrap();
        for at in ["new/folder/x", "new/folder", "new"] {
            assert!(staged.remove(&path(at)).unwrap());
        }
    }),
    ("files rewritten", |staged| {
        staged.write(&path("var/lib/db/status"), b"new status", 0o600).unwrap();
        staged.write(&path("etc/link"), b"through the link", 0o600).unwrap();
        staged.write(&path("var/lib/new/info"), &[b'x'; 10_000], 0o600).unwrap();
        assert_eq!(text(staged, "etc/conf").as_deref(), Some("through the link"));
        let look =
            |at: &str| staged.entry(&path(at), false).unwrap().map(|e| (e.mode, e.uid, e.gid)).unwrap();
        assert_eq!(look("etc/conf"), (0o640, 3, 4));
        assert_eq!(look("var/lib/new/info"), (0o600, 0, 0));
        assert_eq!(look("var/lib/new"), (0o755, 0, 0));
    }),
];

#[test]
fn the_view_and_the_layer_are_those_of_a_real_directory() {
    if !may_run() {
        return;
    }
    let lower = lower();
    for (name, scenario) in SCENARIOS {
        eprintln!("{name}");
        let mut staged = over(&lower);
        scenario(&mut staged);
        as_on_disk(&staged, &lower);
    }
    // All of them together, in one order that works.
    let mut staged = over(&lower);
    for index in [1, 3, 7, 8] {
        SCENARIOS[index].1(&mut staged);
    }
    as_on_disk(&staged, &lower);
}

#[test]
fn no_change_makes_an_empty_layer() {
    if !may_run() {
        return;
    }
    let lower = lower();
    for index in [0, 7] {
        let mut staged = over(&lower);
        SCENARIOS[index].1(&mut staged);
        let same = "usr/lib/libx.so";
        let known = staged.entry(&path(same), false).unwrap().unwrap();
        staged.put(known, Some(&mut &b"old library"[..])).unwrap();
        assert!(packed(&mut staged.changes(), &staged.lower()).0.is_empty());
    }
}

/// Made by hand as a program would in an upper directory, and not by us.
#[test]
fn the_same_changes_made_by_system_calls_pack_to_the_same_layer() {
    if !may_run() {
        return;
    }
    let lower = lower();
    let mut staged = over(&lower);
    let mut capable = entry("usr/bin/ping", Kind::File { size: 4 });
    capable.xattrs.insert(b"security.capability".to_vec(), CAPABILITY.to_vec());
    (capable.mode, capable.mtime) = (0o4755, (3_000, 5));
    staged.put(capable, Some(&mut &b"ping"[..])).unwrap();
    other(&mut staged, "bin/ping4", hardlink("usr/bin/ping")).unwrap();
    other(&mut staged, "lib/ping.so", link("../bin/ping")).unwrap();
    staged.remove(&path("etc/conf")).unwrap();
    staged.write(&path("var/lib/db/status"), b"new", 0o644).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for folder in ["bin", "usr/bin", "usr/lib", "etc", "var/lib/db"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::write(at("usr/bin/ping"), "ping").unwrap();
    fs::set_permissions(at("usr/bin/ping"), std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    let set = rustix::fs::setxattr;
    set(at("usr/bin/ping"), "security.capability", CAPABILITY, rustix::fs::XattrFlags::empty()).unwrap();
    fs::hard_link(at("usr/bin/ping"), at("bin/ping4")).unwrap();
    symlink("../bin/ping", at("usr/lib/ping.so")).unwrap();
    fs::write(at("var/lib/db/status"), "new").unwrap();
    std::os::unix::fs::chown(at("usr/lib"), Some(7), Some(8)).unwrap();
    fs::set_permissions(at("usr/lib"), std::os::unix::fs::PermissionsExt::from_mode(0o2775)).unwrap();
    let whiteout = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, at("etc/conf"), whiteout, rustix::fs::Mode::empty(), 0).unwrap();
    let times =
        [("bin", 0), ("usr", 0), ("usr/bin", 0), ("usr/lib", 0), ("etc", 0), ("var", 5), ("var/lib", 5)];
    for (name, seconds) in times.into_iter().chain([
        ("var/lib/db", 0),
        ("var/lib/db/status", 0),
        ("usr/bin/ping", 3_000),
        ("usr/lib/ping.so", 2_000),
    ]) {
        set_time(&at(name), seconds);
    }
    let made = LayerDir::new(File::open(dir.path()).unwrap().into(), Record::default(), Flavor::Native);
    let theirs = packed(&mut DirChanges::new(Arc::new(made)), &staged.lower());
    let ours = packed(&mut staged.changes(), &staged.lower());
    assert_eq!(ours.0, theirs.0);
    assert_eq!((ours.0.epoch, ours.0.removed), (3_000, 1));
}

fn set_time(at: &Path, seconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, at, &times, flags).unwrap();
}

#[test]
fn an_earlier_patch_is_the_start() {
    if !may_run() {
        return;
    }
    let lower = lower();
    let patch = Tar::default()
        .raw(head("usr/lib", b'5').owner(9, 9).mode(0o700), b"")
        .file("usr/lib/libx.so", "patched library")
        .hardlink("usr/lib/libx.so.1", "usr/lib/libx.so")
        .dir("lib")
        .file("lib/in-the-links-place", "x")
        .file("etc/.wh.conf", "")
        .file("full/.wh..wh..opq", "")
        .file("full/only", "this")
        .file("var/.wh.lib", "")
        .file(".wh.dangling", "")
        .end();
    let patch = unpacked(|extractor| extractor.tar(&patch[..]));
    let mut staged = over(&lower);
    staged.seed(&mut DirChanges::new(patch.layer.clone())).unwrap();
    let overlay = Overlay::new(vec![patch.layer.clone(), lower.layer.clone()]).unwrap();
    let shown = all(&overlay);
    // A folder that the patch does not describe shows there as the image has it.
    let undescribed: Vec<&[u8]> = vec![b"etc", b"full", b"usr", b"var"];
    let without = |entries: Vec<Thing>| -> Vec<_> {
        entries.into_iter().filter(|(e, _)| !undescribed.contains(&e.path.as_bytes())).collect()
    };
    same(&without(all(&staged)), &without(shown));
    as_on_disk(&staged, &lower);
    let theirs = packed(&mut DirChanges::new(patch.layer), &staged.lower());
    assert_eq!(packed(&mut staged.changes(), &staged.lower()).0, theirs.0);

    file(&mut staged, "var/lib/db/status", "made anew").unwrap();
    file(&mut staged, "lib/more", "x").unwrap();
    file(&mut staged, "usr/lib/libx.so", "once more").unwrap();
    assert_eq!(text(&staged, "usr/lib/libx.so.1").as_deref(), Some("patched library"));
    assert!(staged.remove(&path("full/only")).unwrap());
    as_on_disk(&staged, &lower);
}

#[test]
fn hostile_objects_are_refused_or_stay_inside() {
    if !may_run() {
        return;
    }
    let lower = lower();
    let long = "n".repeat(256);
    let deep = "d/".repeat(2_100) + "x";
    let size = Kind::File { size: 3 };
    let cases: Vec<(&str, Kind, Result<&str, &str>)> = vec![
        ("magic/etc/shadow", size.clone(), Ok("/proc/self/root/etc/shadow")),
        ("abs/../x", size.clone(), Err("leaves the root")),
        ("dangling/x", size.clone(), Ok("/nowhere/at/all/x")),
        ("lost/x", size.clone(), Err("leads through a folder that is not there")),
        ("loop-a/x", size.clone(), Err("too many levels")),
        ("loop-a", size.clone(), Ok("/loop-a")),
        ("loop-b", Kind::Directory, Err("too many levels")),
        ("dangling", Kind::Directory, Err("/dangling: is a link to no directory")),
        ("etc/conf/x", size.clone(), Err("/etc/conf is no directory")),
        ("etc/link/x", size.clone(), Err("/etc/conf is no directory")),
        ("etc/conf", Kind::Directory, Err("/etc/conf: is no directory")),
        ("etc/link", Kind::Directory, Err("/etc/link: is a link to no directory")),
        ("full", size.clone(), Err("/full: is a directory")),
        ("full", link("etc"), Err("/full: is a directory")),
        ("", size.clone(), Err("is a directory")),
        ("", Kind::Directory, Ok("/")),
        ("hard", hardlink("dev/null"), Err("no regular file")),
        ("hard", hardlink("full"), Err("no regular file")),
        ("hard", hardlink("etc/link"), Err("no regular file")),
        ("hard", hardlink("none"), Err("no regular file")),
        ("etc/conf", hardlink("etc/conf"), Err("to itself")),
        ("hard", hardlink("lib/libx.so"), Ok("/hard")),
        ("etc/.wh.conf", size.clone(), Err("stand for a removal")),
        ("etc/.wh.x/y", size.clone(), Err("stand for a removal")),
        ("dev/zero", Kind::Char { major: 0, minor: 0 }, Err("stand for a removal")),
        ("soft", link(""), Err("cannot be a path")),
        (&long, size.clone(), Err("name too long")),
        (&deep, size.clone(), Err("name too long")),
        ("short", Kind::File { size: 4 }, Err("1 bytes short")),
        ("large", Kind::File { size: u64::MAX }, Err("limit reached")),
    ];
    for (at, kind, want) in cases {
        let mut staged = over(&lower);
        let put = EntryPath::new(at.as_bytes()).and_then(|path| {
            let content: Option<&mut dyn Read> = Some(&mut &b"xyz"[..]);
            staged.put(Entry { path, ..entry("x", kind.clone()) }, content)
        });
        match (put.map(|path| path.to_string()).map_err(|error| error.to_string()), want) {
            (Ok(path), Ok(want)) => assert_eq!(path, want),
            (Err(error), Err(want)) => {
                assert!(error.contains(want) && error.len() < 5_000, "{at} {kind:?}: {error}");
            }
            (got, want) => panic!("{at} {kind:?}: {got:?}, not {want:?}"),
        }
        as_on_disk(&staged, &lower);
    }
}

#[test]
fn only_regular_files_are_written() {
    if !may_run() {
        return;
    }
    let lower = lower();
    for (at, want) in [
        ("full", Some("not a regular file")),
        ("dev/null", Some("not a regular file")),
        ("etc/conf/x", Some("not a regular file")),
        ("loop-a", Some("too many levels")),
        ("lost/x", Some("leads through")),
        ("etc/.wh.x", Some("stand for a removal")),
        ("dangling", None),
        ("abs/libx.so", None),
    ] {
        let mut staged = over(&lower);
        let wrote = staged.write(&path(at), b"text", 0o644).map_err(|error| error.to_string());
        match want {
            None => assert_eq!((wrote, text(&staged, at).as_deref()), (Ok(()), Some("text"))),
            Some(want) => assert!(wrote.as_ref().unwrap_err().contains(want), "{at}: {wrote:?}"),
        }
        as_on_disk(&staged, &lower);
    }
}

#[test]
fn limits_and_orders_to_stop_hold() {
    let empty = || Staged::over(Arc::new(Empty) as Arc<dyn Tree>, tempfile::tempfile().unwrap());
    let mut few = empty().within(Limits { entries: 3, ..Limits::default() });
    file(&mut few, "a/b/c", "x").unwrap();
    assert!(matches!(file(&mut few, "a/b/d", "x"), Err(Error::Limit(_))));
    let mut small = empty().within(Limits { unpacked_bytes: 10, ..Limits::default() });
    file(&mut small, "a", "123456").unwrap();
    assert!(matches!(file(&mut small, "a", "12345"), Err(Error::Limit(_))));
    file(&mut small, "a", "1234").unwrap();
    let mut stopped = empty().stopped_by(|| true);
    assert!(matches!(file(&mut stopped, "a", "x"), Err(Error::Cancelled)));
    let mut seeded = empty().stopped_by(|| true);
    assert!(matches!(seeded.seed(&mut small.changes()), Err(Error::Cancelled)));
}

#[test]
fn copies_and_changes_stay_as_they_were() {
    fn for_another_thread(_: &(impl Send + 'static)) {}
    let mut staged = Staged::over(Arc::new(Empty) as Arc<dyn Tree>, tempfile::tempfile().unwrap());
    let large = "l".repeat(100_000);
    file(&mut staged, "large", &large).unwrap();
    file(&mut staged, "small", "one").unwrap();
    let (before, mut changes) = (staged.clone(), staged.changes());
    for_another_thread(&before);
    for_another_thread(&changes);
    file(&mut staged, "large", &"m".repeat(100_000)).unwrap();
    file(&mut staged, "small", "two").unwrap();
    staged.remove(&path("small")).unwrap();
    assert_eq!(text(&before, "large"), Some(large));
    assert_eq!(text(&before, "small").as_deref(), Some("one"));
    let mut seen = Vec::new();
    let visit = &mut |change: Change<'_>| {
        if let Change::Set(entry, Some(content)) = change {
            let mut text = String::new();
            content.read_to_string(&mut text).unwrap();
            seen.push((entry.path.to_string(), text.len()));
        }
        Ok(())
    };
    changes.walk(visit).unwrap();
    assert_eq!(seen, [("/large".to_owned(), 100_000), ("/small".to_owned(), 3)]);
}

/// A tree of nothing.
struct Empty;

impl Tree for Empty {
    fn entry(&self, at: &EntryPath, _: bool) -> Result<Option<Entry>, Error> {
        Ok(at.is_root().then(|| entry("", Kind::Directory)))
    }

    fn open(&self, path: &EntryPath) -> Result<Box<dyn Read + Send>, Error> {
        Err(Error::Entry { path: path.clone(), why: "no such file".into() })
    }

    fn list(&self, _: &EntryPath, _: usize) -> Result<Vec<Vec<u8>>, Error> {
        Ok(Vec::new())
    }
}
