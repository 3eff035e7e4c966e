//! The stage between supervisor and init: it makes the namespaces, starts init as process 1 in them, and waits.
//!
//! It stays outside the process namespace, because a process cannot move into its own.

use super::seal;
use crate::{
    failure::{Doing as _, Failure},
    sys::{self, Fork},
    wire::{Channel, Report},
};
use rustix::{
    mount::{MountPropagationFlags, mount_change},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, set_parent_process_death_signal, waitpid},
    thread::UnshareFlags,
};
use std::{
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    os::unix::process::CommandExt as _,
    process::Command,
};

/// What the out-of-memory killer adds for processes of a sandbox (of 1000): they go before anything of the host.
const OOM_SCORE: &str = "500";

/// Runs the stage; the exit code.
pub(super) fn run() -> i32 {
    let Ok(control) = Channel::from_stdin() else { return 1 };
    match start(&control) {
        Ok(init) => {
            drop(control);
            // Process 1 is gone only when everything in its namespace is.
            waitpid(Some(init), WaitOptions::empty()).map_or(1, |_| 0)
        }
        Err(failure) => {
            // Where this fails too, the supervisor sees the end of file.
            control.send(&Report::Failed(failure), &[]).ok();
            1
        }
    }
}

fn start(control: &Channel) -> Result<Pid, Failure> {
    sys::close_all_on_exec().doing("closing what was inherited")?;
    set_parent_process_death_signal(Some(Signal::KILL)).doing("tying the sandbox to its supervisor")?;
    std::fs::write("/proc/self/oom_score_adj", OOM_SCORE).ok();
    separate()?;
    let program = seal::own_program()?;
    // Both ends of one channel must not talk at once: init begins when this process has said its word.
    let (begin, hold) = pipe_with(PipeFlags::CLOEXEC).doing("making a pipe")?;
    match sys::fork_alone().doing("starting the first process of the sandbox")? {
        Fork::Child => {
            drop(hold);
            Err(become_init(&program, &begin))
        }
        Fork::Parent(init) => {
            let handle = pidfd_open(init, PidfdFlags::empty()).doing("getting a handle of the sandbox")?;
            control.send(&Report::Born, &[handle.as_fd()]).doing("telling the supervisor")?;
            Ok(init)
        }
    }
}

/// New namespaces of every kind but the user's. Mounts made here reach nobody else.
fn separate() -> Result<(), Failure> {
    let kinds = [
        (UnshareFlags::NEWNS, "a mount"),
        (UnshareFlags::NEWPID, "a process"),
        (UnshareFlags::NEWNET, "a network"),
        (UnshareFlags::NEWIPC, "an IPC"),
        (UnshareFlags::NEWUTS, "a host name"),
    ];
    for (kind, name) in kinds {
        sys::unshare(kind).doing(&format!("making {name} namespace"))?;
    }
    // Hides the host's control groups; kernels built without them have no such namespace and nothing to hide.
    sys::unshare(UnshareFlags::NEWCGROUP).ok();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .doing("making the mount namespace private")
}

/// Executes our own program from its read-only place; comes back only with a failure.
fn become_init(program: &OwnedFd, begin: &OwnedFd) -> Failure {
    if let Err(failure) =
        set_parent_process_death_signal(Some(Signal::KILL)).doing("tying the sandbox to its supervisor")
    {
        return failure;
    }
    // The end of file says that the parent has spoken, or is dead, and then so are we.
    rustix::io::retry_on_intr(|| rustix::io::read(begin, &mut [0; 1])).ok();
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let error = Command::new(path).arg0("copa").arg(super::INIT).env_clear().exec();
    Failure::host("starting the first process of the sandbox", error)
}
