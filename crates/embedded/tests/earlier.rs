//! The parts of an opened image: its base alone, and what an earlier patch changed of it, as a run begins on it.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use engine::{Context, Root};
use layer::{Changes, EntryPath, PackOptions, Packed, Staged, Tree, pack};
use support::{Bed, Files, in_each_mode, recipe};

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

fn base() -> Files {
    Files::guest()
        .folder("/srv", 0o711)
        .folder("/srv/mail", 0o2775)
        .owner(5, 8)
        .folder("/full", 0o755)
        .file("/full/a", 0o644, b"a")
        .file("/etc/a", 0o644, b"base")
        .file("/etc/gone", 0o644, b"x")
        .link("/lib", "etc")
}

/// Describes some folders and not others.
fn patch() -> Files {
    Files::default()
        .folder("/etc", 0o755)
        .file("/etc/a", 0o640, b"patched")
        .owner(33, 44)
        .file("/etc/.wh.gone", 0o644, b"")
        .file("/srv/mail/new", 0o644, b"new")
        .file("/full/.wh..wh..opq", 0o644, b"")
        .file("/.wh.lib", 0o644, b"")
}

fn again() -> Files {
    Files::default()
        .file("/etc/a", 0o644, b"patched again")
        .file("/etc/gone", 0o600, b"back")
        .file("/srv/.wh.mail", 0o644, b"")
        .folder("/full", 0o700)
        .file("/full/b", 0o644, b"b")
}

fn packed(changes: &mut dyn Changes, base: &dyn Tree) -> Packed {
    let options = PackOptions {
        excluded: &|_| false,
        source_date_epoch: None,
        run_window: (0, 0),
        compression: oci::media_type::Compression::None,
        level: None,
        threads: 1,
        cancel: &|| false,
    };
    pack(changes, base, &options, &mut std::io::sink()).unwrap()
}

#[test]
fn an_earlier_patch_is_read_as_a_run_begins_on_it() {
    in_each_mode("an_earlier_patch_is_read_as_a_run_begins_on_it", || {
        let bed = Bed::new();
        for layers in [vec![base(), patch()], vec![base(), patch(), again()], vec![base(), again()]] {
            let mut root = bed.open_patched(&layers, 1).unwrap();
            let (below, mut earlier) = (root.base().unwrap(), root.earlier().unwrap().unwrap());
            let mut run = bed.block_on(root.run(&recipe(vec![]), &Context::silent())).unwrap();
            let begun = packed(run.changes.as_mut(), run.base.as_ref());
            assert!(!begun.is_empty());
            assert_eq!(packed(earlier.as_mut(), below.as_ref()), begun, "{} layers", layers.len());
        }
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn parts_outlive_the_image_that_they_are_of() {
    in_each_mode("parts_outlive_the_image_that_they_are_of", || {
        let bed = Bed::new();
        let root = bed.open_patched(&[base(), patch()], 1).unwrap();
        let (below, mut earlier) = (root.base().unwrap(), root.earlier().unwrap().unwrap());
        let shown = |root: &dyn Root| root.tree().list(&path("/etc"), 100).unwrap();
        let names = shown(root.as_ref());
        drop(root);
        assert_eq!(below.read(&path("/lib/a"), 100).unwrap().as_deref(), Some(&b"base"[..]));
        let mut staged = Staged::over(below, tempfile::tempfile().unwrap());
        staged.seed(earlier.as_mut()).unwrap();
        assert_eq!(staged.list(&path("/etc"), 100).unwrap(), names);
        let look = |at: &str| staged.entry(&path(at), false).unwrap().map(|e| (e.mode, e.uid, e.gid));
        assert_eq!(look("/etc/a"), Some((0o640, 33, 44)));
        assert_eq!(look("/srv/mail"), Some((0o2775, 5, 8)), "as the base describes it");
        assert_eq!((look("/lib"), look("/full/a"), look("/etc/gone")), (None, None, None));
    });
}

#[test]
fn an_image_without_an_earlier_patch_is_all_base() {
    in_each_mode("an_image_without_an_earlier_patch_is_all_base", || {
        let bed = Bed::new();
        let root = bed.open(&[base(), patch()]).unwrap();
        assert!(root.earlier().unwrap().is_none());
        let patched = root.base().unwrap().read(&path("/etc/a"), 100).unwrap();
        assert_eq!(patched.as_deref(), Some(&b"patched"[..]));
        let hiding = Files::default().file("/.wh..wh..opq", 0o644, b"");
        let root = bed.open_patched(&[base(), hiding], 1).unwrap();
        let error = root.earlier().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("hides the whole image"), "{error}");
    });
}
