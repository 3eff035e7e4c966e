//! Becoming uid 0: exit codes and signals pass through the outer process, arguments and environment through both.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

const STAGE: &str = env!("CARGO_BIN_EXE_embedded-stage");
const GUEST: &str = env!("CARGO_BIN_EXE_embedded-guest");

fn enter(mode: &str, words: &[&str]) -> Command {
    let mut command = Command::new(STAGE);
    command.args(["enter", mode, GUEST]).args(words);
    command
}

/// Whether this machine lets us; says so where it does not.
fn allowed(mode: &str) -> bool {
    let tried: Output = enter(mode, &["say", "x"]).output().unwrap();
    if !tried.status.success() {
        eprintln!("skipped: {}", String::from_utf8_lossy(&tried.stderr));
    }
    tried.status.success()
}

#[test]
fn exit_codes_arguments_and_environment_pass() {
    for mode in ["user", "single"].into_iter().filter(|mode| allowed(mode)) {
        let failed = enter(mode, &["fail", "42"]).status().unwrap();
        assert_eq!(failed.code(), Some(42), "{mode}");
        let said = enter(mode, &["say", "a b", "", "c'\"$"]).output().unwrap();
        assert_eq!(said.stdout, b"a b  c'\"$\n");
        let seen = enter(mode, &["environment"]).env("MARK", "of us").output().unwrap();
        assert!(String::from_utf8(seen.stdout).unwrap().lines().any(|l| l == "MARK=of us"));
        let identity = enter(mode, &["identity"]).output().unwrap();
        assert!(String::from_utf8(identity.stdout).unwrap().contains("Uid: 0 0 0 0"));
    }
}

#[test]
fn signals_reach_the_inner_process_and_its_end_ends_the_outer() {
    let mut signals = vec![(libc::SIGTERM, 143), (libc::SIGINT, 130)];
    // Whoever runs the tests may ignore hangups (`nohup`), and what is ignored stays so in what is started.
    if !hangups_are_ignored() {
        signals.push((libc::SIGHUP, 129));
    }
    for mode in ["user", "single"].into_iter().filter(|mode| allowed(mode)) {
        for (signal, code) in signals.iter().copied() {
            let mut outer = enter(mode, &["wait"]).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(outer.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let inner: i32 = line.trim().parse().unwrap();
            assert_ne!(inner, outer.id() as i32);
            let begun = Instant::now();
            send(outer.id() as i32, signal);
            let ended = outer.wait().unwrap();
            assert_eq!(ended.code().or(ended.signal().map(|n| 128 + n)), Some(code), "{mode}");
            assert!(begun.elapsed() < Duration::from_secs(2));
            assert!(!std::path::Path::new(&format!("/proc/{inner}")).exists(), "the inner process is gone");
        }
        // A sudden end of the outer is one of the inner too.
        let mut outer = enter(mode, &["wait"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(outer.stdout.take().unwrap()).read_line(&mut line).unwrap();
        outer.kill().unwrap();
        outer.wait().unwrap();
        let begun = Instant::now();
        while std::path::Path::new(&format!("/proc/{}", line.trim())).exists() {
            assert!(begun.elapsed() < Duration::from_secs(2), "{mode}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The first bit of the mask of ignored signals is that of SIGHUP.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1
}

fn send(to: i32, signal: i32) {
    let to = rustix::process::Pid::from_raw(to).unwrap();
    rustix::process::kill_process(to, rustix::process::Signal::from_named_raw(signal).unwrap()).unwrap();
}
