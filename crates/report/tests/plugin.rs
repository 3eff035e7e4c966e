//! Scanner plugins that work, fail, hang, flood and lie (row R11). One test: scripts are written and run in turn, because a
//! program that another thread has open for writing cannot be started.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use report::{
    Error, Findings,
    plugin::{PluginRequest, resolve, run_plugin},
};
use std::{
    cell::Cell,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

const GOOD: &str = r#"{"apiVersion":"v1alpha1","metadata":{"os":{"type":"debian","version":"12"},"config":{"arch":"amd64"}},
    "updates":[{"name":"a","installedVersion":"1","fixedVersion":"2","vulnerabilityID":"CVE-1"}]}"#;

/// Output cap of these tests.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;

struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn run(&self, script: &str, timeout: Duration, cancelled: &dyn Fn() -> bool) -> Result<Findings, Error> {
        let path = self.dir.path().join("copa-fake");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let program = resolve("fake", self.dir.path().as_os_str())?;
        run_plugin(&PluginRequest {
            name: "fake",
            program: &program,
            report: &self.dir.path().join("report.json"),
            timeout,
            output_bytes_max: OUTPUT_BYTES_MAX,
            cancelled,
        })
    }

    fn plain(&self, script: &str) -> Result<Findings, Error> {
        self.run(script, Duration::from_secs(20), &|| false)
    }

    fn fails(&self, script: &str) -> (String, String) {
        match self.plain(script).unwrap_err() {
            Error::Plugin { program, what, stderr } => (format!("{program} {what}"), stderr),
            other => (other.to_string(), String::new()),
        }
    }
}

#[test]
fn r11_plugins_are_bounded_and_their_words_kept_apart() {
    let stage = Stage { dir: tempfile::tempdir().unwrap() };
    fs::write(stage.dir.path().join("report.json"), GOOD).unwrap();
    works(&stage);
    failures(&stage);
    garbage_and_floods(&stage);
    ends_with_everything_it_started(&stage);
}

/// One argument, no input, noise on standard error: all fine.
fn works(stage: &Stage) {
    let findings =
        stage.plain(r#"[ $# -eq 1 ] || exit 9; read line && exit 8; echo noise >&2; cat "$1""#).unwrap();
    assert_eq!(findings.os.len(), 1);
    let flood = "head -c 300000 /dev/zero | tr '\\0' x >&2; cat \"$1\"";
    assert_eq!(stage.plain(flood).unwrap().os.len(), 1);
    assert_eq!(stage.plain("cat \"$1\"; exec >&-; sleep 0.2").unwrap().os.len(), 1);
}

fn failures(stage: &Stage) {
    let failed = "copa-fake failed with exit status: 3".to_owned();
    assert_eq!(stage.fails("echo no such report >&2; exit 3"), (failed.clone(), "no such report".into()));
    // What it printed before does not count, and its words cannot steer a terminal.
    let (what, stderr) = stage.fails("cat \"$1\"; printf 'a\\033[2Jb\\r\\nc' >&2; exit 3");
    assert_eq!((what, stderr), (failed, "a\u{fffd}[2Jb\u{fffd}\nc".into()));
    let (what, _) = stage.fails("kill -9 $$");
    assert!(what.contains("signal: 9"), "{what}");
    let (_, long) = stage.fails("head -c 300000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1");
    assert!(long.ends_with("xend") && long.len() <= 64 * 1024, "{}", long.len());
}

fn garbage_and_floods(stage: &Stage) {
    for (script, message) in [
        ("exit 0", "invalid report at byte 0: empty"),
        ("echo hello", "invalid report at byte 0: expected value"),
        ("echo '[]'", "expected a manifest of updates"),
        ("cat \"$1\"; echo WARN done", "trailing characters"),
        ("echo '{\"apiVersion\":\"v9\"}'", "unsupported apiVersion: v9"),
        ("cat /dev/zero", "printed more than 1048576 bytes"),
        ("cat \"$1\"; while :; do echo; done", "printed more than 1048576 bytes"),
    ] {
        let (what, _) = stage.fails(script);
        assert!(what.contains(message), "{script}: {what}");
    }
}

fn ends_with_everything_it_started(stage: &Stage) {
    let short = Duration::from_millis(400);
    let marker = stage.dir.path().join("marker");
    let child = format!("( sleep 2; echo alive > {} ) &", marker.display());
    for script in [
        format!("{child} sleep 60"),
        format!("{child} exec sleep 60"),
        format!("{child} while :; do :; done"),
    ] {
        let start = Instant::now();
        let error = stage.run(&script, short, &|| false).unwrap_err().to_string();
        assert_eq!(error, "copa-fake took longer than 400ms");
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    // A child that keeps the output open does not keep us, and does not outlive the plugin.
    let start = Instant::now();
    assert_eq!(stage.plain(&format!("{child} cat \"$1\"")).unwrap().os.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(2));
    let asked = Cell::new(0);
    let cancelled = || asked.replace(asked.get() + 1) > 3;
    assert!(matches!(stage.run("sleep 60", Duration::from_secs(60), &cancelled), Err(Error::Cancelled)));
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!marker.exists(), "a child of the plugin went on");
}

#[test]
fn r11_names_are_plain_words_and_paths_absolute() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("copa-text"), "x").unwrap();
    fs::create_dir(path("copa-folder")).unwrap();
    for name in ["", "../../x", "a/b", "-x", "_x", "a b", "a\n", "a\u{1b}"] {
        let error = resolve(name, dir.path().as_os_str()).unwrap_err();
        assert!(matches!(&error, Error::PluginName { .. }), "{name:?}: {error}");
        assert!(error.to_string().chars().all(|c| (' '..='~').contains(&c)));
    }
    for (name, path) in [
        ("absent", dir.path().as_os_str()),
        ("text", dir.path().as_os_str()),
        ("folder", dir.path().as_os_str()),
        ("text", OsStr::new("")),
        ("text", OsStr::new(".:relative")),
    ] {
        assert!(matches!(resolve(name, path), Err(Error::PluginMissing { .. })), "{name} {path:?}");
    }
    fs::set_permissions(path("copa-text"), fs::Permissions::from_mode(0o755)).unwrap();
    let found =
        resolve("text", &std::env::join_paths([Path::new("/nonexistent"), dir.path()]).unwrap()).unwrap();
    assert_eq!(found, path("copa-text"));
}
