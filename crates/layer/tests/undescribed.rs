//! Folders that a layer uses without describing them: they look as a layer below says, in our tree, in overlayfs with what
//! [`Overlay::inherited`] puts on top, and in what is packed.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod dsl;

use dsl::{Tar, head};
use layer::{
    Change, Changes, DirChanges, Entry, EntryPath, Error, Extractor, Flavor, Kind, LayerDir, Limits, Overlay,
    PackOptions, Packed, Record, Tree, pack,
};
use oci::media_type::Compression;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// Mode, owner, group.
type Look = (u32, u32, u32);
/// Of a folder that no layer describes.
const PLAIN: Look = (0o755, 0, 0);
/// The kind of layer directory, and the option that overlayfs is mounted with for it.
const FLAVORS: [(Flavor, &str); 2] = [(Flavor::Native, ""), (Flavor::UserNamespace, ",userxattr")];

fn may_run() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("skipped: needs root to set owners");
    }
    root
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

trait Folder {
    fn folder(self, name: &str, look: Look) -> Self;
}

impl Folder for Tar {
    fn folder(self, name: &str, (mode, uid, gid): Look) -> Self {
        self.raw(head(name, b'5').mode(mode).owner(uid, gid), b"")
    }
}

/// Described once, below; the root too.
fn low() -> Tar {
    Tar::default()
        .folder("./", (0o751, 0, 3))
        .folder("tmp", (0o1777, 0, 0))
        .folder("root", (0o700, 0, 0))
        .file("root/.profile", "low")
        .folder("var", (0o755, 0, 0))
        .folder("var/mail", (0o2775, 0, 8))
        .folder("opaque", (0o710, 5, 6))
        .file("opaque/hidden", "low")
        .folder("anew", (0o710, 5, 6))
        .folder("anew/in", (0o711, 5, 6))
        .folder("again", (0o710, 5, 6))
        .folder("twice", (0o700, 1, 1))
        .folder("linked", (0o700, 1, 1))
        .folder("elsewhere", (0o750, 2, 2))
}

/// Uses all of that; only `twice` is described again.
fn middle() -> Tar {
    Tar::default()
        .file("tmp/x", "x")
        .file("root/.bashrc", "x")
        .file("var/mail/root", "x")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/shown", "x")
        .file(".wh.anew", "")
        .file("anew/in/x", "x")
        .file("again/x", "x")
        .file(".wh.again", "")
        .file("new/deep/x", "x")
        .file("twice/x", "x")
        .folder("twice", (0o770, 2, 2))
        .file("linked/x", "x")
        .file("elsewhere/x", "x")
}

/// Once more on top, and one folder gone behind a link.
fn top() -> Tar {
    Tar::default().file("tmp/y", "y").file("twice/y", "y").file("new/y", "y").symlink("linked", "elsewhere")
}

const LOOKS: [(&str, Look); 12] = [
    ("", (0o751, 0, 3)),
    ("tmp", (0o1777, 0, 0)),
    ("root", (0o700, 0, 0)),
    ("var/mail", (0o2775, 0, 8)),
    ("opaque", (0o710, 5, 6)),
    ("anew", PLAIN),
    ("anew/in", PLAIN),
    ("again", PLAIN),
    ("new", PLAIN),
    ("new/deep", PLAIN),
    ("twice", (0o770, 2, 2)),
    ("elsewhere", (0o750, 2, 2)),
];

