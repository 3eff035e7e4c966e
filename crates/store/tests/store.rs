//! The store under faults: wrong blobs, killed runs, full disks, other runs, files changed behind its back.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use layer::{Entry, EntryPath, Flavor, Kind, Limits, Overlay, TarWriter, Tree};
use oci::{DiffId, Digest, media_type::Compression};
use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant, SystemTime},
};
use store::{AddOptions, BlobSpec, Error, PruneOptions, Store, StoreOptions};

struct Fixture {
    blob: Vec<u8>,
    spec: BlobSpec,
    diff_id: DiffId,
}

/// A gzip layer with one file of this content.
fn layer(content: &[u8]) -> Fixture {
    let mut tar = TarWriter::new(Vec::new());
    let path = EntryPath::new(b"dir/file").unwrap();
    let kind = Kind::File { size: content.len() as u64 };
    let entry = Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: (5, 0), xattrs: Default::default() };
    tar.entry(&entry, Some(&mut { content })).unwrap();
    let tar = tar.finish().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&tar).unwrap();
    let blob = gz.finish().unwrap();
    let spec =
        BlobSpec { digest: Digest::of(&blob), size: blob.len() as u64, compression: Compression::Gzip };
    Fixture { blob, spec, diff_id: DiffId(Digest::of(&tar)) }
}

fn open(dir: &Path) -> Store {
    Store::open(StoreOptions { dir: dir.join("store"), flavor: Flavor::Native, size_max: None }).unwrap()
}

fn options<'a>() -> AddOptions<'a> {
    AddOptions { limits: Limits::default(), keep_blob: true, cancel: &|| false, progress: &|_| () }
}

fn add(store: &Store, fixture: &Fixture) -> Result<store::StoredLayer, Error> {
    store.add_layer(&fixture.spec, &fixture.diff_id, &fixture.blob[..], &options())
}

fn read_file(layer: &store::StoredLayer) -> Vec<u8> {
    let tree = Overlay::new(vec![layer.layer_dir().unwrap()]).unwrap();
    tree.read(&EntryPath::new(b"dir/file").unwrap(), 1 << 30).unwrap().unwrap()
}

/// Names of all that a store holds.
fn remains(store: &Store) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["layers/native", "blobs", "tmp"] {
        for entry in fs::read_dir(store.dir().join(folder)).unwrap() {
            found.push(format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    found
}

/// Whether the calling test can run; says so where it cannot.
fn can_set_owners() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("skipped: needs root to set owners");
    }
    root
}

#[test]
fn a_layer_goes_in_and_is_found_again() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let fixture = layer(b"hello");
    assert!(store.layer(&fixture.diff_id).unwrap().is_none());
    let arrived = std::cell::Cell::new(0);
    let progress = |bytes| arrived.set(bytes);
    let options = AddOptions { progress: &progress, ..options() };
    let added = store.add_layer(&fixture.spec, &fixture.diff_id, &fixture.blob[..], &options).unwrap();
    assert_eq!(read_file(&added), b"hello");
    assert_eq!((added.meta().entries, added.meta().unpacked_bytes, arrived.get()), (1, 5, fixture.spec.size));
    drop(added);
    let store = open(dir.path());
    assert_eq!(read_file(&store.layer(&fixture.diff_id).unwrap().unwrap()), b"hello");
    let mut blob = Vec::new();
    store.blob(&fixture.spec.digest).unwrap().unwrap().file.read_to_end(&mut blob).unwrap();
    assert_eq!(blob, fixture.blob);
    assert_eq!(store.usage().unwrap().layers, 5);
    store.settle().unwrap();
    assert!(store.layer(&fixture.diff_id).unwrap().is_some());
}

