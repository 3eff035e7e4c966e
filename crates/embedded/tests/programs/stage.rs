//! Our stages alone, as a program for tests; and a way for tests to run in each mode.
//!
//! `embedded-stage enter <root|user|single> PROGRAM ARGUMENTS...` runs a program as the uid 0 of that mode.
//! `embedded-stage own ...` is what a hostile image makes of us: it tries to write to the program that it is.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit, reason = "a program of tests")]

use embedded::host::{HostOptions, Mode, enter};
use std::{os::unix::process::CommandExt as _, process::Command};

fn main() {
    embedded::entry();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "own") {
        let opened = std::fs::File::options().append(true).open("/proc/self/exe");
        return println!(
            "{}",
            opened.map_or_else(|e| format!("kept out: {e}"), |_| "gained: own program".into())
        );
    }
    let [word, mode, program, rest @ ..] = &arguments[..] else { panic!("enter MODE PROGRAM ARGUMENTS...") };
    assert_eq!(word, "enter");
    let force = match &mode[..] {
        "root" => Some(Mode::Root),
        "user" => Some(Mode::UserNamespace),
        "single" => Some(Mode::SingleId),
        other => panic!("no mode {other}"),
    };
    let error = match enter(&HostOptions { force }) {
        Ok(_) => Command::new(program).args(rest).exec().to_string(),
        Err(error) => format!("{error}"),
    };
    panic!("{error}");
}
