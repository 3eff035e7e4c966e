//! Runs one test in a process group of its own, with a time limit.

use super::build::Binary;
use super::verdict;
use crate::failure::Failure;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::command::argv;
use testkit::workspace;

/// A whole run that makes its Debian image first takes a few minutes on a slow machine; longer is a hang.
const LIMIT: Duration = Duration::from_secs(900);

/// A test to run.
pub struct Test<'a> {
    /// The binary it is in.
    pub binary: &'a Binary,
    /// Its name there.
    pub name: String,
}

impl Test<'_> {
    /// `crate::test`, with the target's name where that is not the crate.
    pub fn full_name(&self) -> String {
        let Binary { package, target, .. } = self.binary;
        if package == target {
            format!("{package}::{}", self.name)
        } else {
            format!("{package}::{target}::{}", self.name)
        }
    }
}

/// What became of a test.
#[derive(Debug)]
pub struct Outcome {
    /// The suite it counts for.
    pub suite: &'static str,
    /// Its full name.
    pub name: String,
    /// 1 where it passed; more where one process ran several.
    pub passed: usize,
    /// 1 where it failed.
    pub failed: usize,
    /// Why it, or a part of it, did not run.
    pub skips: Vec<String>,
    /// Programs of images that stand-ins stood in for.
    pub stand_ins: Vec<String>,
    /// What it wrote.
    pub words: String,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// How many of the passed had a stand-in for a program that cannot be had.
    pub fn stood_in(&self) -> usize {
        if self.stand_ins.is_empty() { 0 } else { self.passed }
    }

    /// Counted as skipped: a test that skipped itself or a part of itself.
    pub fn skipped(&self) -> usize {
        usize::from(self.failed == 0 && !self.skips.is_empty())
    }
}

/// Runs a test.
pub fn run(test: &Test<'_>) -> Outcome {
    let begun = Instant::now();
    // A test has a process group of its own, so that it can be ended with all that it has started; a Ctrl-C does not reach it
    // there, but the end of this process does.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(&test.binary.path).args([
        "--exact",
        &test.name,
        "--nocapture",
    ]);
    command.current_dir(&test.binary.folder);
    command.env("CARGO_MANIFEST_DIR", &test.binary.folder).env("CARGO_PKG_NAME", &test.binary.package);
    let (ended_well, stdout, stderr) = match bounded(&mut command) {
        Ok(ended) => ended,
        Err(error) => (false, String::new(), error.to_string()),
    };
    let skips = verdict::skips(&stdout, &stderr);
    let passed = usize::from(ended_well && skips.is_empty());
    let failed = usize::from(!ended_well);
    let words = format!("{stdout}{stderr}");
    Outcome {
        suite: test.binary.suite,
        name: test.full_name(),
        passed,
        failed,
        skips,
        stand_ins: verdict::stand_ins(&stdout, &stderr),
        words,
        took: begun.elapsed(),
    }
}

/// Runs the examples of the documentation.
pub fn documentation() -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let ran =
        argv("cargo", ["test", "--workspace", "--doc", "--quiet"]).folder(&workspace::root()).output()?;
    let stdout = String::from_utf8_lossy(&ran.stdout).into_owned();
    let (passed, failed) = verdict::totals(&stdout);
    let failed = if ran.status.success() { failed } else { failed.max(1) };
    let words = stdout + &String::from_utf8_lossy(&ran.stderr);
    let took = begun.elapsed();
    let (skips, stand_ins) = (Vec::new(), Vec::new());
    Ok(Outcome { suite: "docs", name: "examples".into(), passed, failed, skips, stand_ins, words, took })
}

fn bounded(command: &mut Command) -> std::io::Result<(bool, String, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let stdout = Listener::to(child.stdout.take());
    let stderr = Listener::to(child.stderr.take());
    let in_time = wait(&mut child)?;
    // What the test left running would be found by nobody.
    let _ = argv("kill", ["-KILL", "--", &format!("-{}", child.id())]).output();
    let status = child.wait()?;
    let (stdout, mut stderr) = (stdout.words(), stderr.words());
    if !in_time {
        stderr += &format!("\nkilled: it took longer than {} s\n", LIMIT.as_secs());
    }
    Ok((in_time && status.success(), stdout, stderr))
}

/// Reads a pipe to its end, or until nobody wants to wait any more: what escaped the group of a test holds its pipes open.
struct Listener {
    heard: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Listener {
    fn to(pipe: Option<impl Read + Send + 'static>) -> Listener {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = std::sync::mpsc::channel();
        let store = heard.clone();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            let mut pipe = pipe;
            while let Some(Ok(length @ 1..)) = pipe.as_mut().map(|pipe| pipe.read(&mut chunk)) {
                store.lock().expect("no listener panics").extend_from_slice(&chunk[..length]);
            }
            drop(end);
        });
        Listener { heard, ended }
    }

    fn words(self) -> String {
        // The end of the channel is the end of the pipe; either way what was heard is all there is to show.
        let _ = self.ended.recv_timeout(Duration::from_secs(2));
        String::from_utf8_lossy(&self.heard.lock().expect("no listener panics")).into_owned()
    }
}

fn wait(child: &mut Child) -> std::io::Result<bool> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    while begun.elapsed() < LIMIT {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_end_of_a_process_are_told() {
        let mut command = Command::new("printf");
        assert_eq!(bounded(command.arg("said")).unwrap(), (true, "said".to_owned(), String::new()));
        assert!(!bounded(&mut Command::new("false")).unwrap().0);
    }

    #[test]
    fn what_escapes_from_a_test_does_not_hold_the_runner() {
        let begun = Instant::now();
        let mut command = Command::new("setsid");
        command.args(["--fork", "sleep", "30"]);
        assert!(bounded(&mut command).unwrap().0);
        assert!(begun.elapsed() < Duration::from_secs(25));
    }
}