#[test]
fn what_is_not_what_it_claims_leaves_nothing() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let good = layer(b"hello");
    let other = layer(b"other content");
    let mut flipped = good.blob.clone();
    flipped[20] ^= 1;
    let spec = |size| BlobSpec { size, ..good.spec.clone() };
    let long = [&good.blob[..], b"trailing"].concat();
    for (case, blob, spec, diff_id) in [
        ("flipped", &flipped, good.spec.clone(), &good.diff_id),
        ("other diff id", &good.blob, good.spec.clone(), &other.diff_id),
        ("declared larger", &good.blob, spec(good.spec.size + 1), &good.diff_id),
        ("declared far too large", &good.blob, spec(u64::MAX), &good.diff_id),
        ("declared smaller", &good.blob, spec(good.spec.size - 1), &good.diff_id),
        ("trailing bytes", &long, good.spec.clone(), &good.diff_id),
        ("another blob", &other.blob, good.spec.clone(), &good.diff_id),
    ] {
        let error = store.add_layer(&spec, diff_id, &blob[..], &options()).unwrap_err();
        let Error::Layer { source: layer::Error::Verification(_), .. } = &error else {
            panic!("{case}: {error:?}")
        };
        assert!(error.to_string().contains(good.spec.digest.as_str()), "{case}: {error}");
        assert_eq!(remains(&store), [""; 0], "{case}");
    }
    assert!(add(&store, &good).is_ok());
}

#[test]
fn cancelling_leaves_nothing() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let fixture = layer(&vec![1; 3 << 20]);
    let options = AddOptions { cancel: &|| true, ..options() };
    let outcome = store.add_layer(&fixture.spec, &fixture.diff_id, &fixture.blob[..], &options);
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert_eq!(remains(&store), [""; 0]);
}

#[test]
fn what_a_killed_run_left_is_collected() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let alive = store.temp_dir().unwrap();
    let dead = store.dir().join("tmp/4711-0");
    fs::create_dir_all(dead.join("layer/root/a")).unwrap();
    fs::set_permissions(dead.join("layer/root/a"), fs::Permissions::from_mode(0o0)).unwrap();
    let fixture = layer(b"hello");
    let half = store.dir().join("layers/native").join(fixture.diff_id.0.hex());
    fs::create_dir_all(half.join("root")).unwrap();

    let again = open(dir.path());
    assert!(!dead.exists() && alive.path().exists());
    assert!(again.layer(&fixture.diff_id).unwrap().is_none(), "a layer without its note is none");
    assert!(!half.exists());
    drop(alive);
    assert!(remains(&again).iter().all(|name| !name.starts_with("tmp/")));
}

#[test]
fn a_damaged_note_or_another_boot_unpacks_anew() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let fixture = layer(b"hello");
    let meta = add(&store, &fixture).unwrap().root_path().parent().unwrap().join("meta.json");
    let note = fs::read_to_string(&meta).unwrap();
    let other_boot = note.replace("\"boot\":\"", "\"boot\":\"x");
    let other_format = note.replace("\"format\":", "\"format\":9");
    for damaged in ["", "{", &other_boot, &other_format] {
        assert_ne!(damaged, note);
        fs::write(&meta, damaged).unwrap();
        assert!(store.layer(&fixture.diff_id).unwrap().is_none(), "{damaged}");
        drop(add(&store, &fixture).unwrap());
        fs::write(&meta, damaged).unwrap();
        assert_eq!(read_file(&add(&store, &fixture).unwrap()), b"hello", "{damaged}");
    }
    store.settle().unwrap();
    let settled = fs::read_to_string(&meta).unwrap().replace("\"boot\":\"", "\"boot\":\"x");
    fs::write(&meta, settled).unwrap();
    assert!(store.layer(&fixture.diff_id).unwrap().is_some(), "what has reached the disk outlives a boot");
}

#[test]
fn many_runs_download_once() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let fixture = layer(&vec![3; 1 << 20]);
    let downloads = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let store = open(dir.path());
                let _lock = store.lock_layer(&fixture.diff_id, &|| false).unwrap();
                let layer = match store.layer(&fixture.diff_id).unwrap() {
                    Some(layer) => layer,
                    None => {
                        downloads.fetch_add(1, Ordering::Relaxed);
                        add(&store, &fixture).unwrap()
                    }
                };
                assert_eq!(read_file(&layer).len(), 1 << 20);
            });
        }
    });
    assert_eq!(downloads.into_inner(), 1);
}

