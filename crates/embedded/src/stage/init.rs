//! Process 1 of the sandbox: builds the root, gives up its power, then does what the supervisor orders until it is killed
//! or the supervisor is gone.

use super::{
    confine, dev,
    exec::{self, Program},
    files::{self, Place},
    limits,
    overlay::{self, Overlay},
    owners::Owners as Noted,
    place::{self, Places},
    proc, root, sysfs, unmounted,
};
use crate::{
    failure::{Doing as _, Failure},
    proxy,
    seccomp::{Filter, Owners},
    sys,
    upper::TOOLING,
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
    let Built { made, target } = built(&setup, with)?;
    let listener = if setup.network { Some(door()?) } else { None };
    limits::apply(setup.processes_max);
    if setup.x86_32 {
        // Tools and scripts ask `uname` what packages suit the machine.
        sys::seem_32_bits().doing("being a machine of 32 bits")?;
    }
    let owners = if setup.emulate_owners { Owners::Emulated } else { Owners::Real };
    let waiting = confine::confine(Filter { owners, x86_32: setup.x86_32 })?;
    let up = Report::Up { made, syncs_suppressed: confine::syncs_do_nothing() };
    let with: Vec<_> = listener.iter().map(|l| l.as_fd()).collect();
    control.send(&up, &with).doing("telling the supervisor")?;
    drop(with);
    // Only the supervisor keeps it: programs of the image have no business with it.
    drop(listener);
    obey(control, waiting, target.as_ref())
}

/// The root that stands.
struct Built {
    /// Folders that had to be made in the image.
    made: Vec<String>,
    /// The image's root, where steps run in another one's tree.
    target: Option<OwnedFd>,
}

/// The root and everything mounted in it.
fn built(setup: &Setup, with: Vec<OwnedFd>) -> Result<Built, Failure> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut with = with.into_iter();
    let mut next = |announced: bool| announced.then(|| with.next()).flatten();
    let upper = next(setup.upper_in_memory);
    let shown = next(setup.shown);
    let work = overlay::work(&setup.work, upper)?;
    let user_attributes = setup.user_attributes;
    let image = overlay::mounted(&Overlay { layers: &setup.layers, work: &work, user_attributes })?;
    if setup.tooling.is_empty() {
        let made = furnish(&image, setup, shown)?;
        root::enter(image)?;
        return Ok(Built { made, target: None });
    }
    let made = furnish(&image, setup, None)?;
    let work = overlay::folder(&work, TOOLING)?;
    let tooling = overlay::mounted(&Overlay { layers: &setup.tooling, work: &work, user_attributes })?;
    let place = place::throwaway(&tooling, engine::TARGET.trim_start_matches('/'))?;
    unmounted::attach(&image, place, engine::TARGET)?;
    furnish(&tooling, setup, shown)?;
    root::enter(tooling)?;
    Ok(Built { made, target: Some(image) })
}

/// What every root has beside its image; the folders that had to be made for it.
fn furnish(root: &OwnedFd, setup: &Setup, shown: Option<OwnedFd>) -> Result<Vec<String>, Failure> {
    let places = Places::of(root)?;
    dev::mounted_at(places.dev, shown)?;
    proc::mounted_at(places.proc, setup.processes_max)?;
    sysfs::mounted_at(places.sys)?;
    Ok(places.made)
}

/// The only way out, for steps with network. Sockets keep the namespace in which they were made, so the supervisor can
/// answer here from outside.
fn door() -> Result<TcpListener, Failure> {
    sys::raise_loopback().doing("raising the loopback interface")?;
    TcpListener::bind(proxy::ADDRESS).doing("listening for the proxy")
}

fn obey(control: &Channel, waiting: Option<OwnedFd>, target: Option<&OwnedFd>) -> Result<(), Failure> {
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
            Order::Write { path, mode } => {
                done(files::write(&Place { path: &path, target }, attached()?, mode))
            }
            Order::Remove { path } => done(files::remove(&Place { path: &path, target })),
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
