//! Choosing how to be uid 0, and becoming it.

use super::{
    forward::{self, FORWARDED},
    ids::{self, Range},
    map::{self, Extent, Side},
    open_files, refusal,
};
use crate::{
    failure::{Doing as _, Failure},
    stage::unmounted::{INERT, filesystem},
    sys::{self, Fork},
    wire::Channel,
};
use engine::Error;
use rustix::{
    fs::{Gid, Uid},
    process::{Pid, Signal, getegid, geteuid, getuid, set_parent_process_death_signal},
    thread::{CapabilitySet, UnshareFlags, capabilities, set_thread_gid, set_thread_groups, set_thread_uid},
};
use std::{os::unix::process::CommandExt as _, process::Command};

/// How we are uid 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// We are the machine's root.
    Root,
    /// Root of a user namespace with as many ids as images use.
    UserNamespace,
    /// Root of a user namespace with that one id.
    SingleId,
}

impl Mode {
    /// The conventions by which layers are kept in this mode.
    pub fn flavor(self) -> layer::Flavor {
        match self {
            Mode::Root => layer::Flavor::Native,
            Mode::UserNamespace => layer::Flavor::UserNamespace,
            Mode::SingleId => layer::Flavor::SingleId,
        }
    }
}

/// What may be asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostOptions {
    /// This mode and no other; for tests and for who wants less power than there is.
    pub force: Option<Mode>,
}

/// Becomes uid 0. Must be called before any thread is started.
///
/// Where we are that already, or can work as we are, this returns at once. Otherwise the program is executed again, with the
/// same arguments and environment, in a user namespace of its own; this call then waits for it, hands signals on, and ends
/// the process with its exit code.
pub fn enter(options: &HostOptions) -> Result<Mode, Error> {
    open_files::allow_many();
    let current = current().map_err(unavailable)?;
    match (current, options.force) {
        (Some(mode), None) => Ok(mode),
        (Some(mode), Some(forced)) if mode == forced => Ok(mode),
        (None, Some(Mode::Root)) | (Some(_), Some(Mode::Root)) => {
            Err(not_possible("this is not the machine's root"))
        }
        (Some(Mode::SingleId), Some(_)) => Err(not_possible("only one id is mapped here")),
        (_, forced) => {
            let code = again(forced).map_err(unavailable)?;
            #[expect(
                clippy::exit,
                reason = "the inner process was the program; nothing is left to do for the outer"
            )]
            std::process::exit(code)
        }
    }
}

/// How we are uid 0 now, if we are.
fn current() -> Result<Option<Mode>, Failure> {
    // Root of a container often lacks the power to mount; a namespace of its own gives it.
    let held = capabilities(None).doing("reading our capabilities")?.effective;
    Ok(match (geteuid().is_root() && held.contains(CapabilitySet::SYS_ADMIN), map::extent()?) {
        (false, _) => None,
        (true, Extent::Machine) => Some(Mode::Root),
        (true, Extent::Enough) => Some(Mode::UserNamespace),
        (true, Extent::Few) => Some(Mode::SingleId),
    })
}

/// The ids to map beside our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ids {
    /// Those that the administrator gave us: users, groups.
    Given(Range, Range),
    /// Ours and those after it, which takes real root.
    Own(u32),
}

/// Ids of images that root takes for a namespace.
const IDS: u32 = 65_536;

fn choose(forced: Option<Mode>) -> Result<Ids, Failure> {
    match forced {
        Some(Mode::SingleId) => return Ok(Ids::Own(1)),
        _ if geteuid().is_root() => return Ok(Ids::Own(IDS)),
        _ => {}
    }
    let uid = getuid().as_raw();
    let users = ids::subordinate("/etc/subuid", uid)?;
    let groups = ids::subordinate("/etc/subgid", uid)?;
    match (users, groups, forced) {
        (Some(users), Some(groups), _) if users.count.min(groups.count) >= IDS - 1 => {
            Ok(Ids::Given(users, groups))
        }
        (_, _, Some(_)) => {
            let why = format!("no {IDS} ids for user {uid} in /etc/subuid and /etc/subgid");
            Err(std::io::Error::other(why)).doing("looking for ids to map")
        }
        _ => Ok(Ids::Own(1)),
    }
}

/// Runs this program again in a user namespace; its exit code.
fn again(forced: Option<Mode>) -> Result<i32, Failure> {
    let ids = choose(forced)?;
    match within(ids) {
        // The system's tool may be missing or refuse (a container without the capability); one id needs no tool.
        Err(Refused::Mapping(_)) if forced.is_none() && ids != Ids::Own(1) => {
            within(Ids::Own(1)).map_err(Refused::into_inner)
        }
        other => other.map_err(Refused::into_inner),
    }
}

