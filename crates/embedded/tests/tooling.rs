//! Another image's programs at work on an image that has none: what they see of it, what of it is kept, and of theirs nothing.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use engine::{Context, Error, Exec, Look, Mount, Recipe, Root, Run, Step};
use layer::EntryPath;
use support::{Bed, Files, changed, exec, guest, in_each_mode, in_each_mode_and_user, recipe, text};

/// An image without any program.
fn target() -> Files {
    Files::default()
        .folder("/etc", 0o755)
        .file("/etc/old", 0o644, b"old")
        .file("/etc/kept", 0o640, b"kept")
        .owner(3, 4)
        .folder("/data", 0o755)
        .file("/data/a", 0o644, b"a")
        .link("/abs", "/data")
        .device("/null", false, 1, 3)
}

fn path(text: &str) -> EntryPath {
    EntryPath::new(text.as_bytes()).unwrap()
}

fn run(bed: &Bed, root: &mut dyn Root, recipe: &Recipe) -> Result<Run, Error> {
    bed.block_on(root.run(recipe, &Context::silent()))
}

fn write(path: &str, text: &str) -> Step {
    Step::Write { path: path.into(), content: text.into(), mode: 0o600 }
}

#[test]
fn programs_of_one_image_change_the_other() {
    in_each_mode_and_user("programs_of_one_image_change_the_other", || {
        let bed = Bed::new();
        let tooling = [Files::guest(), Files::default().file("/etc/kept", 0o644, b"of the tooling image")];
        let mut root = bed.open_with(&[target()], 1, &tooling).unwrap();
        let mut wanted = recipe(vec![
            guest(&["read", "/target/etc/kept"]),
            guest(&["read", "/etc/kept"]),
            guest(&["write", "/target/etc/new", "new"]),
            guest(&["remove", "/target/etc/old"]),
            guest(&["empty", "/target/data"]),
            guest(&["chroot", "/target", "write", "/abs/inside", "from inside"]),
            guest(&["write", "/etc/lost", "of the tooling image"]),
            guest(&["remove", "/etc/kept"]),
            guest(&["write", "/target/etc/gone", "x"]),
            write("/target/abs/written", "by a step"),
            write("/tmp/written", "nowhere"),
            Step::Remove { path: "/target/etc/gone".into() },
            Step::Remove { path: "/target/never/was".into() },
            guest(&["list", "/target"]),
        ]);
        wanted.evidence = vec![
            Look::File { path: "/data/inside".into(), max_bytes: 100 },
            Look::Exists { path: "/guest".into() },
            Look::Exists { path: "/etc/lost".into() },
        ];
        let mut run = run(&bed, root.as_mut(), &wanted).unwrap();
        assert_eq!(run.steps[0].tail, "kept\n");
        assert_eq!(run.steps[1].tail, "of the tooling image\n");
        assert_eq!(run.steps[13].tail, "abs\ndata\ndev\netc\nnull\nproc\nsys\n");
        assert_eq!(
            changed(&mut run),
            ["+/data", "o/data", "+/data/inside", "+/data/written", "+/etc", "+/etc/new", "-/etc/old"]
        );
        assert_eq!(run.evidence.keys().collect::<Vec<_>>(), ["/data/inside"]);
        assert_eq!(text(&run, "/data/written").as_deref(), Some("by a step"));
        assert_eq!(run.base.list(&EntryPath::root(), 100).unwrap().len(), 4);
        assert!(root.tooling().unwrap().entry(&path("/guest"), false).unwrap().is_some());
        assert!(root.tree().entry(&path("/guest"), false).unwrap().is_none());
        drop((run, root));
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn what_is_seen_from_inside_the_target_is_as_clean() {
    in_each_mode("what_is_seen_from_inside_the_target_is_as_clean", || {
        let bed = Bed::new();
        let mut root = bed.open_with(&[target()], 1, &[Files::guest()]).unwrap();
        let may_fail = |words: &[&str]| Step::Exec(Exec { may_fail: true, ..exec(words) });
        let mut wanted = recipe(vec![
            guest(&["chroot", "/target", "list", "/dev"]),
            guest(&["chroot", "/target", "list", "/proc/self"]),
            guest(&["chroot", "/target", "read", "/dev/null"]),
            may_fail(&["chroot", "/target", "read", "/proc/kcore"]),
            may_fail(&["chroot", "/target", "write", "/proc/sys/kernel/core_pattern", "x"]),
            may_fail(&["chroot", "/target", "write", "/sys/x", "x"]),
            may_fail(&["read", "/target/null"]),
            guest(&["read", "/dev/copa/list"]),
            guest(&["read", "/proc/mounts"]),
            guest(&["chroot", "/target", "identity"]),
            may_fail(&["write", "/target/proc/sysrq-trigger", "h"]),
        ]);
        wanted.mounts = vec![Mount { name: "list".into(), content: b"shown".to_vec() }];
        let mut run = run(&bed, root.as_mut(), &wanted).unwrap();
        let said = |step: usize| run.steps[step].tail.clone();
        assert!(
            said(0).contains("null") && said(0).contains("pts") && !said(0).contains("sda"),
            "{}",
            said(0)
        );
        assert!(said(1).contains("status"));
        assert_eq!((said(2), said(7)), (String::new(), "shown\n".to_owned()));
        assert!(said(3).is_empty() || said(3).contains("No such file"), "{}", said(3));
        for step in [4, 5, 10] {
            assert!(said(step).contains("error"), "{step}: {}", said(step));
        }
        // Only the machine's root can make a device that is one.
        assert_eq!(said(6).contains("error"), bed.mode == embedded::host::Mode::Root, "{}", said(6));
        let store = bed.options.store.dir().to_str().unwrap().to_owned();
        assert!(!said(8).contains(&store), "{}", said(8));
        assert!(
            said(9).contains("CapEff: 00000000800400fb") && said(9).contains("Seccomp: 2"),
            "{}",
            said(9)
        );
        assert_eq!(changed(&mut run), [""; 0], "looking changes nothing");
    });
}

#[test]
fn an_earlier_patch_is_where_it_begins() {
    in_each_mode("an_earlier_patch_is_where_it_begins", || {
        let bed = Bed::new();
        let patch = Files::default()
            .folder("/etc", 0o755)
            .file("/etc/kept", 0o640, b"patched")
            .owner(33, 44)
            .file("/etc/.wh.old", 0o644, b"");
        let mut root = bed.open_with(&[target(), patch], 1, &[Files::guest()]).unwrap();
        let steps = vec![guest(&["read", "/target/etc/kept"]), guest(&["write", "/target/etc/b", "more"])];
        let mut first = run(&bed, root.as_mut(), &recipe(steps)).unwrap();
        assert_eq!(first.steps[0].tail, "patched\n");
        assert_eq!(changed(&mut first), ["+/etc", "+/etc/b", "+/etc/kept", "-/etc/old"]);
        assert_eq!(first.base.read(&path("/etc/kept"), 10).unwrap().as_deref(), Some(&b"kept"[..]));
        // Every run begins anew, in both trees.
        let steps = vec![guest(&["write", "/marker", "x"]), guest(&["write", "/target/marker", "x"])];
        run(&bed, root.as_mut(), &recipe(steps)).unwrap();
        let looks = vec![guest(&["list", "/"]), guest(&["list", "/target"])];
        let again = run(&bed, root.as_mut(), &recipe(looks)).unwrap();
        assert!(again.steps.iter().all(|step| !step.tail.contains("marker")));
    });
}

#[test]
fn owners_of_one_tree_are_not_taken_for_the_others() {
    in_each_mode_and_user("owners_of_one_tree_are_not_taken_for_the_others", || {
        let bed = Bed::new();
        let tooling = Files::guest().file("/etc/kept", 0o644, b"x").link("/abs", "/data");
        let mut root = bed.open_with(&[target()], 1, &[tooling]).unwrap();
        let steps = vec![
            guest(&["chown", "/target/etc/old", "33", "44"]),
            guest(&["lchown", "/target/abs", "9", "10"]),
            guest(&["lchown", "/abs", "1", "2"]),
            guest(&["chown", "/etc/kept", "1", "2"]),
            guest(&["chroot", "/target", "link", "nowhere", "/fresh.tmp"]),
            guest(&["chroot", "/target", "lchown", "/fresh.tmp", "11", "12"]),
            guest(&["rename", "/target/fresh.tmp", "/target/fresh"]),
            guest(&["rewrite", "/target/etc/kept"]),
        ];
        let run = run(&bed, root.as_mut(), &recipe(steps)).unwrap();
        let cases = [
            ("/etc/old", (33, 44)),
            ("/abs", (9, 10)),
            ("/fresh", (11, 12)),
            ("/etc/kept", (3, 4)),
            ("/data", (0, 0)),
        ];
        for (name, want) in cases {
            let entry = run.after.entry(&path(name), false).unwrap().unwrap();
            assert_eq!((entry.uid, entry.gid), want, "{name}");
        }
    });
}

#[test]
fn traps_of_either_image_are_refused() {
    in_each_mode("traps_of_either_image_are_refused", || {
        let bed = Bed::new();
        let look = recipe(vec![guest(&["list", "/target"])]);
        let cases = [
            (target(), Files::guest().link("/target", "/etc"), Some("/target")),
            (target(), Files::guest().file("/target", 0o644, b"x"), Some("/target")),
            (target(), Files::guest().link("/proc", "/etc"), Some("/proc")),
            (target().link("/proc", "/etc"), Files::guest(), Some("/proc")),
            (target().file("/dev", 0o644, b"x"), Files::guest(), Some("/dev")),
            (target(), Files::guest().folder("/target", 0o700).file("/target/own", 0o644, b"x"), None),
        ];
        for (target, tooling, want) in cases {
            let mut root = bed.open_with(&[target], 1, &[tooling]).unwrap();
            match (run(&bed, root.as_mut(), &look).map(|run| run.steps[0].tail.clone()), want) {
                (Err(Error::Image { item, .. }), Some(want)) => assert_eq!(item, want),
                (Ok(said), None) => assert!(!said.contains("own"), "{said}"),
                (got, want) => panic!("{got:?}, not {want:?}"),
            }
        }
        let mut root = bed.open_with(&[target()], 1, &[Files::guest()]).unwrap();
        let through = recipe(vec![write("/target/proc/sys/kernel/core_pattern", "x")]);
        assert!(run(&bed, root.as_mut(), &through).is_err(), "a step writes to the image only");
        assert!(matches!(bed.open_with(&[target()], 1, &[]), Err(Error::Image { .. })));
        drop(root);
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn what_tools_fill_goes_to_the_disk_and_is_gone_afterwards() {
    in_each_mode_and_user("what_tools_fill_goes_to_the_disk_and_is_gone_afterwards", || {
        let mut bed = Bed::new();
        bed.options.memory_bytes_max = Some(64 << 20);
        let mut root = bed.open_with(&[target()], 1, &[Files::guest()]).unwrap();
        let steps = vec![guest(&["fill", "/tmp/cache", "80"]), guest(&["write", "/target/etc/new", "x"])];
        let mut left = run(&bed, root.as_mut(), &recipe(steps)).unwrap();
        assert_eq!(changed(&mut left), ["+/etc", "+/etc/new"]);
        let work = bed.options.store.dir().join("tmp");
        let kept: Vec<_> = std::fs::read_dir(work).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(kept.len(), 1);
        assert!(kept[0].join("upper").exists() && !kept[0].join("tooling").exists());
        drop((left, root));
        assert_eq!(bed.left_over(), [""; 0]);
    });
}
