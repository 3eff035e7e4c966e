//! Folders that a layer uses without describing them: steps see them as the layers below say, and no step's change says otherwise.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use engine::{Context, Run};
use layer::{EntryPath, PackOptions, pack};
use support::{Bed, Files, changed, guest, in_each_mode_and_user, recipe, text};

/// Path, mode, owner, group.
const LOOKS: [(&str, u32, u32, u32); 5] = [
    ("/tmp", 0o1777, 0, 0),
    ("/root", 0o700, 0, 0),
    ("/srv/mail", 0o2775, 5, 8),
    ("/opaque", 0o750, 33, 44),
    ("/new", 0o755, 0, 0),
];

fn described() -> Files {
    Files::guest()
        .folder("/root", 0o700)
        .folder("/srv", 0o711)
        .folder("/srv/mail", 0o2775)
        .owner(5, 8)
        .folder("/opaque", 0o750)
        .owner(33, 44)
        .file("/opaque/hidden", 0o644, b"x")
}

fn using() -> Files {
    let mut files = Files::default().file("/opaque/.wh..wh..opq", 0o644, b"");
    for (folder, ..) in LOOKS {
        files = files.file(&format!("{folder}/used"), 0o644, b"x");
    }
    files
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

/// Paths of the layer that a run makes.
fn packed(run: &mut Run) -> Vec<String> {
    let options = PackOptions {
        excluded: &|_| false,
        source_date_epoch: None,
        run_window: run.window,
        compression: oci::media_type::Compression::None,
        level: None,
        threads: 1,
        cancel: &|| false,
    };
    let packed = pack(run.changes.as_mut(), run.base.as_ref(), &options, &mut std::io::sink()).unwrap();
    packed.sample.iter().map(ToString::to_string).collect()
}

/// Steps that say the modes of all folders.
fn modes() -> Vec<engine::Step> {
    LOOKS.map(|(folder, ..)| guest(&["mode", folder])).into()
}

fn check(run: &Run) {
    for (index, (folder, mode, uid, gid)) in LOOKS.into_iter().enumerate() {
        assert_eq!(run.steps[index].tail, format!("{mode:o}\n"), "{folder}");
        let entry = run.after.entry(&path(folder), false).unwrap().unwrap();
        assert_eq!((entry.mode, entry.uid, entry.gid), (mode, uid, gid), "{folder}");
    }
    assert_eq!(run.after.entry(&path("/opaque/hidden"), false).unwrap(), None);
}

#[test]
fn folders_are_as_the_layer_that_describes_them_says() {
    in_each_mode_and_user("folders_are_as_the_layer_that_describes_them_says", || {
        let bed = Bed::new();
        let layers = [described(), using()];
        let mut run = bed.run(&layers, &recipe(modes())).unwrap();
        check(&run);
        assert_eq!(packed(&mut run), [""; 0], "looking changes nothing");
        drop(run);

        let mut steps = modes();
        steps.push(guest(&["write", "/srv/mail/new", "x"]));
        steps.push(guest(&["write", "/opaque/new", "x"]));
        let mut run = bed.run(&layers, &recipe(steps)).unwrap();
        check(&run);
        assert_eq!(packed(&mut run), ["/opaque", "/opaque/new", "/srv", "/srv/mail", "/srv/mail/new"]);
        drop(run);

        let steps = vec![guest(&["chmod", "/root", "755"]), guest(&["chown", "/tmp", "7", "7"])];
        let mut run = bed.run(&layers, &recipe(steps)).unwrap();
        let look = |name: &str| run.after.entry(&path(name), false).unwrap().unwrap();
        assert_eq!((look("/root").mode, look("/tmp").mode, look("/tmp").uid), (0o755, 0o1777, 7));
        assert_eq!(packed(&mut run), ["/root", "/tmp"], "a change that looks like no description is one");
        drop(run);
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn an_earlier_patch_need_not_describe_them_either() {
    in_each_mode_and_user("an_earlier_patch_need_not_describe_them_either", || {
        let bed = Bed::new();
        let steps = || {
            let mut steps = modes();
            steps.push(guest(&["read", "/srv/mail/used"]));
            recipe(steps)
        };
        for layers in [vec![described(), using()], vec![described(), using(), using()]] {
            let mut root = bed.open_patched(&layers, layers.len() - 1).unwrap();
            let run = bed.block_on(root.run(&steps(), &Context::silent())).unwrap();
            check(&run);
            assert_eq!(text(&run, "/root/used").as_deref(), Some("x"));
        }
        // One described by an earlier patch, used by a later one.
        let first = Files::default().folder("/srv/mail", 0o700).owner(9, 9);
        let mut root = bed.open_patched(&[described(), first, using()], 1).unwrap();
        let mut run = bed.block_on(root.run(&recipe(modes()), &Context::silent())).unwrap();
        assert_eq!(run.steps[2].tail, "700\n");
        let mail = run.after.entry(&path("/srv/mail"), false).unwrap().unwrap();
        assert_eq!((mail.mode, mail.uid, mail.gid), (0o700, 9, 9));
        assert!(changed(&mut run).contains(&"+/srv/mail".to_owned()));
    });
}
