//! Our stages alone, as a program for tests; and a way for tests to run in each mode.
//!
//! `embedded-stage enter <root|user|single> PROGRAM ARGUMENTS...` runs a program as the uid 0 of that mode.

use embedded::host::{HostOptions, Mode, enter};
use std::{os::unix::process::CommandExt as _, process::Command};

fn main() {
    embedded::entry();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
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