/// Where it went wrong.
enum Refused {
    Mapping(Failure),
    Other(Failure),
}

impl Refused {
    fn into_inner(self) -> Failure {
        match self {
            Refused::Mapping(failure) | Refused::Other(failure) => failure,
        }
    }
}

fn within(ids: Ids) -> Result<i32, Refused> {
    let other = Refused::Other;
    let (ours, theirs) = Channel::pair().doing("making a socket pair").map_err(other)?;
    let blocked = sys::block(&FORWARDED).doing("holding signals back").map_err(other)?;
    match sys::fork_alone().doing("starting ourselves again").map_err(other)? {
        Fork::Child => {
            drop(ours);
            let theirs = Channel::from(theirs);
            let failure = inside(&theirs, blocked, ids);
            theirs.send(&Err::<(), _>(failure), &[]).ok();
            #[expect(clippy::exit, reason = "the child of a fork must not run what its parent would")]
            std::process::exit(1)
        }
        Fork::Parent(inner) => {
            drop(theirs);
            let settled = settle(&ours, inner, ids);
            drop(ours);
            let code = forward::until_ended(inner).map_err(other);
            blocked.restore().doing("letting signals through").map_err(other)?;
            settled.and(code)
        }
    }
}

/// What the outer process does for the inner one: its ids.
fn settle(channel: &Channel, inner: Pid, ids: Ids) -> Result<(), Refused> {
    answer(channel, "making a user namespace").map_err(Refused::Other)?;
    mapped(inner, ids).map_err(Refused::Mapping)?;
    channel.send(&(), &[]).doing("starting ourselves again").map_err(Refused::Other)?;
    // The end of file is the good news: it was executed.
    match channel.receive::<Result<(), Failure>>() {
        Ok(Some((Err(failure), _))) => Err(Refused::Other(failure)),
        _ => Ok(()),
    }
}

fn answer(channel: &Channel, doing: &str) -> Result<(), Failure> {
    channel.expect::<Result<(), Failure>>(doing)?.0
}

fn mapped(inner: Pid, ids: Ids) -> Result<(), Failure> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    match ids {
        Ids::Given(users, groups) => {
            map::by_tool(Side::Users, inner, uid, users)?;
            map::by_tool(Side::Groups, inner, gid, groups)
        }
        Ids::Own(count) => {
            if !geteuid().is_root() {
                map::deny_setgroups(inner)?;
            }
            map::by_hand(Side::Users, inner, uid, count)?;
            map::by_hand(Side::Groups, inner, gid, count)
        }
    }
}

/// What the inner process does; comes back only with a failure.
fn inside(channel: &Channel, blocked: sys::Blocked, ids: Ids) -> Failure {
    match become_root(channel, blocked, ids) {
        Err(failure) => failure,
        Ok(never) => match never {},
    }
}

fn become_root(
    channel: &Channel,
    blocked: sys::Blocked,
    ids: Ids,
) -> Result<std::convert::Infallible, Failure> {
    sys::unshare(UnshareFlags::NEWUSER).doing("making a user namespace")?;
    channel.send(&Ok::<(), Failure>(()), &[]).doing("asking for ids")?;
    channel.expect::<()>("waiting for ids")?;
    set_thread_gid(Gid::ROOT).doing("becoming group 0")?;
    set_thread_uid(Uid::ROOT).doing("becoming user 0")?;
    if ids != Ids::Own(1) {
        // Otherwise groups of the user outside would still open files inside.
        set_thread_groups(&[]).doing("leaving groups")?;
    }
    sys::unshare(UnshareFlags::NEWNS).doing("making a mount namespace in a user namespace")?;
    // Some hosts allow the namespace and then nothing in it.
    filesystem("tmpfs", &[], INERT)?;
    set_parent_process_death_signal(Some(Signal::TERM)).doing("tying ourselves to our parent")?;
    blocked.restore().doing("letting signals through")?;
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    Err(Command::new("/proc/self/exe").arg0(name).args(arguments).exec()).doing("starting ourselves again")
}

fn not_possible(why: &str) -> Error {
    let remedy = "leave the choice of the mode to the program".to_owned();
    Error::Unavailable { engine: crate::NAME, what: why.to_owned(), remedy }
}

fn unavailable(failure: Failure) -> Error {
    Error::Unavailable { engine: crate::NAME, what: failure.to_string(), remedy: refusal::remedy(&failure) }
}
