//! Recipes from beginning to end: what programs do, what they leave, and how they are ended.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use engine::{Context, Error, Exec, Look, Step, StepResult, When};
use std::time::{Duration, Instant};
use support::{Bed, Files, changed, exec, guest, in_each_mode, in_each_mode_and_user, recipe, text};

/// Longest time that ending a sandbox may take.
const SOON: Duration = Duration::from_secs(2);

#[test]
fn output_exit_codes_and_changes() {
    in_each_mode_and_user("output_exit_codes_and_changes", || {
        let bed = Bed::new();
        let below = Files::guest()
            .file("/etc/old", 0o644, b"old")
            .file("/data/a", 0o644, b"a")
            .file("/data/b", 0o644, b"b");
        let mut wanted = recipe(vec![
            guest(&["say", "hello", "there"]),
            guest(&["write", "/etc/new", "new"]),
            guest(&["remove", "/etc/old"]),
            guest(&["empty", "/data"]),
            Step::Write { path: "/etc/written".into(), content: b"by a step".to_vec(), mode: 0o600 },
            Step::Write { path: "/etc/gone".into(), content: b"x".to_vec(), mode: 0o600 },
            Step::Remove { path: "/etc/gone".into() },
            Step::Remove { path: "/etc/never/was".into() },
        ]);
        wanted.evidence = vec![
            Look::File { path: "/etc/new".into(), max_bytes: 100 },
            Look::File { path: "/etc/old".into(), max_bytes: 100 },
            Look::Exists { path: "/data".into() },
            Look::Folder { path: "/etc".into(), suffix: "n".into(), max_files: 5, max_bytes: 100 },
        ];
        let mut run = bed.run(&[below], &wanted).unwrap();
        assert_eq!(run.steps[0].tail, "hello there\n");
        assert!(run.steps.iter().all(|s| s.exit == Some(0)));
        // No trace of the folders that were made for mounts.
        assert_eq!(
            changed(&mut run),
            ["+/data", "o/data", "+/etc", "+/etc/new", "-/etc/old", "+/etc/written"]
        );
        let keys: Vec<&str> = run.evidence.keys().map(String::as_str).collect();
        assert_eq!(keys, ["/data", "/etc/new", "/etc/written"]);
        assert_eq!(text(&run, "/etc/written").as_deref(), Some("by a step"));
        assert!(run.syncs_suppressed);
        let (begun, ended) = run.window;
        assert!(begun > 1_700_000_000 && ended >= begun);
        drop(run);
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn failures_end_the_run_unless_expected() {
    in_each_mode("failures_end_the_run_unless_expected", || {
        let bed = Bed::new();
        let tolerant = Step::Exec(engine::Exec { may_fail: true, ..exec(&["fail", "7"]) });
        let after =
            |index| Step::Exec(engine::Exec { when: When::IfFailed(index), ..exec(&["say", "fallback"]) });
        let steps = vec![tolerant, after(0), guest(&["say", "fine"]), after(2)];
        let run = bed.run(&[Files::guest()], &recipe(steps)).unwrap();
        let exits: Vec<_> = run.steps.iter().map(|s: &StepResult| s.exit).collect();
        assert_eq!(exits, [Some(7), Some(0), Some(0), None]);
        drop(run);
        let absent = Step::Exec(engine::Exec { argv: vec!["/no/such".into()], ..exec(&[]) });
        for (step, want) in [(guest(&["fail", "3"]), 3), (guest(&["read", "/no"]), 1), (absent, 127)] {
            match bed.run(&[Files::guest()], &recipe(vec![guest(&["say", "first"]), step])).map(|_| ()) {
                Err(Error::StepFailed { exit, tail, .. }) => {
                    assert_eq!(exit, want);
                    assert!(want == 3 || tail.contains("No such file"), "{tail}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn time_limits_and_cancellation_kill_everything() {
    in_each_mode("time_limits_and_cancellation_kill_everything", || {
        let bed = Bed::new();
        let mut root = bed.open(&[Files::guest()]).unwrap();
        let slow = |timeout| engine::Exec { timeout, ..exec(&["sleep", "600"]) };
        let before = processes_of_sandboxes();
        let limited = recipe(vec![guest(&["daemon"]), Step::Exec(slow(Duration::from_millis(300)))]);
        let begun = Instant::now();
        let ended = bed.block_on(root.run(&limited, &Context::silent())).map(|_| ());
        assert!(matches!(ended, Err(Error::TimedOut { limit, .. }) if limit < SOON), "{ended:?}");
        assert!(begun.elapsed() < SOON + SOON, "{:?}", begun.elapsed());
        assert_eq!(processes_of_sandboxes(), before);

        let context = Context::silent();
        let (cancel, begun) = (context.cancel.clone(), Instant::now());
        let endless = recipe(vec![Step::Exec(slow(Duration::from_secs(600)))]);
        let ended = bed.block_on(async {
            let run = root.run(&endless, &context);
            tokio::pin!(run);
            tokio::select! {
                ended = &mut run => return ended,
                () = tokio::time::sleep(Duration::from_millis(300)) => cancel.cancel(),
            }
            run.await
        });
        assert!(matches!(ended, Err(Error::Cancelled)));
        assert!(begun.elapsed() < SOON + SOON, "{:?}", begun.elapsed());
        assert_eq!(processes_of_sandboxes(), before);

        // Whoever waited has gone: the run ends by itself.
        bed.block_on(async {
            let silent = Context::silent();
            let given_up =
                tokio::time::timeout(Duration::from_millis(300), root.run(&endless, &silent)).await;
            assert!(given_up.is_err());
        });
        let begun = Instant::now();
        while processes_of_sandboxes() != before || !bed.left_over().is_empty() {
            assert!(begun.elapsed() < SOON, "{:?}", bed.left_over());
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(root);
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

/// Numbers of processes of ours that are, or run in, sandboxes. Other tests have theirs, so only our own children count.
fn processes_of_sandboxes() -> usize {
    let task = format!("/proc/{}/task", std::process::id());
    let threads = std::fs::read_dir(task).unwrap().map(|t| t.unwrap().path().join("children"));
    threads.map(|t| std::fs::read_to_string(t).unwrap_or_default().split_whitespace().count()).sum()
}

#[test]
fn what_a_step_leaves_running_is_dead_before_the_next() {
    in_each_mode("what_a_step_leaves_running_is_dead_before_the_next", || {
        let bed = Bed::new();
        let steps = vec![guest(&["daemon"]), guest(&["processes"])];
        let run = bed.run(&[Files::guest()], &recipe(steps)).unwrap();
        let alive: Vec<&str> = run.steps[1].tail.lines().collect();
        assert_eq!(alive.len(), 2, "process 1 and the one that looks: {alive:?}");
    });
}

#[test]
fn an_earlier_patch_is_where_the_run_begins() {
    in_each_mode("an_earlier_patch_is_where_the_run_begins", || {
        let bed = Bed::new();
        let base = Files::guest().file("/etc/a", 0o644, b"base").file("/etc/gone", 0o644, b"x");
        let patch = Files::default()
            .folder("/etc", 0o755)
            .file("/etc/a", 0o640, b"patched")
            .owner(33, 44)
            .file("/etc/.wh.gone", 0o644, b"")
            .link("/etc/l", "a");
        let mut root = bed.open_patched(&[base, patch], 1).unwrap();
        assert_eq!(root.tree().read(&path("/etc/a"), 10).unwrap().as_deref(), Some(&b"patched"[..]));
        assert!(root.tree().entry(&path("/etc/gone"), false).unwrap().is_none());
        let steps = recipe(vec![guest(&["read", "/etc/l"]), guest(&["write", "/etc/b", "more"])]);
        let mut run = bed.block_on(root.run(&steps, &Context::silent())).unwrap();
        assert_eq!(run.steps[0].tail, "patched\n");
        assert_eq!(changed(&mut run), ["+/etc", "+/etc/a", "+/etc/b", "-/etc/gone", "+/etc/l"]);
        let entry = run.after.entry(&path("/etc/a"), false).unwrap().unwrap();
        assert_eq!((entry.mode, entry.uid, entry.gid, entry.mtime.0), (0o640, 33, 44, 1_000_000));
        assert_eq!(run.base.read(&path("/etc/a"), 10).unwrap().as_deref(), Some(&b"base"[..]));
    });
}

#[test]
fn layers_may_stand_twice_or_hide_all_below() {
    in_each_mode("layers_may_stand_twice_or_hide_all_below", || {
        let bed = Bed::new();
        let (a, b) = (Files::default().file("/x", 0o644, b"a"), Files::default().file("/x", 0o644, b"b"));
        let look = recipe(vec![guest(&["read", "/x"])]);
        let run = bed.run(&[Files::guest(), a.clone(), b.clone(), a.clone()], &look).unwrap();
        assert_eq!(run.steps[0].tail, "a\n");
        let hiding = Files::default().file("/.wh..wh..opq", 0o644, b"");
        let below = Files::default().file("/secret", 0o644, b"s");
        let there = recipe(vec![Step::Exec(engine::Exec { may_fail: true, ..exec(&["read", "/secret"]) })]);
        let run = bed.run(&[below.clone(), hiding, Files::guest()], &there).unwrap();
        assert_eq!(run.steps[0].exit, Some(1));
        let run = bed.run(&[below, Files::guest()], &there).unwrap();
        assert_eq!(run.steps[0].exit, Some(0));
        assert!(matches!(bed.open(&[]), Err(Error::Image { .. })));
    });
}

#[test]
fn many_layers_make_one_root() {
    in_each_mode("many_layers_make_one_root", || {
        let bed = Bed::new();
        let mut layers = vec![Files::guest()];
        layers.extend((0..150).map(|n| Files::default().file(&format!("/many/{n}"), 0o644, b"x")));
        let run = bed.run(&layers, &recipe(vec![guest(&["list", "/many"])])).unwrap();
        assert_eq!(run.steps[0].tail.lines().count(), 150);
    });
}

#[test]
fn what_does_not_fit_into_memory_goes_to_the_disk() {
    in_each_mode_and_user("what_does_not_fit_into_memory_goes_to_the_disk", || {
        let mut bed = Bed::new();
        bed.options.memory_bytes_max = Some(64 << 20);
        let fill = |mebibytes| {
            recipe(vec![guest(&["write", "/tmp/n", "x"]), guest(&["fill", "/tmp/big", mebibytes])])
        };
        for mebibytes in ["10", "80"] {
            let run = bed.run(&[Files::guest()], &fill(mebibytes)).unwrap();
            let entry = run.after.entry(&path("/tmp/big"), false).unwrap().unwrap();
            let size = mebibytes.parse::<u64>().unwrap() << 20;
            assert_eq!(entry.kind, layer::Kind::File { size });
        }
        let may_fail = Step::Exec(Exec { may_fail: true, ..exec(&["fill", "/tmp/big", "80"]) });
        let run = bed.run(&[Files::guest()], &recipe(vec![may_fail])).unwrap();
        assert_eq!(run.steps[0].exit, Some(0), "room is no reason for which a step may fail");
        drop(run);
        bed.options.memory_bytes_max = Some(0);
        let mut run = bed.run(&[Files::guest()], &fill("1")).unwrap();
        assert_eq!(changed(&mut run), ["+/tmp", "+/tmp/big", "+/tmp/n"]);
        drop(run);
        assert_eq!(bed.left_over(), [""; 0]);
    });
}

#[test]
fn owners_and_modes_are_kept() {
    in_each_mode_and_user("owners_and_modes_are_kept", || {
        let bed = Bed::new();
        let base = Files::guest()
            .file("/below", 0o4755, b"x")
            .owner(5, 6)
            .link("/link", "below")
            .file("/shadow", 0o640, b"s")
            .owner(0, 42)
            .file("/untouched", 0o644, b"y")
            .owner(7, 8);
        let steps = vec![
            guest(&["chown", "/below", "33", "44"]),
            guest(&["mode", "/below"]),
            guest(&["write", "/new", "x"]),
            guest(&["chown", "/new", "1", "2"]),
            guest(&["rename", "/new", "/moved"]),
            guest(&["lchown", "/link", "9", "10"]),
            guest(&["link", "nowhere", "/fresh.tmp"]),
            guest(&["lchown", "/fresh.tmp", "11", "12"]),
            guest(&["rename", "/fresh.tmp", "/fresh"]),
            guest(&["chown", "/tmp", "0", "3"]),
            guest(&["chmod", "/moved", "2711"]),
            guest(&["rewrite", "/shadow"]),
        ];
        let run = bed.run(&[base], &recipe(steps)).unwrap();
        assert_eq!(run.steps[1].tail, "755\n", "set-id bits go with a change of owner");
        let cases = [
            ("/below", (0o755, 33, 44)),
            ("/moved", (0o2711, 1, 2)),
            ("/link", (0o777, 9, 10)),
            ("/fresh", (0o777, 11, 12)),
            ("/untouched", (0o644, 7, 8)),
            ("/tmp", (0o1777, 0, 3)),
            ("/shadow", (0o640, 0, 42)),
        ];
        for (name, want) in cases {
            let entry = run.after.entry(&path(name), false).unwrap().unwrap();
            assert_eq!((entry.mode, entry.uid, entry.gid), want, "{name}");
        }
        let again =
            recipe(vec![Step::Exec(engine::Exec { may_fail: true, ..exec(&["chown", "/no", "1", "1"]) })]);
        let run = bed.run(&[Files::guest()], &again).unwrap();
        assert!(run.steps[0].tail.contains("No such file"), "{}", run.steps[0].tail);
    });
}

fn path(text: &str) -> layer::EntryPath {
    layer::EntryPath::new(text.as_bytes()).unwrap()
}
