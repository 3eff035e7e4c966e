//! Recipes from beginning to end: what programs see, what they leave, and how they are ended.

mod support;

use engine::{Context, Error, Look, Mount, Recipe, Step, When};
use layer::{EntryPath, Tree as _};
use std::time::{Duration, Instant};
use support::{Bed, Files, changed, exec, guest, in_each_mode, recipe, text};

#[test]
fn output_exit_codes_and_changes() {
    in_each_mode("output_exit_codes_and_changes", || {
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
        let expected = ["+/", "+/data", "o/data", "+/etc", "+/etc/new", "-/etc/old", "+/etc/written"];
        assert_eq!(changed(&mut run), expected);
        let keys: Vec<&str> = run.evidence.keys().map(String::as_str).collect();
        assert_eq!(keys, ["/data", "/etc/new", "/etc/written"]);
        assert_eq!(text(&run, "/etc/written").as_deref(), Some("by a step"));
        assert!(run.syncs_suppressed);
        drop(run);
        assert!(bed.left_over().is_empty());
    });
}
