//! One layer unpacked as root, in a user namespace with a range of ids, and in one with a single id: read back, it is the same
//! in all, and so is the layer packed from it.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod dsl;

use dsl::{Tar, head};
use layer::{
    Change, Changes, DirChanges, EntryPath, Extractor, Flavor, LayerDir, Limits, Overlay, PackOptions,
    Record, Tree, pack,
};
use oci::media_type::Compression;
use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const FLAVOR: &str = "LAYER_TEST_FLAVOR";

fn flavor() -> Flavor {
    match std::env::var(FLAVOR).as_deref() {
        Ok("range") => Flavor::UserNamespace,
        Ok("single") => Flavor::SingleId,
        _ => Flavor::Native,
    }
}

/// One of everything that some namespace cannot hold.
fn everything() -> Vec<u8> {
    let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    Tar::default()
        .raw(head("a", b'5').owner(33, 44).mode(0o2775), b"")
        .raw(head("a/file", b'0').owner(1, 2).mode(0o4755).size(3), b"abc")
        .hardlink_of("a/link", "a/file", (1, 2), 0o4755)
        .pax(&[("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.u", b"1")])
        .raw(head("a/ping", b'0').owner(0, 7).mode(0o755), b"")
        .pax(&[("SCHILY.xattr.trusted.t", b"2"), ("SCHILY.xattr.security.other", b"3")])
        .raw(head("a/trusted", b'0').mode(0o600), b"")
        .pax(&[("SCHILY.xattr.trusted.t", b"4")])
        .raw(head("a/symlink", b'2').link("file").owner(5, 6).mode(0o777), b"")
        .raw(head("dev/null", b'3').device(1, 3).mode(0o666), b"")
        .raw(head("dev/sda", b'4').device(8, 0).owner(0, 6).mode(0o660), b"")
        .raw(head("pipe", b'6').owner(9, 9).mode(0o620), b"")
        .raw(head("far", b'0').field(108, &[0x80, 0, 0, 0, 0x77, 0x35, 0x94, 0]).mode(0o644), b"")
        .raw(head("gone/.wh.x", b'0'), b"")
        .raw(head("hidden/.wh..wh..opq", b'0'), b"")
        .end()
}

trait HardlinkOf {
    fn hardlink_of(self, name: &str, target: &str, owner: (u32, u32), mode: u32) -> Self;
}

impl HardlinkOf for Tar {
    fn hardlink_of(self, name: &str, target: &str, owner: (u32, u32), mode: u32) -> Self {
        self.raw(head(name, b'1').link(target).owner(owner.0, owner.1).mode(mode), b"")
    }
}

fn lines(changes: &mut dyn Changes) -> Vec<String> {
    let mut lines = Vec::new();
    let visit = &mut |change: Change<'_>| {
        lines.push(match change {
            Change::Remove(path) => format!("gone {path}"),
            Change::Opaque(path) => format!("opaque {path}"),
            Change::Set(e, content) => {
                let mut text = String::new();
                content.map(|c| c.read_to_string(&mut text).unwrap());
                let xattrs: Vec<_> = e
                    .xattrs
                    .iter()
                    .map(|(k, v)| format!("{}={}", k.escape_ascii(), v.escape_ascii()))
                    .collect();
                format!(
                    "{} {:?} {:o} {}:{} {} {xattrs:?} {text}",
                    e.path, e.kind, e.mode, e.uid, e.gid, e.mtime.0
                )
            }
        });
        Ok(())
    };
    changes.walk(visit).unwrap();
    lines
}

fn expected() -> Vec<&'static str> {
    vec![
        "/a Directory 2775 33:44 5 [] ",
        "/a/file File { size: 3 } 4755 1:2 5 [] abc",
        "/a/link Hardlink { target: /a/file } 4755 1:2 5 [] abc",
        "/a/ping File { size: 0 } 755 0:7 5 [\"security.capability=\\\\x01\\\\x00\\\\x00\\\\x02\\\\x00\\\\x04\\\\x00\\\\x00\
         \\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\\\\x00\", \"user.u=1\"] ",
        "/a/symlink Symlink { target: [102, 105, 108, 101] } 777 5:6 5 [\"trusted.t=4\"] ",
        "/a/trusted File { size: 0 } 600 0:0 5 [\"security.other=3\", \"trusted.t=2\"] ",
        "/dev Directory 755 0:0 0 [] ",
        "/dev/null Char { major: 1, minor: 3 } 666 0:0 5 [] ",
        "/dev/sda Block { major: 8, minor: 0 } 660 0:6 5 [] ",
        "/far File { size: 0 } 644 2000000000:0 5 [] ",
        "/gone Directory 755 0:0 0 [] ",
        "gone /gone/x",
        "/hidden Directory 755 0:0 0 [] ",
        "opaque /hidden",
        "/pipe Fifo 620 9:9 5 [] ",
    ]
}

