//! Process 1 of the sandbox: builds the root, gives up its power, then does what the supervisor orders until it is killed
//! or the supervisor is gone.

use super::{
    confine, dev,
    exec::{self, Program},
    files, limits, overlay,
    owners::Owners as Noted,
    place::Places,
    proc, root, sysfs,
};
use crate::{
    failure::{Doing as _, Failure},
    proxy,
    seccomp::Owners,
    sys,
    wire::{Channel, Order, Report, Setup},
};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::{
    net::TcpListener,
    os::fd::{AsFd as _, OwnedFd},
};

/// With the longest paths, these still fit into one message.
const OWNERS_TOLD_AT_ONCE: usize = 200;

/// Runs the stage; the exit code.
pub(super) fn run() -> i32 {
    let Ok(control) = Channel::from_stdin() else { return 1 };
    match live(&control) {
        Ok(()) => 0,
        Err(failure) => {
            // Where this fails too, the supervisor sees the end of file.
            control.send(&Report::Failed(failure), &[]).ok();
            1
        }
    }
}

fn live(control: &Channel) -> Result<(), Failure> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).doing("closing process 1 to others")?;
    let (order, with) = control.expect("waiting for the setup")?;
    let Order::Setup(setup) = order else { return Err(unexpected()) };
    let made = built(&setup, with)?;
    let listener = if setup.network { Some(door()?) } else { None };
    limits::apply(setup.processes_max);
    let owners = if setup.emulate_owners { Owners::Emulated } else { Owners::Real };
    let waiting = confine::confine(owners)?;
    let up = Report::Up { made, syncs_suppressed: confine::syncs_do_nothing() };
    let with: Vec<_> = listener.iter().map(|l| l.as_fd()).collect();
    control.send(&up, &with).doing("telling the supervisor")?;
    drop(with);
    // Only the supervisor keeps it: programs of the image have no business with it.
    drop(listener);
    obey(control, waiting)
}

/// The root and everything mounted in it; the folders that had to be made.
fn built(setup: &Setup, with: Vec<OwnedFd>) -> Result<Vec<String>, Failure> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut with = with.into_iter();
    let mut next = |announced: bool| announced.then(|| with.next()).flatten();
    let upper = next(setup.upper_in_memory);
    let shown = next(setup.shown);
    let overlay = overlay::mounted(setup, upper)?;
    let places = Places::of(&overlay)?;
    dev::mounted_at(places.dev, shown)?;
    proc::mounted_at(places.proc, setup.processes_max)?;
    sysfs::mounted_at(places.sys)?;
    root::enter(overlay)?;
    Ok(places.made)
}

/// The only way out, for steps with network. Sockets keep the namespace in which they were made, so the supervisor can
/// answer here from outside.
fn door() -> Result<TcpListener, Failure> {
    sys::raise_loopback().doing("raising the loopback interface")?;
    TcpListener::bind(proxy::ADDRESS).doing("listening for the proxy")
}

fn obey(control: &Channel, waiting: Option<OwnedFd>) -> Result<(), Failure> {
    let mut owners = waiting.map(Noted::new);
    while let Some((order, with)) = control.receive().doing("waiting for orders")? {
        let mut with = with.into_iter();
        let mut attached = || with.next().ok_or_else(unexpected);
        let report = match order {
            Order::Setup(_) => return Err(unexpected()),
            Order::Exec { argv, env, network } => {
                let program = Program { argv: &argv, env: &env, network, output: attached()? };
                let code = exec::run(program, owners.as_mut())?;
                tell_owners(control, owners.as_mut())?;
                Report::Exited { code }
            }
            Order::Write { path, mode } => done(files::write(&path, attached()?, mode)),
            Order::Remove { path } => done(files::remove(&path)),
        };
        control.send(&report, &[]).doing("telling the supervisor")?;
    }
    Ok(())
}

/// Owners noted elsewhere than on files, in messages of a bounded size.
fn tell_owners(control: &Channel, owners: Option<&mut Noted>) -> Result<(), Failure> {
    let told = owners.map(Noted::take).unwrap_or_default();
    for some in told.chunks(OWNERS_TOLD_AT_ONCE) {
        control.send(&Report::Owned(some.to_vec()), &[]).doing("telling the supervisor")?;
    }
    Ok(())
}

fn done(result: Result<(), Failure>) -> Report {
    result.map_or_else(Report::Failed, |()| Report::Done)
}

fn unexpected() -> Failure {
    Failure::host("understanding an order", std::io::Error::from(std::io::ErrorKind::InvalidData))
}
