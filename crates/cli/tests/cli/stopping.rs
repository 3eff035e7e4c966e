//! Ctrl-C, SIGTERM, SIGHUP and the deadline, while the report is a pipe that nobody writes to.

use crate::harness::{Home, Ran};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Signal, kill_process},
};
use std::time::{Duration, Instant};

/// The promise.
const SOON: Duration = Duration::from_secs(5);
/// Until the program waits for the pipe.
const SETTLED: Duration = Duration::from_millis(400);

fn args(home: &Home) -> Vec<String> {
    mknodat(CWD, home.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let args = ["plan", "-i", "127.0.0.1:9/a:1", "-r", "pipe", "--result", "result.json"];
    args.map(str::to_owned).to_vec()
}

fn stopped_by(signal: Signal) -> (Ran, Duration, serde_json::Value) {
    let home = Home::new();
    let child = home.start(&args(&home));
    std::thread::sleep(SETTLED);
    let asked = Instant::now();
    kill_process(Pid::from_child(&child), signal).unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap());
    let result = std::fs::read(home.path("result.json")).unwrap();
    (ran, asked.elapsed(), serde_json::from_slice(&result).unwrap())
}

#[test]
fn signals_end_the_run_with_their_own_code() {
    for (signal, code, word) in [
        (Signal::INT, 130, "interrupted"),
        (Signal::TERM, 143, "terminated"),
        (Signal::HUP, 129, "terminated"),
    ] {
        let (ran, took, result) = stopped_by(signal);
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("error: {word}")), "{}", ran.stderr);
        assert!(took < SOON, "{took:?}");
        assert_eq!(
            (result["status"].as_str(), result["error"]["exitCode"].as_i64()),
            (Some("failed"), Some(code.into()))
        );
    }
}

#[test]
fn the_deadline_ends_the_run_and_says_how_to_get_more_time() {
    let home = Home::new();
    let ran = home.run(&[args(&home), vec!["--timeout".to_owned(), "500ms".to_owned()]].concat());
    assert_eq!(ran.code, 9, "{}", ran.stderr);
    assert!(ran.stderr.contains("patch exceeded timeout 500ms"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: Try increasing timeout with --timeout flag"), "{}", ran.stderr);
}
