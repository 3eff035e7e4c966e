//! Help, version and completion.

use crate::harness::{Home, snapshot};

#[test]
fn help_is_as_kept() {
    let home = Home::new();
    for (name, args) in [
        ("help", &["--help"][..]),
        ("help-patch", &["patch", "--help"]),
        ("help-plan", &["help", "plan"]),
        ("help-doctor", &["doctor", "--help"]),
        ("help-generate", &["generate", "--help"]),
        ("help-inspect", &["inspect", "--help"]),
        ("help-cache", &["cache", "--help"]),
        ("help-cache-prune", &["cache", "prune", "--help"]),
        ("help-completion", &["completion", "-h"]),
    ] {
        let ran = home.run(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        snapshot(name, &ran.stdout);
    }
}

#[test]
fn bare_copa_prints_the_usage() {
    let ran = Home::new().run::<&str>(&[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("Usage: copa [OPTIONS] [COMMAND]"), "{}", ran.stdout);
}

#[test]
fn version_is_said_as_copa_says_it() {
    let ran = Home::new().run(&["--version"]);
    assert_eq!(ran.stdout, format!("copa version {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_shell_gets_its_completion() {
    for (shell, word) in [("bash", "complete"), ("zsh", "#compdef copa"), ("fish", "complete -c copa")] {
        let ran = Home::new().run(&["completion", shell]);
        assert_eq!(ran.code, 0);
        assert!(ran.stdout.contains(word) && ran.stdout.contains("ignore-errors"), "{shell}");
    }
}