#[test]
fn without_the_lock_all_are_right() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let fixture = layer(&vec![3; 1 << 20]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = open(dir.path());
                assert_eq!(read_file(&add(&store, &fixture).unwrap()).len(), 1 << 20);
            });
        }
    });
}

#[test]
fn a_lock_ends_with_its_holder_and_waiting_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = DiffId(Digest::of(b"x"));
    let lock = store.lock_layer(&id, &|| false).unwrap();
    let polls = AtomicUsize::new(0);
    let third = || polls.fetch_add(1, Ordering::Relaxed) > 2;
    assert!(matches!(store.lock_layer(&id, &third), Err(Error::Cancelled)));
    drop(lock);
    assert!(store.lock_layer(&id, &|| false).is_ok());
}

#[test]
fn a_lock_ends_with_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = DiffId(Digest::of(b"x"));
    drop(store.lock_layer(&id, &|| false).unwrap());
    let file = store.dir().join("locks").join(format!("native-{}", id.0.hex()));
    let Ok(mut holder) = Command::new("flock").arg("--no-fork").arg(&file).args(["sleep", "60"]).spawn()
    else {
        eprintln!("skipped: no flock program");
        return;
    };
    // Asked once, waiting is over at the second question.
    let taken = || store.lock_layer(&id, &asked_twice()).is_err();
    let since = Instant::now();
    while !taken() && since.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(taken());
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(store.lock_layer(&id, &asked_twice()).is_ok());
}

fn asked_twice() -> impl Fn() -> bool {
    let asked = std::cell::Cell::new(false);
    move || asked.replace(true)
}

#[test]
fn blobs_changed_behind_our_back_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let digest = Digest::of(b"content");
    let path = store.dir().join("blobs").join(digest.hex());
    let add = || store.add_blob(&b"content"[..], &digest, 7).unwrap();
    let keep_time = |change: &dyn Fn()| {
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        change();
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    };
    let flip = || keep_time(&|| fs::write(&path, b"c0ntent").unwrap());
    let cut = || fs::write(&path, b"").unwrap();
    let link = || {
        fs::remove_file(&path).unwrap();
        symlink("/etc/passwd", &path).unwrap();
    };
    let folder = || {
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
    };
    let changes: [(&str, &dyn Fn()); 4] =
        [("flipped", &flip), ("cut", &cut), ("link", &link), ("folder", &folder)];
    for (case, change) in changes {
        add();
        assert_eq!(store.blob(&digest).unwrap().unwrap().size, 7);
        change();
        assert!(store.blob(&digest).unwrap().is_none(), "{case}");
        assert!(path.symlink_metadata().is_err(), "{case}");
    }
    add();
    keep_time(&|| ());
    assert!(store.blob(&digest).unwrap().is_some(), "touched, but the same bytes");
    for (body, size) in [(&b"c0ntent"[..], 7), (b"content", 8), (b"content!", 7), (b"conten", 7)] {
        assert!(matches!(store.add_blob(body, &digest, size), Err(Error::Blob(_))));
    }
}

#[test]
fn a_replaced_layer_directory_is_not_followed() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let fixture = layer(b"hello");
    let path = store.dir().join("layers/native").join(fixture.diff_id.0.hex());
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("canary"), "x").unwrap();
    symlink(&outside, &path).unwrap();
    assert!(store.layer(&fixture.diff_id).unwrap().is_none());
    assert!(outside.join("canary").exists() && path.symlink_metadata().is_err());
}

