//! Our stages alone, as a program for tests; and a way for tests to run in each mode.
//!
//! `embedded-stage enter <root|user|single> PROGRAM ARGUMENTS...` runs a program as the uid 0 of that mode.
//! `embedded-stage ordinary FILE <user|single> PROGRAM ARGUMENTS...` does so from the user nobody, to whom the file gives ids.
//! `embedded-stage own ...` is what a hostile image makes of us: it tries to write to the program that it is.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit, reason = "a program of tests")]

use embedded::host::{HostOptions, Mode, enter};
use rustix::{
    mount::{MountPropagationFlags, mount_bind, mount_change},
    thread::{UnshareFlags, unshare_unsafe},
};
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
    if arguments.first().is_some_and(|word| word == "ordinary") {
        panic!("{}", ordinary(&arguments[1], &arguments[2..]));
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

/// The user nobody, who has an entry in every `/etc/passwd`, as the system's own tools ask for one.
const NOBODY: u32 = 65_534;

/// Starts this program again as an ordinary user, on a machine that gives him the ids of that file.
fn ordinary(ids: &str, rest: &[String]) -> std::io::Error {
    #[allow(unsafe_code, reason = "a mount namespace of our own changes no memory")]
    // SAFETY: no flag concerns descriptors or memory.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    for file in ["/etc/subuid", "/etc/subgid"] {
        mount_bind(ids, file).unwrap();
    }
    Command::new("/proc/self/exe").arg("enter").args(rest).gid(NOBODY).uid(NOBODY).exec()
}
