//! Running one program of the image to its end, and the end of all that it left behind.

use super::owners::Owners;
use crate::{
    failure::{Doing as _, Failure},
    proxy, sys,
};
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process_group, pidfd_open, wait},
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Write as _,
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

/// What every program sees; nothing of the image's or the host's own is added.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("LC_ALL", "C.UTF-8"),
];
/// Every way in which programs look for a proxy.
const PROXY: [&str; 4] = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"];
/// What a shell gives for a program that cannot be started.
const NOT_STARTED: i32 = 127;

/// A program to run.
pub(super) struct Program<'a> {
    /// It and its arguments.
    pub argv: &'a [String],
    /// Variables beside the fixed ones.
    pub env: &'a BTreeMap<String, String>,
    /// Tell it of the proxy.
    pub network: bool,
    /// Where its output goes.
    pub output: OwnedFd,
}

/// Runs it; the exit code. Changes of owner are answered meanwhile, where they are emulated.
pub(super) fn run(program: Program<'_>, owners: Option<&mut Owners>) -> Result<i32, Failure> {
    let mut said = File::from(program.output.try_clone().doing("starting a program")?);
    let child = match command(&program)?.spawn() {
        Ok(child) => child,
        Err(error) => {
            let name = program.argv.first().map(String::as_str).unwrap_or_default();
            writeln!(said, "cannot run {name}: {error}").ok();
            return Ok(NOT_STARTED);
        }
    };
    drop((said, program.output));
    let child = Pid::from_child(&child);
    if let Some(owners) = owners {
        let handle = pidfd_open(child, PidfdFlags::empty()).doing("watching a program")?;
        owners.serve_until(handle)?;
    }
    let code = until_ended(child)?;
    end_the_rest()?;
    Ok(code)
}

fn command(program: &Program<'_>) -> Result<Command, Failure> {
    let (name, arguments) =
        program.argv.split_first().ok_or(Errno::INVAL).doing("starting a program without a name")?;
    let copy = || program.output.try_clone().map(Stdio::from).doing("starting a program");
    let mut command = Command::new(name);
    command.args(arguments).env_clear().envs(ENVIRONMENT).envs(program.env).current_dir("/");
    if program.network {
        command.envs(PROXY.map(|name| (name, proxy::URL)));
    }
    command.stdin(Stdio::null()).stdout(copy()?).stderr(copy()?);
    sys::own_session(&mut command);
    Ok(command)
}

/// Reaps whatever ends, as process 1 must, until the program has.
fn until_ended(child: Pid) -> Result<i32, Failure> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => return Ok(code(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).doing("waiting for a program"),
        }
    }
}

/// Kills everything else in the process namespace, and waits until it is gone.
fn end_the_rest() -> Result<(), Failure> {
    // The group of process 1 stands for "everybody but the caller".
    match kill_process_group(Pid::INIT, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => return Err(error).doing("ending what a program left running"),
    }
    loop {
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error).doing("waiting for what a program left running"),
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    status.exit_status().or(status.terminating_signal().map(|n| 128 + n)).unwrap_or(1)
}