#[test]
fn directories_of_others_and_links_are_refused() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        Store::open(StoreOptions { dir: dir.path().join(name), flavor: Flavor::Native, size_max: None })
    };
    fs::create_dir(dir.path().join("foreign")).unwrap();
    std::os::unix::fs::chown(dir.path().join("foreign"), Some(12345), None).unwrap();
    fs::create_dir(dir.path().join("open")).unwrap();
    fs::set_permissions(dir.path().join("open"), fs::Permissions::from_mode(0o777)).unwrap();
    symlink("/tmp", dir.path().join("link")).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for name in ["foreign", "open", "link", "file"] {
        let error = open(name).unwrap_err();
        assert!(matches!(error, Error::Unsafe { .. }) && error.to_string().contains(name), "{error}");
    }
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::set_permissions(dir.path().join("mine"), fs::Permissions::from_mode(0o755)).unwrap();
    open("mine").unwrap();
    assert_eq!(fs::metadata(dir.path().join("mine")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_full_disk_is_a_clean_error() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    fs::create_dir(&small).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&small).status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: cannot mount a small tmpfs");
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        let store = open(&small);
        let large = layer(&vec![9; 8 << 20]);
        let error = add(&store, &large).unwrap_err();
        let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(text.contains(small.to_str().unwrap()) && text.contains("/dir/file"), "{text}");
        assert!(text.contains("No space left"), "{text}");
        assert_eq!(remains(&store), [""; 0]);
        assert!(add(&store, &layer(b"fits")).is_ok());
    });
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    outcome.unwrap();
}

#[test]
fn pruning_keeps_what_is_used_named_or_young() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let fixtures: Vec<Fixture> = (1..=4u8).map(|n| layer(&vec![n; 1000])).collect();
    let mut held = Vec::new();
    for fixture in &fixtures {
        let options = AddOptions { keep_blob: false, ..options() };
        held.push(store.add_layer(&fixture.spec, &fixture.diff_id, &fixture.blob[..], &options).unwrap());
    }
    let all = PruneOptions { all: true, ..PruneOptions::default() };
    assert_eq!(store.prune(&all).unwrap().in_use, 4);
    held.truncate(1);
    let keep = PruneOptions { keep: vec![fixtures[1].diff_id.clone()], ..all.clone() };
    let pruned = store.prune(&keep).unwrap();
    assert_eq!((pruned.items, pruned.bytes, pruned.in_use), (2, 2000, 1));
    drop(held);
    assert!(store.layer(&fixtures[2].diff_id).unwrap().is_none());

    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    let old = PruneOptions { older_than: Some(long_ago), ..PruneOptions::default() };
    assert_eq!(store.prune(&old).unwrap().items, 0);
    let path = store.dir().join("layers/native").join(fixtures[0].diff_id.0.hex());
    fs::File::open(&path).unwrap().set_modified(long_ago - Duration::from_secs(1)).unwrap();
    assert_eq!(store.prune(&old).unwrap().items, 1);
    let size = PruneOptions { size_max: Some(999), ..PruneOptions::default() };
    assert_eq!(store.prune(&size).unwrap().items, 1);
    fs::create_dir(store.http_dir().join("a")).unwrap();
    fs::write(store.http_dir().join("a/object"), "12345").unwrap();
    assert_eq!(store.usage().unwrap().http, 5);
    assert_eq!(store.prune(&all).unwrap().bytes, 5);
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn adding_keeps_to_the_size_bound() {
    if !can_set_owners() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let options = AddOptions { keep_blob: false, ..options() };
    let bounded =
        StoreOptions { dir: dir.path().join("store"), flavor: Flavor::Native, size_max: Some(1500) };
    let store = Store::open(bounded).unwrap();
    for n in 1..=3u8 {
        let fixture = layer(&vec![n; 1000]);
        let added = store.add_layer(&fixture.spec, &fixture.diff_id, &fixture.blob[..], &options).unwrap();
        assert_eq!(read_file(&added), vec![n; 1000]);
    }
    assert_eq!(store.usage().unwrap().layers, 1000);
}

#[test]
fn several_runs_settle_at_once() {
    let fixture = layer(b"content");
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        drop(add(&store, &fixture).unwrap());
        let together = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let store = open(dir.path());
                    together.wait();
                    store.settle().unwrap();
                    assert!(store.layer(&fixture.diff_id).unwrap().is_some());
                });
            }
        });
    }
}