/// A layer unpacked, its record through the form that it is kept in.
fn unpacked(work: &Path, name: &str, flavor: Flavor, fill: impl FnOnce(&mut Extractor<'_>)) -> Arc<LayerDir> {
    let at = work.join(name);
    fs::create_dir(&at).unwrap();
    let open = || fs::File::open(&at).unwrap().into();
    let mut extractor = Extractor::new(open(), flavor, Limits::default(), &|| false);
    fill(&mut extractor);
    let mut text = Vec::new();
    extractor.finish().unwrap().record.write(&mut text).unwrap();
    Arc::new(LayerDir::new(open(), Record::read(&text[..]).unwrap(), flavor))
}

/// The three layers in folders of these names, topmost first.
fn stack(work: &Path, flavor: Flavor) -> Vec<Arc<LayerDir>> {
    let layers = [("top", top()), ("middle", middle()), ("low", low())];
    layers.map(|(name, tar)| unpacked(work, name, flavor, |e| e.tar(&tar.end()[..]).unwrap())).into()
}

struct Made(Vec<Entry>);

impl Changes for Made {
    fn walk(&mut self, visit: &mut dyn FnMut(Change<'_>) -> Result<(), Error>) -> Result<(), Error> {
        self.0.iter().try_for_each(|entry| visit(Change::Set(entry.clone(), None)))
    }
}

/// A difference that has the root and the inherited folders in it.
fn upper(work: &Path, flavor: Flavor, tree: &Overlay) -> Arc<LayerDir> {
    let root = tree.entry(&EntryPath::root(), false).unwrap();
    let folders = root.into_iter().chain(tree.inherited().unwrap()).collect();
    unpacked(work, "upper", flavor, |e| e.changes(&mut Made(folders)).unwrap())
}

fn look(entry: &Entry) -> Look {
    (entry.mode, entry.uid, entry.gid)
}

#[test]
fn a_folder_looks_as_the_next_layer_that_describes_it_says() {
    if !may_run() {
        return;
    }
    for (flavor, _) in FLAVORS {
        let work = tempfile::tempdir().unwrap();
        let tree = Overlay::new(stack(work.path(), flavor)).unwrap();
        for (name, want) in LOOKS {
            let entry = tree.entry(&path(name), false).unwrap().unwrap();
            assert_eq!((look(&entry), entry.kind), (want, Kind::Directory), "{name}");
            assert_eq!(entry.mtime.0, if want == PLAIN { 0 } else { 5 }, "{name}");
        }
        assert_eq!(tree.entry(&path("opaque/hidden"), false).unwrap(), None);
        assert_eq!(tree.read(&path("opaque/shown"), 9).unwrap().unwrap(), b"x");
        let inherited: Vec<String> =
            tree.inherited().unwrap().iter().map(|entry| entry.path.to_string()).collect();
        assert_eq!(
            inherited,
            ["/elsewhere", "/opaque", "/root", "/tmp", "/twice", "/var", "/var/mail"],
            "neither what is made anew, nor what nobody describes, nor what is behind a link now"
        );
    }
}

#[test]
fn a_layer_alone_has_plain_folders_and_inherits_nothing() {
    if !may_run() {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let alone = unpacked(work.path(), "alone", Flavor::Native, |e| e.tar(&middle().end()[..]).unwrap());
    let tree = Overlay::new(vec![alone]).unwrap();
    for name in ["", "tmp", "root", "var/mail", "opaque"] {
        assert_eq!(look(&tree.entry(&path(name), false).unwrap().unwrap()), PLAIN, "{name}");
    }
    assert_eq!(tree.inherited().unwrap(), []);
}

#[test]
fn overlayfs_shows_the_same_with_the_inherited_folders_on_top() {
    if !may_run() {
        return;
    }
    for (flavor, option) in FLAVORS {
        let work = tempfile::tempdir().unwrap();
        // Overlayfs does not take a folder on another overlay as its upper.
        let on = |name: &str| work.path().join(name);
        [on("memory"), on("merged")].iter().for_each(|at| fs::create_dir(at).unwrap());
        if !mounted(&["-t", "tmpfs", "tmpfs"], &on("memory")) {
            eprintln!("skipped: cannot mount a filesystem in memory");
            return;
        }
        let compared = std::panic::catch_unwind(|| compare(&on("memory"), &on("merged"), flavor, option));
        unmount(&on("memory"));
        assert!(compared.unwrap().is_none_or(|paths| paths > 15));
    }
}

fn mounted(args: &[&str], at: &Path) -> bool {
    Command::new("mount").args(args).arg(at).output().is_ok_and(|done| done.status.success())
}

fn unmount(at: &Path) {
    assert!(Command::new("umount").arg(at).status().unwrap().success());
}

/// Mounts the layers with the upper on them, and compares every path; how many, or `None` where it cannot be mounted.
fn compare(work: &Path, merged: &Path, flavor: Flavor, option: &str) -> Option<usize> {
    let layers = stack(work, flavor);
    let tree = Overlay::new(layers.clone()).unwrap();
    let upper = upper(work, flavor, &tree);
    fs::create_dir(work.join("work")).unwrap();
    let [top, middle, low, up, at] =
        ["top", "middle", "low", "upper", "work"].map(|n| work.join(n).to_str().unwrap().to_owned());
    let options = format!("lowerdir={top}:{middle}:{low},upperdir={up},workdir={at}{option}");
    if !mounted(&["-t", "overlay", "overlay", "-o", &options], merged) {
        eprintln!("skipped: cannot mount overlayfs with \"{option}\"");
        return None;
    }
    let compared = std::panic::catch_unwind(|| {
        for (name, want) in LOOKS {
            let shown = fs::metadata(merged.join(name)).unwrap();
            assert_eq!((shown.mode() & 0o7777, shown.uid(), shown.gid()), want, "{name}");
        }
        same_as_on_disk(&tree, merged)
    });
    // A step that only looks in and puts something into a folder.
    let written = fs::write(merged.join("root/.new"), "new");
    unmount(merged);
    written.unwrap();
    assert_eq!(packed(upper, &tree), ["/root", "/root/.new"]);
    Some(compared.unwrap())
}

fn same_as_on_disk(tree: &Overlay, at: &Path) -> usize {
    let on_disk = |path: &EntryPath| -> PathBuf { at.join(std::str::from_utf8(path.as_bytes()).unwrap()) };
    let (mut folders, mut compared) = (vec![EntryPath::root()], 0);
    while let Some(folder) = folders.pop() {
        let names = fs::read_dir(on_disk(&folder)).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_encoded_bytes()).collect();
        names.sort();
        assert_eq!(tree.list(&folder, 100).unwrap(), names, "{folder}");
        let below = names.iter().map(|name| folder.join(name).unwrap());
        for path in below.chain([folder.clone()]) {
            let ours = tree.entry(&path, false).unwrap().unwrap();
            let theirs = on_disk(&path).symlink_metadata().unwrap();
            let shown = (theirs.mode() & 0o7777, theirs.uid(), theirs.gid());
            assert_eq!((look(&ours), ours.mtime.0), (shown, theirs.mtime()), "{path}");
            if theirs.is_dir() && path != folder {
                folders.push(path);
            }
            compared += 1;
        }
    }
    compared
}

/// The paths of the layer packed from a difference; what overlayfs took along must be as below.
fn packed(changes: Arc<LayerDir>, base: &dyn Tree) -> Vec<String> {
    let options = PackOptions {
        excluded: &|_| false,
        source_date_epoch: None,
        run_window: (0, 0),
        compression: Compression::None,
        level: None,
        threads: 1,
        cancel: &|| false,
    };
    let mut tar = Vec::new();
    let packed: Packed = pack(&mut DirChanges::new(changes), base, &options, &mut tar).unwrap();
    let mut reader = layer::TarReader::new(&tar[..], &Limits::default());
    while let Some(entry) = reader.next_entry().unwrap() {
        if entry.kind == Kind::Directory {
            assert_eq!(look(&entry), look(&base.entry(&entry.path, false).unwrap().unwrap()), "{entry:?}");
        }
    }
    packed.sample.iter().map(ToString::to_string).collect()
}

#[test]
fn inherited_folders_alone_pack_to_nothing() {
    if !may_run() {
        return;
    }
    for (flavor, _) in FLAVORS {
        let work = tempfile::tempdir().unwrap();
        let tree = Overlay::new(stack(work.path(), flavor)).unwrap();
        let upper = upper(work.path(), flavor, &tree);
        let mut folders = 0;
        let count = &mut |_: Change<'_>| {
            folders += 1;
            Ok(())
        };
        DirChanges::new(Arc::clone(&upper)).walk(count).unwrap();
        assert_eq!(folders, 7);
        assert_eq!(packed(upper, &tree), [""; 0]);
    }
}

/// Layers without removals, which it knows nothing of, one after another into one folder.
#[test]
fn gnu_tar_leaves_such_folders_as_they_are_too() {
    let gnu =
        Command::new("tar").arg("--version").output().is_ok_and(|o| o.stdout.starts_with(b"tar (GNU tar)"));
    if !gnu || !may_run() {
        eprintln!("skipped: needs GNU tar and root");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let at = work.path().join("at");
    fs::create_dir(&at).unwrap();
    let used = Tar::default().file("tmp/x", "x").file("root/.bashrc", "x").file("var/mail/root", "x");
    let mut layers = Vec::new();
    for (name, tar) in [("first", low()), ("second", used)] {
        let tar = tar.end();
        let archive = work.path().join(format!("{name}.tar"));
        fs::write(&archive, &tar).unwrap();
        let mut unpack = Command::new("tar");
        unpack.args(["--same-owner", "-p", "--numeric-owner", "-C"]).arg(&at).arg("-xf").arg(&archive);
        assert!(unpack.status().unwrap().success());
        layers.insert(0, unpacked(work.path(), name, Flavor::Native, |e| e.tar(&tar[..]).unwrap()));
    }
    let tree = Overlay::new(layers).unwrap();
    for name in ["tmp", "root", "var", "var/mail", "opaque", "tmp/x", "root/.bashrc"] {
        let (ours, theirs) = (tree.entry(&path(name), false).unwrap().unwrap(), fs::metadata(at.join(name)));
        let theirs = theirs.unwrap();
        assert_eq!(look(&ours), (theirs.mode() & 0o7777, theirs.uid(), theirs.gid()), "{name}");
    }
}