/// Runs under whatever flavor the environment says; see the test below.
#[test]
fn a_layer_reads_back_as_it_was() {
    wait_for_ids();
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("skipped: needs root, of a user namespace at least");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let open = || fs::File::open(work.path()).unwrap().into();
    let mut extractor = Extractor::new(open(), flavor(), Limits::default(), &|| false);
    extractor.tar(&everything()[..]).unwrap();
    let record = extractor.finish().unwrap().record;
    let mut of_namespaces = record.clone();
    for folder in ["", "dev", "gone", "hidden"] {
        let folder = EntryPath::new(folder.as_bytes()).unwrap();
        assert!(!record.describes(&folder), "{folder}");
        of_namespaces.describe(&folder);
    }
    assert_eq!(of_namespaces.is_empty(), flavor() == Flavor::Native);
    assert_eq!(of_namespaces.undescribed().count(), 0);
    let mut text = Vec::new();
    record.write(&mut text).unwrap();
    let layer = Arc::new(LayerDir::new(open(), Record::read(&text[..]).unwrap(), flavor()));
    assert_eq!(lines(&mut DirChanges::new(Arc::clone(&layer))), expected());

    let tree = Overlay::new(vec![Arc::clone(&layer)]).unwrap();
    let path = |text: &[u8]| EntryPath::new(text).unwrap();
    assert!(
        tree.open(&path(b"dev/null")).is_err() && tree.read(&path(b"dev/sda"), 10).is_err(),
        "never opened"
    );
    assert!(tree.read(&path(b"pipe"), 10).is_err(), "never waited for");
    assert_eq!(tree.read(&path(b"a/symlink"), 10).unwrap().unwrap(), b"abc");
    assert_eq!(tree.entry(&path(b"gone/x"), true).unwrap(), None);
    assert_eq!(pack_of(&layer), "sha256:249b94da3a942639c5f1004704009a373008cf1898b15b5a249624e53dbcb876");
    copied_up(&layer);
}

/// The difference copied into another directory, as an earlier patch is into an upper one.
fn copied_up(layer: &Arc<LayerDir>) {
    let work = tempfile::tempdir().unwrap();
    let open = || fs::File::open(work.path()).unwrap().into();
    let mut extractor = Extractor::new(open(), flavor(), Limits::default(), &|| false);
    extractor.changes(&mut DirChanges::new(Arc::clone(layer))).unwrap();
    let record = extractor.finish().unwrap().record;
    let copy = Arc::new(LayerDir::new(open(), record, flavor()));
    assert_eq!(lines(&mut DirChanges::new(copy)), expected());
}

fn pack_of(layer: &Arc<LayerDir>) -> String {
    let options = PackOptions {
        excluded: &|_| false,
        source_date_epoch: None,
        run_window: (100, 100),
        compression: Compression::None,
        level: None,
        threads: 1,
        cancel: &|| false,
    };
    let base = Overlay::new(Vec::new()).unwrap();
    let packed =
        pack(&mut DirChanges::new(Arc::clone(layer)), &base, &options, &mut std::io::sink()).unwrap();
    packed.diff_id.to_string()
}

/// Starts this test program in a new user namespace, to run the test above.
fn in_namespace(flavor: &str) -> Command {
    let mut command = Command::new("unshare");
    command.arg("--user").arg(std::env::current_exe().unwrap()).env(FLAVOR, flavor);
    command.args(["--exact", "a_layer_reads_back_as_it_was", "--nocapture"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Where the ids are not there yet, waits for them and starts anew, which gives the rights that belong to uid 0.
fn wait_for_ids() {
    let Some(flavor) = std::env::var(FLAVOR).ok().and_then(|f| Some(f.strip_prefix("wait:")?.to_owned()))
    else {
        return;
    };
    let since = Instant::now();
    while fs::metadata("/proc/self").unwrap().uid() != 0 && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    panic!("{}", again.args(std::env::args_os().skip(1)).env(FLAVOR, flavor).exec());
}

fn map_ids(child: u32, count: u32) -> std::io::Result<()> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user"));
    let since = Instant::now();
    while namespace(&child.to_string())? == namespace("self")? && since.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::write(format!("/proc/{child}/uid_map"), format!("0 0 {count}\n"))?;
    fs::write(format!("/proc/{child}/gid_map"), format!("0 0 {count}\n"))
}

#[test]
fn every_flavor_reads_back_the_same() {
    for (flavor, ids) in [("range", 65536), ("single", 1)] {
        let Ok(child) = in_namespace(&format!("wait:{flavor}")).spawn() else {
            eprintln!("skipped: no unshare program");
            return;
        };
        if let Err(error) = map_ids(child.id(), ids) {
            eprintln!("skipped: cannot map ids in a user namespace: {error}");
            let _ = child.wait_with_output();
            continue;
        }
        let done = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(done.status.success() && text.contains("1 passed"), "{flavor}: {text}");
        assert!(!text.contains("skipped: "), "{flavor}: {text}");
    }
}
